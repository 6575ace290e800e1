package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The tests below run this test binary again as other processes. childVariable names what the child does.
const (
	childVariable = "HONE_STORE_CHILD"
	childDir      = "HONE_STORE_DIR"
)

func TestMain(m *testing.M) {
	if act := children[os.Getenv(childVariable)]; act != nil {
		if err := act(os.Getenv(childDir)); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var children = map[string]func(dir string) error{
	"hang": func(dir string) error {
		return childPut(dir, func(build string) error {
			if err := files(small)(build); err != nil {
				return err
			}
			fmt.Println("building")
			time.Sleep(time.Minute)
			return nil
		})
	},
	"slow": func(dir string) error {
		return childPut(dir, func(build string) error {
			fmt.Println("built")
			time.Sleep(100 * time.Millisecond)
			return files(small)(build)
		})
	},
	"full": func(dir string) error {
		if err := limitFiles(4096); err != nil {
			return err
		}
		return childPut(dir, writeBig)
	},
}

func childPut(dir string, build func(string) error) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	_, err = s.Put(context.Background(), "m", build, Lineage{ParentDigest: "p", Recipe: "r"})
	return err
}

func child(t *testing.T, act, dir string) (*exec.Cmd, io.ReadCloser) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+act, childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd, out
}

// A builder that is killed leaves no model; its lock is free, its leftovers go, and the name can be built again.
func TestKilledBuilder(t *testing.T) {
	dir := t.TempDir()
	cmd, out := child(t, "hang", dir)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "building\n" {
		t.Fatalf("%q %v", line, err)
	}
	s := open(t, dir)
	if left := s.names(tempDir); len(left) != 1 {
		t.Fatalf("the build of a living process was swept: %v", left)
	}
	if _, err := s.Get("m"); !errors.Is(err, ErrNotFound) {
		t.Errorf("half a model is visible: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	s = open(t, dir)
	if left := s.names(tempDir); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	put(t, s, "m", small, Lineage{})
	if err := s.Verify(t.Context(), "m"); err != nil {
		t.Error(err)
	}
}

// Of several processes that want the same variant one builds, and all get it.
func TestProcessesRace(t *testing.T) {
	dir := t.TempDir()
	built := 0
	var cmds []*exec.Cmd
	var outs []io.ReadCloser
	for range 4 {
		cmd, out := child(t, "slow", dir)
		cmds, outs = append(cmds, cmd), append(outs, out)
	}
	for i, out := range outs {
		text, _ := io.ReadAll(out)
		if err := cmds[i].Wait(); err != nil {
			t.Errorf("%v: %s", err, text)
		}
		built += strings.Count(string(text), "built")
	}
	if built != 1 {
		t.Errorf("built %d times", built)
	}
	if err := open(t, dir).Verify(t.Context(), "m"); err != nil {
		t.Error(err)
	}
}

// A disk that is full in the middle is an error; the store is as before.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "before", small, Lineage{})
	cmd, out := child(t, "full", dir)
	text, _ := io.ReadAll(out)
	err := cmd.Wait()
	if strings.Contains(string(text), "left out:") {
		t.Skip(string(text))
	}
	if err == nil || !strings.Contains(string(text), "file too large") {
		t.Fatalf("%v: %s", err, text)
	}
	s = open(t, dir)
	if left := append(s.names(tempDir), s.names(modelsDir)...); len(left) != 1 {
		t.Errorf("left over: %v", left)
	}
	if err := s.Verify(t.Context(), "before"); err != nil {
		t.Error(err)
	}
	put(t, s, "m", small, Lineage{})
}

func writeBig(dir string) error {
	return os.WriteFile(filepath.Join(dir, "model.safetensors"), make([]byte, 1<<20), 0o600)
}
