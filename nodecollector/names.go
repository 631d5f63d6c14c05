// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"log/slog"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// nameCache keeps the names of devices, so that a reading allocates none, and
// whether they are shown.
type nameCache struct {
	excluded func(name string) bool
	names    map[string]*cachedName
	reading  int
}

type cachedName struct {
	name string
	seen int
}

// begin starts a reading, and forgets names when most of them are gone.
func (c *nameCache) begin() {
	const rest = 64
	c.reading++
	if len(c.names) <= rest {
		return
	}
	for key, n := range c.names {
		if n.seen < c.reading-1 {
			delete(c.names, key)
		}
	}
}

// keep returns a name that is shown, and "" for others.
func (c *nameCache) keep(raw []byte) string {
	n, ok := c.names[string(raw)]
	if !ok {
		n = &cachedName{name: telemetry.Clip(string(raw), telemetry.MaxLabelValue)}
		if c.excluded(n.name) {
			n.name = ""
		}
		if c.names == nil {
			c.names = map[string]*cachedName{}
		}
		c.names[string(raw)] = n
	}
	if n.seen == c.reading {
		return "" // again
	}
	n.seen = c.reading
	return n.name
}

// problems logs what cannot be read, once, and that it can be again.
type problems struct {
	logger *slog.Logger
	open   map[string]string
}

// report says what is wrong with a source, "" when nothing is.
func (p *problems) report(source, problem string) {
	before, had := p.open[source]
	switch {
	case problem == "" && !had || problem == before && had:
	case problem == "":
		delete(p.open, source)
		p.logger.Info("Reading again", "source", source)
	default:
		if p.open == nil {
			p.open = map[string]string{}
		}
		p.open[source] = problem
		p.logger.Warn("Cannot read, leaving out its values", "source", source, "reason", problem)
	}
}

// reportLeft says how many values found no room in a sample.
func (p *problems) reportLeft(n int) {
	if n == 0 {
		p.report("sample", "")
	} else {
		p.report("sample", "there is more than fits")
	}
}
