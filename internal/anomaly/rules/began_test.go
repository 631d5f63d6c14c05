// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/rules"
)

// A snapshot dates what concerns the whole cluster by when its objects were made.
func TestSinceOfTheCluster(t *testing.T) {
	node := func(age time.Duration, cpu int64, version string) facts.Object {
		n := &facts.Node{Meta: meta(facts.KindNode, "", ""), CPUMillis: cpu, KubeletVersion: version}
		n.Created = now.Add(-age)
		return n
	}
	p := func(age time.Duration, cpu int64) facts.Object {
		o := &facts.Pod{Meta: meta(facts.KindPod, "default", ""), Phase: facts.PhaseRunning, CPUMillis: cpu}
		o.Created = now.Add(-age)
		return o
	}
	const minute, hour = time.Minute, time.Hour
	cluster := func(version string) facts.Object {
		return &facts.Cluster{Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindCluster, Name: facts.ClusterName}}, Version: version}
	}
	cases := map[string]struct {
		objects []facts.Object
		want    map[string]time.Duration
	}{
		"the pod that tips": {
			[]facts.Object{p(minute, 300), p(3*hour, 600), p(2*hour, 600), node(9*hour, 1000, ""), node(9*hour, 1000, "")},
			map[string]time.Duration{"ClusterOvercommitted": 2 * hour},
		},
		"not before there is room": {
			[]facts.Object{node(9*hour, 1000, ""), p(3*hour, 1200), node(5*minute, 1000, "")},
			map[string]time.Duration{"ClusterOvercommitted": 5 * minute},
		},
		"a node that is no help": {
			[]facts.Object{node(9*hour, 1000, ""), node(8*hour, 1000, ""), p(3*hour, 2200), node(5*minute, 1000, "")},
			map[string]time.Duration{"ClusterOvercommitted": 3 * hour},
		},
		"a node that helped for a while": {
			[]facts.Object{node(9*hour, 1000, ""), node(8*hour, 1000, ""), p(7*hour, 1500), node(6*hour, 1000, ""), p(minute, 1000)},
			map[string]time.Duration{"ClusterOvercommitted": minute},
		},
		"what is as old comes together": {
			[]facts.Object{node(9*hour, 1000, ""), node(9*hour, 1000, ""), p(3*hour, 1500), node(3*hour, 1000, ""), p(hour, 1000)},
			map[string]time.Duration{"ClusterOvercommitted": hour},
		},
		"the third version": {
			[]facts.Object{node(5*minute, 0, "v1.35.1"), node(hour, 0, "v1.35.1"), node(9*hour, 0, "v1.36.1"), node(8*hour, 0, "v1.37.1"), node(minute, 0, "v1.34.1")},
			map[string]time.Duration{"KubeVersionSkew": hour},
		},
		"the first that is too old": {
			[]facts.Object{cluster("v1.37.2"), node(9*hour, 0, "v1.37.1"), node(hour, 0, "v1.32.1"), node(2*hour, 0, "v1.33.1")},
			map[string]time.Duration{"KubeVersionSkew": 2 * hour},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := rules.NewWorld(rules.Options{Snapshot: true})
			for i, o := range tc.objects {
				if o.About().Name == "" {
					o.About().Name = fmt.Sprint("x", i)
				}
				found(w, w.Put(o, now))
			}
			got := map[string]time.Duration{}
			for _, ref := range w.Synced(now) {
				for _, f := range w.Findings(ref, now) {
					got[string(f.Rule)] = now.Sub(f.Since)
				}
			}
			for rule, want := range tc.want {
				if got[rule] != want {
					t.Errorf("%s since %s, want %s", rule, got[rule], want)
				}
			}
		})
	}
}

// How much room there is takes all nodes to know.
func TestOvercommitTakesAllNodes(t *testing.T) {
	w := rules.NewWorld(rules.Options{})
	w.Put(&facts.Node{Meta: meta(facts.KindNode, "", "a"), CPUMillis: 1000}, now)
	w.Put(&facts.Node{Meta: meta(facts.KindNode, "", "b"), CPUMillis: 1000}, now)
	if got := found(w, w.Put(&facts.Pod{Meta: meta(facts.KindPod, "default", "p"), Phase: facts.PhaseRunning, CPUMillis: 1500}, now)); len(got) != 1 {
		t.Errorf("with all nodes: %v", got)
	}
	if got := found(w, w.Partial(facts.KindNode, true)); len(got) != 0 || !w.Unjudged("ClusterOvercommitted") {
		t.Errorf("with some: %v", got)
	}
	if got := found(w, w.Partial(facts.KindNode, false)); len(got) != 1 {
		t.Errorf("with all again: %v", got)
	}
}
