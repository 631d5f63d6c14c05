// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/crash"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// keepBuffer is the largest write buffer that a segment keeps.
const keepBuffer = 64 << 10

// settle writes the stream's buffer. On a disk that has no room it tries to make some.
func (s *Spool) settle(st *stream) {
	n := len(st.epochs)
	if n == 0 || st.epochs[n-1].active == nil || len(st.epochs[n-1].active.buf) == 0 {
		return
	}
	if s.trouble != nil && s.memory < s.options.MemoryBytes {
		return // the ticker tries again
	}
	e := st.epochs[n-1]
	if err := s.flush(e, e.active); err != nil {
		s.trouble = err
		s.relieve(st)
	}
	s.nudge()
}

// flush writes what a segment has in memory.
func (s *Spool) flush(e *epoch, g *segment) error {
	if len(g.buf) == 0 {
		return nil
	}
	if e.bare {
		if err := e.makeDir(); err != nil {
			return err
		}
	}
	if g.file == nil {
		f, err := s.options.create(g.path)
		if err != nil {
			return fmt.Errorf("creating a segment of the spool: %w", err)
		}
		g.file, e.dirty = f, true
	}
	crash.At("spool.append.before-write")
	// A write that fails half way is repeated at the same place.
	if _, err := g.file.WriteAt(g.buf, g.written); err != nil {
		return fmt.Errorf("writing to the spool: %w", err)
	}
	crash.At("spool.append.after-write")
	g.written += int64(len(g.buf))
	s.memory -= int64(len(g.buf))
	g.buf = g.buf[:0]
	if cap(g.buf) > keepBuffer {
		g.buf = nil
	}
	charge := blocks(g.written)
	s.used += charge - g.charged
	g.charged = charge
	return nil
}

func (e *epoch) makeDir() error {
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return fmt.Errorf("creating an epoch of the spool: %w", err)
	}
	e.bare, e.dirty = false, true
	return nil
}

// relieve tries to write what the stream has in memory, dropping at most a few
// segments that are worth no more than it, and says whether there is room again.
func (s *Spool) relieve(st *stream) bool {
	now := time.Now()
	if len(st.epochs) == 0 || now.Sub(s.relief) < time.Second {
		return s.memory < s.options.MemoryBytes
	}
	s.relief = now
	e := st.epochs[len(st.epochs)-1]
	for range 4 {
		if e.active == nil {
			return true
		}
		err := s.flush(e, e.active)
		if err == nil {
			s.recovered()
			return true
		}
		s.trouble = err
		if !noSpace(err) {
			break
		}
		from, epoch, i := s.victim(st.id.Priority())
		if from == nil || epoch.segments[i] == e.active {
			break
		}
		s.drop(from, epoch, i, telemetry.GapSpoolFull)
	}
	return s.memory < s.options.MemoryBytes
}

// recovered notes that the disk takes data again, once nothing is left in memory.
func (s *Spool) recovered() {
	if s.memory <= 0 {
		s.trouble = nil
	}
}

// start begins what goes on until Close.
func (s *Spool) start() {
	for _, st := range s.streams {
		st.owed = false // what Open found is not told
	}
	go s.run()
	if s.options.Lost == nil {
		close(s.told)
		return
	}
	go s.tellLosses()
}

// run syncs soon after something was written, and looks after bounds once a second.
func (s *Spool) run() {
	defer close(s.stopped)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	soon := time.NewTimer(s.options.SyncInterval)
	defer soon.Stop()
	waiting := true
	for {
		select {
		case <-s.stop:
			return
		case <-s.wake:
			if !waiting {
				soon.Reset(s.options.SyncInterval)
				waiting = true
			}
		case <-soon.C:
			waiting = false
			_ = s.syncAll() // kept in s.trouble for Stats
		case <-ticker.C:
			s.tick()
		}
	}
}

// nudge asks for a sync.
func (s *Spool) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// tick looks after the age of records, the free space, and what could not be written.
func (s *Spool) tick() {
	free, err := freeBytes(s.dir)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.measureRoom(free, err)
	s.expire(time.Now())
	if s.trouble != nil {
		s.retry()
		s.nudge()
	}
	s.admitLosses()
	s.enforce()
}

// admitLosses writes the gaps that are due once the disk takes data again, also of
// a stream that has nothing else to say.
func (s *Spool) admitLosses() {
	for _, st := range s.streams {
		if s.trouble != nil || len(st.lost) == 0 {
			continue
		}
		if err := s.admit(st, new(Appended)); err != nil {
			continue // the next record's Append says why
		}
		s.settle(st)
		s.announce()
	}
}

// fewSegments is what the spool takes on any disk: without it, nothing could travel.
const fewSegments = 4

// measureRoom sets how large the spool may be: it may not grow into what is to stay free.
func (s *Spool) measureRoom(free int64, err error) {
	s.limit = s.options.MaxBytes
	if err == nil && s.options.MinFreeBytes > 0 {
		room := s.used + max(free-s.options.MinFreeBytes, 0)
		s.limit = min(s.limit, max(room, fewSegments*s.options.SegmentBytes))
	}
}

// retry writes what is in memory, gaps first.
func (s *Spool) retry() {
	failed := false
	for _, st := range s.byPriority() {
		for _, e := range st.epochs {
			for _, g := range e.segments {
				if g.unsaved {
					s.saveGap(e, g)
					failed = failed || g.unsaved
				}
				if err := s.flush(e, g); err != nil {
					s.trouble, failed = err, true
				}
			}
		}
	}
	if !failed {
		s.trouble = nil
	}
}

// Sync returns when everything that was appended and acknowledged before is on
// the disk, or why it is not.
func (s *Spool) Sync() error { return s.syncAll() }

// job is one file to be synced.
type job struct {
	segment *segment
	file    file
	upTo    int64
}

func (s *Spool) syncAll() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()

	w := s.collect()
	problems := []error{w.trouble}
	for i, j := range w.jobs {
		crash.At("spool.sync.before")
		if err := j.file.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			w.jobs[i].upTo = 0
			problems = append(problems, fmt.Errorf("syncing the spool: %w", err))
		}
	}
	crash.At("spool.sync.after")
	for _, e := range w.acks {
		problems = append(problems, s.saveAck(e))
	}
	slices.Sort(w.dirs)
	for _, dir := range slices.Compact(w.dirs) {
		if err := s.options.syncDir(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			problems = append(problems, fmt.Errorf("syncing a directory of the spool: %w", err))
		}
	}
	err := errors.Join(problems...)

	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.trouble = err
	}
	for _, j := range w.jobs {
		j.segment.synced = max(j.segment.synced, j.upTo)
	}
	s.tidy()
	return err
}

// work is what a sync has to do.
type work struct {
	jobs    []job
	acks    []*epoch
	dirs    []string
	trouble error
}

// collect writes what is in memory and returns what is to be synced.
func (s *Spool) collect() work {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble != nil {
		s.retry()
	}
	w := work{trouble: s.trouble}
	for _, st := range s.streams {
		for _, e := range st.epochs {
			for _, g := range e.segments {
				if g.file != nil && g.synced < g.written {
					w.jobs = append(w.jobs, job{g, g.file, g.written})
				}
			}
			if e.acked != e.ackSaved && !e.bare {
				w.acks = append(w.acks, e)
			}
			if e.dirty {
				w.dirs = append(w.dirs, e.dir, filepath.Dir(e.dir), s.dir)
				e.dirty = false
			}
		}
	}
	return w
}

// saveAck writes what the hub confirmed, and syncs it: delivered segments are
// removed next, and a later start must not take them for lost.
func (s *Spool) saveAck(e *epoch) error {
	s.mu.Lock()
	acked := e.acked
	s.mu.Unlock()
	if e.ackFile == nil {
		f, err := s.options.create(filepath.Join(e.dir, ackName))
		if err != nil {
			return fmt.Errorf("creating the spool's acknowledgements: %w", err)
		}
		e.ackFile = f
	}
	crash.At("spool.ack.before-write")
	count := e.ackCount + 1
	_, err := e.ackFile.WriteAt(appendAck(nil, e.seed, count, acked), int64(count%2)*ackSlot)
	if err == nil {
		err = e.ackFile.Sync()
	}
	if err != nil {
		return fmt.Errorf("writing the spool's acknowledgements: %w", err)
	}
	crash.At("spool.ack.written")
	s.mu.Lock()
	e.ackCount, e.ackSaved = count, acked
	s.mu.Unlock()
	return nil
}

// tidy removes what is delivered and closes what is complete.
func (s *Spool) tidy() {
	for _, st := range s.streams {
		for _, e := range st.epochs {
			s.tidyEpoch(e)
		}
		// The newest epoch stays, empty or not: it tells the next one's number.
		if len(st.epochs) == 0 {
			continue
		}
		newest := st.epochs[len(st.epochs)-1]
		st.epochs = slices.DeleteFunc(st.epochs, func(e *epoch) bool {
			if !e.done() || e == newest || len(e.segments) > 0 || e.busy {
				return false
			}
			e.release()
			crash.At("spool.epoch.delivered")
			if err := os.RemoveAll(e.dir); err != nil {
				s.trouble = fmt.Errorf("removing a delivered epoch: %w", err)
			}
			return true
		})
	}
}

func (s *Spool) tidyEpoch(e *epoch) {
	if e.ackSaved == e.acked || e.bare {
		for _, g := range e.takeDelivered() {
			s.forget(g)
			s.unlink(g.path)
			crash.At("spool.segment.delivered")
		}
	}
	for _, g := range e.segments {
		if g != e.active && g.file != nil && g.synced >= g.written && len(g.buf) == 0 {
			_ = g.file.Close() // it is synced
			g.file = nil
		}
	}
}

func (e *epoch) release() {
	if e.ackFile != nil {
		_ = e.ackFile.Close() // nothing is written after the last sync
		e.ackFile = nil
	}
}
