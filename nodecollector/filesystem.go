// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"
	"strings"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Mount is one line of mountinfo.
type Mount struct {
	// Device is the source, such as /dev/sda1; Number is its major and minor
	// number. Mounts with the same number are the same filesystem.
	Device, Number string
	// Point is where it is mounted, without escapes. Type is such as ext4.
	Point, Type string
	// ReadOnly is true when the mount or the filesystem is read-only, also after
	// an error.
	ReadOnly bool
}

// SpaceCounts is what statfs says of a filesystem.
type SpaceCounts struct {
	// Blocks, Free (for root) and Available (for others) are in BlockSize bytes.
	Blocks, Free, Available, BlockSize uint64
	// Files and FilesFree are inodes; Files is 0 where there are none to run out of.
	Files, FilesFree uint64
}

// parseMounts reads mountinfo. Own, because procfs reads the file itself, gives up
// all of it for one odd line, and leaves the escapes in.
func parseMounts(b []byte, mounts []Mount) []Mount {
	for {
		line, rest, ok := nextLine(b)
		if !ok {
			return mounts
		}
		b = rest
		if m, ok := parseMount(line); ok {
			mounts = append(mounts, m)
		}
	}
}

// parseMount reads a line such as
//
//	36 35 98:0 /sub /mnt rw,noatime master:1 - ext3 /dev/root rw,errors=continue
func parseMount(line []byte) (m Mount, ok bool) {
	head, tail, ok := bytes.Cut(line, []byte(" - "))
	if !ok {
		return Mount{}, false
	}
	first := strings.Split(string(head), " ")
	last := strings.Split(string(tail), " ")
	if len(first) < 6 || len(last) < 3 || first[4] == "" {
		return Mount{}, false
	}
	return Mount{
		Device: unescape(last[1]), Number: first[2],
		Point: unescape(first[4]), Type: last[0],
		ReadOnly: isReadOnly(first[5]) || isReadOnly(last[2]),
	}, true
}

// isReadOnly looks through mount options. ext4 says emergency_ro when it stopped
// writing after an error.
func isReadOnly(options string) bool {
	for option := range strings.SplitSeq(options, ",") {
		if option == "ro" || option == "emergency_ro" {
			return true
		}
	}
	return false
}

// unescape undoes \040 and the like, with which mountinfo writes blanks, line
// feeds and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] <= '3' && isOctal(s[i+1]) && isOctal(s[i+2]) && isOctal(s[i+3]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }

// Space is how full a filesystem is, in bytes and percent.
type Space struct {
	Size, Free, Available, Used float64
	// UsedPercent is Used by Used and Available, like df: what is kept for root
	// counts as neither.
	UsedPercent float64
	// AvailablePercent is Available by Size, as the kubelet evicts.
	AvailablePercent float64
	// HasInodes is false when the filesystem has none to run out of.
	HasInodes          bool
	Inodes, InodesFree float64
	InodesUsedPercent  float64
}

// space computes how full a filesystem is.
func space(c SpaceCounts) Space {
	size, free := float64(c.Blocks), float64(min(c.Free, c.Blocks))
	available := float64(c.Available)
	if c.Available > c.Blocks {
		available = 0 // less than nothing, written without a sign
	}
	unit := float64(c.BlockSize)
	used := size - free
	s := Space{
		Size: size * unit, Free: free * unit, Available: available * unit, Used: used * unit,
		UsedPercent:      percentOf(used, used+available),
		AvailablePercent: percentOf(available, size),
	}
	if c.Files > 0 {
		s.HasInodes = true
		s.Inodes, s.InodesFree = float64(c.Files), float64(min(c.FilesFree, c.Files))
		s.InodesUsedPercent = percentOf(s.Inodes-s.InodesFree, s.Inodes)
	}
	return s
}

// Filesystem is a filesystem with space to run out of.
type Filesystem struct {
	Mount

	// Role is bits of telemetry.FSRoleNode and FSRoleImage.
	Role int
	// Error is one of telemetry's FSError codes.
	Error int
	// Counts are valid when Known is true.
	Counts SpaceCounts
	// Known is false when nothing was answered, now or lately.
	Known bool
}

func (b *builder) filesystems(list []Filesystem) {
	for i := range list {
		f := &list[i]
		label := f.Point
		b.add(telemetry.MetricFSError, label, float64(f.Error))
		b.flag(telemetry.MetricFSReadOnly, label, f.ReadOnly)
		if f.Role != 0 {
			b.add(telemetry.MetricFSRole, label, float64(f.Role))
		}
		if !f.Known {
			continue
		}
		s := space(f.Counts)
		b.add(telemetry.MetricFSSize, label, s.Size)
		b.add(telemetry.MetricFSFree, label, s.Free)
		b.add(telemetry.MetricFSAvailable, label, s.Available)
		b.add(telemetry.MetricFSUsed, label, s.Used)
		if s.Size > 0 {
			b.add(telemetry.MetricFSUsedPercent, label, s.UsedPercent)
			b.add(telemetry.MetricFSAvailablePercent, label, s.AvailablePercent)
		}
		if s.HasInodes {
			b.add(telemetry.MetricFSInodes, label, s.Inodes)
			b.add(telemetry.MetricFSInodesFree, label, s.InodesFree)
			b.add(telemetry.MetricFSInodesUsedPercent, label, s.InodesUsedPercent)
		}
	}
}
