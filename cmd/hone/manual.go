package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"hone/internal/durable"
	"hone/internal/manual"
)

func init() { register(docsCommand) }

// docsCommand writes the manual; it is for those who package Hone, and hidden from the others.
func docsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "docs DIR",
		Short:   "Write the manual, one page for each verb",
		GroupID: groupHost,
		Hidden:  true,
		Example: "  hone docs docs/cli\n  hone docs --man man1",
		Args:    takes(1, 1),
	}
	asJSON := addJSON(cmd)
	man := cmd.Flags().Bool("man", false, "write pages for man instead of Markdown")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := os.MkdirAll(args[0], 0o777); err != nil {
			return err
		}
		files := manualFiles(*man)
		for name, text := range files {
			if err := durable.WriteFile(filepath.Join(args[0], name), func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
				return err
			}
		}
		if *asJSON {
			return printJSON(cmd, map[string]int{"pages": len(files)})
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%d pages in %s\n", len(files), args[0])
		return nil
	}
	return cmd
}

// manualFiles are the pages by their files' names.
func manualFiles(man bool) map[string]string {
	root := newRoot()
	out := map[string]string{}
	for _, cmd := range append([]*cobra.Command{root}, root.Commands()...) {
		if cmd.Hidden {
			continue
		}
		page := pageOf(cmd)
		if man {
			out[page.Name+".1"] = page.Roff("hone " + version)
		} else {
			out[page.Name+".md"] = page.Markdown()
		}
	}
	return out
}

// helpCommand shows a page of the manual; `hone VERB --help` is the short form.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [VERB]",
		Short:   "Show the manual page of a verb",
		GroupID: groupHost,
		Example: "  hone help\n  hone help up",
		Args:    takes(0, 1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range cmd.Root().Commands() {
				if !c.Hidden && len(args) == 0 {
					names = append(names, c.Name()+"\t"+c.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			topic := cmd.Root()
			if len(args) == 1 {
				found, _, err := topic.Find(args)
				if err != nil || found == topic {
					return rootVerb(topic, args)
				}
				topic = found
			}
			_, err := io.WriteString(cmd.OutOrStdout(), pageOf(topic).Text(columns()))
			return err
		},
	}
}

// columns is the width of the terminal, within what reads well.
func columns() int {
	if width, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && width > 0 {
		return min(max(width, 40), 110)
	}
	return 100
}

// pageOf makes a command's page of what the command says of itself.
func pageOf(cmd *cobra.Command) *manual.Page {
	p := &manual.Page{Name: strings.ReplaceAll(cmd.CommandPath(), " ", "-"), Short: cmd.Short}
	add := func(title string, blocks ...manual.Block) {
		if len(blocks) > 0 {
			p.Sections = append(p.Sections, manual.Section{Title: title, Blocks: blocks})
		}
	}
	synopsis := cmd.UseLine()
	if !cmd.HasParent() {
		synopsis = "hone VERB [flags]"
	}
	add("Synopsis", manual.Block{Code: []string{synopsis}})
	add("Description", manual.Prose(cmd.Long)...)
	if !cmd.HasParent() {
		add("Verbs", manual.Block{Items: verbItems(cmd)})
	}
	if options := optionItems(cmd); len(options) > 0 {
		add("Options", manual.Block{Items: options})
	}
	if cmd.Example != "" {
		add("Examples", manual.Block{Code: manual.Unindent(cmd.Example)})
	}
	if !cmd.HasParent() {
		add("Environment", manual.Block{Items: environment})
	}
	add("Exit status", manual.Block{Items: exitStatus})
	return p
}

func verbItems(root *cobra.Command) []manual.Item {
	var out []manual.Item
	for _, group := range root.Groups() {
		for _, c := range root.Commands() {
			if c.GroupID == group.ID && !c.Hidden {
				out = append(out, manual.Item{Term: "hone " + strings.TrimSuffix(c.Use, " [flags]"), Text: c.Short})
			}
		}
	}
	return out
}

func optionItems(cmd *cobra.Command) []manual.Item {
	var out []manual.Item
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		term := "--" + f.Name
		if f.Shorthand != "" {
			term = "-" + f.Shorthand + ", " + term
		}
		if numeric.MatchString(kind) {
			kind = "NUMBER"
		}
		if kind != "" {
			term += " " + kind
		}
		if d := defaultText(f); d != "" {
			usage += " (default: " + d + ")"
		}
		out = append(out, manual.Item{Term: term, Text: usage})
	})
	return out
}

// numeric are the words of pflag for flags whose usage names no value.
var numeric = regexp.MustCompile(`^(float|u?int)[0-9]*$`)

// machineDefault is the annotation of a flag whose default is taken from the machine.
const machineDefault = "hone_default"

// defaultText is the default that a manual names: none for what is off, empty, or told by the usage itself.
func defaultText(f *pflag.Flag) string {
	if text := f.Annotations[machineDefault]; len(text) > 0 {
		return text[0]
	}
	if slices.Contains([]string{"", "0", "false", "[]"}, f.DefValue) || strings.Contains(f.Usage, "(default") {
		return ""
	}
	return f.DefValue
}

var environment = []manual.Item{
	{Term: "HONE_HOME", Text: "the store's folder; unset: hone in the platform's data folder"},
	{Term: "HONE_CPU", Text: "go, avx2 or avx512 forces one implementation of the kernels; unset: the fastest that the CPU has"},
	{Term: "HF_ENDPOINT", Text: "the hub that `hone pull` asks; unset: https://huggingface.co"},
	{Term: "HF_TOKEN", Text: "a token for private and gated models, sent to that hub alone"},
}

var exitStatus = []manual.Item{
	{Term: "0", Text: "done"}, {Term: "1", Text: "failed, or interrupted"}, {Term: "2", Text: "wrong usage: nothing was begun"},
}
