// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// anyValue says whether one of the counters that a vector gives has a value: those
// that may be missing from a sample alone have none when has says so.
func anyValue(found, has map[string]bool) bool {
	return slices.ContainsFunc(slices.Collect(maps.Keys(found)), func(name string) bool {
		value, alone := has[name]
		return value || !alone
	})
}

func diskFamily(in *input, out fields) {
	var readIOs, readSectors, readTicks, writeIOs, writeSectors, writeTicks, ioTicks, weighted, inFlight [2]uint64
	found := in.counters(map[string]*[2]uint64{
		"readIOs": &readIOs, "readSectors": &readSectors, "readTicks": &readTicks,
		"writeIOs": &writeIOs, "writeSectors": &writeSectors, "writeTicks": &writeTicks,
		"ioTicks": &ioTicks, "weighted": &weighted,
	})
	if len(found) == 0 {
		return
	}
	in.counters(map[string]*[2]uint64{"inFlight": &inFlight})
	if n, ok := in.number("inFlight", "in_flight"); ok {
		inFlight = [2]uint64{uint64(n), uint64(n)}
	}
	moment := func(m int) Disk {
		return Disk{
			ReadIOs: readIOs[m], ReadSectors: readSectors[m], ReadTicks: readTicks[m],
			WriteIOs: writeIOs[m], WriteSectors: writeSectors[m], WriteTicks: writeTicks[m],
			InFlight: inFlight[m], IOTicks: ioTicks[m], WeightedTicks: weighted[m],
		}
	}
	prev, cur := moment(0), moment(1)
	seconds, _, passed := in.elapsed()
	u, ok := diskUsage(&prev, &cur, seconds)
	ok = ok && passed && anyValue(found, map[string]bool{
		"weighted": u.HasWeighted, "readTicks": u.HasReadTicks, "writeTicks": u.HasWriteTicks,
	})
	later := cur
	later.ReadIOs += 10
	next, nextOK := diskUsage(&cur, &later, 10)
	out.verdict(ok, nextOK && next.Reads == 1)
	out.add(ok, map[string]float64{
		"readBytesPerSec": u.ReadBytes, "writeBytesPerSec": u.WriteBytes, "readIOPS": u.Reads, "writeIOPS": u.Writes,
		"utilPct": u.UtilPercent, "avgRequestBytes": u.RequestBytes,
	})
	out.add(ok && u.HasWeighted, map[string]float64{"queueDepth": u.QueueDepth})
	out.add(ok && u.HasReadTicks, map[string]float64{"readAwaitMs": u.ReadAwait})
	out.add(ok && u.HasWriteTicks, map[string]float64{"writeAwaitMs": u.WriteAwait})
	out.add(ok && u.HasReadTicks && u.HasWriteTicks, map[string]float64{"awaitMs": u.Await})
	switch {
	case found["ioTicks"]:
		millis, _ := increase32(prev.IOTicks, cur.IOTicks, seconds*1000*wrapSlack)
		out.add(ok, map[string]float64{"deltaMs": millis})
	case found["weighted"]:
		out.add(ok && u.HasWeighted, map[string]float64{"deltaMs": u.QueueDepth * seconds * 1000})
	default:
		out.absent("deltaMs")
	}
}

// linkSpeed is the speed of a link, if the vector says anything of it.
func linkSpeed(in *input) (bits uint64, told bool) {
	value, told := in.value("speedMbps", "speed")
	switch v := value.(type) {
	case json.Number:
		text, fraction, _ := strings.Cut(v.String(), ".")
		if strings.Trim(fraction, "0") != "" {
			in.fail("a speed of %s is none that the kernel writes", v)
		}
		bits = parseSpeed([]byte(text + "\n"))
	case string: // EINVAL
		bits = parseSpeed([]byte(v))
	case nil: // no such file
	default:
		in.fail("the speed is %v", v)
	}
	return bits, told
}

// networkFamily is also about bytes of which the vector does not say which way they
// go.
func networkFamily(in *input, out fields) {
	var rxBytes, rxPackets, rxErrs, rxDrops, txBytes, txPackets, txErrs, txDrops, bytes, packets, errs, drops [2]uint64
	found := in.counters(map[string]*[2]uint64{
		"rxBytes": &rxBytes, "rxPackets": &rxPackets, "rxErrs": &rxErrs, "rxDrops": &rxDrops,
		"txBytes": &txBytes, "txPackets": &txPackets, "txErrs": &txErrs, "txDrops": &txDrops,
		"bytes": &bytes, "packets": &packets, "errs": &errs, "drops": &drops,
	})
	speed, told := linkSpeed(in)
	if !told && len(found) == 0 {
		return
	}
	for name, counter := range map[string]struct{ either, receive *[2]uint64 }{
		"Bytes": {&bytes, &rxBytes}, "Packets": {&packets, &rxPackets}, "Errs": {&errs, &rxErrs}, "Drops": {&drops, &rxDrops},
	} {
		if plain := strings.ToLower(name); found[plain] {
			if found["rx"+name] {
				in.fail("%s are given twice", plain)
			}
			*counter.receive = *counter.either
			found["rx"+name] = true
			delete(found, plain)
		}
	}
	moment := func(m int) InterfaceCounters {
		return InterfaceCounters{
			rxBytes[m], rxPackets[m], rxErrs[m], rxDrops[m], txBytes[m], txPackets[m], txErrs[m], txDrops[m],
		}
	}
	prev, cur := moment(0), moment(1)
	seconds, _, passed := in.elapsed()
	u, ok := interfaceUsage(&prev, &cur, seconds)
	ok = ok && passed && (len(found) == 0 || anyValue(found, map[string]bool{
		"rxErrs": u.HasReceiveErrors, "rxDrops": u.HasReceiveDrops, "txErrs": u.HasTransmitErrors, "txDrops": u.HasTransmitDrops,
	}))
	later := cur
	later.ReceiveBytes += 10
	next, nextOK := interfaceUsage(&cur, &later, 10)
	out.verdict(ok, nextOK && next.ReceiveBytes == 1)
	out.add(ok, map[string]float64{
		"rxBytesPerSec": u.ReceiveBytes, "rxPacketsPerSec": u.ReceivePackets,
		"txBytesPerSec": u.TransmitBytes, "txPacketsPerSec": u.TransmitPackets,
		"bytesPerSec": max(u.ReceiveBytes, u.TransmitBytes),
	})
	ratio := each(u.ReceiveErrors, u.ReceivePackets)
	out.add(ok && u.HasReceiveErrors, map[string]float64{
		"rxErrsPerSec": u.ReceiveErrors, "errsPerSec": u.ReceiveErrors, "rxErrRatio": ratio, "rxErrsRatio": ratio, "rxErrRate": ratio,
	})
	out.add(ok && u.HasTransmitErrors, map[string]float64{
		"txErrsPerSec": u.TransmitErrors, "txErrRatio": each(u.TransmitErrors, u.TransmitPackets),
	})
	out.add(ok && u.HasReceiveErrors && u.HasTransmitErrors, map[string]float64{
		"errRatio": each(u.ReceiveErrors+u.TransmitErrors, u.ReceivePackets+u.TransmitPackets),
	})
	out.add(ok && u.HasReceiveDrops, map[string]float64{"rxDropsPerSec": u.ReceiveDrops})
	out.add(ok && u.HasTransmitDrops, map[string]float64{"txDropsPerSec": u.TransmitDrops})
	for name, bytes := range map[string]float64{
		"rxUtilPct": u.ReceiveBytes, "txUtilPct": u.TransmitBytes, "utilPct": max(u.ReceiveBytes, u.TransmitBytes),
	} {
		v, known := linkPercent(bytes, speed)
		out.add(ok && known, map[string]float64{name: v})
	}
}

// pressureNames are the ways to call a total of stalled time.
var pressureNames = map[string][]string{
	"some": {"some", "someUs", "someTotal", "someTotalUs", "someUsec", "someMicros"},
	"full": {"full", "fullUs", "fullTotal", "fullTotalUs", "fullUsec", "fullMicros"},
	// Of either kind.
	"": {"total", "totalUs", "totalUsec", "us", "usec", "micros", "psi", "psiUs", "psiTotal", "psiTotalUs", "stallUs", "stalledUs"},
}

func pressureFamily(in *input, out fields) {
	totals := map[string][2]uint64{}
	for kind, names := range pressureNames {
		var total [2]uint64
		to := map[string]*[2]uint64{}
		for _, name := range names {
			to[name] = &total
		}
		if found := in.counters(to); len(found) > 0 {
			totals[kind] = total
		}
	}
	absent := pressureFiles(in, totals)
	if len(totals) == 0 && !absent {
		return
	}
	either := []string{"pct", "psiPct", "pressurePct", "stallPct"}
	out.absent(append(either, "some", "somePct", "full", "fullPct")...)
	seconds, _, passed := in.elapsed()
	sample := false
	for kind, total := range totals {
		v, ok := stallPercent(total[0], total[1], seconds)
		ok = ok && passed
		sample = sample || ok
		if kind != "" {
			out.add(ok, map[string]float64{kind: v, kind + "Pct": v})
		}
		if len(totals) == 1 {
			for _, name := range either {
				out.add(ok, map[string]float64{name: v})
			}
		}
		if kind == "" {
			out.add(ok, map[string]float64{"some": v, "somePct": v, "full": v, "fullPct": v})
		}
	}
	out.verdict(sample, true)
}

// pressureFiles reads whole files, as texts of two moments, into totals. The files
// are absent when the vector says so, or that reading one is an error.
func pressureFiles(in *input, totals map[string][2]uint64) (absent bool) {
	for key, value := range in.fields {
		name := strings.ToLower(key)
		text, isText := value.(string)
		about := strings.Contains(name, "psi") || strings.Contains(name, "pressure") || name == "errno" || name == "error" || name == "file"
		if about && (value == nil || isText && !strings.Contains(text, "total=")) {
			in.used[key] = true
			p := parsePressure([]byte(text))
			absent = absent || !p.Some.Known && !p.Full.Known
		}
	}
	prev, ok1 := in.fields["prev"].(string)
	cur, ok2 := in.fields["cur"].(string)
	if !ok1 || !ok2 {
		return absent
	}
	in.used["prev"], in.used["cur"] = true, true
	before, after := parsePressure([]byte(prev+"\n")), parsePressure([]byte(cur+"\n"))
	for kind, pair := range map[string][2]Number{"some": {before.Some, after.Some}, "full": {before.Full, after.Full}} {
		if pair[0].Known && pair[1].Known {
			totals[kind] = [2]uint64{pair[0].Value, pair[1].Value}
		}
	}
	return absent || len(totals) == 0
}
