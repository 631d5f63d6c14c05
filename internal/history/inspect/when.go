// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlhyper/atlhyper/internal/history"
)

const (
	day = 24 * time.Hour
	// maxAgo keeps what is added up from overflowing.
	maxAgo = 36525 * day
)

// span is the flags --since and --until.
type span struct {
	since, until string
}

func (f *span) bind(cmd *cobra.Command, standard string) {
	cmd.Flags().StringVar(&f.since, "since", "", "from this time on: how long ago (2h, 7d) or when (RFC 3339, 2006-01-02) (default "+standard+")")
	cmd.Flags().StringVar(&f.until, "until", "", "before this time, like --since (default now)")
}

func (f *span) given() bool { return f.since != "" || f.until != "" }

// between returns the time range. ahead is what to look ahead when no end is given:
// clocks of member clusters may be a little ahead of this one.
func (f *span) between(s *session, standard, ahead time.Duration) (history.Range, error) {
	r := history.Last(standard, s.now)
	r.End = r.End.Add(ahead)
	var err error
	if f.until != "" {
		if r.End, err = moment(f.until, s.now, s.location); err != nil {
			return r, fmt.Errorf("reading --until: %w", err)
		}
		r.Start = r.End.Add(-standard)
	}
	if f.since != "" {
		if r.Start, err = moment(f.since, s.now, s.location); err != nil {
			return r, fmt.Errorf("reading --since: %w", err)
		}
	}
	if !r.End.After(r.Start) {
		return r, fmt.Errorf("--since (%s) has to be before --until (%s)", stamp(r.Start, s.location), stamp(r.End, s.location))
	}
	return r, r.Check()
}

var days = regexp.MustCompile(`^(\d{1,5})([dw])(.*)$`)

// moment reads how long ago, or when.
func moment(text string, now time.Time, location *time.Location) (time.Time, error) {
	if text == "now" {
		return now, nil
	}
	if ago, err := lasting(text); err == nil {
		if ago < 0 {
			return time.Time{}, errors.New("how long ago cannot be negative")
		}
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, location); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither a duration such as 90m, 2h or 7d nor a time such as 2006-01-02T15:04:05Z", sanitize(text))
}

// lasting reads a duration, which may begin with days or weeks.
func lasting(text string) (time.Duration, error) {
	m := days.FindStringSubmatch(text)
	if m == nil {
		return time.ParseDuration(text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0, err
	}
	unit := day
	if m[2] == "w" {
		unit = 7 * day
	}
	if time.Duration(n) > maxAgo/unit {
		return 0, fmt.Errorf("%s is longer than a hundred years", m[1]+m[2])
	}
	total := time.Duration(n) * unit
	if m[3] == "" {
		return total, nil
	}
	rest, err := lasting(m[3])
	return total + rest, err
}

// stamp returns a time as --since takes it; empty when it is unknown.
func stamp(t time.Time, location *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return t.In(location).Format(time.RFC3339)
}

// age returns how long ago something was in at most two units; empty when unknown.
// Clocks differ a little: the future is now.
func age(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return lengthOf(max(0, now.Sub(t)))
}

// lengthOf returns a duration in the two largest units that say something.
func lengthOf(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 10*time.Minute:
		return two(d, time.Minute, "m", time.Second, "s")
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return two(d, time.Hour, "h", time.Minute, "m")
	case d < 10*day:
		return two(d, day, "d", time.Hour, "h")
	default:
		return fmt.Sprintf("%dd", d/day)
	}
}

func two(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	text := fmt.Sprintf("%d%s", d/large, largeName)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf("%d%s", rest, smallName)
	}
	return text
}
