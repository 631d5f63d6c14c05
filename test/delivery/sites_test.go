// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package delivery_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// folders are where the sites of each role are, from here.
var folders = map[string][]string{
	"shipper":  {"../../agent/spool", "../../agent/uplink"},
	"receiver": {"../../internal/ingest", "../../internal/history/store"},
}

var siteCall = regexp.MustCompile(`crash\.(?:At|Sent)\((?:\w+, )?"([a-z.-]+)"\)`)

// sites reads from the code at which sites a role can end.
func sites(t *testing.T, role string) []string {
	t.Helper()
	var found []string
	for _, folder := range folders[role] {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			calls := siteCall.FindAllSubmatch(b, -1)
			if n := strings.Count(string(b), "crash."); n != len(calls) {
				t.Errorf("%s uses package crash %d times, %d of them are sites with a constant name", file, n, len(calls))
			}
			for _, call := range calls {
				found = append(found, string(call[1]))
			}
		}
	}
	slices.Sort(found)
	return found
}

// afterOrder is passed only when the life before ended in order, and inOrder are
// passed only when this one does.
const afterOrder = "spool.open.unmarked"

func inOrder(site string) bool { return strings.HasPrefix(site, "spool.close.") }

// migrating are the sites that are passed only while a database is new, and
// partitioned those that only Postgres has.
func migrating(site string) bool {
	return site == "store.migrate.before-record" || site == "store.migrate.applied"
}

func partitioned(site string) bool { return strings.HasPrefix(site, "store.partition.") }

// drops are passed only by spools that are too small.
func drops(site string) bool {
	return strings.HasPrefix(site, "spool.gap.") || strings.HasPrefix(site, "spool.segment.dropped")
}

// TestSitesAreNamed makes sure that a name says where a process ended.
func TestSitesAreNamed(t *testing.T) {
	seen := map[string]bool{}
	for role := range folders {
		found := sites(t, role)
		if len(found) < 8 {
			t.Errorf("a %s has %d sites", role, len(found))
		}
		for _, site := range found {
			if seen[site] {
				t.Errorf("%s is the name of two sites", site)
			}
			seen[site] = true
		}
	}
}

// schedule says where the next life of a role ends. It prefers the sites at which the
// fewest have ended.
type schedule struct {
	mu     sync.Mutex
	random *rand.Rand
	sites  []string
	armed  map[string]int
	ended  map[string]int
	passed map[string]bool
	// orderly is true when the last life of a shipper ended in order.
	orderly bool
	// rest is true when only sites count at which nobody has ended.
	rest bool
}

// anytime stands for the end at no site in particular.
const anytime = "(anytime)"

func newSchedule(random *rand.Rand, sites []string) *schedule {
	return &schedule{random: random, sites: sites, armed: map[string]int{}, ended: map[string]int{}, passed: map[string]bool{}}
}

// next returns where to end, as in ATLHYPER_CRASH; empty for anywhere.
func (s *schedule) next() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sites) == 0 || s.random.IntN(4) == 0 {
		return ""
	}
	sites := slices.DeleteFunc(slices.Clone(s.sites), func(site string) bool {
		return site == afterOrder && !s.orderly || s.rest && s.ended[site] > 0
	})
	if len(sites) == 0 {
		return ""
	}
	site := sites[s.random.IntN(len(sites))]
	if s.random.IntN(4) > 0 {
		for _, other := range sites {
			a, b := 4*s.ended[other]+s.armed[other], 4*s.ended[site]+s.armed[site]
			if a < b {
				site = other
			}
		}
	}
	s.armed[site]++
	passage := 1
	if !s.rest && (s.ended[site] > 0 || s.armed[site] == 1) {
		passage = []int{1, 1, 2, 3, 5, 9}[s.random.IntN(6)]
	}
	return fmt.Sprintf("%s:%d", site, passage)
}

// note notes how a life ended.
func (s *schedule) note(l *life) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, site := range l.passed() {
		s.passed[site] = true
	}
	site := l.ended()
	if site == "" {
		site = anytime
	}
	s.orderly = slices.Contains(l.passed(), "spool.close.marked") && site == anytime
	s.ended[site]++
}

// kills is how many lives have ended.
func (s *schedule) kills() (all, atSites int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for site, n := range s.ended {
		all += n
		if site != anytime {
			atSites += n
		}
	}
	return all, atSites
}

// unhit returns the sites at which nobody ended.
func (s *schedule) unhit() (missed []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, site := range s.sites {
		if s.ended[site] == 0 {
			missed = append(missed, fmt.Sprintf("%s (armed %d times, passed: %v)", site, s.armed[site], s.passed[site]))
		}
	}
	return missed
}

// finish makes only those sites count at which nobody has ended.
func (s *schedule) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = true
}

// String is a table of how often lives ended where.
func (s *schedule) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, site := range append(slices.Clone(s.sites), anytime) {
		fmt.Fprintf(&b, "\n  %-36s %d", site, s.ended[site])
	}
	return b.String()
}
