// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package exposition

import (
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/nodecollector"
)

// filesystemErrors are what the label device_error says.
var filesystemErrors = map[int]string{
	telemetry.FSErrorNone:       "",
	telemetry.FSErrorPermission: "permission denied",
	telemetry.FSErrorTimeout:    "mountpoint timeout",
	telemetry.FSErrorOther:      "statfs failed",
}

func (p *page) filesystems(list []nodecollector.Filesystem) {
	type filesystem = nodecollector.Filesystem
	add := func(name, help string, value func(*filesystem) (float64, bool)) {
		each(p, list, name, gauge, help, func(f *filesystem) {
			if v, ok := value(f); ok {
				p.sample(name, v, "device", f.Device, "device_error", filesystemErrors[f.Error], "fstype", f.Type, "mountpoint", f.Point)
			}
		})
	}
	count := func(of func(*filesystem) uint64) func(*filesystem) (float64, bool) {
		return func(f *filesystem) (float64, bool) { return float64(of(f)), f.Known }
	}
	size := func(of func(*filesystem) uint64) func(*filesystem) (float64, bool) {
		return func(f *filesystem) (float64, bool) { return float64(of(f)) * float64(f.Counts.BlockSize), f.Known }
	}
	flag := func(of func(*filesystem) bool) func(*filesystem) (float64, bool) {
		return func(f *filesystem) (float64, bool) {
			if of(f) {
				return 1, true
			}
			return 0, true
		}
	}
	add("node_filesystem_avail_bytes", "Filesystem space available to non-root users in bytes.", size(func(f *filesystem) uint64 { return f.Counts.Available }))
	add("node_filesystem_device_error", "Whether an error occurred while getting statistics for the given device.", flag(func(f *filesystem) bool { return f.Error != telemetry.FSErrorNone }))
	add("node_filesystem_files", "Filesystem total file nodes.", count(func(f *filesystem) uint64 { return f.Counts.Files }))
	add("node_filesystem_files_free", "Filesystem total free file nodes.", count(func(f *filesystem) uint64 { return f.Counts.FilesFree }))
	add("node_filesystem_free_bytes", "Filesystem free space in bytes.", size(func(f *filesystem) uint64 { return f.Counts.Free }))
	add("node_filesystem_readonly", "Filesystem read-only status.", flag(func(f *filesystem) bool { return f.ReadOnly }))
	add("node_filesystem_size_bytes", "Filesystem size in bytes.", size(func(f *filesystem) uint64 { return f.Counts.Blocks }))
}

func (p *page) disks(list []nodecollector.Disk) {
	type disk = nodecollector.Disk
	const millis, sector = 1e-3, nodecollector.SectorBytes
	add := func(name, kind, help string, unit float64, of func(*disk) uint64) {
		each(p, list, name, kind, help, func(d *disk) { p.sample(name, float64(of(d))*unit, "device", d.Name) })
	}
	add("node_disk_io_now", gauge, "The number of I/Os currently in progress.", 1, func(d *disk) uint64 { return d.InFlight })
	add("node_disk_io_time_seconds_total", counter, "Total seconds spent doing I/Os.", millis, func(d *disk) uint64 { return d.IOTicks })
	add("node_disk_io_time_weighted_seconds_total", counter, "The weighted # of seconds spent doing I/Os.", millis, func(d *disk) uint64 { return d.WeightedTicks })
	add("node_disk_read_bytes_total", counter, "The total number of bytes read successfully.", sector, func(d *disk) uint64 { return d.ReadSectors })
	add("node_disk_read_time_seconds_total", counter, "The total number of seconds spent by all reads.", millis, func(d *disk) uint64 { return d.ReadTicks })
	add("node_disk_reads_completed_total", counter, "The total number of reads completed successfully.", 1, func(d *disk) uint64 { return d.ReadIOs })
	add("node_disk_reads_merged_total", counter, "The total number of reads merged.", 1, func(d *disk) uint64 { return d.ReadMerges })
	add("node_disk_write_time_seconds_total", counter, "This is the total number of seconds spent by all writes.", millis, func(d *disk) uint64 { return d.WriteTicks })
	add("node_disk_writes_completed_total", counter, "The total number of writes completed successfully.", 1, func(d *disk) uint64 { return d.WriteIOs })
	add("node_disk_writes_merged_total", counter, "The number of writes merged.", 1, func(d *disk) uint64 { return d.WriteMerges })
	add("node_disk_written_bytes_total", counter, "The total number of bytes written successfully.", sector, func(d *disk) uint64 { return d.WriteSectors })
}

func (p *page) network(list []nodecollector.Interface) {
	type link = nodecollector.Interface
	add := func(name, kind, help string, value func(*link) (float64, bool)) {
		each(p, list, name, kind, help, func(n *link) {
			if v, ok := value(n); ok {
				p.sample(name, v, "device", n.Name)
			}
		})
	}
	counted := func(name string, of func(*nodecollector.InterfaceCounters) uint64) {
		add("node_network_"+name+"_total", counter, "Network device statistic "+name+".", func(n *link) (float64, bool) { return float64(of(&n.Counters)), true })
	}
	add("node_network_mtu_bytes", gauge, "Network device property: mtu_bytes", func(n *link) (float64, bool) { return float64(n.MTU), n.MTU > 0 })
	counted("receive_bytes", func(c *nodecollector.InterfaceCounters) uint64 { return c.ReceiveBytes })
	counted("receive_drop", func(c *nodecollector.InterfaceCounters) uint64 { return c.ReceiveDrops })
	counted("receive_errs", func(c *nodecollector.InterfaceCounters) uint64 { return c.ReceiveErrors })
	counted("receive_packets", func(c *nodecollector.InterfaceCounters) uint64 { return c.ReceivePackets })
	add("node_network_speed_bytes", gauge, "Network device property: speed_bytes", func(n *link) (float64, bool) { return float64(n.SpeedBits) / 8, n.SpeedBits > 0 })
	counted("transmit_bytes", func(c *nodecollector.InterfaceCounters) uint64 { return c.TransmitBytes })
	counted("transmit_drop", func(c *nodecollector.InterfaceCounters) uint64 { return c.TransmitDrops })
	counted("transmit_errs", func(c *nodecollector.InterfaceCounters) uint64 { return c.TransmitErrors })
	counted("transmit_packets", func(c *nodecollector.InterfaceCounters) uint64 { return c.TransmitPackets })
	add("node_network_up", gauge, "Value is 1 if operstate is 'up', 0 otherwise.", func(n *link) (float64, bool) {
		if n.State == nodecollector.LinkUp {
			return 1, true
		}
		return 0, n.State != nodecollector.LinkUnread
	})
}
