// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// maxFile is the most that is read of a file. mountinfo of a node with
	// thousands of mounts is near 1 MiB.
	maxFile = 8 << 20
	// firstBuffer holds most of the files of a small node.
	firstBuffer = 16 << 10
)

// errTooLarge is for a file that does not end.
var errTooLarge = fmt.Errorf("is larger than %d bytes", maxFile)

// source is a file that is read again and again. Files of a real /proc or /sys stay
// open: reading one at its beginning makes the kernel write it anew, for a third
// of the calls. Files elsewhere are opened each time, because somebody may put
// others in their place.
type source struct {
	path string
	// stays is true for files of the kernel.
	stays bool
	// single is true when the kernel writes the file in one piece, so that a read
	// that does not fill the buffer got all of it.
	single bool

	fd   int
	open bool
}

// read reads the file into buffer, which it makes larger when it has to.
func (s *source) read(buffer *[]byte) ([]byte, error) {
	stayed := s.open
	b, err := s.attempt(buffer)
	if err != nil && stayed {
		// What it was opened for is gone; there may be another of that name.
		s.close()
		b, err = s.attempt(buffer)
	}
	if err != nil || !s.stays {
		s.close()
	}
	return b, err
}

func (s *source) attempt(buffer *[]byte) ([]byte, error) {
	if !s.open {
		fd, err := ignoringInterrupts(func() (int, error) { return unix.Open(s.path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: s.path, Err: err}
		}
		s.fd, s.open = fd, true
	}
	if len(*buffer) == 0 {
		*buffer = make([]byte, firstBuffer)
	}
	got := 0
	for {
		if got == len(*buffer) {
			if got >= maxFile {
				return nil, &fs.PathError{Op: "read", Path: s.path, Err: errTooLarge}
			}
			larger := make([]byte, 2*got)
			copy(larger, *buffer)
			*buffer = larger
		}
		n, err := ignoringInterrupts(func() (int, error) { return unix.Pread(s.fd, (*buffer)[got:], int64(got)) })
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: s.path, Err: err}
		}
		got += n
		if n <= 0 || s.single && got < len(*buffer) {
			return (*buffer)[:got], nil
		}
	}
}

func (s *source) close() {
	if s.open {
		s.open = false
		_ = unix.Close(s.fd) // nothing was written
	}
}

// ignoringInterrupts repeats a call that a signal cut short: the runtime sends
// signals to its own threads.
func ignoringInterrupts(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// isAbsent says whether an error means that the kernel, or what we may look at,
// does not have a file: no fault, and nothing to log.
func isAbsent(err error) bool {
	for _, absent := range [...]error{
		unix.ENOENT, unix.ENOTDIR, unix.EACCES, unix.EPERM, unix.EOPNOTSUPP, unix.ENOSYS, unix.ENODEV, unix.ENXIO, unix.ESRCH,
	} {
		if errors.Is(err, absent) {
			return true
		}
	}
	return false
}

// tree is a folder that holds what the kernel shows.
type tree struct {
	path string
	// real is true when the kernel itself shows it, false for a recorded tree.
	real bool
}

func (t tree) source(path string, single bool) source {
	return source{path: filepath.Join(t.path, path), stays: t.real, single: single && t.real}
}

// readOnce reads a small file that is not read often.
func (t tree) readOnce(path string, buffer *[]byte) ([]byte, error) {
	s := source{path: filepath.Join(t.path, path)}
	return s.read(buffer)
}
