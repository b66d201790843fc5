// Package manifest reads objects from files, and remembers on which line each of their fields is.
package manifest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// Object is one that a file has.
type Object struct {
	unstructured.Unstructured
	// File is the name as it was given; "-" for the standard input.
	File string
	node *yamlv3.Node
}

// extensions are those of the files that are read of a folder, as with kubectl.
var extensions = []string{".yaml", ".yml", ".json"}

// Read reads the objects of files, of all files of folders (recursive for those below, too), and of input where the name is "-".
// It goes on after an error with the next document, and joins the errors.
func Read(names []string, recursive bool, input io.Reader) ([]Object, error) {
	var objects []Object
	var problems []error
	for _, name := range names {
		files, err := filesOf(name, recursive)
		problems = append(problems, err)
		for _, file := range files {
			text, err := contents(file, input)
			if err != nil {
				problems = append(problems, err)
				continue
			}
			found, err := Parse(file, text)
			objects, problems = append(objects, found...), append(problems, err)
		}
	}
	return objects, errors.Join(problems...)
}

func contents(file string, input io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(input)
	}
	return os.ReadFile(file)
}

func filesOf(name string, recursive bool) (files []string, err error) {
	if name == "-" {
		return []string{name}, nil
	}
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		return []string{name}, err
	}
	err = filepath.WalkDir(name, func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != name && !recursive:
			return filepath.SkipDir
		case !entry.IsDir() && slices.Contains(extensions, filepath.Ext(path)):
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

// separator is a line that begins another document.
var separator = regexp.MustCompile(`(?m)^---(\s.*)?$`)

// Parse reads the documents of a file, in YAML or JSON. Lists are taken apart.
func Parse(file string, text []byte) (objects []Object, err error) {
	var problems []error
	from := 0
	for _, end := range append(separator.FindAllIndex(text, -1), []int{len(text)}) {
		// With as many empty lines before it, a document has the line numbers of the file.
		lines := bytes.Count(text[:from], []byte("\n"))
		document := append(bytes.Repeat([]byte("\n"), lines), text[from:end[0]]...)
		found, err := parseDocument(file, document)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", file, err))
		}
		objects = append(objects, found...)
		from = min(end[0]+len("---"), len(text))
	}
	return objects, errors.Join(problems...)
}

func parseDocument(file string, document []byte) ([]Object, error) {
	var root yamlv3.Node
	if err := yamlv3.Unmarshal(document, &root); err != nil {
		return nil, err
	}
	if len(root.Content) == 0 || root.Content[0].Tag == "!!null" {
		return nil, nil
	}
	encoded, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, err
	}
	var content map[string]any
	if err := utiljson.Unmarshal(encoded, &content); err != nil {
		return nil, fmt.Errorf("line %d: not an object", root.Content[0].Line)
	}
	return flatten(file, content, root.Content[0])
}

// flatten returns the object, or those of the list that it is.
func flatten(file string, content map[string]any, node *yamlv3.Node) ([]Object, error) {
	o := Object{Unstructured: unstructured.Unstructured{Object: content}, File: file, node: node}
	if o.GetKind() == "" || o.GetAPIVersion() == "" {
		return nil, fmt.Errorf("line %d: an object needs apiVersion and kind", node.Line)
	}
	items, is := content["items"].([]any)
	if !is || !strings.HasSuffix(o.GetKind(), "List") {
		return []Object{o}, nil
	}
	var objects []Object
	var problems []error
	for i, item := range items {
		content, _ := item.(map[string]any)
		found, err := flatten(file, content, cmp.Or(child(child(node, "items"), strconv.Itoa(i)), node))
		objects, problems = append(objects, found...), append(problems, err)
	}
	return objects, errors.Join(problems...)
}

// Line is that of a field, such as spec.addresses[1] or metadata.annotations[clarionlb.io/drain]. If the object does not have the
// field, it is that of the innermost one around it which the object has.
func (o *Object) Line(field string) int {
	line, node := o.node.Line, o.node
	for _, step := range stepsOf(field) {
		next := child(node, step)
		if next == nil {
			break
		}
		node, line = next, lineOf(node, next)
	}
	return line
}

// lineOf is that of the key of a value, or of the value where it has none.
func lineOf(parent, node *yamlv3.Node) int {
	if parent.Kind == yamlv3.MappingNode {
		if i := slices.Index(parent.Content, node); i > 0 {
			return parent.Content[i-1].Line
		}
	}
	return node.Line
}

// step is a part of the path of a field: a name, or what stands in brackets.
var step = regexp.MustCompile(`\[[^\]]*\]|[^.\[\]]+`)

func stepsOf(field string) (steps []string) {
	for _, s := range step.FindAllString(field, -1) {
		steps = append(steps, strings.Trim(s, `[]"`))
	}
	return steps
}

// child is the value of a key or the item of an index; nil if there is none.
func child(node *yamlv3.Node, key string) *yamlv3.Node {
	if node == nil {
		return nil
	}
	if node.Kind == yamlv3.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yamlv3.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == key {
				return node.Content[i+1]
			}
		}
	case yamlv3.SequenceNode:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i]
		}
	}
	return nil
}

// FieldOf is the field of which a sentence speaks, as the components name it: the first that it names. If the sentence also quotes an
// item of a list there, it is that item. "" if it names none.
func (o *Object) FieldOf(sentence string) string {
	if annotation := annotated.FindStringSubmatch(sentence); annotation != nil {
		return "metadata.annotations[" + annotation[1] + "]"
	}
	field := mentioned.FindString(sentence)
	if field == "" {
		return ""
	}
	node := o.node
	for _, s := range stepsOf(field) {
		node = child(node, s)
	}
	if node == nil || node.Kind != yamlv3.SequenceNode {
		return field
	}
	for i, item := range node.Content {
		if item.Kind == yamlv3.ScalarNode && item.Value != "" && strings.Contains(sentence, strconv.Quote(item.Value)) {
			return fmt.Sprintf("%s[%d]", field, i)
		}
	}
	return field
}

// mentioned is a field of the spec in a sentence, and annotated an annotation.
var (
	mentioned = regexp.MustCompile(`\bspec(\.\w+(\[\d+\])?)+`)
	annotated = regexp.MustCompile(`\bannotations? ([\w.-]+/[\w.-]*\w)`)
)
