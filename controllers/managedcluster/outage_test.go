// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

var usual = OutageOptions{Fraction: 0.55, Hold: 10 * time.Minute}

func expiredHealth() Health {
	return Health{Status: metav1.ConditionFalse, Reason: v1alpha1.ClusterReasonLeaseExpired, Message: "expired", LastHeartbeat: noon}
}

func TestCountFleet(t *testing.T) {
	member := func(silent time.Duration) FleetMember {
		return FleetMember{Joined: true, Silent: silent, Rhythm: normal}
	}
	short := Rhythm{Period: 5 * time.Second, Grace: 10 * time.Second}
	for name, c := range map[string]struct {
		members []FleetMember
		want    Fleet
	}{
		"nobody":               {nil, Fleet{}},
		"heard a period ago":   {[]FleetMember{member(33 * time.Second)}, Fleet{1, 0}},
		"overdue":              {[]FleetMember{member(54 * time.Second)}, Fleet{1, 1}},
		"dead for long":        {[]FleetMember{{Joined: true, Expired: true, Silent: time.Hour, Rhythm: normal}}, Fleet{}},
		"never joined":         {[]FleetMember{{Silent: time.Hour, Rhythm: normal}}, Fleet{}},
		"two misses, on time":  {[]FleetMember{{Joined: true, Silent: 5500 * time.Millisecond, Rhythm: short}}, Fleet{1, 0}},
		"two misses, overdue":  {[]FleetMember{{Joined: true, Silent: 6 * time.Second, Rhythm: short}}, Fleet{1, 1}},
		"one of each, counted": {[]FleetMember{member(0), member(89 * time.Second), {}}, Fleet{2, 1}},
	} {
		if got := CountFleet(c.members); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestGuardOutage(t *testing.T) {
	was := previously(metav1.ConditionTrue, v1alpha1.ClusterReasonLeaseRenewed, noon.Add(-time.Hour))
	held := func(ago time.Duration) *metav1.Condition {
		return previously(metav1.ConditionUnknown, v1alpha1.ClusterReasonHubOutage, noon.Add(-ago))
	}
	settled := previously(metav1.ConditionFalse, v1alpha1.ClusterReasonLeaseExpired, noon.Add(-time.Hour))
	renewed := Health{Status: metav1.ConditionTrue, Reason: v1alpha1.ClusterReasonLeaseRenewed}
	for name, c := range map[string]struct {
		health   Health
		previous *metav1.Condition
		fleet    Fleet
		want     string
		next     time.Duration // from noon, 0 for none
	}{
		"one of three":              {expiredHealth(), was, Fleet{3, 1}, v1alpha1.ClusterReasonLeaseExpired, 0},
		"two of three":              {expiredHealth(), was, Fleet{3, 2}, v1alpha1.ClusterReasonHubOutage, 90 * time.Second},
		"both of two":               {expiredHealth(), was, Fleet{2, 2}, v1alpha1.ClusterReasonLeaseExpired, 0},
		"exactly the fraction":      {expiredHealth(), was, Fleet{20, 11}, v1alpha1.ClusterReasonLeaseExpired, 0},
		"above the fraction":        {expiredHealth(), was, Fleet{20, 12}, v1alpha1.ClusterReasonHubOutage, 90 * time.Second},
		"dead already":              {expiredHealth(), settled, Fleet{3, 3}, v1alpha1.ClusterReasonLeaseExpired, 0},
		"alive among the silent":    {renewed, was, Fleet{3, 3}, v1alpha1.ClusterReasonLeaseRenewed, 0},
		"held, nearly over":         {expiredHealth(), held(9*time.Minute + 50*time.Second), Fleet{3, 3}, v1alpha1.ClusterReasonHubOutage, 10 * time.Second},
		"held long enough":          {expiredHealth(), held(10 * time.Minute), Fleet{3, 3}, v1alpha1.ClusterReasonLeaseExpired, 0},
		"held, the others are back": {expiredHealth(), held(time.Minute), Fleet{3, 1}, v1alpha1.ClusterReasonLeaseExpired, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := GuardOutage(c.health, c.previous, c.fleet, normal.Grace, usual, noon)
			if got.Reason != c.want {
				t.Errorf("got %s, want %s", got.Reason, c.want)
			}
			if c.want == v1alpha1.ClusterReasonHubOutage && got.Status != metav1.ConditionUnknown {
				t.Errorf("status %s, want Unknown", got.Status)
			}
			var next time.Duration
			if !got.NextCheck.IsZero() {
				next = got.NextCheck.Sub(noon)
			}
			if next != c.next {
				t.Errorf("next check in %s, want %s", next, c.next)
			}
		})
	}
	if got := GuardOutage(expiredHealth(), was, Fleet{9, 9}, normal.Grace, OutageOptions{Fraction: 1, Hold: time.Hour}, noon); got.Reason != v1alpha1.ClusterReasonLeaseExpired {
		t.Errorf("a guard that is turned off says %s", got.Reason)
	}
}

// When the hub is cut off, the guard has to notice at the first cluster that
// expires, wherever each of them is in its period.
func TestGuardNoticesACutAtOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2_000 {
		rhythm := Rhythm{Period: time.Duration(5+r.IntN(60)) * time.Second}
		rhythm.Grace = rhythm.Period * time.Duration(3+r.IntN(5))
		var silent []time.Duration // at the moment of the cut
		for range 3 + r.IntN(50) {
			silent = append(silent, time.Duration(r.Int64N(int64(rhythm.Period*11/10))))
		}
		untilFirst := rhythm.Grace - slices.Max(silent)
		var members []FleetMember
		for _, s := range silent {
			members = append(members, FleetMember{Joined: true, Silent: s + untilFirst, Rhythm: rhythm})
		}
		if fleet := CountFleet(members); !fleet.Suspicious(usual.Fraction) {
			t.Fatalf("not noticed with %v: %+v", rhythm, fleet)
		}
		// And while all renew in time, none counts as silent.
		for i := range members {
			members[i].Silent = silent[i]
		}
		if fleet := CountFleet(members); fleet.Silent != 0 {
			t.Fatalf("a healthy fleet with %v: %+v", rhythm, fleet)
		}
	}
}
