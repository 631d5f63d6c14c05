// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// What is left out unless Options say otherwise.
const (
	// DefaultExcludeInterfaces matches the host's ends of pods' interfaces, of
	// which there are hundreds that come and go.
	DefaultExcludeInterfaces = `^(veth.*|cali.*|lxc.*|gke[0-9a-f]+|azv.*|eni[0-9a-f]{11}|[a-z0-9]+@if\d+)$`
	// DefaultVirtualInterfaces matches interfaces whose traffic is no traffic of
	// the node, or passes through another interface as well.
	DefaultVirtualInterfaces = `^(lo|veth.*|cali.*|cilium_.*|lxc.*|flannel.*|cni.*|docker.*|br-.*|virbr.*|tunl.*|vxlan.*|kube-ipvs.*|` +
		`nodelocaldns|ip6tnl.*|sit.*|dummy.*|[a-z0-9]+@if\d+|` +
		`ifb.*|teql.*|gre.*|erspan.*|ip6gre.*|ip6?_vti.*|wg.*|tun.*|tap.*|vnet.*|podman.*|weave|antrea-.*|ovs-.*|cbr0)$`
	// DefaultExcludeDisks matches partitions, and devices in memory.
	DefaultExcludeDisks = `^(z?ram|loop|fd|sr|(h|s|v|xv)d[a-z]+|nvme\d+n\d+p|mmcblk\d+p|nbd\d+p|md\d+p)\d+$`
	// DefaultExcludeFilesystems matches types of filesystems that hold no data of
	// their own.
	DefaultExcludeFilesystems = `^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|efivarfs|fusectl|fuse\.(lxcfs|portal)|hugetlbfs|` +
		`iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|ramfs|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$`
	// DefaultExcludeMounts matches mount points of containers and of the system.
	// Volumes of pods are measured by the kubelet.
	DefaultExcludeMounts = `^/(dev|proc|sys|run/credentials/.+|run/user/.+|run/netns|run/(containerd|k3s/containerd|crio|docker)/.+|` +
		`var/lib/(docker|containerd|kubelet/pods|containers/storage)/.+|var/lib/rancher/k3s/agent/containerd/.+)($|/)`
	// DefaultProbeTimeout is how long filesystems, sensors and drivers have to
	// answer.
	DefaultProbeTimeout = 2 * time.Second
	// DefaultNodePath is where the kubelet keeps its files.
	DefaultNodePath = "/var/lib/kubelet"
)

// DefaultImagePaths returns where container runtimes keep images.
func DefaultImagePaths() []string {
	return []string{"/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/lib/rancher/k3s/agent/containerd"}
}

// Options say what to measure. Only Node is required; a zero field takes its
// default.
type Options struct {
	// Node is the name of the node. Required.
	Node string
	// Root is where the machine's root is mounted, such as /host/root. Default /.
	Root string
	// ProcPath and SysPath are where its /proc and /sys are, such as /host/proc and
	// /host/sys. Default proc and sys below Root.
	ProcPath, SysPath string
	// NetworkScope says whose interfaces /proc shows. By default the collector
	// finds out, and says pod when it cannot be sure. A collector with hostNetwork
	// sets NetworkHost.
	NetworkScope telemetry.NetworkScope

	// ExcludeInterfaces matches interfaces that are not shown, VirtualInterfaces
	// those that do not count toward the node's own traffic, ExcludeDisks devices,
	// ExcludeFilesystems types of filesystems and ExcludeMounts mount points that
	// are not shown. Defaults are the constants of these names.
	ExcludeInterfaces, VirtualInterfaces, ExcludeDisks, ExcludeFilesystems, ExcludeMounts *regexp.Regexp
	// NodePath is where the kubelet keeps its files; default DefaultNodePath.
	NodePath string
	// ImagePaths are where a container runtime may keep images; default
	// DefaultImagePaths.
	ImagePaths []string

	// ProbeTimeout is how long filesystems, sensors and drivers have to answer,
	// all of them together. Default DefaultProbeTimeout.
	ProbeTimeout time.Duration
	// PageSize is the size of a page of the machine in bytes; default that of this
	// process.
	PageSize int
	// Statfs asks a filesystem how full it is, and may never return. Defaults to
	// the system call.
	Statfs func(path string) (SpaceCounts, error)
	// Clock asks the kernel about its clock. Defaults to the system call.
	Clock func() Clock
	// Logger receives what a human may act on: a source that cannot be read any
	// longer, once, and when it can again. Defaults to nowhere.
	Logger *slog.Logger
}

func (o *Options) complete() error {
	if o.Node == "" || telemetry.Clip(o.Node, telemetry.MaxName) != o.Node {
		return fmt.Errorf("checking the settings of the collector: the name of the node is required, in at most %d bytes", telemetry.MaxName)
	}
	if o.ProbeTimeout < 0 || o.PageSize < 0 {
		return errors.New("checking the settings of the collector: the probe timeout and the page size cannot be negative")
	}
	o.Root = filepath.Clean(cmp.Or(o.Root, "/"))
	o.ProcPath = cmp.Or(o.ProcPath, filepath.Join(o.Root, "proc"))
	o.SysPath = cmp.Or(o.SysPath, filepath.Join(o.Root, "sys"))
	if info, err := os.Stat(o.ProcPath); err != nil || !info.IsDir() {
		return fmt.Errorf("checking the settings of the collector: %s is no folder: mount the machine's /proc there", o.ProcPath)
	}
	o.ExcludeInterfaces = cmp.Or(o.ExcludeInterfaces, defaultExcludeInterfaces)
	o.VirtualInterfaces = cmp.Or(o.VirtualInterfaces, defaultVirtualInterfaces)
	o.ExcludeDisks = cmp.Or(o.ExcludeDisks, defaultExcludeDisks)
	o.ExcludeFilesystems = cmp.Or(o.ExcludeFilesystems, defaultExcludeFilesystems)
	o.ExcludeMounts = cmp.Or(o.ExcludeMounts, defaultExcludeMounts)
	o.NodePath = cmp.Or(o.NodePath, DefaultNodePath)
	if o.ImagePaths == nil {
		o.ImagePaths = DefaultImagePaths()
	}
	o.ProbeTimeout = cmp.Or(o.ProbeTimeout, DefaultProbeTimeout)
	o.PageSize = cmp.Or(o.PageSize, os.Getpagesize())
	if o.Statfs == nil {
		o.Statfs = statfsOf
	}
	if o.Clock == nil {
		o.Clock = kernelClock
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

var (
	defaultExcludeInterfaces  = regexp.MustCompile(DefaultExcludeInterfaces)
	defaultVirtualInterfaces  = regexp.MustCompile(DefaultVirtualInterfaces)
	defaultExcludeDisks       = regexp.MustCompile(DefaultExcludeDisks)
	defaultExcludeFilesystems = regexp.MustCompile(DefaultExcludeFilesystems)
	defaultExcludeMounts      = regexp.MustCompile(DefaultExcludeMounts)
)
