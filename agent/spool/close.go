// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"

	"github.com/atlhyper/atlhyper/internal/crash"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Close syncs, and gives the directory free. Nothing may be used after it. When the
// error is not nil, what was appended last may not be on the disk, and the next start
// says so with a gap.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	for _, st := range s.streams {
		if err := s.admit(st, new(Appended)); err == nil {
			s.settle(st)
		}
	}
	s.closed = true
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
	s.mu.Unlock()
	close(s.stop)
	<-s.stopped
	<-s.told
	err := s.syncAll()

	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range maps.Values(s.streams) {
		for _, e := range st.epochs {
			for _, g := range e.segments {
				if g.file != nil {
					err = errors.Join(err, g.file.Close())
					g.file = nil
				}
			}
			e.release()
		}
	}
	crash.At("spool.close.synced")
	if err == nil {
		err = s.saveEnds()
	}
	crash.At("spool.close.marked")
	s.release()
	err = errors.Join(err, s.lock.Close())
	if err != nil {
		return fmt.Errorf("closing the spool: %w", err)
	}
	return nil
}

// ends are the last numbers of the epochs as Close left them. They tell a spool
// that was shortened from one that is whole.
type ends []end

type end struct {
	stream telemetry.Stream
	epoch  telemetry.Epoch
	last   uint64
}

// saveEnds writes the file that says that the spool was closed.
func (s *Spool) saveEnds() error {
	var b bytes.Buffer
	for id := range telemetry.Streams() {
		for _, e := range s.streams[id].epochs {
			if len(e.segments) > 0 {
				fmt.Fprintf(&b, "%d %d %d\n", id, e.number, e.last)
			}
		}
	}
	fmt.Fprintf(&b, "%08x\n", crc32.Checksum(b.Bytes(), castagnoli))
	path := filepath.Join(s.dir, cleanName)
	f, err := s.options.create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b.Bytes(), 0)
	return errors.Join(err, f.Sync(), f.Close(), s.options.syncDir(s.dir))
}

// takeEnds reads and removes what saveEnds wrote. Without it, the spool was not closed.
func (s *Spool) takeEnds() (ends, error) {
	path := filepath.Join(s.dir, cleanName)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		s.origin.Unclean = !s.origin.Fresh
		return nil, nil
	}
	if err == nil {
		err = errors.Join(os.Remove(path), s.options.syncDir(s.dir))
		crash.At("spool.open.unmarked")
	}
	if err != nil {
		return nil, fmt.Errorf("opening the spool: %w", err)
	}
	out, ok := parseEnds(b)
	s.origin.Unclean = !ok && !s.origin.Fresh
	return out, nil
}

func parseEnds(b []byte) (ends, bool) {
	const sum = 9
	if len(b) < sum || string(b[len(b)-sum:]) != fmt.Sprintf("%08x\n", crc32.Checksum(b[:len(b)-sum], castagnoli)) {
		return nil, false
	}
	var out ends
	for line := range bytes.Lines(b[:len(b)-sum]) {
		var x end
		if _, err := fmt.Sscanf(string(line), "%d %d %d\n", &x.stream, &x.epoch, &x.last); err != nil {
			return nil, false
		}
		out = append(out, x)
	}
	return out, true
}

// missing returns how many of the stream's epochs do not reach as far as they did.
func (x ends) missing(st *stream) int64 {
	n := int64(0)
	for _, want := range x {
		if want.stream != st.id {
			continue
		}
		found := false
		for _, e := range st.epochs {
			found = found || e.number == want.epoch && e.last >= want.last
		}
		if !found {
			n++
		}
	}
	return n
}
