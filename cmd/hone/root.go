package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hone/internal/spelling"
	"hone/kernel"
	"hone/store/hub"
)

// Groups of verbs in the help text.
const (
	groupUse   = "use"
	groupJudge = "judge"
	groupStore = "store"
	groupHost  = "host"
)

// verbs make the program's commands; register adds one.
var verbs []func() *cobra.Command

// register is called from the init function of a verb's file. A verb carries a GroupID, an Example and --json.
func register(verb func() *cobra.Command) { verbs = append(verbs, verb) }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "hone",
		Short: "Measure, compress and serve language models on CPUs",
		Long: `Hone measures a language model, makes smaller and faster variants of it, shows what they cost in quality,
and serves the best one over an OpenAI-compatible API.

MODEL is a path (a GGUF file or a Hugging Face directory), the name of a model in the store ("hone list"), or that of one on
a hub, ` + hub.Usage + ` ("hone pull").`,
		Example: `  hone up model.gguf              find the fastest variant within a quality budget and serve it
  hone run model.gguf "Hello"     answer one prompt`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if err := kernel.EnvError(); err != nil {
				return &usageError{err.Error()}
			}
			return nil
		},
		Args: cobra.ArbitraryArgs,
		RunE: rootVerb,
	}
	root.AddGroup(
		&cobra.Group{ID: groupUse, Title: "Use a model:"},
		&cobra.Group{ID: groupJudge, Title: "Judge and change a model:"},
		&cobra.Group{ID: groupStore, Title: "The store:"},
		&cobra.Group{ID: groupHost, Title: "This machine:"})
	for _, verb := range verbs {
		cmd := verb()
		complete(cmd)
		root.AddCommand(cmd)
	}
	root.SetHelpCommand(helpCommand())
	root.SetFlagErrorFunc(flagError)
	root.SetCompletionCommandGroupID(groupHost)
	return root
}

// rootVerb runs when no verb matched: help without words, otherwise the nearest verb's name.
func rootVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return usagef("unknown verb %q%s; `hone --help` lists all verbs", args[0], didYouMean(args[0], names))
}

// addCompletion adds the library's verb, which wants its output set, with an error where no known shell is named.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	if cmd, _, err := root.Find([]string{"completion"}); err == nil {
		cmd.Args, cmd.RunE = cobra.ArbitraryArgs, completionVerb
	}
}

// completionVerb runs when no known shell was named.
func completionVerb(cmd *cobra.Command, args []string) error {
	var shells []string
	for _, c := range cmd.Commands() {
		shells = append(shells, c.Name())
	}
	given := "no shell"
	if len(args) > 0 {
		given = fmt.Sprintf("unknown shell %q%s", args[0], didYouMean(args[0], shells))
	}
	return usagef("%s; usage: hone completion SHELL, of %s", given, strings.Join(shells, ", "))
}

// usageError is a mistake in how the program was called: exit code 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// flagError turns pflag's errors into usage errors and names the nearest flag.
func flagError(cmd *cobra.Command, err error) error {
	hint := fmt.Sprintf("; `%s --help` lists all flags", cmd.CommandPath())
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		name := "--" + unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			return usagef("unknown flag -%s%s", unknown.GetSpecifiedName(), hint)
		}
		return usagef("unknown flag %s%s%s", name, didYouMean(name, names), hint)
	}
	var value *pflag.InvalidValueError
	if errors.As(err, &value) {
		cause := value.Unwrap()
		if num := (*strconv.NumError)(nil); errors.As(cause, &num) {
			cause = fmt.Errorf("want a number (%w)", num.Err)
			if value.GetFlag().Value.Type() == "uint64" {
				cause = errors.New("want a whole number from 0 on")
			}
		}
		return usagef("--%s %s: %v%s", value.GetFlag().Name, value.GetValue(), cause, hint)
	}
	return usagef("%v%s", err, hint)
}

// takes checks the number of words after a verb. want names them, as in "MODEL [PROMPT]".
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		if len(args) < least {
			return usagef("`%s` needs %s; usage: hone %s", cmd.CommandPath(), strings.Fields(cmd.Use)[1+len(args)], cmd.Use)
		}
		return usagef("`%s` got too many words (%d); usage: hone %s (quote a text with spaces)", cmd.CommandPath(), len(args), cmd.Use)
	}
}

// didYouMean returns " (did you mean X?)" when a name is close to word, "" otherwise.
func didYouMean(word string, names []string) string {
	best, least := "", 1+len(word)/2
	slices.Sort(names)
	for _, n := range names {
		d := spelling.Distance(strings.ToLower(word), n)
		if strings.HasPrefix(n, word) {
			d = min(d, 1)
		}
		if d < least {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}
