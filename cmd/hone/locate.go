package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"hone/store"
	"hone/store/hub"
)

// locate turns MODEL into a path: a path that is there goes before a name in the store.
func locate(name string) (string, error) {
	_, err := os.Stat(name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return name, err
	}
	if hub.Is(name) {
		return locatePulled(name)
	}
	if store.CheckName(name) != nil {
		return "", fmt.Errorf("no model %q: there is no such file or directory", name)
	}
	entry, err := inStore(name)
	if errors.Is(err, store.ErrNotFound) {
		return "", fmt.Errorf("no model %q%s: there is no such file or directory, and it is %w; `hone list` shows what is, `hone pull %sOWNER/REPO` fetches one",
			name, nearName(name), store.ErrNotFound, hub.Scheme)
	}
	return entry.Path, err
}

// nearName suggests a model of the store that is nearly called that.
func nearName(name string) string {
	var names []string
	for _, line := range storeNames() {
		near, _, _ := strings.Cut(line, "\t")
		names = append(names, near)
	}
	return didYouMean(name, names)
}

// locatePulled finds a model of a hub that was pulled before: verbs that only look at a model fetch nothing.
func locatePulled(name string) (string, error) {
	source, err := hub.Parse(name)
	if err != nil {
		return "", usagef("%v", err)
	}
	entry, ok, err := inStoreFrom(source)
	if err == nil && !ok {
		err = fmt.Errorf("%s is %w: `hone pull %s` brings it there", name, store.ErrNotFound, name)
	}
	return entry.Path, err
}

// inStore reads one entry of the store.
func inStore(name string) (store.Entry, error) {
	s, err := openStore()
	if err != nil {
		return store.Entry{}, err
	}
	defer s.Close()
	return s.Get(name)
}

// waiting says that another process holds what a verb needs; it is a store's OnWait.
func waiting(say func(line string)) func(what string) {
	return func(what string) { say("another process is busy with " + what + "; waiting for it") }
}

// openStore opens the store of $HONE_HOME.
func openStore() (*store.Store, error) {
	dir, err := store.DefaultDir()
	if err != nil {
		return nil, err
	}
	return store.Open(dir)
}
