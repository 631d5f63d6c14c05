// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var errSink = errors.New("no room")

// taker takes batches of a node into memory.
type taker struct {
	node
	got  []string // what reached the sink
	lost uint64
	fail func() bool
}

func (k *taker) take(epoch telemetry.Epoch, records []telemetry.Record, poison ...[2]uint64) (taken, error) {
	k.name = "node-1"
	t := taking{
		node: &k.node, life: k.lives.of(epoch), now: noon,
		hand: func(at time.Time, p telemetry.Payload) error {
			if k.fail != nil && k.fail() {
				return errSink
			}
			switch p := p.(type) {
			case *telemetry.NodeSample:
				k.got = append(k.got, fmt.Sprintf("%s %d at %s", p.Node, p.CollectorSeq, noon.Sub(at)))
			case *telemetry.Gap:
				k.got = append(k.got, fmt.Sprintf("gap %s of %d", p.Reason, p.Dropped))
			}
			return nil
		},
		seen: func(telemetry.Epoch, *telemetry.Record, time.Time) {},
		lost: func(n uint64) { k.lost += n },
	}
	err := t.take(records, poison)
	return t.out, err
}

// of makes records of samples, one for each number, 15 s apart up to noon for 100.
func of(seqs ...uint64) []telemetry.Record {
	out := make([]telemetry.Record, 0, len(seqs))
	for _, seq := range seqs {
		out = append(out, telemetry.Record{
			Seq: seq, Time: noon.Add(time.Duration(seq)*15*time.Second - 1500*time.Second), //nolint:gosec // small
			Payload: &telemetry.NodeSample{Node: "node-1", BootID: "boot", CollectorSeq: seq},
		})
	}
	return out
}

func gapOf(from, to uint64) telemetry.Record {
	return telemetry.Record{Seq: to, Time: noon, Payload: &telemetry.Gap{
		From: from, To: to, Reason: telemetry.GapSourceOverflow, Dropped: to - from + 1, Start: noon.Add(-time.Hour), End: noon.Add(-time.Minute),
	}}
}

func TestTake(t *testing.T) {
	type batch struct {
		epoch   telemetry.Epoch
		records []telemetry.Record
		poison  [][2]uint64
		want    taken
	}
	late := of(100)
	late[0].Time = noon.Add(-48 * time.Hour)
	cases := map[string]struct {
		batches []batch
		got     []string
		lost    uint64
	}{
		"newest first, then backlog": {
			[]batch{{1, of(100), nil, taken{1, 0, 0}}, {1, of(98, 99), nil, taken{2, 0, 0}}},
			[]string{"node-1 100 at 0s", "node-1 98 at 30s", "node-1 99 at 15s"},
			0,
		},
		"twice": {
			[]batch{{1, of(99, 100), nil, taken{2, 0, 0}}, {1, of(99, 100), nil, taken{0, 2, 0}}},
			[]string{"node-1 99 at 15s", "node-1 100 at 0s"},
			0,
		},
		"twice, in another batch": {
			[]batch{{1, of(98), nil, taken{1, 0, 0}}, {1, of(97, 98, 99), nil, taken{2, 1, 0}}},
			[]string{"node-1 98 at 30s", "node-1 97 at 45s", "node-1 99 at 15s"},
			0,
		},
		"two collectors with the same number": {
			[]batch{{1, of(100), nil, taken{1, 0, 0}}, {2, of(100), nil, taken{1, 0, 0}}, {1, of(100), nil, taken{0, 1, 0}}},
			[]string{"node-1 100 at 0s", "node-1 100 at 0s"},
			0,
		},
		"a gap": {
			[]batch{{1, append([]telemetry.Record{gapOf(10, 20)}, of(21)...), nil, taken{2, 0, 0}}, {1, []telemetry.Record{gapOf(10, 20)}, nil, taken{0, 1, 0}}},
			[]string{"gap SourceOverflow of 11", "node-1 21 at 19m45s"},
			11,
		},
		"a gap over what arrived after all": {
			[]batch{{1, of(12, 13), nil, taken{2, 0, 0}}, {1, []telemetry.Record{gapOf(10, 20)}, nil, taken{1, 0, 0}}},
			[]string{"node-1 12 at 22m0s", "node-1 13 at 21m45s", "gap SourceOverflow of 9"},
			9,
		},
		"a gap over nothing but that": {
			[]batch{{1, of(12, 13), nil, taken{2, 0, 0}}, {1, []telemetry.Record{gapOf(12, 13)}, nil, taken{0, 1, 0}}},
			[]string{"node-1 12 at 22m0s", "node-1 13 at 21m45s"},
			0,
		},
		"a gap that has grown": {
			[]batch{{1, []telemetry.Record{gapOf(10, 20)}, nil, taken{1, 0, 0}}, {1, []telemetry.Record{gapOf(10, 22)}, nil, taken{1, 0, 0}}},
			[]string{"gap SourceOverflow of 11", "gap SourceOverflow of 2"},
			13,
		},
		"of another time": {
			[]batch{{1, late, nil, taken{0, 0, 1}}, {1, late, nil, taken{0, 1, 0}}},
			[]string{"gap Refused of 1"},
			1,
		},
		"malformed records": {
			[]batch{{1, of(98), [][2]uint64{{99, 100}}, taken{1, 0, 1}}, {1, of(98), [][2]uint64{{99, 100}}, taken{0, 2, 0}}},
			[]string{"node-1 98 at 30s", "gap Refused of 2"},
			2,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var k taker
			for i, b := range tc.batches {
				out, err := k.take(b.epoch, b.records, b.poison...)
				if err != nil || out != b.want {
					t.Errorf("batch %d: %+v, %v; want %+v", i, out, err, b.want)
				}
			}
			if diff := cmp.Diff(tc.got, k.got); diff != "" || k.lost != tc.lost {
				t.Errorf("%d lost, the sink got (-want +got):\n%s", k.lost, diff)
			}
		})
	}
}

func TestTheNodeIsTheTokens(t *testing.T) {
	k := taker{}
	records := of(100)
	records[0].Payload.(*telemetry.NodeSample).Node = "node-2"
	if _, err := k.take(1, records); err != nil || k.got[0] != "node-1 100 at 0s" {
		t.Errorf("got %v, %v", k.got, err)
	}
}

// TestEachNumberOnce sends samples and gaps in any order, some several times, to a
// sink that sometimes fails. Each number reaches it once.
func TestEachNumberOnce(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 3))
		k := taker{fail: func() bool { return random.IntN(10) == 0 }}
		var open [][]telemetry.Record
		numbers := uint64(0)
		for epoch := range telemetry.Epoch(2) {
			for seq := uint64(1); seq < 100; {
				n := 1 + random.Uint64N(5)
				if random.IntN(8) == 0 {
					open = append(open, []telemetry.Record{gapOf(seq, seq+n-1)})
				} else {
					seqs := make([]uint64, 0, n)
					for i := range n {
						seqs = append(seqs, seq+i)
					}
					open = append(open, of(seqs...))
				}
				// The epoch of a batch is where it stands; see below.
				open[len(open)-1] = append(open[len(open)-1], telemetry.Record{Seq: uint64(epoch)})
				seq += n
				numbers += n
			}
		}
		for len(open) > 0 {
			i := random.IntN(len(open))
			records := open[i][:len(open[i])-1]
			epoch := telemetry.Epoch(1 + open[i][len(open[i])-1].Seq)
			_, err := k.take(epoch, records)
			if err != nil && !errors.Is(err, errSink) {
				t.Fatal(err)
			}
			if err == nil && random.IntN(4) > 0 { // else the answer gets lost
				open = slices.Delete(open, i, i+1)
			}
		}
		samples := uint64(0)
		for _, line := range k.got {
			if line[:3] != "gap" {
				samples++
			}
		}
		if samples+k.lost != numbers {
			t.Errorf("seed %d: %d samples and %d in gaps, of %d numbers", seed, samples, k.lost, numbers)
		}
	}
}
