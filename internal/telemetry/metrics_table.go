// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry

// CPU, from /proc/stat and /proc/loadavg.
const (
	// MetricCPUUsage is the time that was neither idle nor waiting for I/O.
	MetricCPUUsage MetricID = 1
	// MetricCPUUser is user time without guests.
	MetricCPUUser MetricID = 2
	// MetricCPUNice is niced user time without guests.
	MetricCPUNice MetricID = 3
	// MetricCPUSystem is kernel time.
	MetricCPUSystem MetricID = 4
	// MetricCPUIOWait is idle time with I/O outstanding.
	MetricCPUIOWait MetricID = 5
	// MetricCPUIRQ is hardware interrupts.
	MetricCPUIRQ MetricID = 6
	// MetricCPUSoftIRQ is software interrupts.
	MetricCPUSoftIRQ MetricID = 7
	// MetricCPUSteal is time that the hypervisor gave to others.
	MetricCPUSteal MetricID = 8
	// MetricCPUGuest is time of guests, niced ones included.
	MetricCPUGuest MetricID = 9
	// MetricCPUIdle is idle time.
	MetricCPUIdle MetricID = 10
	// MetricCPUCoreUsage is the usage of one core.
	MetricCPUCoreUsage MetricID = 11
	// MetricCPUCores is the number of online cores.
	MetricCPUCores MetricID = 12
	// MetricLoad1 is the load average of 1 minute.
	MetricLoad1 MetricID = 13
	// MetricLoad5 is the load average of 5 minutes.
	MetricLoad5 MetricID = 14
	// MetricLoad15 is the load average of 15 minutes.
	MetricLoad15 MetricID = 15
	// MetricLoadPerCore is the load average of 1 minute by cores.
	MetricLoadPerCore MetricID = 16
	// MetricProcsRunning is runnable tasks.
	MetricProcsRunning MetricID = 17
	// MetricProcsBlocked is tasks blocked by I/O.
	MetricProcsBlocked MetricID = 18
	// MetricContextSwitches is context switches.
	MetricContextSwitches MetricID = 19
	// MetricForks is new processes.
	MetricForks MetricID = 20
)

// Pressure stall information, from /proc/pressure.
const (
	// MetricPressureCPUSome is time in which some task waited for a CPU.
	MetricPressureCPUSome MetricID = 30
	// MetricPressureCPUFull is time in which every task waited for a CPU.
	MetricPressureCPUFull MetricID = 31
	// MetricPressureMemorySome is time in which some task waited for memory.
	MetricPressureMemorySome MetricID = 32
	// MetricPressureMemoryFull is time in which every task waited for memory.
	MetricPressureMemoryFull MetricID = 33
	// MetricPressureIOSome is time in which some task waited for I/O.
	MetricPressureIOSome MetricID = 34
	// MetricPressureIOFull is time in which every task waited for I/O.
	MetricPressureIOFull MetricID = 35
	// MetricPressureIRQFull is time in which every task waited for interrupts.
	MetricPressureIRQFull MetricID = 36
)

// Memory, from /proc/meminfo and /proc/vmstat.
const (
	// MetricMemoryTotal is the memory that the kernel manages.
	MetricMemoryTotal MetricID = 40
	// MetricMemoryAvailable is what can be had without swapping.
	MetricMemoryAvailable MetricID = 41
	// MetricMemoryAvailableEstimated is 1 when the kernel does not tell and available was computed.
	MetricMemoryAvailableEstimated MetricID = 42
	// MetricMemoryUsed is total less available.
	MetricMemoryUsed MetricID = 43
	// MetricMemoryUsedPercent is used by total.
	MetricMemoryUsedPercent MetricID = 44
	// MetricMemoryFree is unused memory.
	MetricMemoryFree MetricID = 45
	// MetricMemoryBuffers is buffers of block devices.
	MetricMemoryBuffers MetricID = 46
	// MetricMemoryCached is page cache and reclaimable slab.
	MetricMemoryCached MetricID = 47
	// MetricMemoryShared is shared memory and tmpfs.
	MetricMemoryShared MetricID = 48
	// MetricMemoryDirty is memory that waits to be written.
	MetricMemoryDirty MetricID = 49
	// MetricMemorySlab is memory of the kernel's own structures.
	MetricMemorySlab MetricID = 50
	// MetricMemoryWorkingSet is the working set by which the kubelet evicts.
	MetricMemoryWorkingSet MetricID = 51
	// MetricSwapTotal is swap space.
	MetricSwapTotal MetricID = 52
	// MetricSwapUsed is swap space in use.
	MetricSwapUsed MetricID = 53
	// MetricSwapIn is what is read from swap.
	MetricSwapIn MetricID = 54
	// MetricSwapOut is what is written to swap.
	MetricSwapOut MetricID = 55
	// MetricHugepagesReserved is memory set aside for huge pages.
	MetricHugepagesReserved MetricID = 56
	// MetricHugepagesUsed is memory of huge pages in use.
	MetricHugepagesUsed MetricID = 57
	// MetricMajorFaults is page faults that needed I/O.
	MetricMajorFaults MetricID = 58
	// MetricOOMKills is processes killed for lack of memory, since boot.
	MetricOOMKills MetricID = 59
)

// Filesystems, from mountinfo and statfs.
const (
	// MetricFSSize is size.
	MetricFSSize MetricID = 70
	// MetricFSFree is free for root.
	MetricFSFree MetricID = 71
	// MetricFSAvailable is free for others.
	MetricFSAvailable MetricID = 72
	// MetricFSUsed is size less free.
	MetricFSUsed MetricID = 73
	// MetricFSUsedPercent is used by used and available, like df.
	MetricFSUsedPercent MetricID = 74
	// MetricFSAvailablePercent is available by size, as the kubelet evicts.
	MetricFSAvailablePercent MetricID = 75
	// MetricFSInodes is inodes.
	MetricFSInodes MetricID = 76
	// MetricFSInodesFree is free inodes.
	MetricFSInodesFree MetricID = 77
	// MetricFSInodesUsedPercent is used inodes; absent when the filesystem has none.
	MetricFSInodesUsedPercent MetricID = 78
	// MetricFSReadOnly is 1 when mounted read-only.
	MetricFSReadOnly MetricID = 79
	// MetricFSError is one of the FSError codes.
	MetricFSError MetricID = 80
	// MetricFSRole is bits of FSRole.
	MetricFSRole MetricID = 81
)

// Disks, from /proc/diskstats.
const (
	// MetricDiskRead is what is read.
	MetricDiskRead MetricID = 90
	// MetricDiskWrite is what is written.
	MetricDiskWrite MetricID = 91
	// MetricDiskReads is completed reads.
	MetricDiskReads MetricID = 92
	// MetricDiskWrites is completed writes.
	MetricDiskWrites MetricID = 93
	// MetricDiskUtil is time with I/O in progress.
	MetricDiskUtil MetricID = 94
	// MetricDiskQueue is the average number of requests in flight.
	MetricDiskQueue MetricID = 95
	// MetricDiskAwait is the average time of a request; 0 without I/O.
	MetricDiskAwait MetricID = 96
	// MetricDiskReadAwait is the average time of a read.
	MetricDiskReadAwait MetricID = 97
	// MetricDiskWriteAwait is the average time of a write.
	MetricDiskWriteAwait MetricID = 98
)

// Network interfaces, from /proc/1/net/dev and sysfs.
const (
	// MetricNetReceive is received.
	MetricNetReceive MetricID = 110
	// MetricNetTransmit is sent.
	MetricNetTransmit MetricID = 111
	// MetricNetReceivePackets is received packets.
	MetricNetReceivePackets MetricID = 112
	// MetricNetTransmitPackets is sent packets.
	MetricNetTransmitPackets MetricID = 113
	// MetricNetReceiveErrors is packets received with errors.
	MetricNetReceiveErrors MetricID = 114
	// MetricNetTransmitErrors is packets not sent because of errors.
	MetricNetTransmitErrors MetricID = 115
	// MetricNetReceiveDrops is received packets that were dropped.
	MetricNetReceiveDrops MetricID = 116
	// MetricNetTransmitDrops is packets dropped instead of sent.
	MetricNetTransmitDrops MetricID = 117
	// MetricNetUtil is the busier direction by speed; absent when the speed is unknown.
	MetricNetUtil MetricID = 118
	// MetricNetSpeed is the speed of the link; absent when unknown.
	MetricNetSpeed MetricID = 119
	// MetricNetUp is 1 when the link is up.
	MetricNetUp MetricID = 120
	// MetricNetMTU is the largest packet.
	MetricNetMTU MetricID = 121
	// MetricNetPhysical is 1 when it counts toward the node's own traffic.
	MetricNetPhysical MetricID = 122
	// MetricNetTotalReceive is received by physical interfaces.
	MetricNetTotalReceive MetricID = 123
	// MetricNetTotalTransmit is sent by physical interfaces.
	MetricNetTotalTransmit MetricID = 124
)

// The rest.
const (
	// MetricTemperature is temperature.
	MetricTemperature MetricID = 130
	// MetricTemperatureCritical is the temperature that the sensor calls critical.
	MetricTemperatureCritical MetricID = 131
	// MetricUptime is time since boot.
	MetricUptime MetricID = 132
	// MetricFileDescriptors is open file handles.
	MetricFileDescriptors MetricID = 133
	// MetricFileDescriptorsMax is how many there may be.
	MetricFileDescriptorsMax MetricID = 134
	// MetricConntrack is tracked connections.
	MetricConntrack MetricID = 135
	// MetricConntrackMax is how many there may be.
	MetricConntrackMax MetricID = 136
	// MetricThreads is threads of all processes.
	MetricThreads MetricID = 137
	// MetricPIDMax is how many there may be.
	MetricPIDMax MetricID = 138
	// MetricClockOffset is the kernel's estimate of its clock's error.
	MetricClockOffset MetricID = 139
	// MetricClockSynced is 1 when the kernel believes its clock.
	MetricClockSynced MetricID = 140
	// MetricCollectorDropped is samples that the collector had to drop, since boot.
	MetricCollectorDropped MetricID = 141
	// MetricCollectorCPU is CPU time that taking this sample cost.
	MetricCollectorCPU MetricID = 142
	// MetricSwapUsedPercent is used swap space by all; 0 when there is none.
	MetricSwapUsedPercent MetricID = 143
	// MetricFileDescriptorsPercent is open file handles by how many there may be.
	MetricFileDescriptorsPercent MetricID = 144
	// MetricConntrackPercent is tracked connections by how many there may be.
	MetricConntrackPercent MetricID = 145
	// MetricThreadsPercent is threads by how many there may be.
	MetricThreadsPercent MetricID = 146
)

// metricsByID is the one table of metrics, indexed by number.
var metricsByID = [...]Metric{
	MetricCPUUsage:                 {MetricCPUUsage, "cpu_usage_percent", UnitPercent, KindGauge, "", 2},
	MetricCPUUser:                  {MetricCPUUser, "cpu_user_percent", UnitPercent, KindGauge, "", 2},
	MetricCPUNice:                  {MetricCPUNice, "cpu_nice_percent", UnitPercent, KindGauge, "", 2},
	MetricCPUSystem:                {MetricCPUSystem, "cpu_system_percent", UnitPercent, KindGauge, "", 2},
	MetricCPUIOWait:                {MetricCPUIOWait, "cpu_iowait_percent", UnitPercent, KindGauge, "", 2},
	MetricCPUIRQ:                   {MetricCPUIRQ, "cpu_irq_percent", UnitPercent, KindGauge, "", 2},
	MetricCPUSoftIRQ:               {MetricCPUSoftIRQ, "cpu_softirq_percent", UnitPercent, KindGauge, "", 2},
	MetricCPUSteal:                 {MetricCPUSteal, "cpu_steal_percent", UnitPercent, KindGauge, "", 2},
	MetricCPUGuest:                 {MetricCPUGuest, "cpu_guest_percent", UnitPercent, KindGauge, "", 2},
	MetricCPUIdle:                  {MetricCPUIdle, "cpu_idle_percent", UnitPercent, KindGauge, "", 2},
	MetricCPUCoreUsage:             {MetricCPUCoreUsage, "cpu_core_usage_percent", UnitPercent, KindGauge, "core", 2},
	MetricCPUCores:                 {MetricCPUCores, "cpu_cores", UnitCount, KindGauge, "", 0},
	MetricLoad1:                    {MetricLoad1, "load1", UnitCount, KindGauge, "", 2},
	MetricLoad5:                    {MetricLoad5, "load5", UnitCount, KindGauge, "", 2},
	MetricLoad15:                   {MetricLoad15, "load15", UnitCount, KindGauge, "", 2},
	MetricLoadPerCore:              {MetricLoadPerCore, "load1_per_core", UnitCount, KindGauge, "", 3},
	MetricProcsRunning:             {MetricProcsRunning, "procs_running", UnitCount, KindGauge, "", 0},
	MetricProcsBlocked:             {MetricProcsBlocked, "procs_blocked", UnitCount, KindGauge, "", 0},
	MetricContextSwitches:          {MetricContextSwitches, "context_switches", UnitPerSecond, KindGauge, "", 2},
	MetricForks:                    {MetricForks, "forks", UnitPerSecond, KindGauge, "", 2},
	MetricPressureCPUSome:          {MetricPressureCPUSome, "pressure_cpu_some_percent", UnitPercent, KindGauge, "", 2},
	MetricPressureCPUFull:          {MetricPressureCPUFull, "pressure_cpu_full_percent", UnitPercent, KindGauge, "", 2},
	MetricPressureMemorySome:       {MetricPressureMemorySome, "pressure_memory_some_percent", UnitPercent, KindGauge, "", 2},
	MetricPressureMemoryFull:       {MetricPressureMemoryFull, "pressure_memory_full_percent", UnitPercent, KindGauge, "", 2},
	MetricPressureIOSome:           {MetricPressureIOSome, "pressure_io_some_percent", UnitPercent, KindGauge, "", 2},
	MetricPressureIOFull:           {MetricPressureIOFull, "pressure_io_full_percent", UnitPercent, KindGauge, "", 2},
	MetricPressureIRQFull:          {MetricPressureIRQFull, "pressure_irq_full_percent", UnitPercent, KindGauge, "", 2},
	MetricMemoryTotal:              {MetricMemoryTotal, "memory_total_bytes", UnitBytes, KindGauge, "", 0},
	MetricMemoryAvailable:          {MetricMemoryAvailable, "memory_available_bytes", UnitBytes, KindGauge, "", 0},
	MetricMemoryAvailableEstimated: {MetricMemoryAvailableEstimated, "memory_available_estimated", UnitBool, KindGauge, "", 0},
	MetricMemoryUsed:               {MetricMemoryUsed, "memory_used_bytes", UnitBytes, KindGauge, "", 0},
	MetricMemoryUsedPercent:        {MetricMemoryUsedPercent, "memory_used_percent", UnitPercent, KindGauge, "", 2},
	MetricMemoryFree:               {MetricMemoryFree, "memory_free_bytes", UnitBytes, KindGauge, "", 0},
	MetricMemoryBuffers:            {MetricMemoryBuffers, "memory_buffers_bytes", UnitBytes, KindGauge, "", 0},
	MetricMemoryCached:             {MetricMemoryCached, "memory_cached_bytes", UnitBytes, KindGauge, "", 0},
	MetricMemoryShared:             {MetricMemoryShared, "memory_shmem_bytes", UnitBytes, KindGauge, "", 0},
	MetricMemoryDirty:              {MetricMemoryDirty, "memory_dirty_bytes", UnitBytes, KindGauge, "", 0},
	MetricMemorySlab:               {MetricMemorySlab, "memory_slab_bytes", UnitBytes, KindGauge, "", 0},
	MetricMemoryWorkingSet:         {MetricMemoryWorkingSet, "memory_kubelet_working_set_bytes", UnitBytes, KindGauge, "", 0},
	MetricSwapTotal:                {MetricSwapTotal, "swap_total_bytes", UnitBytes, KindGauge, "", 0},
	MetricSwapUsed:                 {MetricSwapUsed, "swap_used_bytes", UnitBytes, KindGauge, "", 0},
	MetricSwapIn:                   {MetricSwapIn, "swap_in_bytes_per_second", UnitBytesPerSecond, KindGauge, "", 0},
	MetricSwapOut:                  {MetricSwapOut, "swap_out_bytes_per_second", UnitBytesPerSecond, KindGauge, "", 0},
	MetricHugepagesReserved:        {MetricHugepagesReserved, "hugepages_reserved_bytes", UnitBytes, KindGauge, "", 0},
	MetricHugepagesUsed:            {MetricHugepagesUsed, "hugepages_used_bytes", UnitBytes, KindGauge, "", 0},
	MetricMajorFaults:              {MetricMajorFaults, "major_faults", UnitPerSecond, KindGauge, "", 2},
	MetricOOMKills:                 {MetricOOMKills, "oom_kills_total", UnitCount, KindCounter, "", 0},
	MetricFSSize:                   {MetricFSSize, "fs_size_bytes", UnitBytes, KindGauge, "mount", 0},
	MetricFSFree:                   {MetricFSFree, "fs_free_bytes", UnitBytes, KindGauge, "mount", 0},
	MetricFSAvailable:              {MetricFSAvailable, "fs_available_bytes", UnitBytes, KindGauge, "mount", 0},
	MetricFSUsed:                   {MetricFSUsed, "fs_used_bytes", UnitBytes, KindGauge, "mount", 0},
	MetricFSUsedPercent:            {MetricFSUsedPercent, "fs_used_percent", UnitPercent, KindGauge, "mount", 2},
	MetricFSAvailablePercent:       {MetricFSAvailablePercent, "fs_available_percent", UnitPercent, KindGauge, "mount", 2},
	MetricFSInodes:                 {MetricFSInodes, "fs_inodes", UnitCount, KindGauge, "mount", 0},
	MetricFSInodesFree:             {MetricFSInodesFree, "fs_inodes_free", UnitCount, KindGauge, "mount", 0},
	MetricFSInodesUsedPercent:      {MetricFSInodesUsedPercent, "fs_inodes_used_percent", UnitPercent, KindGauge, "mount", 2},
	MetricFSReadOnly:               {MetricFSReadOnly, "fs_readonly", UnitBool, KindGauge, "mount", 0},
	MetricFSError:                  {MetricFSError, "fs_error", UnitCode, KindGauge, "mount", 0},
	MetricFSRole:                   {MetricFSRole, "fs_role", UnitCode, KindGauge, "mount", 0},
	MetricDiskRead:                 {MetricDiskRead, "disk_read_bytes_per_second", UnitBytesPerSecond, KindGauge, "device", 0},
	MetricDiskWrite:                {MetricDiskWrite, "disk_write_bytes_per_second", UnitBytesPerSecond, KindGauge, "device", 0},
	MetricDiskReads:                {MetricDiskReads, "disk_reads", UnitPerSecond, KindGauge, "device", 2},
	MetricDiskWrites:               {MetricDiskWrites, "disk_writes", UnitPerSecond, KindGauge, "device", 2},
	MetricDiskUtil:                 {MetricDiskUtil, "disk_util_percent", UnitPercent, KindGauge, "device", 2},
	MetricDiskQueue:                {MetricDiskQueue, "disk_queue_depth", UnitCount, KindGauge, "device", 2},
	MetricDiskAwait:                {MetricDiskAwait, "disk_await_ms", UnitMilliseconds, KindGauge, "device", 2},
	MetricDiskReadAwait:            {MetricDiskReadAwait, "disk_read_await_ms", UnitMilliseconds, KindGauge, "device", 2},
	MetricDiskWriteAwait:           {MetricDiskWriteAwait, "disk_write_await_ms", UnitMilliseconds, KindGauge, "device", 2},
	MetricNetReceive:               {MetricNetReceive, "net_receive_bytes_per_second", UnitBytesPerSecond, KindGauge, "interface", 0},
	MetricNetTransmit:              {MetricNetTransmit, "net_transmit_bytes_per_second", UnitBytesPerSecond, KindGauge, "interface", 0},
	MetricNetReceivePackets:        {MetricNetReceivePackets, "net_receive_packets", UnitPerSecond, KindGauge, "interface", 2},
	MetricNetTransmitPackets:       {MetricNetTransmitPackets, "net_transmit_packets", UnitPerSecond, KindGauge, "interface", 2},
	MetricNetReceiveErrors:         {MetricNetReceiveErrors, "net_receive_errors", UnitPerSecond, KindGauge, "interface", 2},
	MetricNetTransmitErrors:        {MetricNetTransmitErrors, "net_transmit_errors", UnitPerSecond, KindGauge, "interface", 2},
	MetricNetReceiveDrops:          {MetricNetReceiveDrops, "net_receive_drops", UnitPerSecond, KindGauge, "interface", 2},
	MetricNetTransmitDrops:         {MetricNetTransmitDrops, "net_transmit_drops", UnitPerSecond, KindGauge, "interface", 2},
	MetricNetUtil:                  {MetricNetUtil, "net_util_percent", UnitPercent, KindGauge, "interface", 2},
	MetricNetSpeed:                 {MetricNetSpeed, "net_speed_bits_per_second", UnitBitsPerSecond, KindGauge, "interface", 0},
	MetricNetUp:                    {MetricNetUp, "net_up", UnitBool, KindGauge, "interface", 0},
	MetricNetMTU:                   {MetricNetMTU, "net_mtu_bytes", UnitBytes, KindGauge, "interface", 0},
	MetricNetPhysical:              {MetricNetPhysical, "net_physical", UnitBool, KindGauge, "interface", 0},
	MetricNetTotalReceive:          {MetricNetTotalReceive, "net_physical_receive_bytes_per_second", UnitBytesPerSecond, KindGauge, "", 0},
	MetricNetTotalTransmit:         {MetricNetTotalTransmit, "net_physical_transmit_bytes_per_second", UnitBytesPerSecond, KindGauge, "", 0},
	MetricTemperature:              {MetricTemperature, "temperature_celsius", UnitCelsius, KindGauge, "sensor", 1},
	MetricTemperatureCritical:      {MetricTemperatureCritical, "temperature_critical_celsius", UnitCelsius, KindGauge, "sensor", 1},
	MetricUptime:                   {MetricUptime, "uptime_seconds", UnitSeconds, KindGauge, "", 0},
	MetricFileDescriptors:          {MetricFileDescriptors, "file_descriptors", UnitCount, KindGauge, "", 0},
	MetricFileDescriptorsMax:       {MetricFileDescriptorsMax, "file_descriptors_max", UnitCount, KindGauge, "", 0},
	MetricConntrack:                {MetricConntrack, "conntrack_entries", UnitCount, KindGauge, "", 0},
	MetricConntrackMax:             {MetricConntrackMax, "conntrack_entries_max", UnitCount, KindGauge, "", 0},
	MetricThreads:                  {MetricThreads, "threads", UnitCount, KindGauge, "", 0},
	MetricPIDMax:                   {MetricPIDMax, "pid_max", UnitCount, KindGauge, "", 0},
	MetricClockOffset:              {MetricClockOffset, "clock_offset_seconds", UnitSeconds, KindGauge, "", 6},
	MetricClockSynced:              {MetricClockSynced, "clock_synced", UnitBool, KindGauge, "", 0},
	MetricCollectorDropped:         {MetricCollectorDropped, "collector_dropped_samples_total", UnitCount, KindCounter, "", 0},
	MetricCollectorCPU:             {MetricCollectorCPU, "collector_cpu_ms", UnitMilliseconds, KindGauge, "", 2},
	MetricSwapUsedPercent:          {MetricSwapUsedPercent, "swap_used_percent", UnitPercent, KindGauge, "", 2},
	MetricFileDescriptorsPercent:   {MetricFileDescriptorsPercent, "file_descriptors_used_percent", UnitPercent, KindGauge, "", 2},
	MetricConntrackPercent:         {MetricConntrackPercent, "conntrack_used_percent", UnitPercent, KindGauge, "", 2},
	MetricThreadsPercent:           {MetricThreadsPercent, "threads_used_percent", UnitPercent, KindGauge, "", 2},
}
