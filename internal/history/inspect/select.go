// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// minPrefix is the shortest beginning of a UID that selects a cluster.
	minPrefix = 4
	// maxListed is how many names an error lists.
	maxListed = 20
	// noNamespace selects objects without a namespace.
	noNamespace = "-"
)

// session is one run on an open store.
type session struct {
	reader   Reader
	streams  Streams
	format   string
	limit    int
	now      time.Time
	location *time.Location
	// clusters are those that were selected, by UID.
	clusters []cluster
	// filtering says that rows are read which are not printed.
	filtering bool
	// notes are printed to people at the end.
	notes []string
}

// cluster is a cluster of the store.
type cluster struct {
	uid history.ClusterUID
	// name is empty when nobody knows it.
	name string
	// short is a beginning of the UID that no other cluster of the store has.
	short string
}

// title returns what people call the cluster.
func (c cluster) title() string {
	if c.name != "" {
		return c.name
	}
	return c.short
}

// clusterOf returns one of the selected clusters.
func (s *session) clusterOf(uid history.ClusterUID) cluster {
	if i := slices.IndexFunc(s.clusters, func(c cluster) bool { return c.uid == uid }); i >= 0 {
		return s.clusters[i]
	}
	return cluster{uid: uid, short: string(uid)}
}

// selectClusters finds the clusters that people asked for, or all.
func (s *session) selectClusters(ctx context.Context, wanted []string, names Names) error {
	uids, err := s.reader.Clusters(ctx)
	if err != nil {
		return fmt.Errorf("listing the clusters: %w", err)
	}
	known, err := s.name(ctx, uids, wanted, names)
	if err != nil {
		return err
	}
	if len(wanted) == 0 {
		s.clusters = known
		return nil
	}
	for _, w := range wanted {
		found, err := findCluster(known, w)
		if err != nil {
			return err
		}
		if !slices.Contains(s.clusters, found) {
			s.clusters = append(s.clusters, found)
		}
	}
	return nil
}

// name gives the clusters their names, if somebody needs to know them: to tell
// several apart, or to find one that was not asked for by UID.
func (s *session) name(ctx context.Context, uids []history.ClusterUID, wanted []string, names Names) ([]cluster, error) {
	known := make([]cluster, len(uids))
	for i, uid := range uids {
		known[i] = cluster{uid: uid, short: shorten(uid, uids)}
	}
	byName := slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(uids, history.ClusterUID(w)) })
	if names == nil || len(uids) == 0 || !byName && len(uids) < 2 {
		return known, nil
	}
	byUID, err := names(ctx)
	if err != nil {
		if byName {
			return nil, fmt.Errorf("asking for the names of the clusters (a UID needs no name): %w", err)
		}
		s.notes = append(s.notes, "The names of the clusters are not known: "+sanitize(err.Error()))
	}
	for i := range known {
		known[i].name = byUID[known[i].uid]
	}
	return known, nil
}

// shorten returns the beginning of a UID, at least eight bytes, that no other has.
func shorten(uid history.ClusterUID, all []history.ClusterUID) string {
	for n := 8; n < len(uid); n++ {
		if !slices.ContainsFunc(all, func(other history.ClusterUID) bool {
			return other != uid && strings.HasPrefix(string(other), string(uid[:n]))
		}) {
			return string(uid[:n])
		}
	}
	return string(uid)
}

// findCluster looks for a UID, then a name, then the beginning of one UID.
func findCluster(known []cluster, wanted string) (cluster, error) {
	for _, matches := range []func(cluster) bool{
		func(c cluster) bool { return string(c.uid) == wanted },
		func(c cluster) bool { return c.name == wanted && wanted != "" },
		func(c cluster) bool { return len(wanted) >= minPrefix && strings.HasPrefix(string(c.uid), wanted) },
	} {
		var found []cluster
		for _, c := range known {
			if matches(c) {
				found = append(found, c)
			}
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			return found[0], nil
		}
		return cluster{}, fmt.Errorf("--cluster %q fits several clusters: %s", sanitize(wanted), list(describe(found)))
	}
	return cluster{}, missing("cluster", []string{wanted}, describe(known))
}

func describe(clusters []cluster) []string {
	all := make([]string, len(clusters))
	for i, c := range clusters {
		all[i] = string(c.uid)
		if c.name != "" {
			all[i] = c.name + " (" + string(c.uid) + ")"
		}
	}
	return all
}

// missing says that values of a flag are unknown and lists what there is.
func missing(flag string, wanted, existing []string) error {
	return fmt.Errorf("--%s %s is unknown; there are: %s", flag, sanitize(strings.Join(wanted, ", ")), list(existing))
}

// list joins names for people, at most maxListed of them.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	shown := make([]string, 0, maxListed)
	for _, n := range names[:min(len(names), maxListed)] {
		shown = append(shown, sanitize(n))
	}
	text := strings.Join(shown, ", ")
	if more := len(names) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// absentFrom returns the values of wanted that existing lacks.
func absentFrom(wanted, existing []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(w string) bool { return slices.Contains(existing, w) })
}

// kinds returns kinds as the store spells them. A kind that this version does not
// know may come from a newer agent: then the store has to have such an object.
func (s *session) kinds(ctx context.Context, wanted []string) ([]telemetry.Kind, error) {
	known := telemetry.Kinds()
	kinds := make([]telemetry.Kind, 0, len(wanted))
	for _, w := range wanted {
		if i := slices.IndexFunc(known, func(k telemetry.Kind) bool { return spells(k, w) }); i >= 0 {
			kinds = append(kinds, known[i])
			continue
		}
		found, err := s.anyObject(ctx, history.ObjectQuery{Kinds: []telemetry.Kind{telemetry.Kind(w)}, Deleted: true})
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, missing("kind", []string{w}, words(known))
		}
		kinds = append(kinds, telemetry.Kind(w))
	}
	return kinds, nil
}

// spells reports whether a word means the kind: in any case, also in the plural.
func spells(k telemetry.Kind, word string) bool {
	plain, word := strings.ToLower(string(k)), strings.ToLower(word)
	return word == plain || word == plain+"s" || word == plain+"es"
}

func words[T ~string](values []T) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = string(v)
	}
	return all
}

func (s *session) anyObject(ctx context.Context, q history.ObjectQuery) (bool, error) {
	for _, c := range s.clusters {
		q.Cluster, q.Paging = c.uid, history.Paging{Limit: 1}
		page, err := s.reader.Objects(ctx, q)
		if err != nil {
			return false, fmt.Errorf("looking for objects of cluster %s: %w", c.title(), err)
		}
		if len(page.Items) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// objectNames returns the names of objects of a kind, also of those that are gone;
// at most a page of each cluster.
func (s *session) objectNames(ctx context.Context, kind telemetry.Kind) ([]string, error) {
	var names []string
	for _, c := range s.clusters {
		page, err := s.reader.Objects(ctx, history.ObjectQuery{
			Cluster: c.uid, Kinds: []telemetry.Kind{kind}, Deleted: true, Paging: history.Paging{Limit: history.MaxLimit},
		})
		if err != nil {
			return nil, fmt.Errorf("listing the %ss of cluster %s: %w", strings.ToLower(string(kind)), c.title(), err)
		}
		for _, o := range page.Items {
			names = append(names, o.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// checkNames is asked when nothing was found: it says so when that is because a
// name is none of an object of the kind. A store without such objects knows nothing
// about them and is not asked.
func (s *session) checkNames(ctx context.Context, flag string, kind telemetry.Kind, wanted []string) error {
	wanted = absentFrom(wanted, []string{noNamespace, ""})
	if len(wanted) == 0 {
		return nil
	}
	existing, err := s.objectNames(ctx, kind)
	if err != nil || len(existing) == 0 {
		return err
	}
	for _, w := range absentFrom(wanted, existing) {
		// The list above ends at a page; this looks for the one name.
		found, err := s.hasObject(ctx, kind, w)
		if err != nil {
			return err
		}
		if !found {
			return missing(flag, []string{w}, existing)
		}
	}
	return nil
}

func (s *session) hasObject(ctx context.Context, kind telemetry.Kind, name string) (bool, error) {
	for _, c := range s.clusters {
		// Names are sorted: the one that is its own prefix comes first.
		page, err := s.reader.Objects(ctx, history.ObjectQuery{
			Cluster: c.uid, Kinds: []telemetry.Kind{kind}, NamePrefix: name, Deleted: true, Paging: history.Paging{Limit: 1},
		})
		if err != nil {
			return false, fmt.Errorf("looking for the %s %q: %w", strings.ToLower(string(kind)), sanitize(name), err)
		}
		if len(page.Items) > 0 && page.Items[0].Name == name {
			return true, nil
		}
	}
	return false, nil
}

// namespaces returns namespaces as queries take them.
func namespaces(wanted []string) []string {
	all := slices.Clone(wanted)
	for i, n := range all {
		if n == noNamespace {
			all[i] = ""
		}
	}
	return all
}
