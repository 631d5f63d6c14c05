// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"encoding/json"
	"strings"
)

func diskFamily(in *input, out fields) {
	var readIOs, readSectors, readTicks, writeIOs, writeSectors, writeTicks, ioTicks, weighted [2]uint64
	found := in.counters(map[string]*[2]uint64{
		"readIOs": &readIOs, "readSectors": &readSectors, "readTicks": &readTicks,
		"writeIOs": &writeIOs, "writeSectors": &writeSectors, "writeTicks": &writeTicks,
		"ioTicks": &ioTicks, "weighted": &weighted,
	})
	if len(found) == 0 {
		return
	}
	inFlight, _ := in.number("inFlight", "in_flight")
	moment := func(m int) Disk {
		return Disk{
			ReadIOs: readIOs[m], ReadSectors: readSectors[m], ReadTicks: readTicks[m],
			WriteIOs: writeIOs[m], WriteSectors: writeSectors[m], WriteTicks: writeTicks[m],
			InFlight: uint64(inFlight), IOTicks: ioTicks[m], WeightedTicks: weighted[m],
		}
	}
	prev, cur := moment(0), moment(1)
	seconds := in.seconds()
	u, ok := diskUsage(&prev, &cur, seconds)
	if in.first() {
		_, ok = between(false, 0, 1)
	}
	later := cur
	later.ReadIOs += 10
	next, nextOK := diskUsage(&cur, &later, seconds)
	// A vector about one field that went too far down has no sample of it.
	for field, has := range map[string]bool{"weighted": u.HasWeighted, "readTicks": u.HasReadTicks, "writeTicks": u.HasWriteTicks} {
		if len(found) == 1 && found[field] && !has {
			ok = false
		}
	}
	verdict(out, ok, nextOK && next.Reads == 10/seconds)
	if !ok {
		return
	}
	for name, v := range map[string]float64{
		"readBytesPerSec": u.ReadBytes, "writeBytesPerSec": u.WriteBytes, "readIOPS": u.Reads, "writeIOPS": u.Writes,
		"utilPct": u.UtilPercent, "queueDepth": u.QueueDepth, "readAwaitMs": u.ReadAwait, "writeAwaitMs": u.WriteAwait,
		"awaitMs": u.Await, "avgRequestBytes": u.RequestBytes,
	} {
		out[name] = v
	}
	if found["ioTicks"] {
		out["deltaMs"], _ = increase32(prev.IOTicks, cur.IOTicks, seconds*1000*wrapSlack)
	} else {
		out["deltaMs"] = u.QueueDepth * seconds * 1000
	}
}

func networkFamily(in *input, out fields) {
	var rxBytes, rxPackets, rxErrs, rxDrops, txBytes, txPackets, txErrs, txDrops [2]uint64
	found := in.counters(map[string]*[2]uint64{
		"rxBytes": &rxBytes, "rxPackets": &rxPackets, "rxErrs": &rxErrs, "rxDrops": &rxDrops,
		"txBytes": &txBytes, "txPackets": &txPackets, "txErrs": &txErrs, "txDrops": &txDrops,
	})
	var speed uint64
	told := false
	for _, key := range [...]string{"speedMbps", "speed"} {
		if text, ok := in.fields[key].(json.Number); ok {
			in.used[key], told = true, true
			speed = parseSpeed([]byte(text.String() + "\n"))
		}
		if text, ok := in.fields[key].(string); ok { // EINVAL
			in.used[key], told = true, true
			speed = parseSpeed([]byte(text))
		}
	}
	if !told && len(found) == 0 {
		return
	}
	// A vector may give the bytes of one direction without saying which.
	if n, ok := in.number("deltaBytes"); ok {
		rxBytes[1] = uint64(n)
	}
	moment := func(m int) InterfaceCounters {
		return InterfaceCounters{
			rxBytes[m], rxPackets[m], rxErrs[m], rxDrops[m], txBytes[m], txPackets[m], txErrs[m], txDrops[m],
		}
	}
	prev, cur := moment(0), moment(1)
	seconds := in.seconds()
	u, ok := interfaceUsage(&prev, &cur, seconds)
	if in.first() {
		_, ok = between(false, 0, 1)
	}
	_, nextOK := interfaceUsage(&cur, &cur, seconds)
	verdict(out, ok, nextOK)
	if !ok {
		return
	}
	for name, v := range map[string]float64{
		"rxBytesPerSec": u.ReceiveBytes, "rxPacketsPerSec": u.ReceivePackets, "rxErrsPerSec": u.ReceiveErrors, "rxDropsPerSec": u.ReceiveDrops,
		"txBytesPerSec": u.TransmitBytes, "txPacketsPerSec": u.TransmitPackets, "txErrsPerSec": u.TransmitErrors, "txDropsPerSec": u.TransmitDrops,
		"bytesPerSec": max(u.ReceiveBytes, u.TransmitBytes),
		"rxErrRatio":  each(u.ReceiveErrors, u.ReceivePackets), "rxErrsRatio": each(u.ReceiveErrors, u.ReceivePackets),
		"rxErrRate": each(u.ReceiveErrors, u.ReceivePackets), "txErrRatio": each(u.TransmitErrors, u.TransmitPackets),
		"errRatio": each(u.ReceiveErrors+u.TransmitErrors, u.ReceivePackets+u.TransmitPackets),
	} {
		out[name] = v
	}
	for name, bytes := range map[string]float64{
		"rxUtilPct": u.ReceiveBytes, "txUtilPct": u.TransmitBytes, "utilPct": max(u.ReceiveBytes, u.TransmitBytes),
	} {
		out[name] = nil
		if v, ok := linkPercent(bytes, speed); ok {
			out[name] = v
		}
	}
}

func pressureFamily(in *input, out fields) {
	var total, some, full [2]uint64
	found := map[string]bool{}
	for _, suffix := range [...]string{"", "Us", "Total", "TotalUs", "Usec", "Micros"} {
		names := map[string]*[2]uint64{"some" + suffix: &some, "full" + suffix: &full, "psi" + suffix: &total}
		if strings.Contains(suffix, "Total") {
			names[strings.ToLower(suffix[:1])+suffix[1:]] = &total
		}
		for name := range in.counters(names) {
			found[name[:4]] = true
		}
	}
	for name, value := range in.fields {
		key := strings.ToLower(name)
		text, isText := value.(string)
		if about := strings.Contains(key, "psi") || strings.Contains(key, "pressure") || key == "errno"; !about || value != nil && !isText {
			continue
		}
		// The file cannot be read, for which the text has the reason.
		in.used[name] = true
		p := parsePressure([]byte(text))
		for _, result := range [...]string{"somePct", "fullPct", "pct"} {
			if out[result] = nil; p.Some.Known || p.Full.Known {
				out[result] = "known"
			}
		}
		verdict(out, p.Some.Known, true)
	}
	if len(found) == 0 {
		return
	}
	seconds := in.seconds()
	for name, moments := range map[string][2]uint64{"some": some, "full": full, "psi": total, "tota": total} {
		if !found[name] && (name != "psi" || !found["psiT"]) {
			continue
		}
		var value any
		v, ok := stallPercent(moments[0], moments[1], seconds)
		if ok {
			value = v
		}
		verdict(out, ok, true)
		keys := []string{"pct", "psiPct", "pressurePct", "stallPct", name + "Pct"}
		if name == "psi" || name == "tota" { // of either kind
			keys = append(keys, "somePct", "fullPct")
		}
		for _, key := range keys {
			out[key] = value
		}
	}
}

func rateFamily(in *input, out fields) {
	if _, ok := in.fields["speedMbps"]; ok {
		return
	}
	seconds, ok := in.interval()
	if !ok {
		seconds = in.seconds()
	}
	if delta, ok := in.number("deltaBytes"); ok {
		out["bytesPerSec"] = nil
		if v, ok := perSecond(0, uint64(delta), seconds); ok {
			out["bytesPerSec"] = v
		}
	}
	prev, ok1 := in.uint(in.fields, "prevBytes")
	cur, ok2 := in.uint(in.fields, "curBytes")
	if !ok1 || !ok2 {
		return
	}
	in.used["prevBytes"], in.used["curBytes"] = true, true
	v, ok := perSecond(prev, cur, seconds)
	verdict(out, ok, true)
	if ok {
		out["bytesPerSec"] = v
	}
}
