// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// go test ./nodecollector/... -args -vectors FILE gives the flag to the tests of
// every package, and those that do not know it fail.
func TestEveryPackageTakesTheFlag(t *testing.T) {
	knows := map[string]bool{}
	here := os.DirFS(".")
	err := fs.WalkDir(here, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := fs.ReadFile(here, path)
		folder := filepath.Dir(path)
		knows[folder] = knows[folder] || strings.Contains(string(data), `= flag.String("vectors",`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for folder, does := range knows {
		if !does {
			t.Errorf("no test in %s has the flag -vectors: see exposition/exposition_test.go", folder)
		}
	}
}
