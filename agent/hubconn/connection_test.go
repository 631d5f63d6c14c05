// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// pass lets time go by in a bubble and everything settle.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	sleep(t.Context(), d)
	synctest.Wait()
}

func last[T any](list []T) T { return list[len(list)-1] }

// joined is a rig that has joined.
func joined(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.join(t, "n1")
	r.run(t)
	pass(t, 2*time.Second)
	r.wantState(t, Connected, "")
	return r
}

func TestRenewsTheLeaseWithJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := joined(t)
		pass(t, time.Hour)
		renewals := r.hub.seen().renewals
		if len(renewals) < 100 {
			t.Fatalf("%d renewals in an hour; want about 120", len(renewals))
		}
		if got := renewals[0]; got.holder != ownUID+"/test" {
			t.Errorf("holder %q; want %s/test", got.holder, ownUID)
		}
		gaps := map[time.Duration]bool{}
		told := 0
		for i, now := range renewals {
			if now.joined == "n1" {
				told++
			}
			// The first renewals carry the news of the join.
			if i < 3 {
				continue
			}
			gap := now.at.Sub(renewals[i-1].at)
			gaps[gap] = true
			if gap < 27*time.Second || gap > 33*time.Second {
				t.Errorf("renewal %d came after %s; want 30s ± 10%%", i, gap)
			}
		}
		if len(gaps) < 50 {
			t.Errorf("only %d different gaps: that is no jitter", len(gaps))
		}
		if told != 1 {
			t.Errorf("%d renewals said that the agent joined; want 1", told)
		}
	})
}

func TestFollowsThePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := joined(t)
		before := len(r.hub.seen().renewals)
		r.hub.change(t, func(c *v1alpha1.ManagedCluster) { c.Spec.Heartbeat = &v1alpha1.Heartbeat{PeriodSeconds: 5} })
		synctest.Wait()
		if got := len(r.hub.seen().renewals); got != before+1 {
			t.Errorf("%d renewals at the change; want 1", got-before)
		}
		pass(t, time.Minute)
		if got := len(r.hub.seen().renewals) - before; got < 11 || got > 15 {
			t.Errorf("%d renewals in a minute; want about 13", got)
		}
	})
}

func TestRenewsTokensLongBeforeTheyExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The API server grants a day: the agent goes by that, not by what it asked for.
		r := joined(t)
		pass(t, 24*time.Hour)
		issued := r.hub.seen().issued
		if len(issued) < 7 || len(issued) > 9 {
			t.Fatalf("%d tokens in a day; want about 8", len(issued))
		}
		const seventh = 24 * time.Hour / 7
		for i := 1; i < len(issued); i++ {
			if gap := issued[i].Sub(issued[i-1]); gap < seventh*9/10-time.Second || gap > seventh*11/10+time.Second {
				t.Errorf("token %d was requested after %s; want %s ± 10%%", i, gap, seventh)
			}
		}
		r.wantState(t, Connected, "")
		if got := r.store.holds().Token; got != last(r.hub.seen().tokens) {
			t.Error("the stored token is not the one in use")
		}
	})
}

func TestHubAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := joined(t)
		r.hub.set(func(h *scriptedHub) { h.away = true })
		pass(t, time.Minute)
		r.wantState(t, HubUnreachable, "connection refused")
		before := r.hub.seen().requests
		pass(t, time.Hour)
		if n := r.hub.seen().requests - before; n > 600 {
			t.Errorf("%d requests in an hour to a hub that is away", n)
		}
		if n := r.logged(`"state"="HubUnreachable"`); n != 1 {
			t.Errorf("HubUnreachable was logged %d times; want 1", n)
		}
		r.hub.set(func(h *scriptedHub) { h.away = false })
		back := time.Now()
		pass(t, 46*time.Second)
		r.wantState(t, Connected, "")
		if since := r.Status().Since.Sub(back); since > 45*time.Second {
			t.Errorf("connected %s after the hub came back", since)
		}
	})
}

func TestHubIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := joined(t)
		r.hub.set(func(h *scriptedHub) { h.leaseCode, h.retryAfter = http.StatusTooManyRequests, "5" })
		before := r.hub.seen().requests
		pass(t, 5*time.Minute)
		r.wantState(t, HubUnreachable, "")
		if n := r.hub.seen().requests - before; n > 70 {
			t.Errorf("%d requests in 5 minutes although the hub asked for 5 s between two", n)
		}
		r.hub.set(func(h *scriptedHub) { h.leaseCode, h.retryAfter = http.StatusOK, "" })
		pass(t, time.Minute)
		r.wantState(t, Connected, "")
	})
}

func TestMayReport(t *testing.T) {
	const other = "22222222-2222-2222-2222-222222222222"
	cases := map[string]struct {
		state   State
		cluster *v1alpha1.ManagedCluster
		want    bool
	}{
		"connected":            {Connected, &v1alpha1.ManagedCluster{}, true},
		"connected and pinned": {Connected, &v1alpha1.ManagedCluster{Status: v1alpha1.ManagedClusterStatus{ClusterID: ownUID}}, true},
		"not connected":        {HubUnreachable, &v1alpha1.ManagedCluster{}, false},
		// Between seeing this and the next heartbeat the state is still Connected.
		"a clone, just found out": {Connected, &v1alpha1.ManagedCluster{Status: v1alpha1.ManagedClusterStatus{ClusterID: other}}, false},
		"another was expected":    {Connected, &v1alpha1.ManagedCluster{Spec: v1alpha1.ManagedClusterSpec{ExpectedClusterID: other}}, false},
		"being deleted":           {Connected, &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: new(metav1.Now())}}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.transport.use(&link{cluster: "one", rt: r.hub})
			r.clusterID, r.status, r.view = ownUID, Status{State: tc.state}, tc.cluster
			if _, _, got := r.Cluster(); got != tc.want {
				t.Errorf("may report: %t; want %t", got, tc.want)
			}
		})
	}
}

func TestJoinsWhenTheTokenArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(t)
		pass(t, time.Minute)
		r.wantState(t, Joining, "no join token")
		r.join(t, "n1")
		pass(t, 10*time.Second)
		r.wantState(t, Connected, "")
	})
}

func TestJoinWaitsForTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.hub.set(func(h *scriptedHub) { h.away = true })
		r.join(t, "n1")
		r.run(t)
		pass(t, 10*time.Minute)
		r.wantState(t, HubUnreachable, "connection refused")
		r.hub.set(func(h *scriptedHub) { h.away = false })
		pass(t, time.Minute)
		r.wantState(t, Connected, "")
	})
}

// The hub deletes the join token when it is told of the join, so it may be told
// only when the session is safe.
func TestTellsTheJoinOnlyWhenTheSessionIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.join(t, "n1")
		r.run(t)
		r.store.fail(ErrNoSession) // Load finds nothing, Save fails
		pass(t, 10*time.Minute)
		r.wantState(t, Connected, "")
		for _, renewal := range r.hub.seen().renewals {
			if renewal.joined != "" {
				t.Fatal("the hub was told of the join before the session was stored")
			}
		}
		r.store.fail(nil)
		pass(t, 10*time.Minute)
		told := false
		for _, renewal := range r.hub.seen().renewals {
			told = told || renewal.joined == "n1"
		}
		if !told {
			t.Error("the hub was never told of the join")
		}
	})
}

func TestCloneKeepsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.hub.cluster.Status.ClusterID = "22222222-2222-2222-2222-222222222222"
		r.join(t, "n1")
		r.run(t)
		pass(t, 10*time.Second)
		r.wantState(t, Clone, "22222222-2222-2222-2222-222222222222")
		if _, _, ok := r.Cluster(); ok {
			t.Error("a clone may report")
		}
		before := len(r.hub.seen().renewals)
		pass(t, time.Hour)
		if n := len(r.hub.seen().renewals) - before; n < 10 || n > 14 {
			t.Errorf("%d renewals in an hour; want one in 5 minutes", n)
		}
		r.hub.change(t, func(c *v1alpha1.ManagedCluster) { c.Status.ClusterID = ownUID })
		synctest.Wait()
		r.wantState(t, Connected, "")
	})
}

func TestSaysGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := joined(t)
		r.hub.change(t, func(c *v1alpha1.ManagedCluster) { c.DeletionTimestamp = new(metav1.Now()) })
		pass(t, time.Second)
		r.wantState(t, Deleting, "removed from the hub")
		renewals := r.hub.seen().renewals
		if last := renewals[len(renewals)-1]; last.holder != "" {
			t.Errorf("the last holder is %q; want none", last.holder)
		}
		if r.store.holds() != (Credentials{}) {
			t.Error("the session was not forgotten")
		}
		before := r.hub.seen().requests
		pass(t, time.Hour)
		if n := r.hub.seen().requests - before; n != 0 {
			t.Errorf("%d requests after the goodbye; want 0", n)
		}
		r.hub.set(func(h *scriptedHub) {
			h.cluster = h.cluster.DeepCopy()
			h.cluster.DeletionTimestamp = nil
		})
		r.join(t, "n2")
		pass(t, 10*time.Second)
		r.wantState(t, Connected, "")
	})
}

func TestFollowsTheHub(t *testing.T) {
	const newURL, otherURL = "https://new.example.com", "https://other.example.com"
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		moved, other := newScriptedHub(), newScriptedHub()
		moved.away, other.leaseUID = true, "lease-of-another-hub"
		r.hubs[newURL], r.hubs[otherURL] = moved, other
		r.hub.bundle = &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.AgentBundle, Namespace: "atlhyper-cluster-one", ResourceVersion: "1"},
			Data:       map[string]string{v1alpha1.BundleEndpoints: `{"endpoints":[{"url":"` + otherURL + `"},{"url":"` + newURL + `"},{"url":"` + hubURL + `"}]}`},
		}
		r.join(t, "n1")
		r.run(t)
		pass(t, 10*time.Minute)
		// Neither a hub that is away nor one with another Lease is followed.
		r.wantState(t, Connected, "")
		if len(other.seen().renewals)+len(moved.seen().renewals) != 0 || r.store.holds().Endpoint.URL != hubURL {
			t.Fatal("the agent left a working hub for one that does not work")
		}
		moved.set(func(h *scriptedHub) { h.away = false })
		pass(t, 2*time.Minute)
		if len(moved.seen().renewals) == 0 || r.store.holds().Endpoint.URL != newURL {
			t.Error("the agent did not follow to the better endpoint")
		}
		// And back, when that one fails.
		moved.set(func(h *scriptedHub) { h.away = true })
		before := len(r.hub.seen().renewals)
		pass(t, 2*time.Minute)
		if len(r.hub.seen().renewals) == before || r.store.holds().Endpoint.URL != hubURL {
			t.Error("the agent did not go back to the endpoint that works")
		}
		r.wantState(t, Connected, "")
	})
}

func TestRestartUsesTheStoredSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		token := jwtFor(time.Now(), 24*time.Hour, "stored")
		r.store.session = &Credentials{Cluster: "one", Endpoint: Endpoint{URL: hubURL}, Token: token, JoinID: "n1"}
		r.join(t, "n1")
		r.run(t)
		pass(t, time.Second)
		r.wantState(t, Connected, "")
		if len(r.hub.seen().issued) != 0 {
			t.Error("a token was requested although the session has one")
		}
		if got := r.hub.seen().renewals[0].joined; got != "n1" {
			t.Errorf("the first renewal says that %q joined; want n1, in case the hub was never told", got)
		}
	})
}
