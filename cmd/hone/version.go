package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"hone/kernel"
)

// version is Hone's own; releases set it when they are built.
var version = "0.1.0-dev"

func init() { register(versionCommand) }

// versionReport is what `hone version --json` prints.
type versionReport struct {
	Version         string   `json:"version"`
	Revision        string   `json:"revision,omitempty"`
	Go              string   `json:"go"`
	Platform        string   `json:"platform"`
	Implementations []string `json:"implementations"` // slowest first
	Active          string   `json:"active"`
}

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, the Go version and the CPU implementations",
		GroupID: groupHost,
		Example: "  hone version\n  hone version --json",
		Args:    takes(0, 0),
	}
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r := versionReport{Version: version, Revision: revision(), Go: runtime.Version(),
			Platform: runtime.GOOS + "/" + runtime.GOARCH, Implementations: kernel.Implementations(), Active: kernel.Active()}
		if *asJSON {
			return printJSON(cmd, r)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "hone %s (%s, %s)\nkernels: %s in use, of %s\n", r.Version, r.Go, r.Platform, r.Active,
			strings.Join(r.Implementations, ", "))
		return nil
	}
	return cmd
}

// revision is the commit that the program was built from, "" when the build did not record it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
