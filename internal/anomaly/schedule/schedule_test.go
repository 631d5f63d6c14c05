// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package schedule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly/schedule"
)

func TestNext(t *testing.T) {
	tokyo := time.FixedZone("JST", 9*60*60)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		schedule string
		zone     *time.Location
		from     string
		want     []string
	}{
		"every minute":            {"* * * * *", nil, "2026-11-23T12:00:30Z", []string{"2026-11-23T12:01:00Z", "2026-11-23T12:02:00Z"}},
		"not the same minute":     {"0 12 * * *", nil, "2026-11-23T12:00:00Z", []string{"2026-11-24T12:00:00Z"}},
		"steps":                   {"*/20 * * * *", nil, "2026-11-23T12:05:00Z", []string{"2026-11-23T12:20:00Z", "2026-11-23T12:40:00Z", "2026-11-23T13:00:00Z"}},
		"a range with a step":     {"10-30/10 8 * * *", nil, "2026-11-23T08:10:00Z", []string{"2026-11-23T08:20:00Z", "2026-11-23T08:30:00Z", "2026-11-24T08:10:00Z"}},
		"a start with a step":     {"5/25 * * * *", nil, "2026-11-23T08:31:00Z", []string{"2026-11-23T08:55:00Z", "2026-11-23T09:05:00Z"}},
		"lists and names":         {"0 0 * feb,MAR mon-wed", nil, "2026-11-23T00:00:00Z", []string{"2027-02-01T00:00:00Z", "2027-02-02T00:00:00Z"}},
		"either of the days":      {"0 0 13 * fri", nil, "2026-11-10T00:00:00Z", []string{"2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"}},
		"Sunday is 7 too":         {"0 0 * * 7", nil, "2026-11-23T00:00:00Z", []string{"2026-11-29T00:00:00Z"}},
		"Friday to Sunday":        {"0 0 * * 5-7", nil, "2026-11-23T00:00:00Z", []string{"2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"}},
		"a leap day":              {"0 0 29 2 *", nil, "2026-11-23T00:00:00Z", []string{"2028-02-29T00:00:00Z"}},
		"a zone":                  {"30 9 * * *", tokyo, "2026-11-23T00:00:00Z", []string{"2026-11-23T00:30:00Z"}},
		"a descriptor":            {"@weekly", nil, "2026-11-23T00:00:00Z", []string{"2026-11-29T00:00:00Z"}},
		"every 90 seconds":        {"@every 90s", nil, "2026-11-23T00:00:00Z", []string{"2026-11-23T00:01:30Z", "2026-11-23T00:03:00Z"}},
		"the hour that is left":   {"30 2 * * *", berlin, "2027-03-28T00:00:00Z", []string{"2027-03-29T00:30:00Z"}},
		"midnight after a change": {"0 0 * * *", berlin, "2027-03-28T12:00:00Z", []string{"2027-03-28T22:00:00Z"}},
		"never":                   {"0 0 30 2 *", nil, "2026-11-23T00:00:00Z", []string{"0001-01-01T00:00:00Z"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := schedule.Parse(tc.schedule, tc.zone)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, tc.from)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for range tc.want {
				at = s.Next(at)
				got = append(got, at.Format(time.RFC3339))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("runs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsNoSchedule(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "0 fields",
		"* * * *":                 "4 fields",
		"60 * * * *":              "reading the minute of the schedule: 60: out of range",
		"* 1-x * * *":             `"x" is no number`,
		"* 5-1 * * *":             "ends before it begins",
		"*/0 * * * *":             "no step",
		"* * * foo *":             `"foo" is no number`,
		"@every soon":             "no duration",
		"@every 10ms":             "no duration of at least a second",
		"TZ=Asia/Tokyo 0 0 * * *": "6 fields",
	} {
		if _, err := schedule.Parse(text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one that contains %q", text, err, want)
		}
	}
}

// Whatever is accepted has runs that follow one another.
func FuzzSchedule(f *testing.F) {
	for _, s := range []string{"*/5 * * * *", "0 0 31 4,6 1-7", "@every 1h", "@yearly", "5-4 * * * *"} {
		f.Add(s, int64(1795435200))
	}
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		s, err := schedule.Parse(text, nil)
		if err != nil || unix < 0 || unix > 1<<34 {
			return
		}
		from := time.Unix(unix, 0)
		next := s.Next(from)
		if !next.IsZero() && !next.After(from) {
			t.Errorf("%q: after %s comes %s", text, from, next)
		}
	})
}
