package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"hone/store"
	"hone/store/hub"
)

func init() { register(pullCommand) }

// pullReport is what `hone pull --json` prints.
type pullReport struct {
	Name    string       `json:"name"`
	Path    string       `json:"path"`
	Bytes   int64        `json:"bytes"`
	Fetched int64        `json:"fetched_bytes"` // over the network; the rest was in the store
	Source  string       `json:"source"`
	Commit  string       `json:"commit"`
	Files   []store.File `json:"files"`
}

func pullCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "pull " + hub.Usage,
		Short:   "Fetch a model from a hub into the store",
		GroupID: groupStore,
		Long: `Fetch a model from the Hugging Face hub, or the compatible one at $HF_ENDPOINT, into the store. $HF_TOKEN, if set, is sent
to that host alone; private and gated models need it.

Only what running the model takes is fetched: safetensors with config and tokenizer, or one GGUF file. FILE names a file of
the repository, or the tag of a GGUF file, such as Q4_K_M; pickles are refused. Every file is checked against the hub's
digest. An interrupted pull goes on where it was cut when it is run again.

hone run, serve and up take the same names and pull a model that is not in the store yet.`,
		Example: `  hone pull hf:HuggingFaceTB/SmolLM2-135M-Instruct
  hone pull hf:OWNER/REPO-GGUF:Q4_K_M --name small
  HF_ENDPOINT=https://hub.example.org hone pull hf:OWNER/REPO@v1.0 --json`,
		Args: takes(1, 1),
	}
	asJSON := addJSON(cmd)
	name := cmd.Flags().String("name", "", "`NAME` in the store (default: that of the repository and FILE)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		source, err := hub.Parse(args[0])
		if err != nil {
			return usagef("%v", err)
		}
		if *name != "" {
			if err := store.CheckName(*name); err != nil {
				return usagef("--name: %v", err)
			}
		}
		got, err := pull(cmd, source, *name)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd, pullReport{Name: got.Name, Path: got.Path, Bytes: got.Bytes, Fetched: got.Fetched,
				Source: source.String(), Commit: got.Origin.Commit, Files: got.Lineage.Files})
		}
		how := bytesText(got.Fetched) + " fetched"
		if got.Fetched == 0 {
			how = "nothing to fetch"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %s in %s (%s, commit %.12s)\n`hone run %s` asks it, `hone up %s` makes it fast and serves it\n",
			got.Name, bytesText(got.Bytes), got.Path, how, got.Origin.Commit, got.Name, got.Name)
		return nil
	}
	return cmd
}

// pull brings a model into the store and shows how far it is.
func pull(cmd *cobra.Command, source hub.Source, name string) (store.Pulled, error) {
	client, err := hub.FromEnv()
	if err != nil {
		return store.Pulled{}, usagef("%v", err)
	}
	s, err := openStore()
	if err != nil {
		return store.Pulled{}, err
	}
	defer s.Close()
	bar := newProgress(cmd, source.String())
	defer bar.end()
	client.Note = bar.note
	s.OnWait = waiting(bar.note)
	got, err := s.Pull(cmd.Context(), store.Pull{Client: client, Source: source, Name: name, Version: version, Progress: bar.bytes})
	if errors.Is(err, context.Canceled) {
		return got, fmt.Errorf("interrupted: `hone pull %s` goes on from here", source)
	}
	return got, err
}

// fetched is MODEL as the other verbs take it: a model of a hub is pulled if the store does not have it yet.
func fetched(cmd *cobra.Command, name string) (string, error) {
	if !hub.Is(name) {
		return name, nil
	}
	source, err := hub.Parse(name)
	if err != nil {
		return "", usagef("%v", err)
	}
	if entry, ok, err := inStoreFrom(source); ok || err != nil {
		return entry.Path, err
	}
	got, err := pull(cmd, source, "")
	return got.Path, err
}

// inStoreFrom finds what was pulled from a source.
func inStoreFrom(source hub.Source) (store.Entry, bool, error) {
	s, err := openStore()
	if err != nil {
		return store.Entry{}, false, err
	}
	defer s.Close()
	return s.FindPulled(source)
}
