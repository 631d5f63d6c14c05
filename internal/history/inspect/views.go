// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// clusterView is the cluster of a row in JSON.
type clusterView struct {
	Cluster     history.ClusterUID `json:"cluster"`
	ClusterName string             `json:"clusterName,omitempty"`
}

func (s *session) clusterView(uid history.ClusterUID) clusterView {
	return clusterView{Cluster: uid, ClusterName: s.clusterOf(uid).name}
}

// clusterColumn is the column of the cluster, which a table of one cluster does not
// need.
func clusterColumn[V any](s *session, of func(V) history.ClusterUID) []column[V] {
	if len(s.clusters) < 2 {
		return nil
	}
	return []column[V]{{header: "CLUSTER", cell: func(v V) string { return s.clusterOf(of(v)).title() }}}
}

// refView names an object.
type refView struct {
	Kind string `json:"kind,omitempty"`
	NS   string `json:"namespace,omitempty"`
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}

func viewRef(r telemetry.ObjectRef) *refView {
	if r.IsZero() {
		return nil
	}
	return &refView{Kind: r.Kind, NS: r.Namespace, Name: r.Name, UID: r.UID}
}

func labels(from []telemetry.Label) map[string]string {
	if len(from) == 0 {
		return nil
	}
	all := make(map[string]string, len(from))
	for _, l := range from {
		all[l.Key] = l.Value
	}
	return all
}

// keyView is the stream and the epoch of a record of the ledger.
type keyView struct {
	clusterView
	Stream string `json:"stream"`
	Epoch  uint64 `json:"epoch"`
}

func (s *session) keyView(k telemetry.Key) keyView {
	return keyView{clusterView: s.clusterView(history.ClusterUID(k.ClusterUID)), Stream: k.Stream.String(), Epoch: uint64(k.Epoch)}
}

// ago is an age as part of a sentence; empty when it is unknown.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return age(t, now) + " ago"
}
