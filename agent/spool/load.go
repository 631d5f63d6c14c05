// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Files beside the streams' folders.
const (
	formatName = "FORMAT"
	format     = "atlhyper spool 1\n"
	cleanName  = "CLEAN" // there when the spool was closed
)

// Origin is what Open found.
type Origin struct {
	// Fresh: there was no spool. Each stream begins with a gap, as there may have
	// been one on a disk that is gone.
	Fresh bool
	// Unclean: the process before did not Close. Streams go on with a gap, as what
	// was not synced may be lost.
	Unclean bool
	// TornBytes were cut off the ends of segments because they are no records.
	TornBytes int64
}

// Open opens the spool in a directory, which is made when it does not exist, and
// takes it for this process: the error wraps ErrInUse when it is taken. What earlier
// processes left is delivered on the replay lane, in its own epochs; what is
// appended now begins new epochs, so that no number is ever given out twice, whatever
// the disk forgot.
func Open(dir string, options Options) (*Spool, error) {
	if err := options.complete(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the spool: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the spool: %w", err)
	}
	s := &Spool{
		dir: dir, options: options, codec: options.Codec, limit: options.MaxBytes, release: func() {},
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
		losses: make(chan struct{}, 1), told: make(chan struct{}),
		streams: map[telemetry.Stream]*stream{},
	}
	if s.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		_ = s.lock.Close() // nothing was written to it
		return nil, err
	}
	if s.codec == nil {
		c, err := newWireCodec()
		if err != nil {
			_ = s.lock.Close() // nothing was written to it
			return nil, err
		}
		s.codec, s.release = c, c.Close
	}
	s.measureRoom(freeBytes(dir))
	s.expire(time.Now())
	for _, st := range s.streams {
		if err := s.admit(st, new(Appended)); err != nil {
			return nil, errors.Join(fmt.Errorf("opening the spool: %w", err), s.lock.Close())
		}
		s.settle(st)
	}
	s.enforce()
	if err := os.WriteFile(filepath.Join(dir, formatName), []byte(format), 0o600); err != nil && !noSpace(err) {
		return nil, errors.Join(fmt.Errorf("opening the spool: %w", err), s.lock.Close())
	}
	s.start()
	return s, nil
}

// load reads the directory and prepares it for this process.
func (s *Spool) load() error {
	if err := s.checkFormat(); err != nil {
		return err
	}
	ends, err := s.takeEnds()
	if err != nil {
		return err
	}
	now := time.Now()
	for id := range telemetry.Streams() {
		st := &stream{id: id, stats: StreamStats{Dropped: map[telemetry.GapReason]uint64{}}}
		s.streams[id] = st
		torn, err := s.loadStream(st)
		if err != nil {
			return err
		}
		torn += ends.missing(st)
		l := loss{reason: telemetry.GapEpochLost, end: now}
		switch {
		case torn > 0:
			l.reason = telemetry.GapSpoolCorrupt
		case s.origin.Fresh, s.origin.Unclean && len(st.epochs) > 0:
		default:
			continue
		}
		if n := len(st.epochs); n > 0 && len(st.epochs[n-1].segments) > 0 {
			last := st.epochs[n-1].segments
			l.start = moment(last[len(last)-1].newest)
		}
		if l.start.After(now) {
			l.start = time.Time{}
		}
		s.origin.TornBytes += torn
		st.lost = append(st.lost, l)
	}
	return nil
}

func (s *Spool) checkFormat() error {
	path := filepath.Join(s.dir, formatName)
	b, err := os.ReadFile(path)
	switch {
	case err == nil && string(b) == format:
		return nil
	case err == nil && strings.HasPrefix(string(b), strings.TrimSuffix(format, "1\n")) && len(b) == len(format) && b[len(b)-1] == '\n' && b[len(b)-2] > '1' && b[len(b)-2] <= '9':
		return fmt.Errorf("opening the spool %s: it was written by a newer agent (%q); run that one, or empty the folder and lose what it holds", s.dir, strings.TrimSpace(string(b)))
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("opening the spool: %w", err)
	}
	// Missing or damaged. With streams beside it, only this file is lost.
	s.origin.Fresh = true
	for id := range telemetry.Streams() {
		if _, err := os.Stat(filepath.Join(s.dir, id.String())); err == nil {
			s.origin.Fresh = false
		}
	}
	return nil
}

// loadStream reads the epochs of a stream and returns how many bytes at the end of
// one of them were not readable.
func (s *Spool) loadStream(st *stream) (torn int64, err error) {
	dir := filepath.Join(s.dir, st.id.String())
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("opening the spool: %w", err)
	}
	for _, entry := range entries {
		number, ok := parseNumber(entry.Name(), "")
		if !ok || !entry.IsDir() {
			continue
		}
		e := newEpoch(st.id, telemetry.Epoch(number), filepath.Join(dir, entry.Name()))
		e.closed = true
		n, err := s.loadEpoch(st, e)
		if err != nil {
			return 0, err
		}
		torn += n
		st.epochs = append(st.epochs, e)
	}
	return torn, nil
}

func (s *Spool) loadEpoch(st *stream, e *epoch) (torn int64, err error) {
	entries, err := os.ReadDir(e.dir)
	if err != nil {
		return 0, fmt.Errorf("opening an epoch of the spool: %w", err)
	}
	var records, gaps []*segment
	for _, entry := range entries {
		path := filepath.Join(e.dir, entry.Name())
		if strings.HasSuffix(entry.Name(), ".tmp") {
			_ = os.Remove(path) // it is tried again at the next start
			continue
		}
		if entry.Name() == ackName {
			b, err := os.ReadFile(path)
			if err != nil {
				return 0, fmt.Errorf("reading the spool's acknowledgements: %w", err)
			}
			e.ackCount, e.acked = parseAck(b, e.seed)
			e.ackSaved = e.acked
			continue
		}
		if first, ok := parseNumber(entry.Name(), gapSuffix); ok {
			b, err := os.ReadFile(path)
			if err != nil {
				return 0, fmt.Errorf("reading a gap of the spool: %w", err)
			}
			g := &segment{first: first, from: first, path: path, charged: blockSize}
			if parseGap(b, e.seed, g) {
				gaps = append(gaps, g)
			} else {
				torn++              // when nothing follows, how much it stood for is not known
				_ = os.Remove(path) // it is found again at the next start
			}
			continue
		}
		if first, ok := parseNumber(entry.Name(), segmentSuffix); ok {
			records = append(records, &segment{first: first, from: first, path: path})
		}
	}
	n, err := loadSegments(e, records, gaps)
	if err != nil {
		return 0, err
	}
	e.arrange(records, gaps)
	s.fill(st, e)
	e.seek(e.acked + 1)
	return torn + n, nil
}

// loadSegments sets what each segment holds: up to the next one's first number, and
// for the last one what is readable. What is not readable at its end is cut off.
func loadSegments(e *epoch, records, gaps []*segment) (torn int64, err error) {
	bounds := make([]uint64, 0, len(records)+len(gaps))
	for _, g := range slices.Concat(records, gaps) {
		if !g.inside {
			bounds = append(bounds, g.first)
		}
	}
	slices.Sort(bounds)
	for _, g := range records {
		if i, _ := slices.BinarySearch(bounds, g.first+1); i < len(bounds) {
			g.to = bounds[i] - 1
			if err := g.loadHeader(e.seed); err != nil {
				return 0, err
			}
			continue
		}
		b, err := os.ReadFile(g.path)
		if err != nil {
			return 0, fmt.Errorf("reading a segment of the spool: %w", err)
		}
		l := newLayout(e.stream, e.number, g.first, ^uint64(0))
		x := l.measure(b)
		g.created = parseCreated(b, e.seed, g.first)
		g.to, g.oldest, g.newest, g.written = x.last, x.oldest, x.newest, int64(x.end)
		g.synced = g.written
		if x.last == 0 {
			g.to = g.first - 1
			g.written = 0
			torn = 1 // even when empty: a segment is made for a record
		}
		torn += int64(len(b)) - g.written
		if int64(len(b)) > g.written {
			if err := os.Truncate(g.path, g.written); err != nil {
				return 0, fmt.Errorf("cutting the torn end off a segment of the spool: %w", err)
			}
		}
	}
	return torn, nil
}

func (g *segment) loadHeader(seed uint32) error {
	f, err := os.Open(g.path)
	if err != nil {
		return fmt.Errorf("reading a segment of the spool: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading a segment of the spool: %w", err)
	}
	b := make([]byte, segmentHeader)
	n, _ := f.ReadAt(b, 0) // a short header is a damaged one
	g.created = parseCreated(b[:n], seed, g.first)
	g.written, g.synced = info.Size(), info.Size()
	return nil
}

// arrange puts records and gaps in order. A gap wins where both claim a number:
// the gap was written, and the process ended before the segment was removed.
func (e *epoch) arrange(records, gaps []*segment) {
	for _, g := range records {
		for _, gap := range gaps {
			if gap.to < g.from || gap.from > g.to {
				continue
			}
			if g.from == g.first && gap.from > g.first {
				// What stands before a gap within a segment was delivered.
				e.acked = max(e.acked, gap.from-1)
			}
			g.from = max(g.from, gap.to+1)
		}
	}
	all := slices.Concat(gaps, records)
	slices.SortStableFunc(all, func(a, b *segment) int {
		switch {
		case a.from < b.from || a.from == b.from && a.to > b.to:
			return -1
		case a.from > b.from || a.to < b.to:
			return 1
		default:
			return 0
		}
	})
	e.segments = all
}

// fill removes what is not needed, puts gaps where numbers are missing, and counts
// what is left.
func (s *Spool) fill(st *stream, e *epoch) {
	next := e.acked + 1
	var kept []*segment
	for _, g := range e.segments {
		if g.from < next && g.gap != 0 && g.to >= next { // acknowledged half way, or merged
			g.from = next
		}
		if g.to < next || g.to < g.from {
			s.unlink(g.path)
			continue
		}
		if g.from > next {
			hole := e.gap(next, g.from-1, telemetry.GapSpoolCorrupt)
			count(st, hole)
			s.saveGap(e, hole)
			kept = append(kept, hole)
		}
		if g.gap == 0 {
			g.charged = blocks(g.written)
		}
		s.used += g.charged
		kept = append(kept, g)
		next = g.to + 1
	}
	e.segments, e.last = kept, next-1
}
