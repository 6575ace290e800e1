package main

import (
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"strconv"

	"github.com/spf13/cobra"
)

// addJSON gives a verb --json: the result as one JSON object on standard output.
func addJSON(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("json", false, "print the result as JSON")
}

// addThreads gives a verb --threads.
func addThreads(cmd *cobra.Command) *int {
	n := runtime.GOMAXPROCS(0)
	addRange(cmd, &n, "threads", 1, 1024, "cores to compute on")
	cmd.Flags().SetAnnotation("threads", machineDefault, []string{"all that the process may use"})
	return &n
}

// addCount adds a flag for a whole number of at least least; *n is its default.
func addCount(cmd *cobra.Command, n *int, name string, least int, usage string) {
	addRange(cmd, n, name, least, math.MaxInt, usage)
}

// addRange is addCount with an upper bound.
func addRange(cmd *cobra.Command, n *int, name string, least, most int, usage string) {
	cmd.Flags().Var(&count{n, least, most}, name, usage)
}

// count is a flag value: a whole number with bounds.
type count struct {
	n           *int
	least, most int
}

func (c *count) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return fmt.Errorf("want a whole number")
	}
	if n < c.least {
		return fmt.Errorf("want a number of at least %d", c.least)
	}
	if n > c.most {
		return fmt.Errorf("want a number of at most %d", c.most)
	}
	*c.n = n
	return nil
}

func (c *count) String() string {
	if c.n == nil {
		return "0"
	}
	return strconv.Itoa(*c.n)
}

func (c *count) Type() string { return "N" }

// printJSON writes v as one line of JSON.
func printJSON(cmd *cobra.Command, v any) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
