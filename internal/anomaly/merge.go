// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly

import (
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/rules"
)

// merge makes one of several findings about a subject that are of one group, such as
// two problems of one node: the one that is the first to be raised, whatever their
// order. Things that happened once are left alone, and so are findings of different
// groups.
func (e *Engine) merge(found []rules.Finding) []rules.Finding {
	if len(found) < 2 {
		return found
	}
	clear(e.merged)
	kept := found[:0]
	for i := range found {
		f := &found[i]
		if f.Edge != "" {
			kept = append(kept, *f)
			continue
		}
		at, known := e.merged[f.Key]
		switch {
		case !known:
			e.merged[f.Key] = len(kept)
			kept = append(kept, *f)
		case e.precedes(f, &kept[at]):
			kept[at] = *f
		}
	}
	return kept
}

// precedes says which of two findings of one group stands for both: the one that is
// raised first, then the older, then the more severe. What comes after that only
// makes it the same one each time.
func (e *Engine) precedes(a, b *rules.Finding) bool {
	if c := e.raises(a).Compare(e.raises(b)); c != 0 {
		return c < 0
	}
	if c := orNow(a.Since, e.now).Compare(orNow(b.Since, e.now)); c != 0 {
		return c < 0
	}
	if a.Severity != b.Severity {
		return a.Severity > b.Severity
	}
	if a.Object != b.Object {
		return before(a.Object, b.Object)
	}
	if c := strings.Compare(a.Reason, b.Reason); c != 0 {
		return c < 0
	}
	return a.Container < b.Container
}

// raises is when a finding is raised if it stays and nothing holds it back.
func (e *Engine) raises(f *rules.Finding) time.Time {
	hold := f.Hold
	if rule, ok := e.world.Rule(f.Rule); ok && hold < 0 {
		hold = rule.For
	}
	return later(orNow(f.Since, e.now).Add(max(hold, 0)), f.NotBefore)
}
