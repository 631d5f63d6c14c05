// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// Shared is a codec for spools that are opened often: making one costs memory.
var Shared = sync.OnceValue(func() Codec {
	c, err := newWireCodec()
	if err != nil {
		panic(err) //nolint:forbidigo // cannot fail with these arguments
	}
	return c
})

// Disk is a disk whose room ends. It does not sync, which only the loss of power
// would show.
type Disk struct {
	// Room is how many more bytes it takes.
	Room atomic.Int64
	// Writes counts calls.
	Writes atomic.Int64
}

// NewDisk returns a disk with that much room.
func NewDisk(room int64) *Disk {
	d := &Disk{}
	d.Room.Store(room)
	return d
}

// On returns the options with the disk beneath the spool.
func (d *Disk) On(o Options) Options {
	o.create = func(path string) (file, error) {
		if d.Room.Load() <= 0 {
			return nil, &os.PathError{Op: "open", Path: path, Err: syscall.ENOSPC}
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
		return &limited{f, d}, err
	}
	o.syncDir = func(string) error { return nil }
	return o
}

type limited struct {
	*os.File
	disk *Disk
}

// WriteAt writes as much as there is room for, as a disk does.
func (l *limited) WriteAt(b []byte, off int64) (int, error) {
	l.disk.Writes.Add(1)
	room := l.disk.Room.Add(-int64(len(b)))
	if room >= 0 {
		return l.File.WriteAt(b, off)
	}
	l.disk.Room.Store(0)
	n, err := l.File.WriteAt(b[:max(int64(len(b))+room, 0)], off)
	if err == nil {
		err = &os.PathError{Op: "write", Path: l.Name(), Err: syscall.ENOSPC}
	}
	return n, err
}

func (*limited) Sync() error { return nil }
