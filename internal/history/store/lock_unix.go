// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build unix

package store

import (
	"os"
	"syscall"
)

// lockFile locks the file until it is closed or the process ends, however it ends.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
