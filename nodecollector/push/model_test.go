// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package push

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// TestNothingIsLostOrCountedWrong lets an agent fail in every way there is, for
// six hours of samples, and then be well: each number has arrived as a sample or
// in a gap, and the gaps add up to what the counter says.
func TestNothingIsLostOrCountedWrong(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				a := newAgent(t)
				mood, until := 0, time.Now()
				well := false
				a.answer = func(q request) *http.Response {
					if well {
						return nil
					}
					if time.Now().After(until) {
						mood, until = random.IntN(8), time.Now().Add(time.Duration(random.ExpFloat64()*float64(20*time.Minute)))
					}
					switch mood {
					case 0:
						return unreachable(q)
					case 1: // it has them, and its answer gets lost
						a.take(&q.batch)
						return respond(http.StatusBadGateway, nil, "")
					case 2:
						return respond(http.StatusTooManyRequests, http.Header{"Retry-After": {"30"}}, "")
					case 3:
						return respond(http.StatusUnauthorized, nil, "")
					case 4:
						if len(q.batch.Records) > 3 {
							return respond(http.StatusRequestEntityTooLarge, nil, "")
						}
					case 5:
						if q.batch.LastSeq%7 == 0 {
							return respond(http.StatusBadRequest, nil, `{"reason":"Malformed"}`)
						}
					}
					return nil
				}
				p, _ := start(t, a, func(o *Options) { o.random = random.Float64 })
				n := collect(p, 0, 6*time.Hour)
				a.mu.Lock()
				well = true
				a.mu.Unlock()
				n = collect(p, n, 20*time.Minute)

				first := uint64(p.epoch)>>epochRandom/100 + 1
				lost, byReason := uint64(0), map[telemetry.GapReason]uint64{}
				for seq := first; seq < first+n; seq++ {
					_, here := a.got[seq]
					_, gone := a.lost[seq]
					if !here && !gone {
						t.Errorf("number %d is neither there nor lost", seq)
					}
					if gone {
						lost++
						byReason[a.lost[seq]]++
					}
				}
				s := p.Stats()
				if want := (Drops{byReason[telemetry.GapSourceOverflow], byReason[telemetry.GapRefused], byReason[telemetry.GapTooLarge]}); s.DroppedFor != want {
					t.Errorf("%+v were dropped, the agent heard of %+v", s.DroppedFor, want)
				}
				if s.Buffered != 0 || s.BufferedBytes != 0 || lost != s.Dropped || s.Sent+s.Dropped != n || s.Collected != n {
					t.Errorf("%d samples, %d lost, stats %+v", n, lost, s)
				}
			})
		})
	}
}
