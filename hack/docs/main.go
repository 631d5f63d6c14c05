// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Command docs writes the reference pages that are made from the code. Run it from
// the root of the repository.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	if _, err := os.Stat("go.mod"); err != nil {
		return fmt.Errorf("looking for the root of the repository: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(catalogue.ReferencePath), 0o755); err != nil {
		return fmt.Errorf("making the folder of the reference pages: %w", err)
	}
	if err := os.WriteFile(catalogue.ReferencePath, catalogue.Reference(), 0o644); err != nil {
		return fmt.Errorf("writing the reference of anomalies: %w", err)
	}
	return nil
}
