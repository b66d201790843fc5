package plugin

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/term"
	"sigs.k8s.io/yaml"
)

// Output is the flag -o.
type Output string

// Forms of the output of verbs that show something. "" is a text for people.
const (
	Wide Output = "wide"
	JSON Output = "json"
	YAML Output = "yaml"
)

// AddFlag adds -o to a verb.
func (o *Output) AddFlag(flags *pflag.FlagSet) {
	flags.StringVarP((*string)(o), "output", "o", "", "json, yaml or wide. Default: a text for people.")
}

// Check says whether -o is one that is known.
func (o Output) Check() error {
	switch o {
	case "", Wide, JSON, YAML:
		return nil
	}
	return Usagef("-o is json, yaml or wide")
}

// Print writes a value in the form that is asked for: as JSON or YAML, or by what text does.
func (o Output) Print(out io.Writer, value any, text func() error) error {
	switch o {
	case JSON:
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	case YAML:
		encoded, err := yaml.Marshal(value)
		if err != nil {
			return fmt.Errorf("encode the output: %w", err)
		}
		_, err = out.Write(encoded)
		return err
	}
	return text()
}

// Colour is a way to emphasise text on a terminal.
type Colour string

// Colours, as ECMA-48 numbers them.
const (
	Bold   Colour = "1"
	Faint  Colour = "2"
	Red    Colour = "31"
	Green  Colour = "32"
	Yellow Colour = "33"
)

// Style says whether text is painted. The zero Style paints nothing.
type Style struct{ colours bool }

// StyleFor paints on terminals alone, and not if the environment has NO_COLOR (https://no-color.org) or
// TERM=dumb.
func StyleFor(out io.Writer) Style {
	file, is := out.(*os.File)
	return Style{is && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Paint emphasises text.
func (s Style) Paint(colour Colour, text string) string {
	if !s.colours || text == "" {
		return text
	}
	return "\x1b[" + string(colour) + "m" + text + "\x1b[0m"
}
