package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"hone/store"
)

func init() { register(listCommand) }

// listed is one line of `hone list --json`.
type listed struct {
	Name    string    `json:"name"`
	Path    string    `json:"path"`
	Bytes   int64     `json:"bytes"`
	Created time.Time `json:"created"`
	Parent  string    `json:"parent,omitempty"`
	Recipe  string    `json:"recipe,omitempty"`
	Error   string    `json:"error,omitempty"` // what is wrong with it
}

func listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the models in the store",
		GroupID: groupStore,
		Example: "  hone list\n  hone list --json",
		Args:    takes(0, 0),
	}
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := openStore()
		if err != nil {
			return err
		}
		defer s.Close()
		entries, err := s.List()
		if err != nil {
			return err
		}
		models := make([]listed, len(entries))
		for i, e := range entries {
			models[i] = listedOf(e)
		}
		if *asJSON {
			return printJSON(cmd, map[string]any{"store": s.Dir(), "models": models})
		}
		return printList(cmd, s.Dir(), models)
	}
	return cmd
}

func listedOf(e store.Entry) listed {
	l := listed{Name: e.Name, Path: e.Path, Bytes: e.Bytes, Created: e.Lineage.Created, Parent: e.Lineage.Parent, Recipe: e.Lineage.Recipe}
	if e.Err != nil {
		l.Error = e.Err.Error()
	}
	return l
}

// brief cuts the recipe of a search, which names all of its candidates, for a table; hone show prints it whole.
func brief(recipe string) string {
	const most = 40
	if r := []rune(recipe); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return recipe
}

func printList(cmd *cobra.Command, dir string, models []listed) error {
	w := cmd.OutOrStdout()
	if len(models) == 0 {
		fmt.Fprintf(w, "no models in %s; `hone pull hf:OWNER/REPO`, `hone up MODEL` or `hone quantize MODEL --name NAME` puts one there\n", dir)
		return nil
	}
	rows := [][]string{{"NAME", "SIZE", "CREATED", "RECIPE", "PARENT"}}
	for _, m := range models {
		if m.Error != "" {
			rows = append(rows, []string{m.Name, "damaged: " + m.Error})
			continue
		}
		rows = append(rows, []string{m.Name, bytesText(m.Bytes), m.Created.Local().Format(time.DateTime), brief(m.Recipe), m.Parent})
	}
	return table(w, rows)
}
