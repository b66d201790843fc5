package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// constant is a string constant, with its doc comment as one line and what is listed in it.
type constant struct {
	name, value, of string
	// folder of its package, from the root.
	folder string
	// group is the comment of the group that it is in.
	group string
	doc   string
	items []string
}

// program are the folders that Go files of the product are in.
var program = []string{"announce", "api", "cmd", "internal", "loadbalancer", "provider"}

// parse reads the files of some folders and those below, without tests.
func parse(root string, folders ...string) ([]*ast.File, []string, error) {
	var files []*ast.File
	var in []string
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			where, err := filepath.Rel(root, filepath.Dir(path))
			files, in = append(files, file), append(in, filepath.ToSlash(where))
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return files, in, nil
}

// constants are the string constants of some folders, in the order of the files. One that is another
// constant has its value.
func constants(root string, folders ...string) ([]constant, error) {
	files, in, err := parse(root, folders...)
	if err != nil {
		return nil, err
	}
	var found []constant
	aliases := map[int]string{}
	for i, file := range files {
		for _, decl := range file.Decls {
			group, is := decl.(*ast.GenDecl)
			if !is || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				c, alias, ok := read(group, spec.(*ast.ValueSpec))
				if !ok {
					continue
				}
				c.folder = in[i]
				if alias != "" {
					aliases[len(found)] = alias
				}
				found = append(found, c)
			}
		}
	}
	for i, alias := range aliases {
		at := slices.IndexFunc(found, func(c constant) bool { return c.name == alias && c.value != "" })
		if at >= 0 {
			found[i].value = found[at].value
		}
	}
	return slices.DeleteFunc(found, func(c constant) bool { return c.value == "" }), nil
}

// read returns a constant, or the name of another one that it is.
func read(group *ast.GenDecl, spec *ast.ValueSpec) (c constant, alias string, ok bool) {
	if len(spec.Names) != 1 || len(spec.Values) != 1 {
		return c, "", false
	}
	c.name = spec.Names[0].Name
	if kind, is := spec.Type.(*ast.Ident); is {
		c.of = kind.Name
	}
	comment := spec.Doc
	if group.Lparen.IsValid() {
		c.group, _ = paragraphs(group.Doc)
	} else {
		comment = group.Doc
	}
	c.doc, c.items = paragraphs(comment)
	switch value := spec.Values[0].(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(value.Value)
		c.value, ok = text, err == nil && value.Kind == token.STRING
	case *ast.SelectorExpr:
		alias, ok = value.Sel.Name, true
	case *ast.Ident:
		alias, ok = value.Name, true
	}
	return c, alias, ok
}

// paragraphs is the text of a comment on one line, and the items of the list in it.
func paragraphs(comment *ast.CommentGroup) (text string, items []string) {
	for line := range strings.Lines(comment.Text()) {
		line = strings.TrimSpace(line)
		if item, is := strings.CutPrefix(line, "- "); is {
			items = append(items, item)
		} else if line != "" && len(items) > 0 {
			items[len(items)-1] += " " + line
		} else {
			text += " " + line
		}
	}
	return strings.TrimSpace(text), items
}

// cell makes text that is no Markdown a cell of a table.
func cell(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "[", `\[`).Replace(text)
}

// code is a word as code, in a cell.
func code(text string) string { return "`" + strings.ReplaceAll(text, "|", `\|`) + "`" }

// table is a table of Markdown.
func table(b *strings.Builder, heads []string, rows [][]string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat("---|", len(heads)))
	for _, row := range rows {
		for _, text := range row {
			b.WriteString(strings.TrimRight("| "+text, " ") + " ")
		}
		b.WriteString("|\n")
	}
	b.WriteString("\n")
}
