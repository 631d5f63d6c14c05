// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"context"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// mostDisks and mostCores are how many are shown. With the bounds of interfaces,
// filesystems and sensors a sample stays below telemetry.MaxValues.
const (
	mostDisks = 112
	mostCores = 1024
)

// reader reads all sources. It keeps files open and buffers from one reading to the
// next, and is not safe for concurrent use.
type reader struct {
	options  *Options
	proc     tree
	problems problems
	buffer   []byte
	clock    func() time.Time

	stat, load, memory, paging, disks, uptime, fileHandles, conntrack source

	pressure [resources]source
	// As process 1 sees interfaces and mounts, and as this process does.
	initInterfaces, selfInterfaces, initMounts, selfMounts source

	scopes [3]telemetry.NetworkScope

	// Limits of the kernel are read seldom.
	rounds               int
	pidMax, conntrackMax Number

	diskNames nameCache
	links     *linkTable
	mounts    *mountTable
	sensors   *sensorTable
	prober    prober
	probes    []*probe
}

func newReader(o *Options) *reader {
	proc := tree{path: o.ProcPath, real: isProc(o.ProcPath)}
	sys := tree{path: o.SysPath, real: isSys(o.SysPath)}
	r := &reader{
		options: o, proc: proc, problems: problems{logger: o.Logger}, clock: time.Now,
		stat:           proc.source("stat", true),
		load:           proc.source("loadavg", true),
		memory:         proc.source("meminfo", true),
		paging:         proc.source("vmstat", false),
		disks:          proc.source("diskstats", false),
		uptime:         proc.source("uptime", true),
		fileHandles:    proc.source("sys/fs/file-nr", true),
		conntrack:      proc.source("1/net/stat/nf_conntrack", false),
		initInterfaces: proc.source("1/net/dev", false), selfInterfaces: proc.source("self/net/dev", false),
		initMounts: proc.source("1/mountinfo", false), selfMounts: proc.source("self/mountinfo", false),
		diskNames: nameCache{excluded: o.ExcludeDisks.MatchString},
		links:     newLinkTable(sys, o.ExcludeInterfaces, o.VirtualInterfaces),
		mounts:    newMountTable(o),
		sensors:   newSensorTable(sys),
	}
	for i := range r.pressure {
		r.pressure[i] = proc.source(resourceFiles[i], true)
	}
	around := lookAround(proc, sys)
	for _, from := range [...]networkSource{fromInit, fromSys, fromSelf} {
		r.scopes[from] = scopeOf(from, around)
		if o.NetworkScope != 0 {
			r.scopes[from] = o.NetworkScope
		}
	}
	return r
}

// read reads everything into c. base is the moment of the reading; sources that are
// read a millisecond or more later have a later one. What rates are made of is read
// before anything that may take its time.
func (r *reader) read(ctx context.Context, base time.Duration, c *Counters) {
	began := r.clock()
	at := func() time.Duration { return base + r.clock().Sub(began).Truncate(time.Millisecond) }

	if b, ok := r.file(&r.stat, "stat"); !ok || !parseStat(b, &c.Stat) {
		r.malformed(ok, "stat")
		c.Stat = Stat{Cores: c.Stat.Cores[:0]}
	}
	c.Stat.At = at()
	r.readPressure(at(), c)
	if b, ok := r.file(&r.paging, "vmstat"); !ok || !parsePaging(b, &c.Paging) {
		r.malformed(ok, "vmstat")
		c.Paging = Paging{}
	}
	c.Paging.At = at()
	r.readDisks(at(), c)
	r.readNetwork(at(), c)
	r.readGauges(c)
	r.readMounts()
	r.probe(ctx, c)
	r.rounds++
}

// file reads a file. It is not ok when there is none or when it could not be read,
// which is logged once.
func (r *reader) file(s *source, name string) (b []byte, ok bool) {
	b, err := s.read(&r.buffer)
	if err != nil {
		if !isAbsent(err) {
			r.problems.report(name, err.Error())
		}
		return nil, false
	}
	r.problems.report(name, "")
	return b, true
}

// malformed notes that a file was read but made no sense.
func (r *reader) malformed(wasRead bool, name string) {
	if wasRead {
		r.problems.report(name, "it has not the form that is known")
	}
}

func (r *reader) readPressure(at time.Duration, c *Counters) {
	for i := range r.pressure {
		c.Pressure[i] = Pressure{}
		if b, ok := r.file(&r.pressure[i], resourceFiles[i]); ok {
			c.Pressure[i] = parsePressure(b)
		}
		c.Pressure[i].At = at
	}
}

func (r *reader) readDisks(at time.Duration, c *Counters) {
	c.Disks = Disks{At: at, List: c.Disks.List[:0]}
	b, ok := r.file(&r.disks, "diskstats")
	if !ok {
		return
	}
	r.diskNames.begin()
	c.Disks.List = parseDisks(b, c.Disks.List, r.diskNames.keep)
	c.Disks.List = c.Disks.List[:min(len(c.Disks.List), mostDisks)]
	c.Disks.Known = true
}

// readNetwork reads the interfaces from the first place that shows any.
func (r *reader) readNetwork(at time.Duration, c *Counters) {
	c.Network = Network{At: at, List: c.Network.List[:0]}
	r.links.begin()
	for _, from := range [...]networkSource{fromInit, fromSys, fromSelf} {
		switch from {
		case fromInit:
			r.readInterfaces(&r.initInterfaces, c)
		case fromSys:
			c.Network.List = r.links.readStatistics(c.Network.List, &r.buffer)
		case fromSelf:
			r.readInterfaces(&r.selfInterfaces, c)
		}
		if len(c.Network.List) > 0 {
			c.Network.Scope = r.scopes[from]
			break
		}
	}
	r.links.end()
}

func (r *reader) readInterfaces(s *source, c *Counters) {
	if b, ok := r.file(s, "net/dev"); ok {
		c.Network.List = parseInterfaces(b, c.Network.List, r.links.keep)
	}
}

// readGauges reads what no rate is made of.
func (r *reader) readGauges(c *Counters) {
	c.Load = Load{}
	if b, ok := r.file(&r.load, "loadavg"); ok {
		c.Load = parseLoad(b)
		r.malformed(!c.Load.Known, "loadavg")
	}
	if b, ok := r.file(&r.memory, "meminfo"); !ok || !parseMemory(b, &c.Memory) {
		r.malformed(ok, "meminfo")
		c.Memory = Memory{}
	}
	c.HasUptime = false
	if b, ok := r.file(&r.uptime, "uptime"); ok {
		c.Uptime, c.HasUptime = parseUptime(b)
		r.malformed(!c.HasUptime, "uptime")
	}
	c.FileHandles = Share{}
	if b, ok := r.file(&r.fileHandles, "file-nr"); ok {
		c.FileHandles = parseFileHandles(b)
	}
	if r.rounds%rareEvery == 0 {
		r.pidMax = sysctl(r.proc.path, "kernel.pid_max")
		r.conntrackMax = sysctl(r.proc.path, "net.netfilter.nf_conntrack_max")
	}
	c.Threads = Share{Used: c.Load.Threads, Limit: r.pidMax}
	// The connections of a pod are not those of its node.
	c.Conntrack = Share{}
	if r.scopes[fromInit] == telemetry.NetworkHost {
		if b, ok := r.file(&r.conntrack, "nf_conntrack"); ok {
			c.Conntrack = Share{Used: parseConntrack(b), Limit: r.conntrackMax}
		}
	}
	c.Clock = r.options.Clock()
}

func (r *reader) readMounts() {
	if b, ok := r.file(&r.initMounts, "mountinfo"); ok && len(b) > 0 {
		r.mounts.update(b, "/")
	} else if b, ok := r.file(&r.selfMounts, "mountinfo"); ok && len(b) > 0 {
		r.mounts.update(b, r.options.Root)
	} else {
		r.mounts.present = false
	}
}

// probe asks whatever may not answer, and takes what did.
func (r *reader) probe(ctx context.Context, c *Counters) {
	// Filesystems are most likely to hang, and come last.
	r.probes = r.sensors.due(&r.prober, r.probes[:0])
	r.probes = r.links.due(&r.prober, c.Network.List, r.probes)
	r.probes = r.mounts.due(&r.prober, r.probes)
	r.prober.run(ctx, r.probes, r.options.ProbeTimeout)
	r.links.complete(&r.prober, c.Network.List, &r.buffer)
	c.Filesystems = r.mounts.filesystems(&r.prober, c.Filesystems[:0])
	c.Temperatures = r.sensors.temperatures(&r.prober, c.Temperatures[:0])
}

// readBootID reads the ID of the boot.
func (r *reader) readBootID() (string, bool) {
	b, err := r.proc.readOnce("sys/kernel/random/boot_id", &r.buffer)
	if err != nil {
		return "", false
	}
	return parseBootID(b)
}

// close closes the files. Those that a probe still uses stay open until the
// process ends.
func (r *reader) close() {
	for _, s := range []*source{
		&r.stat, &r.load, &r.memory, &r.paging, &r.disks, &r.uptime, &r.fileHandles, &r.conntrack,
		&r.initInterfaces, &r.selfInterfaces, &r.initMounts, &r.selfMounts,
	} {
		s.close()
	}
	for i := range r.pressure {
		r.pressure[i].close()
	}
	r.links.close()
	if r.prober.ready(&r.sensors.probe) {
		r.sensors.close()
	}
}
