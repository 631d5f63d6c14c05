// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build !unix

package store

import (
	"errors"
	"os"
)

// lockFile refuses: nothing here would keep a second hub out.
func lockFile(*os.File) error { return errors.New("SQLite is supported on Unix only") }
