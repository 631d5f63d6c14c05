// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package importrules

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// listed is what `go list -json` prints for a package.
type listed struct {
	ImportPath string
	Name       string
	Standard   bool
	DepOnly    bool
	Imports    []string
}

func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, exit.Stderr)
		}
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

func root(t *testing.T) string {
	t.Helper()
	return filepath.Dir(strings.TrimSpace(goCommand(t, "", "env", "GOMOD")))
}

func list(t *testing.T, dir string) []listed {
	t.Helper()
	var packages []listed
	out := json.NewDecoder(strings.NewReader(
		goCommand(t, dir, "list", "-deps", "-json=ImportPath,Name,Standard,DepOnly,Imports", "./...")))
	for {
		var p listed
		if err := out.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("reading what go list printed: %v", err)
		}
		packages = append(packages, p)
	}
}

func TestRepositoryKeepsItsImportRules(t *testing.T) {
	dir := root(t)
	module := strings.TrimSpace(goCommand(t, dir, "list", "-m"))
	graph := Graph{}
	ours := 0
	for _, p := range list(t, dir) {
		graph[p.ImportPath] = Package{Imports: p.Imports, Standard: p.Standard}
		if p.DepOnly {
			continue
		}
		ours++
		if Meaningless(p.ImportPath, p.Name) {
			t.Errorf("package %s (%s): name it after what it provides", p.ImportPath, p.Name)
		}
	}
	if ours == 0 || len(graph) == ours {
		t.Fatalf("go list knows %d packages of ours among %d: the rules would hold for nothing", ours, len(graph))
	}
	for _, violation := range Check(module, graph, Rules(module, graph)) {
		t.Error(violation)
	}
}

// Reading the files also tells go test to run this package again, rather than
// to repeat its last result, when any of them changes.
func TestRepositoryHasNoLongFiles(t *testing.T) {
	checkout, err := os.OpenRoot(root(t))
	if err != nil {
		t.Fatal(err)
	}
	defer checkout.Close()
	files := checkout.FS()
	seen := 0
	err = fs.WalkDir(files, ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if file != "." && skipped(files, file) {
				return fs.SkipDir
			}
			return nil
		case !strings.HasSuffix(file, ".go"):
			return nil
		}
		seen++
		content, err := fs.ReadFile(files, file)
		if err != nil {
			return err
		}
		doc, err := fs.ReadFile(files, path.Join(path.Dir(file), "doc.go"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if TooLong(file, content, doc) {
			t.Errorf("%s has more than %d lines: split it, or name it in doc.go and say why", file, MaxLines)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Fatalf("no Go file below %s", checkout.Name())
	}
}

// skipped are folders with nothing of this module: other modules, what was built
// or installed, and what Go leaves out as well.
func skipped(files fs.FS, dir string) bool {
	name := path.Base(dir)
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "bin" || name == "node_modules" || name == "testdata" {
		return true
	}
	_, err := fs.Stat(files, path.Join(dir, "go.mod"))
	return err == nil
}
