// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"encoding/json"
	"fmt"
	"strings"
)

// families are what vectors may be about. Each takes what it knows of an input and
// adds results, computed by the code that makes samples; a vector about something
// else has nothing for it.
var families = []func(in *input, out fields){
	cpuFamily, coreFamily, memoryFamily, diskFamily, networkFamily, pressureFamily,
	spaceFamily, mountFamily, rateFamily, temperatureFamily, loadFamily, shareFamily,
}

// verdict adds what a vector says of a sample as a whole: whether there is one,
// and that the next one is measured from the later moment, whatever came of this.
func verdict(out fields, sample, next bool) {
	out["sample"] = nil
	if sample {
		out["sample"] = true
	}
	out["baselineReplaced"] = next
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
	if hz, ok := in.number("userHZ"); ok && hz != UserHZ {
		in.fail("a userHZ of %g is none that Go's platforms have", hz)
	}
	cores, ok := in.number("cores", "cpus")
	if !ok {
		cores = 1
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
	prev, cur := moment(0), moment(1)
	expected := in.seconds() * UserHZ * cores
	u, ok := cpuUsage(prev, cur, expected)
	if in.first() {
		_, ok = between(false, 0, 1)
	}
	later := cur
	later.Idle += uint64(expected)
	next, nextOK := cpuUsage(cur, later, expected)
	verdict(out, ok, nextOK && next.Idle == 100)
	if !ok {
		return
	}
	for name, v := range map[string]float64{
		"totalJiffies": u.Ticks, "usagePct": u.Usage, "usageNoStealPct": u.UsageNoSteal, "userPct": u.User, "nicePct": u.Nice,
		"systemPct": u.System, "idlePct": u.Idle, "iowaitPct": u.IOWait, "irqPct": u.IRQ, "softirqPct": u.SoftIRQ,
		"stealPct": u.Steal, "guestPct": u.Guest,
	} {
		out[name] = v
	}
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
			number, ok := item.(json.Number)
			n, err := number.Int64()
			if !ok || err != nil {
				in.fail("%s has %v", key, item)
			}
			busy := 1000 + uint64(m)*15*UserHZ
			moments[m] = append(moments[m], CoreTimes{Number: int(n), Times: CPUTimes{User: busy, Idle: 5000}})
		}
	}
	cores := []float64{}
	coreUsage(moments[0], moments[1], in.seconds(), func(number int, usage float64) {
		if usage == 100 {
			cores = append(cores, float64(number))
		}
	})
	out["perCore"], out["cores"] = cores, float64(len(moments[1]))
}

func memoryFamily(in *input, out fields) {
	object, ok := in.object("meminfoKB")
	in.used["meminfoKB"] = ok
	if !ok {
		object = in.fields
	}
	var text strings.Builder
	var before strings.Builder // enough for a table, where the vector has no such lines
	for name, value := range object {
		f, known := memoryField([]byte(name))
		if !known {
			if ok {
				in.fail("nothing reads %s", name)
			}
			continue
		}
		in.used[name] = true
		unit := " kB"
		if !f.IsBytes() {
			unit = ""
		}
		fmt.Fprintf(&text, "%s: %8s%s\n", name, value, unit)
	}
	if text.Len() == 0 {
		return
	}
	if _, ok := object["MemTotal"]; !ok {
		before.WriteString("MemTotal: 1024 kB\n")
	}
	var m Memory
	if !parseMemory([]byte(before.String()+text.String()), &m) {
		in.fail("meminfo is not read: %s", text.String())
	}
	if u, ok := memoryUsage(&m); ok {
		out["totalBytes"], out["availableBytes"], out["usedBytes"], out["usedPct"] = u.Total, u.Available, u.Used, u.UsedPercent
		out["availableEstimated"] = u.Estimated
	}
	if v, ok := cachedBytes(&m); ok {
		out["cachedBytes"] = v
	}
	out["buffersBytes"], out["shmemBytes"], out["freeBytes"] = m.bytes(MemBuffers), m.bytes(MemShmem), m.bytes(MemFree)
	if used, percent, ok := swapUsage(&m); ok {
		out["swapUsedBytes"], out["swapUsedPct"], out["swapTotalBytes"] = used, percent, m.bytes(MemSwapTotal)
	}
	if reserved, used, ok := hugepages(&m); ok {
		out["hugepagesReservedBytes"], out["hugepagesUsedBytes"] = reserved, used
	}
}

func spaceFamily(in *input, out fields) {
	object, ok := in.object("statfs")
	if !ok {
		return
	}
	in.used["statfs"] = true
	var c SpaceCounts
	for name, to := range map[string]*uint64{
		"blocks": &c.Blocks, "bfree": &c.Free, "bavail": &c.Available, "bsize": &c.BlockSize, "files": &c.Files, "ffree": &c.FilesFree,
	} {
		*to, _ = in.uint(object, name)
	}
	s := space(c)
	out["sizeBytes"], out["freeBytes"], out["availBytes"], out["usedBytes"] = s.Size, s.Free, s.Available, s.Used
	out["usedPct"], out["availOfSizePct"] = s.UsedPercent, s.AvailablePercent
	out["inodesUsedPct"] = nil
	if s.HasInodes {
		out["inodesUsedPct"] = s.InodesUsedPercent
	}
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
		number, ok := in.fields[key].(json.Number)
		if !ok {
			continue
		}
		in.used[key] = true
		out[name] = nil
		if celsius, ok := parseMillidegrees([]byte(number.String() + "\n")); ok {
			out[name] = celsius
		}
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
	l := parseLoad(fmt.Appendf(nil, "%.2f 0.00 0.00 1/100 1234\n", load))
	if v, ok := loadPerCore(l.Load1, int(cores)); ok {
		out["load1PerCore"], out["loadPerCore"], out["perCore"] = v, v, v
	}
	out["load1"] = l.Load1
}

func shareFamily(in *input, out fields) {
	var s Share
	if text, ok := in.fields["fileNr"].(string); ok {
		in.used["fileNr"] = true
		s = parseFileHandles([]byte(text))
	}
	if text, ok := in.fields["nfConntrack"].(string); ok {
		in.used["nfConntrack"] = true
		s.Used = parseConntrack([]byte("entries  searched\n" + text + "\n"))
		limit, ok := in.number("nfConntrackMax", "max")
		s.Limit = Number{uint64(limit), ok}
	}
	if s.Used.Known {
		out["used"], out["entries"], out["allocated"] = float64(s.Used.Value), float64(s.Used.Value), float64(s.Used.Value)
		percent, ok := s.percent()
		if out["usedPct"] = nil; ok {
			out["usedPct"] = percent
			out["ratio"] = percent / 100
		}
	}
}
