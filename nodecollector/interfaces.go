// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// mostInterfaces is how many interfaces are shown.
	mostInterfaces = 64
	// rareEvery is how often what seldom changes is read: every 20th sample.
	rareEvery = 20
	// netFolder has the interfaces, below /sys.
	netFolder = "class/net"
)

// link is what is known of an interface beyond its counters.
type link struct {
	name string
	// hidden is true when nobody wants to see it, virtual when it is not the
	// node's own by its name.
	hidden, virtual bool
	state           source
	last            LinkState
	// seen is the reading that it was last part of.
	seen int
	// wanted is true from when its traits are to be read until they are.
	wanted bool
	traits linkTraits
}

// stacked says whether it carries the traffic of another interface.
func (l *link) stacked() bool {
	return l.traits.stacked || !l.traits.known && stackedName.MatchString(l.name)
}

// linkTraits is what sysfs says of an interface and seldom changes.
type linkTraits struct {
	// known is true when sysfs has the interface.
	known          bool
	speedBits, mtu uint64
	// device is true when there is hardware behind it, or what passes for it in a
	// virtual machine.
	device bool
	// master is the bond or bridge that it is part of, "" without one.
	master string
	// stacked is true when it carries the traffic of another interface.
	stacked bool
}

// stackedName matches interfaces that carry the traffic of others, for where sysfs
// does not say so: bonds, bridges, and VLANs such as eth0.100.
var stackedName = regexp.MustCompile(`^(bond|team|br|vlan)\d|\.`)

// linkTable knows the interfaces.
type linkTable struct {
	sys             tree
	exclude         *regexp.Regexp
	virtual         *regexp.Regexp
	links           map[string]*link
	readings, shown int

	// The probe reads traits, as a driver may be slow to answer: results are
	// those of the interfaces in request.
	probe   probe
	request []string
	results []linkTraits
	buffer  []byte
}

func newLinkTable(sys tree, exclude, virtual *regexp.Regexp) *linkTable {
	t := &linkTable{sys: sys, exclude: exclude, virtual: virtual, links: map[string]*link{}}
	t.probe.call = func() {
		t.results = t.results[:0]
		for _, name := range t.request {
			t.results = append(t.results, t.readTraits(name))
		}
	}
	return t
}

// begin starts a reading of all interfaces.
func (t *linkTable) begin() {
	t.readings++
	t.shown = 0
}

// keep returns the name of an interface that is shown, and "" for others, and for
// one that was there before.
func (t *linkTable) keep(name []byte) string {
	l, ok := t.links[string(name)]
	if !ok {
		text := telemetry.Clip(string(name), telemetry.MaxLabelValue)
		l = &link{
			name: text, hidden: t.exclude.MatchString(text) || strings.HasPrefix(text, ".") || strings.ContainsRune(text, '/'),
			virtual: t.virtual.MatchString(text), wanted: true,
			state: t.sys.source(filepath.Join(netFolder, text, "operstate"), true),
		}
		t.links[string(name)] = l
	}
	again := l.seen == t.readings
	l.seen = t.readings
	if l.hidden || again || t.shown >= mostInterfaces {
		return ""
	}
	t.shown++
	return l.name
}

// end forgets interfaces that are gone, and closes their files.
func (t *linkTable) end() {
	for name, l := range t.links {
		if l.seen != t.readings {
			l.state.close()
			delete(t.links, name)
		}
	}
}

// due appends the probe when there are traits to read.
func (t *linkTable) due(p *prober, list []Interface, probes []*probe) []*probe {
	if !p.ready(&t.probe) {
		return probes
	}
	// What came too late for its round is asked for again.
	t.request, t.results = t.request[:0], t.results[:0]
	for i := range list {
		if l := t.links[list[i].Name]; l != nil && (l.wanted || t.readings%rareEvery == 0) {
			t.request = append(t.request, l.name)
		}
	}
	if len(t.request) == 0 {
		return probes
	}
	return append(probes, &t.probe)
}

// complete adds to the interfaces what is known beyond their counters.
func (t *linkTable) complete(p *prober, list []Interface, buffer *[]byte) {
	if p.ready(&t.probe) {
		for i := range t.results {
			if l := t.links[t.request[i]]; l != nil {
				l.traits, l.wanted = t.results[i], false
			}
		}
		t.results = t.results[:0]
	}
	for i := range list {
		n := &list[i]
		l := t.links[n.Name]
		if l == nil {
			continue
		}
		n.State = LinkUnread
		if b, err := l.state.read(buffer); err == nil {
			n.State = parseLinkState(b)
		}
		// The speed of a link is settled when it comes up.
		l.wanted = l.wanted || n.State != l.last
		l.last = n.State
		n.SpeedBits, n.MTU = l.traits.speedBits, l.traits.mtu
	}
	t.markPhysical(list)
}

// markPhysical says which interfaces carry the node's own traffic, each packet
// once: those with a device behind them; without any such, those that are neither
// virtual by name nor part of, nor stacked on, another one.
func (t *linkTable) markPhysical(list []Interface) {
	devices := false
	for i := range list {
		if l := t.links[list[i].Name]; l != nil && !l.virtual && l.traits.device {
			devices = true
		}
	}
	for i := range list {
		l := t.links[list[i].Name]
		if l == nil || l.virtual {
			list[i].Physical = false
			continue
		}
		master := t.links[l.traits.master]
		list[i].Physical = l.traits.device ||
			!devices && !l.stacked() && (master == nil || master.virtual || master.hidden)
	}
}

// readTraits reads what seldom changes.
func (t *linkTable) readTraits(name string) (traits linkTraits) {
	folder := filepath.Join(netFolder, name)
	if b, err := t.sys.readOnce(filepath.Join(folder, "speed"), &t.buffer); err == nil {
		traits.speedBits = parseSpeed(b)
	}
	if b, err := t.sys.readOnce(filepath.Join(folder, "mtu"), &t.buffer); err == nil {
		traits.mtu, traits.known = numberField(bytes.TrimSpace(b)).Value, true
	}
	if b, err := t.sys.readOnce(filepath.Join(folder, "uevent"), &t.buffer); err == nil {
		traits.stacked = isStacked(b)
	}
	if _, err := os.Stat(filepath.Join(t.sys.path, folder, "device")); err == nil {
		traits.device = true
	}
	if target, err := os.Readlink(filepath.Join(t.sys.path, folder, "master")); err == nil {
		traits.master = filepath.Base(target)
	}
	return traits
}

// isStacked reads the file uevent and says whether the type of an interface is one
// that carries the traffic of another.
func isStacked(b []byte) bool {
	for {
		line, rest, ok := nextLine(b)
		if !ok {
			return false
		}
		b = rest
		if kind, ok := bytes.CutPrefix(line, []byte("DEVTYPE=")); ok {
			switch string(kind) {
			case "vlan", "macvlan", "macvtap", "ipvlan", "vxlan", "geneve", "gre", "gretap", "wireguard", "veth":
				return true
			}
		}
	}
}

// statistics are the files of sysfs with the counters of an interface, in the
// order of InterfaceCounters.
var statistics = [...]string{
	"rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped",
}

// readStatistics lists the interfaces that sysfs has, for where process 1 is
// hidden. It opens eight files for each.
func (t *linkTable) readStatistics(list []Interface, buffer *[]byte) []Interface {
	entries, err := os.ReadDir(filepath.Join(t.sys.path, netFolder))
	if err != nil {
		return list
	}
	for _, entry := range entries {
		name := t.keep([]byte(entry.Name()))
		if name == "" {
			continue
		}
		var n [len(statistics)]uint64
		known := true
		for i, file := range statistics {
			b, err := t.sys.readOnce(filepath.Join(netFolder, name, "statistics", file), buffer)
			value := numberField(bytes.TrimSpace(b))
			if n[i] = value.Value; err != nil || !value.Known {
				known = false
				break
			}
		}
		if known {
			list = append(list, Interface{Name: name, Counters: InterfaceCounters{n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]}})
		}
	}
	return list
}

func (t *linkTable) close() {
	for _, l := range t.links {
		l.state.close()
	}
}
