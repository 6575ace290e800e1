package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func init() { register(rmCommand) }

func rmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rm NAME...",
		Short:   "Remove models from the store",
		GroupID: groupStore,
		Example: "  hone rm smollm2-int8",
		Args:    takes(1, 1000),
	}
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := openStore()
		if err != nil {
			return err
		}
		defer s.Close()
		s.OnWait = waiting(newProgress(cmd, "").note)
		for _, name := range args {
			if err := s.Remove(cmd.Context(), name); err != nil {
				return err
			}
			if !*asJSON {
				fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", name)
			}
		}
		if *asJSON {
			return printJSON(cmd, map[string][]string{"removed": args})
		}
		return nil
	}
	return cmd
}
