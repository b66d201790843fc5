package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/clarionlb/clarion/internal/reference"
)

// isCall is a call of the plugin in a document, up to where the shell goes on with something else.
var isCall = regexp.MustCompile(`(?:^|[\s(])kubectl clarion((?: [^|;&>)]*)?)`)

// misnamed says what a command line names that the plugin has not: a verb or a flag; nil if there is nothing.
func misnamed(root *cobra.Command, line string) error {
	args := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(line))
	verb, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if verb.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") && strings.ToUpper(rest[0]) != rest[0] {
		return fmt.Errorf("there is no verb %s", rest[0])
	}
	for _, word := range rest {
		name, _, _ := strings.Cut(word, "=")
		var flag *pflag.Flag
		switch {
		case name == "--help" || name == "-h" || name == "--version" || !strings.HasPrefix(name, "-") || name == "-" || name == "--":
			continue
		case strings.HasPrefix(name, "--"):
			flag = verb.Flag(name[2:])
		default:
			if flag = verb.Flags().ShorthandLookup(name[1:2]); flag == nil {
				flag = verb.InheritedFlags().ShorthandLookup(name[1:2])
			}
		}
		if flag == nil {
			return fmt.Errorf("%s has no flag %s", verb.CommandPath(), name)
		}
	}
	return nil
}

func wholeCommand() *cobra.Command {
	root := newCommand(genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

func TestDocumentsNameVerbsAndFlagsThatThereAre(t *testing.T) {
	documents, err := reference.Documents("../..")
	if err != nil {
		t.Fatal(err)
	}
	root, calls := wholeCommand(), 0
	for path, document := range documents {
		for _, command := range reference.Commands(document) {
			for _, call := range isCall.FindAllStringSubmatch(command, -1) {
				calls++
				if err := misnamed(root, call[1]); err != nil {
					t.Errorf("%s has %q: %v", path, command, err)
				}
			}
		}
	}
	if calls < 15 {
		t.Errorf("only %d calls were found", calls)
	}
}

func TestAVerbOrAFlagThatThereIsNotIsNamed(t *testing.T) {
	for line, problem := range map[string]string{
		"migrate metallb -f old.yaml -o yaml --apply --context=a": "",
		"uninstall [--hand-over]":                                 "",
		"":                                                        "",
		"VERB --help":                                             "",
		"migrat":                                                  "no verb migrat",
		"uninstall --handover":                                    "no flag --handover",
		"migrate -x":                                              "no flag -x",
	} {
		err := misnamed(wholeCommand(), line)
		if (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) {
			t.Errorf("%q: %v", line, err)
		}
	}
}
