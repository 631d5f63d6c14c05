// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// families are what vectors may be about. Each takes what it knows of an input and
// adds results, computed by the code that makes samples; a vector about something
// else has nothing for it.
var families = []func(in *input, out fields){
	cpuFamily, coreFamily, memoryFamily, diskFamily, networkFamily, pressureFamily,
	spaceFamily, mountFamily, temperatureFamily, loadFamily, shareFamily,
}

// absent says which results there can be: those that nothing is added for have no
// value.
func (f fields) absent(names ...string) {
	for _, name := range names {
		if _, ok := f[name]; !ok {
			f[name] = nil
		}
	}
}

// add adds results that have a value when ok is true.
func (f fields) add(ok bool, results map[string]float64) {
	for name, v := range results {
		f.absent(name)
		if ok {
			f[name] = v
		}
	}
}

// verdict adds what a vector says of a sample as a whole: whether there is one,
// and that the next one is measured from the later moment, whatever came of this.
func (f fields) verdict(sample, next bool) {
	f.absent("sample")
	if sample {
		f["sample"] = true
	}
	f["baselineReplaced"] = next
}

func cpuFamily(in *input, out fields) {
	var user, nice, system, idle, iowait, irq, softirq, steal, guest, guestNice [2]uint64
	found := in.counters(map[string]*[2]uint64{
		"user": &user, "nice": &nice, "system": &system, "idle": &idle, "iowait": &iowait,
		"irq": &irq, "softirq": &softirq, "steal": &steal, "guest": &guest, "guest_nice": &guestNice,
	})
	if len(found) == 0 {
		return
	}
	hz, ok := in.number("userHZ")
	if !ok {
		hz = UserHZ
	}
	moment := func(m int) CPUTimes {
		line := fmt.Sprintf("cpu  %d %d %d %d %d %d %d %d %d %d\n", user[m], nice[m], system[m], idle[m], iowait[m],
			irq[m], softirq[m], steal[m], guest[m], guestNice[m])
		var s Stat
		if !parseStat([]byte(line), &s) {
			in.fail("%s is not read", line)
		}
		return s.Total
	}
	seconds, given, passed := in.elapsed()
	expected := 0.0 // unknown
	if cores, ok := in.number("cores", "cpus"); ok && given {
		expected = seconds * hz * cores
	}
	usage := func(prev, cur CPUTimes, expected float64) (CPUUsage, bool) {
		if hz == UserHZ {
			return cpuUsage(prev, cur, expected)
		}
		return usageOfTicks(prev, cur, expected, uint64(hotplugTicks/UserHZ*hz))
	}
	prev, cur := moment(0), moment(1)
	u, ok := usage(prev, cur, expected)
	ok = ok && passed
	later := cur
	later.Idle += usualSeconds * uint64(hz)
	next, nextOK := usage(cur, later, usualSeconds*hz)
	out.verdict(ok, nextOK && next.Idle == 100)
	out.add(ok, map[string]float64{
		"totalJiffies": u.Ticks, "usagePct": u.Usage, "usageNoStealPct": u.UsageNoSteal, "userPct": u.User, "nicePct": u.Nice,
		"systemPct": u.System, "idlePct": u.Idle, "iowaitPct": u.IOWait, "irqPct": u.IRQ, "softirqPct": u.SoftIRQ,
		"stealPct": u.Steal, "guestPct": u.Guest,
	})
}

func coreFamily(in *input, out fields) {
	moments := [2][]CoreTimes{}
	for m, key := range [...]string{"prevCores", "curCores"} {
		list, ok := in.fields[key].([]any)
		if !ok {
			return
		}
		in.used[key] = true
		for _, item := range list {
			in.counter(key, item, func(n uint64, negative bool) {
				if negative || n >= 1<<16 {
					in.fail("%s has %v", key, item)
				}
				busy := [...]uint64{1000, 1000 + usualSeconds*UserHZ}
				moments[m] = append(moments[m], CoreTimes{Number: int(n & math.MaxUint16), Times: CPUTimes{User: busy[m], Idle: 5000}})
			})
		}
		if len(moments[m]) != len(list) {
			in.fail("%s has something else than numbers", key)
		}
		// As the kernel lists them.
		slices.SortFunc(moments[m], func(a, b CoreTimes) int { return cmp.Compare(a.Number, b.Number) })
	}
	cores := []float64{}
	coreUsage(moments[0], moments[1], usualSeconds, func(number int, usage float64) {
		if usage == 100 {
			cores = append(cores, float64(number))
		}
	})
	out["perCore"], out["cores"] = cores, float64(len(moments[1]))
}

func memoryFamily(in *input, out fields) {
	object, whole := in.object("meminfoKB")
	in.used["meminfoKB"] = whole
	if !whole {
		object = in.fields
	}
	var text strings.Builder
	for name, value := range object {
		f, known := memoryField([]byte(name))
		if !known {
			if whole {
				in.fail("nothing reads %s", name)
			}
			continue
		}
		if value == nil {
			in.used[name] = true // a line that is not there
			text.WriteByte('\n')
		}
		in.counter(name, value, func(n uint64, negative bool) {
			if negative {
				in.fail("%s is below 0", name)
			}
			unit := " kB"
			if !f.IsBytes() {
				unit = ""
			}
			fmt.Fprintf(&text, "%s: %8d%s\n", name, n, unit)
		})
		if !in.used[name] {
			in.fail("%s is no number", name)
		}
	}
	if text.Len() == 0 {
		return
	}
	var m Memory
	total := parseMemory([]byte(text.String()), &m)
	if !total { // enough for a table
		parseMemory([]byte(text.String()+"MemTotal: 1024 kB\n"), &m)
	}
	u, ok := memoryUsage(&m)
	out.add(ok && total, map[string]float64{"availableBytes": u.Available, "usedBytes": u.Used, "usedPct": u.UsedPercent})
	out.absent("availableEstimated")
	if ok && total {
		out["availableEstimated"] = u.Estimated
	}
	out.add(total, map[string]float64{"totalBytes": m.bytes(MemTotal)})
	cached, ok := cachedBytes(&m)
	out.add(ok, map[string]float64{"cachedBytes": cached})
	for name, f := range map[string]MemoryField{
		"buffersBytes": MemBuffers, "shmemBytes": MemShmem, "freeBytes": MemFree, "dirtyBytes": MemDirty, "slabBytes": MemSlab,
		"swapTotalBytes": MemSwapTotal,
	} {
		out.add(m.has(f), map[string]float64{name: m.bytes(f)})
	}
	used, percent, ok := swapUsage(&m)
	out.add(ok, map[string]float64{"swapUsedBytes": used, "swapUsedPct": percent})
	reserved, used, ok := hugepages(&m)
	out.add(ok, map[string]float64{"hugepagesReservedBytes": reserved, "hugepagesUsedBytes": used})
}

func spaceFamily(in *input, out fields) {
	object, ok := in.object("statfs")
	if !ok {
		return
	}
	var c SpaceCounts
	told := map[string]bool{}
	for name, to := range map[string]*uint64{
		"blocks": &c.Blocks, "bfree": &c.Free, "bavail": &c.Available, "bsize": &c.BlockSize, "files": &c.Files, "ffree": &c.FilesFree,
	} {
		in.counter("statfs."+name, object[name], func(n uint64, negative bool) {
			if *to, told[name] = n, true; negative {
				in.fail("%s is below 0", name)
			}
		})
	}
	s := space(c)
	has := c.Blocks > 0
	out.add(has, map[string]float64{
		"sizeBytes": s.Size, "freeBytes": s.Free, "availBytes": s.Available, "usedBytes": s.Used,
		"usedPct": s.UsedPercent, "availOfSizePct": s.AvailablePercent,
	})
	// A filesystem of no blocks is not shown.
	out.add(s.HasInodes && (has || !told["blocks"]), map[string]float64{
		"inodesUsedPct": s.InodesUsedPercent, "inodes": s.Inodes, "inodesFree": s.InodesFree,
	})
}

func mountFamily(in *input, out fields) {
	line := map[string]string{"point": "/mnt", "options": "rw", "super": "rw"}
	told := false
	for key, part := range map[string]string{
		"mountinfoMountPoint": "point", "mountinfoOptions": "options", "mountOptions": "options", "options": "options",
		"superOptions": "super", "mountinfoSuperOptions": "super",
	} {
		if text, ok := in.fields[key].(string); ok {
			in.used[key], told = true, true
			line[part] = text
		}
	}
	text := fmt.Sprintf("36 35 98:0 / %s %s - ext4 /dev/sda1 %s", line["point"], line["options"], line["super"])
	for _, key := range [...]string{"mountinfo", "mountinfoLine"} {
		if whole, ok := in.fields[key].(string); ok {
			in.used[key], told = true, true
			text = strings.TrimSuffix(whole, "\n")
		}
	}
	if !told {
		return
	}
	mounts := parseMounts([]byte(text+"\n"), nil)
	if len(mounts) != 1 {
		in.fail("%q is no mount", text)
		return
	}
	out["mountPoint"], out["readOnly"] = mounts[0].Point, mounts[0].ReadOnly
	out["device"], out["fsType"] = mounts[0].Device, mounts[0].Type
}

func temperatureFamily(in *input, out fields) {
	for key, name := range map[string]string{
		"thermal_zone_temp": "zoneC", "hwmon_temp1_input": "sensorC", "hwmon_temp1_crit": "critC", "hwmon_temp1_max": "maxC",
	} {
		value, told := in.value(key)
		if !told {
			continue
		}
		out.absent("zoneC", "sensorC", "critC", "maxC")
		if value == nil {
			continue // no such file
		}
		celsius, ok := parseMillidegrees(fmt.Appendf(nil, "%v\n", value))
		out.add(ok, map[string]float64{name: celsius})
	}
}

func loadFamily(in *input, out fields) {
	load, ok := in.number("load1")
	if !ok {
		return
	}
	in.number("load5")
	in.number("load15")
	cores, _ := in.number("cores", "cpus")
	l := parseLoad([]byte(strconv.FormatFloat(load, 'f', -1, 64) + " 0.00 0.00 1/100 1234\n"))
	v, ok := loadPerCore(l.Load1, int(cores))
	out.add(ok, map[string]float64{"load1PerCore": v, "loadPerCore": v, "perCore": v})
	out.add(l.Known, map[string]float64{"load1": l.Load1})
}

// shareFamily is about file handles, connections and threads: what is in use, by
// how much there may be.
func shareFamily(in *input, out fields) {
	var s Share
	text, handles := in.fields["fileNr"].(string)
	if handles {
		in.used["fileNr"] = true
		s = parseFileHandles([]byte(text))
	}
	text, connections := in.fields["nfConntrack"].(string)
	if connections {
		in.used["nfConntrack"] = true
		s.Used = parseConntrack([]byte("entries  searched\n" + text + "\n"))
	}
	number := func(to *Number, names ...string) (told bool) {
		for _, name := range names {
			value, ok := in.value(name)
			in.counter(name, value, func(n uint64, negative bool) {
				if *to = (Number{n, true}); negative {
					in.fail("%s is below 0", name)
				}
			})
			told = told || ok
		}
		return told
	}
	plain := number(&s.Used, "entries", "conntrackEntries", "nf_conntrack_count", "allocated", "threads")
	if !handles && !connections && !plain {
		return
	}
	number(&s.Limit, "nfConntrackMax", "max", "entriesMax", "conntrackMax", "nf_conntrack_max", "pidMax", "pid_max")
	used := float64(s.Used.Value)
	out.add(s.Used.Known, map[string]float64{"used": used, "entries": used, "allocated": used, "threads": used})
	percent, ok := s.percent()
	out.add(ok, map[string]float64{"usedPct": percent, "ratio": percent / 100})
}
