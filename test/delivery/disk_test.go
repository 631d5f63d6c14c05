// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package delivery_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// disk is a small file system of its own.
type disk struct {
	dir string
}

// smallDisk mounts a file system of so many bytes until the test ends. That takes
// root; without it, what such a test would show has not been shown, and CI is run as
// root.
func smallDisk(t *testing.T, bytes int) *disk {
	t.Helper()
	d := &disk{dir: t.TempDir()}
	// Servers that do not run as root have to get there.
	if err := os.Chmod(filepath.Dir(d.dir), 0o755); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=1777", bytes))
	switch {
	case errors.Is(err, syscall.EPERM) && os.Getenv("CI") == "":
		t.Skipf("mounting a small file system takes root: what happens on a full disk is NOT TESTED here; run it as root, as CI does")
	case err != nil:
		t.Fatalf("mounting a small file system, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, 0); err != nil {
			t.Errorf("unmounting %s: %v", d.dir, err)
		}
	})
	return d
}

func (d *disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// fill leaves so many bytes free.
func (d *disk) fill(left int64) error {
	f, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &st); err != nil {
		return errors.Join(err, f.Close())
	}
	zeros := make([]byte, 64<<10)
	for size := int64(st.Bavail)*st.Bsize - left; size > 0; { //nolint:gosec // a small disk
		n, err := f.Write(zeros[:min(size, int64(len(zeros)))])
		size -= int64(n)
		if errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// empty makes room again.
func (d *disk) empty() error { return os.Remove(d.ballast()) }

// readOnly makes the file system read-only, or not any more. No file may be open for
// writing.
func (d *disk) readOnly(yes bool) error {
	flags := uintptr(syscall.MS_REMOUNT)
	if yes {
		flags |= syscall.MS_RDONLY
	}
	return syscall.Mount("tmpfs", d.dir, "tmpfs", flags, "")
}
