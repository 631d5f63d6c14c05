// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux || darwin || freebsd

package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// file is what the spool needs of a file that it writes.
type file interface {
	WriteAt(b []byte, off int64) (int, error)
	Sync() error
	Close() error
}

func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
}

// lockDir takes the directory for this process until the file is closed, which
// the end of the process does too.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "LOCK")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the spool's lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = f.Truncate(0)
		if err == nil {
			_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
		}
		if err == nil || noSpace(err) { // the number is only for people
			return f, nil
		}
	}
	holder := make([]byte, 20)
	n, _ := f.ReadAt(holder, 0) // an empty answer is one
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("opening the spool %s: process %s has it; run one agent per directory: %w", dir, strings.TrimSpace(string(holder[:n])), ErrInUse)
	}
	return nil, fmt.Errorf("locking the spool %s: %w", dir, err)
}

// freeBytes returns what is left for an unprivileged process on dir's file system.
func freeBytes(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("reading the free space of %s: %w", dir, err)
	}
	return int64(uint64(st.Bavail) * uint64(st.Bsize)), nil //nolint:gosec,unconvert // the types differ between systems
}

// noSpace reports whether an error goes away when there is room again.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// gone reports whether a file cannot be read now and will not be later.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EIO)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
