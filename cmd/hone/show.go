package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"hone/store"
)

func init() { register(showCommand) }

func showCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a model of the store: its files, parent, recipe and evidence",
		GroupID: groupStore,
		Example: "  hone show smollm2-int8\n  hone show smollm2-int8 --json",
		Args:    takes(1, 1),
	}
	asJSON := addJSON(cmd)
	verify := cmd.Flags().Bool("verify", false, "read all files and compare them with their digests")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := openStore()
		if err != nil {
			return err
		}
		defer s.Close()
		e, err := s.Get(args[0])
		if err == nil && *verify {
			err = s.Verify(cmd.Context(), args[0])
		}
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd, struct {
				Path    string        `json:"path"`
				Bytes   int64         `json:"bytes"`
				Lineage store.Lineage `json:"lineage"`
			}{e.Path, e.Bytes, e.Lineage})
		}
		return printEntry(cmd, e, *verify)
	}
	return cmd
}

func printEntry(cmd *cobra.Command, e store.Entry, verified bool) error {
	l, w := e.Lineage, cmd.OutOrStdout()
	rows := [][]string{
		{"name", e.Name}, {"path", e.Path}, {"size", bytesText(e.Bytes)}, {"created", l.Created.Local().Format(time.DateTime)},
		{"by", "hone " + l.HoneVersion}, {"parent", l.Parent}, {"parent digest", l.ParentDigest}, {"recipe", l.Recipe}, {"digest", l.Digest},
	}
	if verified {
		rows = append(rows, []string{"verified", "all files have their digests"})
	}
	for _, f := range l.Files {
		rows = append(rows, []string{"file", fmt.Sprintf("%s, %s", f.Path, bytesText(f.Size))})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	if len(l.Evidence) > 0 {
		var b bytes.Buffer
		if json.Indent(&b, l.Evidence, "", "  ") == nil {
			fmt.Fprintf(w, "evidence\n%s\n", b.String())
		}
	}
	return nil
}
