package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// run has a program of the product print its help. Nothing that it prints depends on who runs it.
func run(binaries, name string, args ...string) (string, error) {
	command := exec.Command(filepath.Join(binaries, name), append(args, "--help")...)
	command.Env = []string{"HOME=$HOME"}
	out, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return string(out), nil
}

// flagsText builds the programs and has them print their flags.
func flagsText(root string) (string, error) {
	binaries, err := os.MkdirTemp("", "reference")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(binaries)
	for _, name := range []string{"announcer", "cloud-controller-manager", "kubectl-clarion"} {
		// What "go run" has linked it keeps in its cache, and "go build" does not.
		copied := exec.Command("go", "run", "-ldflags=-s -w", "-exec", "cp", "./cmd/"+name, filepath.Join(binaries, name))
		copied.Dir = root
		if out, err := copied.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	var b strings.Builder
	b.WriteString("# Flags\n\n" + notice + "What the programs print with `--help`.\n\n")
	for _, name := range []string{"announcer", "cloud-controller-manager"} {
		help, err := run(binaries, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "## Of the %s\n\n", name)
		for _, s := range readHelp(help) {
			s.write(&b, "### "+s.title+" of the "+name)
		}
	}
	b.WriteString("## Of kubectl clarion\n\n[kubectl clarion](../kubectl-clarion.md) says what it is for.\n\n")
	err = verbs(&b, binaries, nil)
	return strings.TrimSpace(b.String()) + "\n", err
}

// verbs writes the flags of a verb of the plugin, and of those below; those that all verbs have are the plugin's own.
func verbs(b *strings.Builder, binaries string, verb []string) error {
	help, err := run(binaries, "kubectl-clarion", verb...)
	if err != nil {
		return err
	}
	name := strings.Join(append([]string{"kubectl clarion"}, verb...), " ")
	if len(verb) > 0 {
		fmt.Fprintf(b, "### %s\n\n```\n%s\n```\n\n", name, strings.TrimSpace(between(help, "Usage:\n", "\n\n")))
	}
	for _, s := range readHelp(help) {
		switch {
		case len(verb) == 0:
			s.write(b, "### Flags of all verbs")
		case s.title != "Global flags":
			s.write(b, "")
		}
	}
	for line := range strings.Lines(between(help, "Available Commands:\n", "\n\n")) {
		if next := strings.Fields(line)[0]; next != "help" && next != "completion" {
			if err := verbs(b, binaries, append(slices.Clone(verb), next)); err != nil {
				return err
			}
		}
	}
	return nil
}

// between is what is between two parts of a text; "" if the first is not there.
func between(text, from, to string) string {
	_, rest, there := strings.Cut(text, from)
	if !there {
		return ""
	}
	found, _, _ := strings.Cut(rest, to)
	return found
}

// section is a group of flags in the help of a program.
type section struct {
	title string
	rows  [][]string
}

var (
	isSection = regexp.MustCompile(`^(?:(.+) )?[Ff]lags:$`)
	isFlag    = regexp.MustCompile(`^ +(?:-\w, )?--([\w.-]+)(?: (\S+))?(?:   *(.*))?$`)
	// hasDefault is how pflag says what a flag is if nobody says it.
	hasDefault = regexp.MustCompile(`^(.*) \(default (.*)\)$`)
)

// readHelp reads the sections of a help: those of Clarion come first, and empty ones are left out.
func readHelp(help string) []section {
	var all []section
	goesOn := false // the line before is of a flag
	for line := range strings.Lines(help) {
		line = strings.TrimRight(line, "\n")
		if title := isSection.FindStringSubmatch(line); title != nil {
			name := strings.TrimSpace(title[1] + " flags")
			all = append(all, section{title: strings.ToUpper(name[:1]) + name[1:]})
			continue
		}
		if len(all) == 0 {
			continue
		}
		last, text := &all[len(all)-1], strings.TrimSpace(line)
		flag := isFlag.FindStringSubmatch(line)
		switch {
		case flag != nil:
			last.rows = append(last.rows, flag[1:])
		case text != "" && goesOn:
			last.rows[len(last.rows)-1][2] += " " + text
		}
		goesOn = flag != nil || text != "" && goesOn
	}
	all = slices.DeleteFunc(all, func(s section) bool { return len(s.rows) == 0 })
	own := slices.IndexFunc(all, func(s section) bool { return s.title == "Clarion flags" })
	if own > 0 {
		all = slices.Insert(slices.Delete(slices.Clone(all), own, own+1), 0, all[own])
	}
	return all
}

// write writes a section below a heading.
func (s section) write(b *strings.Builder, heading string) {
	if heading != "" {
		fmt.Fprintf(b, "%s\n\n", heading)
	}
	var rows [][]string
	for _, flag := range s.rows {
		name, kind, meaning, def := flag[0], flag[1], flag[2], ""
		if name == "help" {
			continue
		}
		if found := hasDefault.FindStringSubmatch(meaning); found != nil {
			meaning, def = found[1], code(found[2])
		}
		if before, _, gates := strings.Cut(meaning, " Options are:"); gates {
			meaning = before + " --help lists them."
		}
		rows = append(rows, []string{code("--" + name), kind, def, cell(meaning)})
	}
	table(b, []string{"Flag", "Type", "Default", "Meaning"}, rows)
}
