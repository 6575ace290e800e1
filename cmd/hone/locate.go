package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// locate turns MODEL into a path.
func locate(name string) (string, error) {
	_, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no model %q: there is no such file or directory", name)
	}
	return name, err
}
