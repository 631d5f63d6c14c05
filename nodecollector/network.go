// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// InterfaceCounters counts what passed through an interface since it was made.
type InterfaceCounters struct {
	ReceiveBytes, ReceivePackets, ReceiveErrors, ReceiveDrops     uint64
	TransmitBytes, TransmitPackets, TransmitErrors, TransmitDrops uint64
}

// LinkState says whether a link is up.
type LinkState int

// The states. LinkUnread is one that could not be read; drivers that cannot tell
// leave LinkUnknown.
const (
	LinkUnread LinkState = iota
	LinkUnknown
	LinkUp
	LinkDown
)

// Interface is a network interface.
type Interface struct {
	// Name is such as eth0.
	Name string
	// Counters of the interface.
	Counters InterfaceCounters
	// State says whether the link is up.
	State LinkState
	// SpeedBits is bits per second, 0 when unknown. MTU is bytes, 0 when unknown.
	SpeedBits, MTU uint64
	// Physical is true when it counts toward the node's own traffic.
	Physical bool
}

// Network is the interfaces of the node, or of the collector's pod.
type Network struct {
	// At is when it was read, since the collector began.
	At time.Duration
	// Scope says whose interfaces they are; 0 when none could be read.
	Scope telemetry.NetworkScope
	// List is in the kernel's order.
	List []Interface
}

// parseInterfaces reads /proc/PID/net/dev. keep returns the name to use, or "" for
// an interface to leave out. Own, because procfs makes a map and a string of
// every word, for hundreds of interfaces that nobody asked for.
func parseInterfaces(b []byte, list []Interface, keep func(name []byte) string) []Interface {
	for {
		line, rest, ok := nextLine(b)
		if !ok {
			return list
		}
		b = rest
		// The name may have a colon of its own, as eth0:1 had.
		colon := bytes.LastIndexByte(line, ':')
		if colon < 0 {
			continue // the header
		}
		device, trailing := nextField(line[:colon])
		if len(device) == 0 || len(bytes.TrimSpace(trailing)) > 0 {
			continue
		}
		name := keep(device)
		if name == "" {
			continue
		}
		var n [16]uint64
		if uints(line[colon+1:], n[:]) < len(n) {
			continue
		}
		list = append(list, Interface{Name: name, Counters: InterfaceCounters{
			n[0], n[1], n[2], n[3], n[8], n[9], n[10], n[11],
		}})
	}
}

// parseSpeed reads the file speed: Mbit/s, or -1 when the driver does not know.
// It returns bits per second, and 0 when unknown.
func parseSpeed(b []byte) uint64 {
	field, _ := nextField(bytes.TrimSpace(b))
	n, ok := parseSigned(field)
	// 4294967295 is -1 that lost its sign.
	if !ok || n <= 0 || n >= 1<<31 {
		return 0
	}
	return uint64(n) * 1_000_000
}

// parseLinkState reads the file operstate.
func parseLinkState(b []byte) LinkState {
	switch string(bytes.TrimSpace(b)) {
	case "up":
		return LinkUp
	case "down", "lowerlayerdown", "notpresent", "dormant", "testing":
		return LinkDown
	default:
		return LinkUnknown
	}
}

// InterfaceUsage is what passed through an interface, per second.
type InterfaceUsage struct {
	ReceiveBytes, ReceivePackets, TransmitBytes, TransmitPackets float64
	// The rates below are absent when their Has is false: some drivers set errors
	// and drops back.
	ReceiveErrors, ReceiveDrops, TransmitErrors, TransmitDrops             float64
	HasReceiveErrors, HasReceiveDrops, HasTransmitErrors, HasTransmitDrops bool
}

// interfaceUsage compares the counters of two moments; ok is false when the
// interface was made anew in between.
func interfaceUsage(prev, cur *InterfaceCounters, seconds float64) (u InterfaceUsage, ok bool) {
	for _, c := range [...]struct {
		to        *float64
		prev, cur uint64
	}{
		{&u.ReceiveBytes, prev.ReceiveBytes, cur.ReceiveBytes},
		{&u.ReceivePackets, prev.ReceivePackets, cur.ReceivePackets},
		{&u.TransmitBytes, prev.TransmitBytes, cur.TransmitBytes},
		{&u.TransmitPackets, prev.TransmitPackets, cur.TransmitPackets},
	} {
		if *c.to, ok = perSecond(c.prev, c.cur, seconds); !ok {
			return InterfaceUsage{}, false
		}
	}
	u.ReceiveErrors, u.HasReceiveErrors = perSecond(prev.ReceiveErrors, cur.ReceiveErrors, seconds)
	u.ReceiveDrops, u.HasReceiveDrops = perSecond(prev.ReceiveDrops, cur.ReceiveDrops, seconds)
	u.TransmitErrors, u.HasTransmitErrors = perSecond(prev.TransmitErrors, cur.TransmitErrors, seconds)
	u.TransmitDrops, u.HasTransmitDrops = perSecond(prev.TransmitDrops, cur.TransmitDrops, seconds)
	return u, true
}

// linkPercent is how much of a link's speed is used; ok is false when the speed is
// unknown.
func linkPercent(bytesPerSecond float64, speedBits uint64) (float64, bool) {
	if speedBits == 0 {
		return 0, false
	}
	return 100 * 8 * bytesPerSecond / float64(speedBits), true
}

// network adds every interface, and the sum of those that count. A sum that lacks
// one of them would be too small, so there is none then; and the traffic of a pod
// is not that of its node.
func (b *builder) network(prev, cur *Network) {
	b.scope = cur.Scope
	seconds, rates := between(prev.Scope == cur.Scope && cur.Scope != 0, prev.At, cur.At)
	var receive, transmit float64
	physical, complete := 0, rates && cur.Scope == telemetry.NetworkHost
	next := 0
	for i := range cur.List {
		n := &cur.List[i]
		b.link(n)
		at, ok := find(prev.List, next, func(p *Interface) bool { return p.Name == n.Name })
		var u InterfaceUsage
		if ok && rates {
			next = at + 1
			u, ok = interfaceUsage(&prev.List[at].Counters, &n.Counters, seconds)
		}
		if ok && rates {
			b.traffic(n, &u)
		}
		if n.Physical {
			physical++
			complete = complete && ok
			receive += u.ReceiveBytes
			transmit += u.TransmitBytes
		}
	}
	if complete && physical > 0 {
		b.add(telemetry.MetricNetTotalReceive, "", receive)
		b.add(telemetry.MetricNetTotalTransmit, "", transmit)
	}
}

func (b *builder) link(n *Interface) {
	b.flag(telemetry.MetricNetPhysical, n.Name, n.Physical)
	if n.State == LinkUp || n.State == LinkDown {
		b.flag(telemetry.MetricNetUp, n.Name, n.State == LinkUp)
	}
	if n.SpeedBits > 0 {
		b.add(telemetry.MetricNetSpeed, n.Name, float64(n.SpeedBits))
	}
	if n.MTU > 0 {
		b.add(telemetry.MetricNetMTU, n.Name, float64(n.MTU))
	}
}

func (b *builder) traffic(n *Interface, u *InterfaceUsage) {
	b.add(telemetry.MetricNetReceive, n.Name, u.ReceiveBytes)
	b.add(telemetry.MetricNetTransmit, n.Name, u.TransmitBytes)
	b.add(telemetry.MetricNetReceivePackets, n.Name, u.ReceivePackets)
	b.add(telemetry.MetricNetTransmitPackets, n.Name, u.TransmitPackets)
	for _, r := range [...]struct {
		metric telemetry.MetricID
		rate   float64
		has    bool
	}{
		{telemetry.MetricNetReceiveErrors, u.ReceiveErrors, u.HasReceiveErrors},
		{telemetry.MetricNetTransmitErrors, u.TransmitErrors, u.HasTransmitErrors},
		{telemetry.MetricNetReceiveDrops, u.ReceiveDrops, u.HasReceiveDrops},
		{telemetry.MetricNetTransmitDrops, u.TransmitDrops, u.HasTransmitDrops},
	} {
		if r.has {
			b.add(r.metric, n.Name, r.rate)
		}
	}
	if v, ok := linkPercent(max(u.ReceiveBytes, u.TransmitBytes), n.SpeedBits); ok {
		b.add(telemetry.MetricNetUtil, n.Name, v)
	}
}
