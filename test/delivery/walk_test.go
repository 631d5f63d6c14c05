// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/test/delivery/actor"
	"github.com/atlhyper/atlhyper/test/delivery/invariant"
)

// stageTime is how long processes are killed before what is stored is checked.
const stageTime = 8 * time.Second

// TestWalk kills agents and hubs again and again, at the named sites and at any time,
// with a network between them that misbehaves. After each stage the history has to be
// whole. The last third of the stages has spools that are too small and hubs that are
// away, so that what had to be dropped has to be known.
func TestWalk(t *testing.T) {
	t.Parallel()
	for name, dsn := range dsns {
		t.Run(name, func(t *testing.T) {
			seed := newSeed(t)
			w := &walk{lab: newLab(t, dsn(t), seed), dialect: name, seed: seed}
			w.prepare()
			began := time.Now()
			for stage := uint64(0); ; stage++ {
				part := float64(time.Since(began)) / float64(*durationFlag)
				if part >= 1 || t.Failed() {
					break
				}
				w.stage(stage, stageTime, part > 0.6)
			}
			w.finish()
			w.conclude(time.Since(began))
		})
	}
}

type walk struct {
	*lab
	dialect string
	seed    uint64
	agent   actor.Shipper
	hubs    int
	ends    map[string]*schedule
	report  *invariant.Report
	// dropped is true after a stage in which something may have been dropped, and
	// strict counts the stages before that.
	dropped bool
	strict  int
}

func (w *walk) rand(purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(w.seed, purpose)) }

func (w *walk) prepare() {
	w.agent = w.shipper(busy("a", time.Now()))
	// A long walk must not run out of past.
	w.agent.Speed = min(w.agent.Speed, 36*time.Hour.Seconds()/durationFlag.Seconds())
	w.hubs = 1
	if w.dialect == "postgres" {
		w.hubs = 2
	}
	w.ends = map[string]*schedule{}
	for i, role := range []string{"shipper", "receiver"} {
		reachable := slices.DeleteFunc(sites(w.T, role), func(site string) bool {
			return migrating(site) || partitioned(site) && w.dialect != "postgres"
		})
		w.ends[role] = newSchedule(w.rand(uint64(10+i)), reachable)
	}
	// A hub that nobody kills makes the tables.
	w.stop(w.startReceiver(0))
}

// finish goes on until somebody has ended at every site, which a short walk may miss.
func (w *walk) finish() {
	w.Helper()
	// Only a spool that is too small drops, and only one that is not has much to deliver.
	for i, small := range []bool{true, false} {
		if !w.finished(small) && !w.Failed() {
			w.stage(1<<20+uint64(i), 3*time.Minute, small)
		}
	}
}

// finished reports whether somebody has ended at every site of those that drop, or of
// all.
func (w *walk) finished(dropping bool) bool {
	for _, ends := range w.ends {
		ends.finish()
		if slices.ContainsFunc(ends.unhit(), func(site string) bool { return !dropping || drops(site) }) {
			return false
		}
	}
	return true
}

// stage kills for a while, then lets everything arrive and checks it. One that has to
// finish ends as soon as it did.
func (w *walk) stage(number uint64, lasts time.Duration, small bool) {
	w.Helper()
	agent := w.agent
	if small {
		agent.MaxBytes = 48 << 10
	}
	w.network.Misbehave(30)
	ctx, cancel := context.WithTimeout(w.Context(), lasts)
	defer cancel()
	var keepers sync.WaitGroup
	problems := make([]error, w.hubs+1)
	keepers.Go(func() {
		start := func(ctx context.Context, site string) (*life, error) { return w.ship(ctx, agent, site) }
		problems[w.hubs] = w.keep(ctx, w.ends["shipper"], w.rand(100+number), start)
	})
	for i := range w.hubs {
		random := w.rand(1000*uint64(i+1) + number)
		keepers.Go(func() {
			start := func(ctx context.Context, site string) (*life, error) { return w.receive(ctx, i, site) }
			problems[i] = w.keep(ctx, w.ends["receiver"], random, start)
		})
	}
	finishing := lasts > stageTime
	if finishing {
		keepers.Go(func() { w.cancelWhenFinished(ctx, cancel, small) })
	}
	if small || finishing {
		keepers.Go(func() { w.weather(ctx, w.rand(10_000+number), finishing) })
	}
	keepers.Wait()
	w.must(errors.Join(problems...))

	// Everything that is late arrives while a hub is there that nobody kills.
	last := []*life{w.startReceiver(0)}
	w.must(w.network.Settle(w.Context()))
	last = append(last, w.startShipper(w.agent)) // whose spool has room
	w.drain(last[1])
	w.stop(last...)
	// What was dropped once stays in gaps.
	w.dropped = w.dropped || small
	w.report = w.check(invariant.Rules{Drops: w.dropped}, w.agent)
	if !w.dropped {
		w.strict++
	}
}

func (w *walk) cancelWhenFinished(ctx context.Context, cancel context.CancelFunc, dropping bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !w.finished(dropping) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	cancel()
}

// keep starts lives and ends them until the context ends.
func (w *walk) keep(ctx context.Context, ends *schedule, random *rand.Rand, start func(context.Context, string) (*life, error)) error {
	for ctx.Err() == nil {
		site := ends.next()
		one, err := start(ctx, site)
		switch {
		case errors.Is(err, errEnded):
			ends.note(one)
			continue
		case ctx.Err() != nil:
			if one != nil {
				w.kill(one)
			}
			continue
		case err != nil:
			return fmt.Errorf("starting a life that was to end at %q: %w", site, err)
		}
		if err := w.end(ctx, one, random, site); err != nil {
			return err
		}
		if ctx.Err() == nil {
			ends.note(one)
		}
	}
	return nil
}

// end waits until a life ends at its site, or ends it when its time has come.
func (w *walk) end(ctx context.Context, one *life, random *rand.Rand, site string) error {
	left := time.Duration(random.Int64N(int64(250 * time.Millisecond)))
	if site != "" && !inOrder(site) {
		left *= 3
	}
	if random.IntN(8) == 0 && !w.pause(ctx, one, left/4) {
		w.kill(one)
		return nil
	}
	over := w.wait(ctx, one, left)
	switch {
	case over && one.ended() == "":
		w.network.Remove(one.Ingest)
		return fmt.Errorf("a process ended by itself: %w", one.Err())
	case !over && ctx.Err() == nil && (inOrder(site) || random.IntN(4) == 0):
		w.network.Remove(one.Ingest)
		return w.endInOrder(one)
	}
	w.kill(one)
	return nil
}

// endInOrder asks a process to end, which may end at its site instead.
func (*walk) endInOrder(one *life) error {
	if err := one.Stop(time.Minute); err != nil {
		return fmt.Errorf("ending a process in order: %w", err)
	}
	return nil
}

// pause stops a process for a while without its knowledge, as a node that swaps does.
// It returns false when the process is to be killed where it stands.
func (w *walk) pause(ctx context.Context, one *life, d time.Duration) bool {
	if err := one.Signal(syscall.SIGSTOP); err != nil {
		return true // it has ended
	}
	w.wait(ctx, one, d)
	if ctx.Err() != nil {
		return false
	}
	_ = one.Signal(syscall.SIGCONT) // it may have been killed meanwhile
	return true
}

// wait waits for a process to end, at most so long, and says whether it did.
func (*walk) wait(ctx context.Context, one *life, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-one.Done():
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// weather lets the hubs be away from time to time.
func (w *walk) weather(ctx context.Context, random *rand.Rand, changeable bool) {
	longest := 1500 * time.Millisecond
	if changeable {
		longest /= 4
	}
	for away := true; ctx.Err() == nil; away = !away {
		w.network.Away(away)
		timer := time.NewTimer(time.Duration(random.Int64N(int64(longest))))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// conclude says what was done and whether it was enough.
func (w *walk) conclude(took time.Duration) {
	w.Helper()
	total, named := 0, 0
	for role, ends := range w.ends {
		all, atSites := ends.kills()
		total, named = total+all, named+atSites
		w.Logf("%s ends of a %s:%s", w.dialect, role, ends)
		if missed := ends.unhit(); len(missed) > 0 && !w.Failed() {
			w.Errorf("no %s ended at %v; seed %d", role, missed, w.seed)
		}
	}
	w.Logf("%s: seed %d, %s, %d ends, %d of them at a site, %d stages without a drop; %s\nfaults of the network: %v",
		w.dialect, w.seed, took.Round(time.Second), total, named, w.strict, w.report, w.network.Counts())
	if w.Failed() {
		w.Logf("repeat with -run '%s' -seed=%d", w.Name(), w.seed)
		return
	}
	if missing := w.network.Missing(); len(missing) > 0 {
		w.Errorf("the network was too good: there was no request %v", missing)
	}
	if total < int(took.Seconds()) || w.report.Taken < 20*int(took.Seconds()) {
		w.Errorf("%d ends and %d records in %s: this says nothing", total, w.report.Taken, took)
	}
}
