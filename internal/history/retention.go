// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package history

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Retention is how long history keeps what, by the time of what happened.
type Retention struct {
	// Samples is for node samples, as rows and compacted.
	Samples time.Duration
	// Fine is for rollups of FineStep.
	Fine time.Duration
	// Coarse is for rollups of CoarseStep.
	Coarse time.Duration
	// Events is for events, by LastSeen.
	Events time.Duration
	// Changes is for the changes of objects, and for objects that are gone.
	Changes time.Duration
	// SLI is for SLI slices and their sums.
	SLI time.Duration
	// Anomalies is for transitions. What is open stays.
	Anomalies time.Duration
	// Output is for the output of commands.
	Output time.Duration
	// Ledger is for gaps and quarantined records.
	Ledger time.Duration
	// Audit is for the audit log; at least MinAudit.
	Audit time.Duration
}

// Epochs is how long an epoch is remembered in which nothing comes any more: as
// long as anything that Append takes, so that an epoch that is forgotten has nothing
// left that could be stored twice. The newest epoch of a stream is never forgotten.
func (r Retention) Epochs() time.Duration {
	return max(r.Samples, r.Events, r.Changes, r.SLI, r.Anomalies, r.Output, r.Ledger)
}

// MinAudit is the shortest time that audit entries are kept: the databases
// themselves refuse to delete younger ones.
const MinAudit = 90 * 24 * time.Hour

// DefaultRetention returns what is kept unless somebody says otherwise.
func DefaultRetention() Retention {
	return Retention{
		Samples: 48 * time.Hour, Fine: 35 * day, Coarse: 400 * day, Events: 30 * day, Changes: 30 * day, SLI: 180 * day,
		Anomalies: 180 * day, Output: 30 * day, Ledger: 180 * day, Audit: 400 * day,
	}
}

// fieldsOf returns the times by the names that people know them by.
func fieldsOf(r *Retention) map[string]*time.Duration {
	return map[string]*time.Duration{
		"samples": &r.Samples, "fine": &r.Fine, "coarse": &r.Coarse, "events": &r.Events, "changes": &r.Changes, "sli": &r.SLI,
		"anomalies": &r.Anomalies, "output": &r.Output, "ledger": &r.Ledger, "audit": &r.Audit,
	}
}

// Check returns an error that says which times are out of bounds.
func (r Retention) Check() error {
	fields := fieldsOf(&r)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if d := *fields[name]; d < 2*time.Hour || d > MaxRange {
			return fmt.Errorf("checking the retention: %s is %s, it has to be from 2h to %s", name, formatDays(d), formatDays(MaxRange))
		}
	}
	if r.Audit < MinAudit {
		return fmt.Errorf("checking the retention: audit is %s, it has to be at least %s", formatDays(r.Audit), formatDays(MinAudit))
	}
	return nil
}

// String returns what ParseRetention reads, sorted by name.
func (r Retention) String() string {
	fields := fieldsOf(&r)
	parts := make([]string, 0, len(fields))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, name+"="+formatDays(*fields[name]))
	}
	return strings.Join(parts, ",")
}

// ParseRetention reads times such as "samples=48h,events=30d"; what is not named
// is kept as long as DefaultRetention says. A time is a number of days or what
// time.ParseDuration takes. The error names what is wrong.
func ParseRetention(text string) (Retention, error) {
	r := DefaultRetention()
	fields := fieldsOf(&r)
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		field := fields[strings.TrimSpace(name)]
		if !ok || field == nil {
			return Retention{}, fmt.Errorf("reading the retention: %q is not name=time, with one of the names %s",
				part, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
		d, err := parseDays(strings.TrimSpace(value))
		if err != nil {
			return Retention{}, fmt.Errorf("reading the retention: %q is no time such as 48h or 30d", part)
		}
		*field = d
	}
	return r, r.Check()
}

const day = 24 * time.Hour

func parseDays(text string) (time.Duration, error) {
	days, ok := strings.CutSuffix(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	return time.Duration(n) * day, err
}

func formatDays(d time.Duration) string {
	if d > 0 && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return d.String()
}
