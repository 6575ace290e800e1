package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hone/quant"
)

// complete tells the shells what may stand behind a verb: the words that its usage line names, and the values of its flags
// by what they are called in the help. A verb needs no code of its own for it.
func complete(cmd *cobra.Command) {
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = completeWord
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		kind, _ := pflag.UnquoteUsage(f)
		if values := flagValues(kind); values != nil {
			cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		} else if !isPath(kind) {
			cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
		} else if kind == "DIR" {
			cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs))
		}
	})
}

// flagValues are the values of a flag that takes one of a few; nil: any.
func flagValues(kind string) []string {
	switch {
	case strings.HasPrefix(kind, "FORMAT"):
		return formatNames()
	case kind == "TYPE":
		return kvTypes
	}
	return nil
}

func isPath(kind string) bool { return kind == "FILE" || kind == "DIR" || kind == "PROGRAM" }

// formatNames are the formats that weights can be rounded to.
func formatNames() []string {
	names := []string{"q4", "q8"}
	for _, f := range quant.Formats() {
		if writable(f) {
			names = append(names, f.Name())
		}
	}
	return names
}

// completeWord completes the words of a verb by its usage line: MODEL is a name of the store or a file, NAME a name of the
// store, anything else a file.
func completeWord(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	words := strings.Fields(cmd.Use)[1:]
	if len(words) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	at := len(args)
	if last := words[len(words)-1]; strings.HasSuffix(last, "...") {
		at = min(at, len(words)-1)
	}
	if at >= len(words) {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	switch strings.Trim(words[at], "[].") {
	case "MODEL":
		return storeNames(), cobra.ShellCompDirectiveDefault
	case "NAME":
		return storeNames(), cobra.ShellCompDirectiveNoFileComp
	case "VOCAB", "DIR":
		return nil, cobra.ShellCompDirectiveDefault
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// storeNames are the models of the store with what they are. A store that cannot be read completes nothing.
func storeNames() []string {
	s, err := openStore()
	if err != nil {
		return nil
	}
	defer s.Close()
	entries, err := s.List()
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if e.Err == nil {
			out = append(out, e.Name+"\t"+e.Lineage.Recipe+", "+bytesText(e.Bytes))
		}
	}
	return out
}
