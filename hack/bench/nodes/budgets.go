// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
	"github.com/atlhyper/atlhyper/nodecollector"
)

// What a sample of a machine of 64 cores and 300 veths may cost.
const (
	mostPayload = 3 << 10
	mostCPU     = 8 * time.Millisecond
)

const (
	fixtures     = "nodecollector/testdata/trees"
	budgetCycles = 50
	between      = 15 * time.Second
)

// budget is a machine that samples are taken of.
type budget struct {
	name string
	// trees are laid over one another.
	trees []string
}

func budgets() []budget {
	return []budget{
		{"64 cores", []string{"metal-64-cores"}},
		{"300 veths", []string{"veth-300"}},
		{"64 cores and 300 veths", []string{"metal-64-cores", "veth-300/a/proc/1/net", "veth-300/a/sys/class/net"}},
	}
}

// cost is what a sample of a machine costs: series, bytes as sent, and CPU time to
// take and encode it.
type cost struct {
	series, sent int
	cpu          time.Duration
}

// spent takes samples of a machine between its two recorded moments, back and
// forth, and returns the largest of those with all rates and the average time.
func (b budget) spent(ctx context.Context, trees string) (c cost, err error) {
	dir, err := os.MkdirTemp("", "atlhyper-tree-")
	if err != nil {
		return c, fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	lay := func(moment string) error {
		for _, tree := range b.trees {
			from, to, part := filepath.Join(trees, tree), dir, strings.Contains(tree, "/a/")
			if part {
				to = filepath.Join(dir, tree[strings.Index(tree, "/a/")+len("/a/"):])
				from = strings.Replace(from, "/a/", "/"+moment+"/", 1)
			} else {
				from = filepath.Join(from, moment)
			}
			if _, err := os.Stat(from); part && errors.Is(err, os.ErrNotExist) {
				continue // nothing of it changed
			}
			if err := overlay(from, to); err != nil {
				return fmt.Errorf("copying %s: %w", from, err)
			}
		}
		return nil
	}
	if err := lay("a"); err != nil {
		return c, err
	}
	collector, err := nodecollector.New(nodecollector.Options{
		Node: "ip-10-4-1-17.eu-central-1.compute.internal", Root: dir, PageSize: 4096, Statfs: halfFull,
		Clock: func() nodecollector.Clock { return nodecollector.Clock{Known: true, Synced: true, Offset: 0.000125} },
	})
	if err != nil {
		return c, err
	}
	defer collector.Close()
	encoder, now := wire.NewSampleEncoder(), time.Now()
	for range budgetCycles {
		for _, moment := range []string{"a", "b"} {
			if err := lay(moment); err != nil {
				return c, err
			}
			now = now.Add(between)
			one, err := b.sample(ctx, collector, encoder, now)
			if err != nil {
				return c, err
			}
			if moment == "b" { // counters have grown
				c.series, c.sent, c.cpu = one.series, max(c.sent, one.sent), c.cpu+one.cpu/budgetCycles
			}
		}
	}
	return c, nil
}

// sample takes one sample.
func (budget) sample(ctx context.Context, collector *nodecollector.Collector, encoder *wire.Encoder, now time.Time) (c cost, err error) {
	began, err := used()
	if err != nil {
		return c, err
	}
	sample, err := collector.Collect(ctx, now)
	if err != nil {
		return c, err
	}
	batch := telemetry.NewBatch(telemetry.StreamNodeMetrics, 1, []telemetry.Record{{Seq: sample.CollectorSeq, Time: now, Payload: &sample}})
	body, err := encoder.Append(nil, &batch)
	if err != nil {
		return c, err
	}
	ended, err := used()
	return cost{series: len(sample.Series), sent: len(body), cpu: ended - began}, err
}

// halfFull is what every filesystem answers.
func halfFull(string) (nodecollector.SpaceCounts, error) {
	return nodecollector.SpaceCounts{Blocks: 26214400, Free: 13107199, Available: 11796479, BlockSize: 4096, Files: 6553600, FilesFree: 3276801}, nil
}

// used is the CPU time of this process.
func used() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("reading the CPU time of this process: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// overlay copies a folder over another, as the collector's own tests do: a file
// with the word gone removes one.
func overlay(from, to string) error {
	source, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := os.MkdirAll(to, 0o750); err != nil {
		return err
	}
	target, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer target.Close()
	return fs.WalkDir(source.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return target.MkdirAll(path, 0o750)
		case entry.Type()&fs.ModeSymlink != 0:
			link, err := source.Readlink(path)
			return errors.Join(err, target.RemoveAll(path), target.Symlink(link, path))
		}
		content, err := source.ReadFile(path)
		if err != nil {
			return err
		}
		if string(content) == "gone\n" {
			return target.RemoveAll(path)
		}
		return target.WriteFile(path, content, 0o600)
	})
}

// reportBudgets appends the rows of recorded machines to the table.
func reportBudgets(ctx context.Context, w io.Writer) error {
	for _, b := range budgets() {
		c, err := b.spent(ctx, fixtures)
		if err != nil {
			return fmt.Errorf("measuring a machine of %s: %w", b.name, err)
		}
		cpu := float64(c.cpu) / float64(time.Millisecond)
		fmt.Fprintf(w, "| bytes, a machine of %s (%d series) | %d B | | | %d B |\n", b.name, c.series, c.sent, mostPayload)
		fmt.Fprintf(w, "| CPU of measuring and encoding it | %.3f ms | | | %.0f ms |\n", cpu, float64(mostCPU)/float64(time.Millisecond))
	}
	return nil
}
