// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"math"
	"testing"
)

func TestIncrease32(t *testing.T) {
	for name, tc := range map[string]struct {
		prev, cur uint64
		limit     float64
		want      float64
		ok        bool
	}{
		"grows":                        {100, 300, 1, 200, true},
		"stands still":                 {100, 100, 0, 0, true},
		"wraps":                        {math.MaxUint32 - 10, 20, 100, 31, true},
		"wraps to nothing":             {math.MaxUint32, 0, 100, 1, true},
		"wraps by more than it can":    {math.MaxUint32 - 10, 20, 30, 31, false},
		"begins anew":                  {5_000_000, 120, 16_500, math.MaxUint32 + 1 - 5_000_000 + 120, false},
		"falls and was never 32 bits":  {math.MaxUint32 + 100, 100, 1e12, 0, false},
		"grows beyond 32 bits at once": {math.MaxUint32, math.MaxUint32 + 100, 1, 100, true},
	} {
		if got, ok := increase32(tc.prev, tc.cur, tc.limit); ok != tc.ok || ok && got != tc.want {
			t.Errorf("%s: %g %v, want %g %v", name, got, ok, tc.want, tc.ok)
		}
	}
}

// A time field that cannot have wrapped takes only its own values with it, unless
// it is the one that every kernel keeps in step with the clock.
func TestDiskTimeFields(t *testing.T) {
	base := Disk{ReadIOs: 100, WriteIOs: 100, ReadTicks: 4_294_967_000, WriteTicks: 4_294_967_000, WeightedTicks: 4_294_967_000, IOTicks: 1000}
	later := base
	later.ReadIOs, later.WriteIOs, later.IOTicks = 110, 110, 2000
	for name, tc := range map[string]struct {
		change                  func(d *Disk)
		read, write, weight, ok bool
	}{
		"as it should be":                {func(*Disk) {}, true, true, true, true},
		"all wrap":                       {func(d *Disk) { d.ReadTicks, d.WriteTicks, d.WeightedTicks = 704, 704, 704 }, true, true, true, true},
		"reads begin anew":               {func(d *Disk) { d.ReadTicks = 3_000_000_000 }, false, true, true, true},
		"as much as four could take":     {func(d *Disk) { d.WeightedTicks, d.InFlight = 50_000, 4 }, true, true, true, true},
		"more than one could take":       {func(d *Disk) { d.WeightedTicks = 50_000 }, true, true, false, true},
		"the device begins anew":         {func(d *Disk) { d.IOTicks = 10 }, false, false, false, false},
		"fewer requests than there were": {func(d *Disk) { d.WriteIOs = 99 }, false, false, false, false},
	} {
		cur := later
		tc.change(&cur)
		u, ok := diskUsage(&base, &cur, 15)
		if ok != tc.ok || u.HasReadTicks != tc.read || u.HasWriteTicks != tc.write || u.HasWeighted != tc.weight {
			t.Errorf("%s: %v %+v", name, ok, u)
		}
	}
}

func TestInterfaceCountersThatFall(t *testing.T) {
	base := InterfaceCounters{1000, 100, 10, 10, 1000, 100, 10, 10}
	later := InterfaceCounters{16000, 250, 25, 5, 16000, 250, 5, 25}
	u, ok := interfaceUsage(&base, &later, 15)
	want := InterfaceUsage{
		ReceiveBytes: 1000, ReceivePackets: 10, TransmitBytes: 1000, TransmitPackets: 10,
		ReceiveErrors: 1, HasReceiveErrors: true, TransmitDrops: 1, HasTransmitDrops: true,
	}
	if !ok || u != want {
		t.Errorf("%v %+v, want %+v", ok, u, want)
	}
	later.TransmitPackets = 99
	if u, ok := interfaceUsage(&base, &later, 15); ok {
		t.Errorf("an interface that was made anew has %+v", u)
	}
}

func TestStallPercent(t *testing.T) {
	for name, tc := range map[string]struct {
		prev, cur uint64
		want      float64
		ok        bool
	}{
		"some": {1_000_000, 1_750_000, 5, true}, "all, and a little of before": {0, 16_900_000, 100, true}, "none": {7, 7, 0, true}, "began anew": {8, 7, 0, false},
	} {
		if got, ok := stallPercent(tc.prev, tc.cur, 15); ok != tc.ok || ok && math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("%s: %g %v, want %g %v", name, got, ok, tc.want, tc.ok)
		}
	}
}

func TestCPUUsageThatCannotBe(t *testing.T) {
	base := CPUTimes{User: 1000, System: 1000, Idle: 100_000, IOWait: 100, Steal: 500}
	for name, tc := range map[string]struct {
		change func(c *CPUTimes)
		ok     bool
	}{
		"a quiet interval":             {func(c *CPUTimes) { c.Idle += 1500 }, true},
		"nothing counted":              {func(*CPUTimes) {}, false},
		"far too little counted":       {func(c *CPUTimes) { c.Idle += 700 }, false},
		"far too much counted":         {func(c *CPUTimes) { c.Idle += 3001 }, false},
		"steal below zero":             {func(c *CPUTimes) { c.Idle += 1500; c.Steal = math.MaxUint64 - 5 }, false},
		"steal falls":                  {func(c *CPUTimes) { c.Idle += 1500; c.Steal -= 10 }, false},
		"idle falls by a little":       {func(c *CPUTimes) { c.User += 1500; c.Idle -= 10 }, true},
		"idle falls by three seconds":  {func(c *CPUTimes) { c.User += 1500; c.Idle -= 300 }, false},
		"guests run more than users":   {func(c *CPUTimes) { c.User += 1500; c.Guest += 1510 }, true},
		"wait for input falls to none": {func(c *CPUTimes) { c.Idle += 1500; c.IOWait = 0 }, true},
	} {
		cur := base
		tc.change(&cur)
		u, ok := cpuUsage(base, cur, 1500)
		if ok != tc.ok {
			t.Errorf("%s: %v %+v", name, ok, u)
		}
		sum := u.User + u.Nice + u.System + u.Idle + u.IOWait + u.IRQ + u.SoftIRQ + u.Steal + u.Guest
		if ok && math.Abs(sum-100) > 1e-9 {
			t.Errorf("%s: the parts add up to %g", name, sum)
		}
	}
}

func TestSmallFiles(t *testing.T) {
	for text, want := range map[string]uint64{"1000\n": 1e9, "100000\n": 1e11, "-1\n": 0, "4294967295\n": 0, "": 0, "0\n": 0, "fast\n": 0} {
		if got := parseSpeed([]byte(text)); got != want {
			t.Errorf("speed %q is %d, want %d", text, got, want)
		}
	}
	for text, want := range map[string]LinkState{"up\n": LinkUp, "down\n": LinkDown, "lowerlayerdown\n": LinkDown, "unknown\n": LinkUnknown, "": LinkUnknown} {
		if got := parseLinkState([]byte(text)); got != want {
			t.Errorf("operstate %q is %d, want %d", text, got, want)
		}
	}
	for text, want := range map[string]Number{
		"entries  found\n000001f4  00000000\n000001f4  00000001\n": {500, true}, "entries\nffffffff\n": {math.MaxUint32, true},
		"entries\n": {}, "entries\n1f4": {}, "entries\nxyz\n": {}, "000001f4\n000001f4\n": {}, "": {},
	} {
		if got := parseConntrack([]byte(text)); got != want {
			t.Errorf("nf_conntrack %q is %v, want %v", text, got, want)
		}
	}
	for text, want := range map[string]float64{"52000\n": 52, "-2800\n": -2.8, "0\n": 0} {
		if got, ok := parseMillidegrees([]byte(text)); !ok || got != want {
			t.Errorf("%q is %g %v, want %g", text, got, ok, want)
		}
	}
	if _, ok := parseMillidegrees([]byte("N/A\n")); ok {
		t.Error("a temperature without a number is taken")
	}
}

func TestClock(t *testing.T) {
	for name, tc := range map[string]struct {
		state  int
		status int32
		offset int64
		want   Clock
	}{
		"disciplined in nanoseconds":  {0, statusNanos | 1, 125_000, Clock{true, 0.000125, true}},
		"disciplined in microseconds": {0, 1, -1500, Clock{true, -0.0015, true}},
		"a leap second is due":        {1, statusNanos, 0, Clock{true, 0, true}},
		"never set":                   {timeError, statusUnsync, 0, Clock{true, 0, false}},
		"may not be asked":            {-1, 0, 0, Clock{}},
	} {
		if got := clockOf(tc.state, tc.status, tc.offset); got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}
