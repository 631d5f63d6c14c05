// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package schedule reads the schedules of CronJobs and says when they are due.
package schedule

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Schedule is when something runs.
type Schedule struct {
	minute, hour, dayOfMonth, month, dayOfWeek uint64
	// anyDay is true when one of the two day fields is a star: then both have to
	// match, otherwise one is enough.
	anyDay bool
	every  time.Duration
	zone   *time.Location
}

type field struct {
	name     string
	min, max int
	words    string
}

var fields = [...]field{
	{name: "minute", min: 0, max: 59},
	{name: "hour", min: 0, max: 23},
	{name: "day of month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, words: "janfebmaraprmayjunjulaugsepoctnovdec"},
	{name: "day of week", min: 0, max: 6, words: "sunmontuewedthufrisat"},
}

var descriptors = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *",
	"@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// Parse reads a schedule of five fields, a descriptor such as "@hourly", or
// "@every" with a duration of at least a second. zone nil means UTC. A schedule
// that names its own zone (TZ=, which the API refuses today) is an error.
func Parse(text string, zone *time.Location) (Schedule, error) {
	if zone == nil {
		zone = time.UTC
	}
	text = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(text, "@every "); ok {
		every, err := time.ParseDuration(strings.TrimSpace(rest))
		if err != nil || every < time.Second {
			return Schedule{}, fmt.Errorf("reading the schedule: %q is no duration of at least a second", rest)
		}
		return Schedule{every: every.Truncate(time.Second), zone: zone}, nil
	}
	if spelled, ok := descriptors[strings.ToLower(text)]; ok {
		text = spelled
	}
	words := strings.Fields(text)
	if len(words) != len(fields) {
		return Schedule{}, fmt.Errorf("reading the schedule: it has %d fields, 5 are expected", len(words))
	}
	var sets [len(fields)]uint64
	for i, word := range words {
		set, err := fields[i].parse(word)
		if err != nil {
			return Schedule{}, fmt.Errorf("reading the %s of the schedule: %w", fields[i].name, err)
		}
		sets[i] = set
	}
	return Schedule{
		minute: sets[0], hour: sets[1], dayOfMonth: sets[2], month: sets[3], dayOfWeek: sets[4],
		anyDay: isStar(words[2]) || isStar(words[4]), zone: zone,
	}, nil
}

func isStar(word string) bool { return strings.HasPrefix(word, "*") || strings.HasPrefix(word, "?") }

func (f field) parse(word string) (uint64, error) {
	var set uint64
	for part := range strings.SplitSeq(word, ",") {
		one, err := f.part(part)
		if err != nil {
			return 0, err
		}
		set |= one
	}
	return set, nil
}

func (f field) part(part string) (uint64, error) {
	span, stepText, stepped := strings.Cut(part, "/")
	step := 1
	if stepped {
		n, err := strconv.Atoi(stepText)
		if err != nil || n < 1 {
			return 0, fmt.Errorf("%q is no step", stepText)
		}
		step = n
	}
	first, last, err := f.span(span, stepped)
	if err != nil {
		return 0, err
	}
	var set uint64
	for n := first; n <= last; n += step {
		day := n
		if f.words != "" && f.max == 6 && n == 7 {
			day = 0
		}
		set |= 1 << day
	}
	return set, nil
}

func (f field) span(span string, stepped bool) (first, last int, err error) {
	if span == "*" || span == "?" {
		return f.min, f.max, nil
	}
	from, to, ranged := strings.Cut(span, "-")
	if first, err = f.number(from); err != nil {
		return 0, 0, err
	}
	switch {
	case ranged:
		if last, err = f.number(to); err != nil {
			return 0, 0, err
		}
	case stepped:
		last = f.max
	default:
		last = first
	}
	if last < first {
		return 0, 0, fmt.Errorf("%q ends before it begins", span)
	}
	return first, last, nil
}

var errRange = errors.New("out of range")

func (f field) number(word string) (int, error) {
	if f.words != "" && len(word) == 3 {
		if i := strings.Index(f.words, strings.ToLower(word)); i >= 0 && i%3 == 0 {
			return f.min + i/3, nil
		}
	}
	n, err := strconv.Atoi(word)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", word)
	}
	most := f.max
	if f.max == 6 {
		most = 7 // Sunday again
	}
	if n < f.min || n > most {
		return 0, fmt.Errorf("%d: %w", n, errRange)
	}
	return n, nil
}

// horizon bounds the search: a schedule such as February 30 is never due.
const horizon = 5 * 366 * 24 * time.Hour

// Next returns the first moment after t at which the schedule is due; zero when it
// is not within five years.
func (s Schedule) Next(t time.Time) time.Time {
	if s.every > 0 {
		return t.Truncate(time.Second).Add(s.every)
	}
	end := t.Add(horizon)
	t = t.In(s.zone).Truncate(time.Minute).Add(time.Minute)
	for t.Before(end) {
		switch {
		case s.month&(1<<int(t.Month())) == 0:
			t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, s.zone)
		case !s.onDay(t):
			t = after(t, time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, s.zone))
		case s.hour&(1<<t.Hour()) == 0:
			t = after(t, t.Truncate(time.Minute).Add(time.Duration(60-t.Minute())*time.Minute))
		case s.minute&(1<<t.Minute()) == 0:
			t = t.Add(s.untilMinute(t.Minute()))
		default:
			return t.UTC()
		}
	}
	return time.Time{}
}

// after keeps the search moving when a change of the clock makes a day begin
// before the hour that was looked at.
func after(t, next time.Time) time.Time {
	if next.After(t) {
		return next
	}
	return t.Add(time.Hour)
}

// untilMinute is how far the next minute of the set is, or the next hour.
func (s Schedule) untilMinute(minute int) time.Duration {
	if later := s.minute >> minute; later != 0 {
		return time.Duration(bits.TrailingZeros64(later)) * time.Minute
	}
	return time.Duration(60-minute) * time.Minute
}

func (s Schedule) onDay(t time.Time) bool {
	month, week := s.dayOfMonth&(1<<t.Day()) != 0, s.dayOfWeek&(1<<int(t.Weekday())) != 0
	if s.anyDay {
		return month && week
	}
	return month || week
}
