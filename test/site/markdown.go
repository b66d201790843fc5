package site

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"github.com/clarionlb/clarion/internal/reference"
)

// repositoryURL is where files are that are no documents.
const repositoryURL = "https://github.com/clarionlb/clarion"

// ids gives headings the anchors of GitHub.
type ids struct{ reference.Anchors }

func (i ids) Generate(value []byte, _ ast.NodeKind) []byte { return []byte(i.Of(string(value))) }

func (ids) Put([]byte) {}

// drawings shows images of the repository within the page: SVG as elements, so that they have its colours, and PNG as data URLs
// (RFC 2397), so that a page is one file.
type drawings struct{ repository, source string }

func (d drawings) RegisterFuncs(register renderer.NodeRendererFuncRegisterer) {
	register.Register(ast.KindImage, d.render)
}

func (d drawings) render(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	image := node.(*ast.Image)
	drawing, err := os.ReadFile(filepath.Join(d.repository, path.Dir(d.source), string(image.Destination)))
	if err != nil {
		return ast.WalkStop, err
	}
	label := template.HTMLEscapeString(plain(node, source))
	switch path.Ext(string(image.Destination)) {
	case ".svg":
		_, err = fmt.Fprintf(w, `<figure role="img" aria-label="%s">%s</figure>`, label, drawing)
	case ".png":
		_, err = fmt.Fprintf(w, `<figure><img alt="%s" src="data:image/png;base64,%s"></figure>`, label, base64.StdEncoding.EncodeToString(drawing))
	default:
		err = fmt.Errorf("%s is neither SVG nor PNG", image.Destination)
	}
	if err != nil {
		return ast.WalkStop, err
	}
	return ast.WalkSkipChildren, nil
}

// spans shows code within text so that long names can be broken where their parts end.
type spans struct{}

func (spans) RegisterFuncs(register renderer.NodeRendererFuncRegisterer) {
	register.Register(ast.KindCodeSpan, spans{}.render)
}

var (
	// isLong are words that tables are too narrow for, and endsPart is where a part of one ends.
	isLong   = regexp.MustCompile(`[^\s]{20,}`)
	endsPart = regexp.MustCompile(`[./_]|\]|[a-z](?:[A-Z])`)
)

func (spans) render(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	text := isLong.ReplaceAllStringFunc(plain(node, source), func(word string) string {
		return endsPart.ReplaceAllStringFunc(word, func(part string) string { return part[:1] + "\x01" + part[1:] })
	})
	_, err := w.WriteString("<code>" + strings.ReplaceAll(template.HTMLEscapeString(text), "\x01", "<wbr>") + "</code>")
	return ast.WalkSkipChildren, err
}

// readPage makes a page of a document.
func readPage(repository, source string) (*page, error) {
	content, err := os.ReadFile(filepath.Join(repository, source))
	if err != nil {
		return nil, err
	}
	markdown := goldmark.New(
		goldmark.WithExtensions(extension.GFM),
		goldmark.WithParserOptions(parser.WithAutoHeadingID()),
		goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(drawings{repository, source}, 1), util.Prioritized(spans{}, 1))),
	)
	root := markdown.Parser().Parse(text.NewReader(content), parser.WithContext(parser.NewContext(parser.WithIDs(ids{reference.Anchors{}}))))
	p := &page{source: source, out: outOf(source)}
	if err := p.follow(repository, root); err != nil {
		return nil, err
	}
	p.divide(root, content)
	if p.title == "" {
		return nil, fmt.Errorf("%s has no title", source)
	}
	var b bytes.Buffer
	if err := markdown.Renderer().Render(&b, content, root); err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	wide := strings.NewReplacer("<table>", `<div class="wide"><table>`, "</table>", "</table></div>")
	p.body = template.HTML(wide.Replace(b.String()))
	return p, nil
}

// follow has every link within the repository lead to the page of the document, or to the file on GitHub.
func (p *page) follow(repository string, root ast.Node) error {
	var problems []error
	err := ast.Walk(root, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		link, is := node.(*ast.Link)
		if !is || !entering {
			return ast.WalkContinue, nil
		}
		to, anchor, _ := strings.Cut(string(link.Destination), "#")
		if to == "" || strings.Contains(to, ":") {
			return ast.WalkContinue, nil
		}
		target := path.Join(path.Dir(p.source), to)
		info, err := os.Stat(filepath.Join(repository, target))
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("%s links to %s: %w", p.source, to, err))
			return ast.WalkContinue, nil
		case info.IsDir() && exists(filepath.Join(repository, target, "README.md")) && strings.HasPrefix(target, "docs"):
			target = path.Join(target, "README.md")
		case info.IsDir():
			link.Destination = []byte(repositoryURL + "/tree/main/" + target)
			return ast.WalkContinue, nil
		}
		if path.Ext(target) != ".md" || path.Dir(target) != "." && !strings.HasPrefix(target, "docs/") {
			link.Destination = []byte(repositoryURL + "/blob/main/" + target)
			return ast.WalkContinue, nil
		}
		url := strings.Repeat("../", strings.Count(p.out, "/")) + outOf(target)
		if anchor != "" {
			url += "#" + anchor
		}
		link.Destination = []byte(url)
		return ast.WalkContinue, nil
	})
	return errors.Join(append(problems, err)...)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// divide finds the sections of a page, and their texts.
func (p *page) divide(root ast.Node, source []byte) {
	for node := root.FirstChild(); node != nil; node = node.NextSibling() {
		if heading, is := node.(*ast.Heading); is {
			id, _ := heading.AttributeString("id")
			anchor, _ := id.([]byte)
			p.sections = append(p.sections, section{Level: heading.Level, Title: plain(heading, source), Anchor: string(anchor)})
			if p.title == "" {
				p.title = plain(heading, source)
			}
			continue
		}
		if len(p.sections) > 0 {
			last := &p.sections[len(p.sections)-1]
			last.Text = strings.TrimSpace(last.Text + " " + plain(node, source))
		}
	}
}

// plain is the text of a node, on one line.
func plain(node ast.Node, source []byte) string {
	var b strings.Builder
	ast.Walk(node, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch {
		case !entering:
			if n.Type() == ast.TypeBlock {
				b.WriteString(" ")
			}
		case n.Kind() == ast.KindText:
			of := n.(*ast.Text)
			b.Write(of.Segment.Value(source))
			if of.SoftLineBreak() {
				b.WriteString(" ")
			}
		case n.Kind() == ast.KindFencedCodeBlock || n.Kind() == ast.KindCodeBlock:
			for i := range n.Lines().Len() {
				line := n.Lines().At(i)
				b.Write(line.Value(source))
			}
		}
		return ast.WalkContinue, nil
	})
	return strings.Join(strings.Fields(b.String()), " ")
}
