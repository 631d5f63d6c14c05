// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// remoteEvery is how often filesystems with a server are asked: every fifth
	// sample.
	remoteEvery = 5
	// mostMounts is how many filesystems are shown.
	mostMounts = 64
)

// remoteTypes are filesystems that ask a server. So do those of FUSE, of which
// there are many.
var remoteTypes = []string{"nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "9p", "afs", "lustre", "gfs2", "ocfs2", "gpfs", "beegfs"}

func isRemote(fsType string) bool {
	return slices.Contains(remoteTypes, fsType) || fsType == "fuse" || strings.HasPrefix(fsType, "fuse.")
}

// choice is a filesystem to look at.
type choice struct {
	Mount

	role int
}

// chooser says which mounts are worth looking at.
type chooser struct {
	excludeTypes, excludePoints *regexp.Regexp
	nodePath                    string
	imagePaths                  []string
}

// choose picks, of each filesystem, the mount with the shortest path: bind mounts
// and subvolumes of it have the same space. Of mounts at the same place only the
// last can be seen.
func (c *chooser) choose(mounts []Mount) []choice {
	var visible []Mount
	for i := range mounts {
		m := &mounts[i]
		if at := slices.IndexFunc(visible, func(v Mount) bool { return v.Point == m.Point }); at >= 0 {
			visible = slices.Delete(visible, at, at+1)
		}
		visible = append(visible, *m)
	}
	var chosen []choice
	for i := range visible {
		m := &visible[i]
		if c.excludeTypes.MatchString(m.Type) || c.excludePoints.MatchString(m.Point) {
			continue
		}
		at := slices.IndexFunc(chosen, func(o choice) bool { return o.Number == m.Number })
		switch {
		case at < 0:
			chosen = append(chosen, choice{Mount: *m})
		case len(m.Point) < len(chosen[at].Point):
			chosen[at].Mount = *m
		}
	}
	mark(chosen, visible, []string{c.nodePath}, telemetry.FSRoleNode)
	mark(chosen, visible, c.imagePaths, telemetry.FSRoleImage)
	return chosen[:min(len(chosen), mostMounts)]
}

// mark gives a role to the filesystem that holds one of the paths: the one with
// the longest path, as that was mounted there for the purpose.
func mark(chosen []choice, visible []Mount, paths []string, role int) {
	var best *Mount
	for i := range visible {
		m := &visible[i]
		holds := slices.ContainsFunc(paths, func(path string) bool { return within(path, m.Point) })
		if holds && (best == nil || len(m.Point) > len(best.Point)) {
			best = m
		}
	}
	if best == nil {
		return
	}
	if at := slices.IndexFunc(chosen, func(c choice) bool { return c.Number == best.Number }); at >= 0 {
		chosen[at].role |= role
	}
}

// within says whether a path is a folder or below it.
func within(path, folder string) bool {
	if folder == "/" || path == folder {
		return strings.HasPrefix(path, "/")
	}
	return strings.HasPrefix(path, folder) && path[len(folder)] == '/'
}

// below turns mounts as the collector's own container sees them into those of the
// machine, whose root is mounted at root.
func below(mounts []Mount, root string) []Mount {
	if root == "/" {
		return mounts
	}
	kept := mounts[:0]
	for i := range mounts {
		if m := mounts[i]; within(m.Point, root) {
			m.Point = "/" + strings.TrimPrefix(strings.TrimPrefix(m.Point, root), "/")
			kept = append(kept, m)
		}
	}
	return kept
}

// watched is a filesystem and what it last said.
type watched struct {
	probe

	choice
	// asked is true when it was to be asked at least once.
	asked bool
	// waiting is true from when it is to be asked until it is; counts and err are
	// the answer. All three only while the probe is not outstanding.
	waiting bool
	counts  SpaceCounts
	err     error
}

// mountTable knows the filesystems of the node.
type mountTable struct {
	chooser chooser
	root    string
	statfs  func(path string) (SpaceCounts, error)

	// present is false while there is no table to read; what is watched stays, so
	// that outstanding calls are remembered.
	present bool
	raw     []byte
	parsed  []Mount
	watched []*watched
	rounds  int
}

func newMountTable(o *Options) *mountTable {
	return &mountTable{
		root: o.Root, statfs: o.Statfs,
		chooser: chooser{
			excludeTypes: o.ExcludeFilesystems, excludePoints: o.ExcludeMounts,
			nodePath: o.NodePath, imagePaths: o.ImagePaths,
		},
	}
}

// update takes a mount table, which seldom differs from the last. The machine's
// root is at root in it.
func (t *mountTable) update(raw []byte, root string) {
	t.present = true
	if bytes.Equal(raw, t.raw) {
		return
	}
	t.raw = append(t.raw[:0], raw...)
	t.parsed = below(parseMounts(raw, t.parsed[:0]), root)
	before := t.watched
	t.watched = make([]*watched, 0, len(before))
	for _, c := range t.chooser.choose(t.parsed) {
		// A mount keeps its outstanding call: a table that changes must not make
		// a second one.
		at := slices.IndexFunc(before, func(w *watched) bool { return w.Number == c.Number && w.Point == c.Point && w.Type == c.Type })
		if at >= 0 {
			before[at].choice = c
			t.watched = append(t.watched, before[at])
			continue
		}
		w := &watched{choice: c}
		w.remote = isRemote(c.Type)
		path := filepath.Join(t.root, c.Point)
		w.call = func() {
			w.waiting = false
			w.counts, w.err = t.statfs(path)
		}
		t.watched = append(t.watched, w)
	}
}

// due appends the probes of filesystems to ask now.
func (t *mountTable) due(p *prober, probes []*probe) []*probe {
	if !t.present {
		return probes
	}
	for _, w := range t.watched {
		if w.asked && t.rounds%remoteEvery != 0 && w.remote || !p.ready(&w.probe) {
			continue
		}
		w.asked, w.waiting = true, true
		probes = append(probes, &w.probe)
	}
	t.rounds++
	return probes
}

// filesystems appends what is known now.
func (t *mountTable) filesystems(p *prober, list []Filesystem) []Filesystem {
	if !t.present {
		return list
	}
	for _, w := range t.watched {
		f := Filesystem{Mount: w.Mount, Role: w.role}
		switch {
		case !p.ready(&w.probe), w.waiting:
			// It does not answer, or too many others do not for it to be asked.
			f.Error = telemetry.FSErrorTimeout
		case w.err != nil:
			f.Error = errorCode(w.err)
		case w.counts.Blocks == 0:
			continue // nothing to run out of
		default:
			f.Counts, f.Known = w.counts, true
		}
		f.Point = telemetry.Clip(f.Point, telemetry.MaxLabelValue)
		list = append(list, f)
	}
	return list
}

// errorCode says which of telemetry's codes an error of statfs has.
func errorCode(err error) int {
	switch {
	case err == nil:
		return telemetry.FSErrorNone
	case errors.Is(err, fs.ErrPermission):
		return telemetry.FSErrorPermission
	default:
		return telemetry.FSErrorOther
	}
}
