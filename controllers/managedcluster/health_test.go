// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"math/rand/v2"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

var (
	noon   = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	normal = Rhythm{Period: 30 * time.Second, Grace: 90 * time.Second}
)

func previously(status metav1.ConditionStatus, reason string, since time.Time) *metav1.Condition {
	return &metav1.Condition{
		Type: v1alpha1.ClusterConditionConnected, Status: status, Reason: reason, LastTransitionTime: metav1.NewTime(since),
	}
}

func TestRhythmOf(t *testing.T) {
	for name, c := range map[string]struct {
		spec v1alpha1.ManagedClusterSpec
		want Rhythm
	}{
		"defaults":    {v1alpha1.ManagedClusterSpec{}, normal},
		"only period": {v1alpha1.ManagedClusterSpec{Heartbeat: &v1alpha1.Heartbeat{PeriodSeconds: 10}}, Rhythm{10 * time.Second, 30 * time.Second}},
		"only misses": {v1alpha1.ManagedClusterSpec{Heartbeat: &v1alpha1.Heartbeat{MissesBeforeUnavailable: 2}}, Rhythm{30 * time.Second, time.Minute}},
	} {
		if got := RhythmOf(c.spec); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestJudgeHealth(t *testing.T) {
	was := previously(metav1.ConditionTrue, v1alpha1.ClusterReasonLeaseRenewed, noon.Add(-time.Hour))
	wasNot := previously(metav1.ConditionFalse, v1alpha1.ClusterReasonLeaseExpired, noon.Add(-time.Hour))
	never := previously(metav1.ConditionUnknown, v1alpha1.ClusterReasonNeverJoined, noon.Add(-time.Hour))
	ago := func(seconds int) time.Time { return noon.Add(-time.Duration(seconds) * time.Second) }
	for name, c := range map[string]struct {
		in   HealthInput
		want string
		next time.Time
	}{
		"nobody has joined": {
			HealthInput{WatchedSince: ago(1000)}, "Unknown/NeverJoined", time.Time{},
		},
		"renewed just now": {
			HealthInput{Joined: true, Previous: was, LastSeen: noon, WatchedSince: ago(1000)},
			"True/LeaseRenewed", noon.Add(90 * time.Second),
		},
		"joined just now": {
			HealthInput{Joined: true, Previous: never, LastSeen: noon, WatchedSince: ago(1000)},
			"True/LeaseRenewed", noon.Add(90 * time.Second),
		},
		"one nanosecond before the grace period ends": {
			HealthInput{Joined: true, Previous: was, LastSeen: ago(90).Add(1), WatchedSince: ago(1000)},
			"True/LeaseRenewed", noon.Add(1),
		},
		"at the end of the grace period": {
			HealthInput{Joined: true, Previous: was, LastSeen: ago(90), WatchedSince: ago(1000)},
			"False/LeaseExpired",
			time.Time{},
		},
		"expired long ago": {
			HealthInput{Joined: true, Previous: wasNot, LastSeen: ago(900), WatchedSince: ago(1000)},
			"False/LeaseExpired",
			time.Time{},
		},
		"back after it expired": {
			HealthInput{Joined: true, Previous: wasNot, LastSeen: ago(1), WatchedSince: ago(1000)},
			"True/LeaseRenewed", noon.Add(89 * time.Second),
		},
		"hub restarted, was connected: full grace": {
			HealthInput{Joined: true, Previous: was, LastReported: ago(300), WatchedSince: ago(1)},
			"True/LeaseRenewed", noon.Add(89 * time.Second),
		},
		"hub restarted, was connected, silent since": {
			HealthInput{Joined: true, Previous: was, LastReported: ago(300), WatchedSince: ago(90)},
			"False/LeaseExpired",
			time.Time{},
		},
		"hub restarted, was not connected: only a renewal counts": {
			HealthInput{Joined: true, Previous: wasNot, LastReported: ago(300), WatchedSince: ago(1)},
			"False/LeaseExpired",
			time.Time{},
		},
		"hub restarted before it could report the first renewal": {
			HealthInput{Joined: true, Previous: never, WatchedSince: ago(1)},
			"Unknown/NeverJoined", noon.Add(89 * time.Second),
		},
		"hub restarted before that, and nothing came": {
			HealthInput{Joined: true, Previous: never, WatchedSince: ago(90)},
			"False/LeaseExpired",
			time.Time{},
		},
		"the hub could not see for a while": {
			HealthInput{Joined: true, Previous: was, LastSeen: ago(200), WatchedSince: ago(10)},
			"True/LeaseRenewed", noon.Add(80 * time.Second),
		},
		"being blind does not revive what had expired": {
			HealthInput{Joined: true, Previous: wasNot, LastSeen: ago(200), WatchedSince: ago(10)},
			"False/LeaseExpired",
			time.Time{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.in.Rhythm = normal
			got := JudgeHealth(c.in, noon)
			if s := string(got.Status) + "/" + got.Reason; s != c.want {
				t.Errorf("got %s (%s), want %s", s, got.Message, c.want)
			}
			if !got.NextCheck.Equal(c.next) {
				t.Errorf("next check at %v, want %v", got.NextCheck, c.next)
			}
			if got.Message == "" {
				t.Error("no message")
			}
		})
	}
}

// Whatever the rhythm: a connected cluster is never called expired before a
// whole grace period of silence, and always at the check that was announced.
func TestHealthProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		rhythm := Rhythm{Period: time.Duration(5+r.IntN(596)) * time.Second}
		rhythm.Grace = rhythm.Period * time.Duration(2+r.IntN(99))
		in := HealthInput{
			Joined: true, Rhythm: rhythm,
			Previous:     previously(metav1.ConditionTrue, v1alpha1.ClusterReasonLeaseRenewed, noon),
			LastSeen:     noon.Add(time.Duration(r.Int64N(int64(2 * rhythm.Grace)))),
			WatchedSince: noon.Add(time.Duration(r.Int64N(int64(2 * rhythm.Grace)))),
		}
		if r.IntN(4) == 0 {
			in.LastSeen = time.Time{}
		}
		evidence := in.LastSeen
		if in.WatchedSince.After(evidence) {
			evidence = in.WatchedSince
		}
		now := evidence.Add(time.Duration(r.Int64N(int64(rhythm.Grace))))
		h := JudgeHealth(in, now)
		if !h.Connected() || !h.NextCheck.Equal(evidence.Add(rhythm.Grace)) {
			t.Fatalf("%+v at %v: %+v", in, now, h)
		}
		if before := JudgeHealth(in, h.NextCheck.Add(-1)); !before.Connected() {
			t.Fatalf("%+v: expired before its time", in)
		}
		at := JudgeHealth(in, h.NextCheck)
		if at.Connected() || !at.NextCheck.IsZero() {
			t.Fatalf("%+v: not expired in time: %+v", in, at)
		}
	}
}

// The message of an expired cluster has to stay the same, or the status would be
// written again and again.
func TestExpiredMessageIsStable(t *testing.T) {
	in := HealthInput{
		Joined: true, Rhythm: normal, WatchedSince: noon, LastSeen: noon.Add(300 * time.Millisecond),
		Previous: previously(metav1.ConditionTrue, v1alpha1.ClusterReasonLeaseRenewed, noon),
	}
	first := JudgeHealth(in, noon.Add(time.Hour))
	in.Previous = previously(first.Status, first.Reason, noon.Add(time.Hour))
	in.LastReported = first.LastHeartbeat.Truncate(time.Second)
	if again := JudgeHealth(in, noon.Add(2*time.Hour)); again.Message != first.Message {
		t.Errorf("%q became %q", first.Message, again.Message)
	}
	in.LastSeen, in.WatchedSince = time.Time{}, noon.Add(3*time.Hour)
	if restarted := JudgeHealth(in, noon.Add(3*time.Hour)); restarted.Message != first.Message {
		t.Errorf("after a restart %q became %q", first.Message, restarted.Message)
	}
}
