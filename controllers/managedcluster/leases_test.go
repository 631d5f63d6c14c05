// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// watched plays the watch of one Lease against an observer.
type watched struct {
	*Observer
	now   time.Time
	lease *coordinationv1.Lease
	rv    int
}

func newWatched() *watched {
	w := &watched{now: noon, rv: 100}
	w.Observer = NewObserver(func() time.Time { return w.now })
	w.lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: "atlhyper-cluster-x", Name: "agent", UID: "lease-1",
		Labels: map[string]string{v1alpha1.LabelCluster: "x"}, Annotations: map[string]string{},
	}}
	return w
}

// see delivers the Lease in a later version.
func (w *watched) see() bool {
	w.rv++
	w.lease.ResourceVersion = fmt.Sprint(w.rv)
	return w.Observe(w.lease.DeepCopy())
}

func (w *watched) renew(id string) bool {
	w.lease.Spec.HolderIdentity = new(id + "/agent")
	w.lease.Spec.RenewTime = new(metav1.NewMicroTime(w.now.Add(-42 * time.Hour))) // a clock of its own
	return w.see()
}

func (w *watched) settle(i Interest) { w.Settle("x", w.Snapshot("x"), i) }

func TestObserverRemembersRenewals(t *testing.T) {
	w := newWatched()
	if !w.see() {
		t.Error("a new Lease is of no interest")
	}
	if s := w.Snapshot("x"); len(s.Holders) != 0 || !s.Since.Equal(noon) {
		t.Errorf("an unused Lease: %+v", s)
	}
	w.now = noon.Add(time.Minute)
	if !w.renew(idA) {
		t.Error("the first renewal is of no interest")
	}
	if got := w.Snapshot("x").Holders[idA]; !got.Renewed || !got.LastSeen.Equal(w.now) {
		t.Errorf("the first renewal: %+v", got)
	}
	w.settle(Interest{Connected: true, Pinned: idA})
	for range 5 {
		w.now = w.now.Add(30 * time.Second)
		if w.renew(idA) {
			t.Error("a plain renewal costs a reconciliation")
		}
	}
	seen := w.now
	w.now = w.now.Add(time.Second)
	w.see() // a resync or a change of something else
	if got := w.Snapshot("x").Holders[idA]; !got.LastSeen.Equal(seen) {
		t.Errorf("something else counted as a renewal: %+v", got)
	}
}

func TestObserverFindsALeaseInUse(t *testing.T) {
	w := newWatched()
	w.renew(idA)
	if got := w.Snapshot("x").Holders[idA]; got.Renewed || !got.LastSeen.Equal(noon) {
		t.Errorf("what was there already counts as renewed: %+v", got)
	}
	w.now = noon.Add(time.Second)
	w.renew(idA)
	if got := w.Snapshot("x").Holders[idA]; !got.Renewed {
		t.Errorf("the first renewal seen does not count: %+v", got)
	}
}

func TestObserverInterest(t *testing.T) {
	for name, c := range map[string]struct {
		interest Interest
		event    func(*watched) bool
		want     bool
	}{
		"renewal while connected":     {Interest{Connected: true, Pinned: idA}, func(w *watched) bool { return w.renew(idA) }, false},
		"renewal while not connected": {Interest{Pinned: idA}, func(w *watched) bool { return w.renew(idA) }, true},
		"a foreign cluster":           {Interest{Connected: true, Pinned: idA}, func(w *watched) bool { return w.renew(idB) }, true},
		"a known clone":               {Interest{Connected: true, Pinned: idA, Conflicting: idB}, func(w *watched) bool { return w.renew(idB) }, false},
		"released": {Interest{Connected: true, Pinned: idA}, func(w *watched) bool {
			w.lease.Spec.HolderIdentity = new("")
			return w.see()
		}, true},
		"joined again": {Interest{Connected: true, Pinned: idA}, func(w *watched) bool {
			w.lease.Annotations[v1alpha1.AnnotationJoined] = "nonce"
			return w.see()
		}, true},
		"joined, acted upon": {Interest{Connected: true, Pinned: idA, Joined: "nonce"}, func(w *watched) bool {
			w.lease.Annotations[v1alpha1.AnnotationJoined] = "nonce"
			return w.see()
		}, false},
		"nonsense as holder": {Interest{Connected: true, Pinned: idA}, func(w *watched) bool { return w.renew("nonsense") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched()
			w.see()
			w.renew(idA)
			w.now = noon.Add(30 * time.Second)
			w.settle(c.interest)
			if got := c.event(w); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// A renewal between a reconciliation's look and its end must not get lost: it
// was judged by what the previous reconciliation had decided.
func TestSettleNoticesWhatCameInBetween(t *testing.T) {
	w := newWatched()
	w.see()
	w.renew(idA)
	w.settle(Interest{Connected: true, Pinned: idA})
	from := w.Snapshot("x")
	w.now = noon.Add(90 * time.Second)
	if w.renew(idA) {
		t.Fatal("a connected cluster's renewal is of no interest")
	}
	if !w.Settle("x", from, Interest{Connected: false, Pinned: idA}) {
		t.Error("the renewal got lost")
	}
	if w.Settle("x", w.Snapshot("x"), Interest{Connected: true, Pinned: idA}) {
		t.Error("nothing has happened")
	}
}

func TestObserverIgnores(t *testing.T) {
	w := newWatched()
	w.see()
	old := w.lease.DeepCopy()
	w.now = noon.Add(time.Minute)
	w.renew(idA)
	if w.Observe(old) || !w.Snapshot("x").Holders[idA].LastSeen.Equal(w.now) {
		t.Error("an older version was taken for news")
	}
	for name, change := range map[string]func(*coordinationv1.Lease){
		"another name":        func(l *coordinationv1.Lease) { l.Name = "other" },
		"no cluster":          func(l *coordinationv1.Lease) { l.Labels = nil },
		"a foreign namespace": func(l *coordinationv1.Lease) { l.Namespace = "atlhyper-cluster-y" },
	} {
		lease := w.lease.DeepCopy()
		lease.ResourceVersion = "999"
		change(lease)
		if w.Observe(lease) {
			t.Errorf("%s: of interest", name)
		}
	}
}

func TestLostLeaseStartsAnew(t *testing.T) {
	w := newWatched()
	w.see()
	w.renew(idA)
	w.now = noon.Add(time.Hour)
	w.lost("x")
	if s := w.Snapshot("x"); !s.Since.Equal(w.now) || len(s.Holders) != 0 {
		t.Errorf("silence before a Lease was lost counts: %+v", s)
	}
	w.lost("unknown")
	if len(w.clusters) != 1 {
		t.Error("a Lease of a forgotten cluster is remembered")
	}
	w.now = noon.Add(2 * time.Hour)
	w.lease.UID = types.UID("lease-2")
	w.lease.Spec = coordinationv1.LeaseSpec{}
	w.see()
	if s := w.Snapshot("x"); !s.Since.Equal(w.now) {
		t.Errorf("a new Lease inherits the silence of the old: %+v", s)
	}
}

func TestBlindness(t *testing.T) {
	w := newWatched()
	w.see()
	w.now = noon.Add(time.Hour)
	w.Blind()
	if s := w.Snapshot("x"); !s.Since.Equal(w.now) {
		t.Errorf("silence while blind counts: %+v", s)
	}
	if s := w.Snapshot("unknown"); !s.Since.Equal(w.now) {
		t.Errorf("an unknown cluster: %+v", s)
	}
}

func TestHoldersAreBounded(t *testing.T) {
	w := newWatched()
	w.see()
	for i := range 1000 {
		w.now = w.now.Add(time.Second)
		w.renew(fmt.Sprintf("%08x-0000-4000-8000-000000000000", i))
	}
	if n := len(w.Snapshot("x").Holders); n != maxHolders {
		t.Errorf("%d holders are remembered, want %d", n, maxHolders)
	}
}
