// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package analyze

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// kinds is the order in which objects are judged: each after what it is judged by,
// so that it is judged once. Others come last.
var kinds = []string{
	facts.KindEvent, facts.KindNode, facts.KindLease,
	facts.KindDeployment, facts.KindStatefulSet, facts.KindDaemonSet, facts.KindController, facts.KindReplicaSet, facts.KindCronJob, facts.KindJob,
	facts.KindStorageClass, facts.KindVolume, facts.KindPod, facts.KindClaim, facts.KindEndpointSlice, facts.KindCertificate, facts.KindSecret,
	facts.KindIngressClass, facts.KindService, facts.KindIngress, facts.KindValidating, facts.KindMutating,
}

// inOrder returns objects in an order that the files do not decide. Of two of the
// same name the later one stays the later one.
func inOrder(objects []facts.Object) []facts.Object {
	rank := make(map[string]int, len(kinds))
	for i, kind := range kinds {
		rank[kind] = i - len(kinds)
	}
	happened := func(o facts.Object) time.Time {
		if e, ok := o.(*facts.Event); ok {
			return e.Last
		}
		return time.Time{}
	}
	sorted := slices.Clone(objects)
	slices.SortStableFunc(sorted, func(a, b facts.Object) int {
		x, y := a.About(), b.About()
		return cmp.Or(
			cmp.Compare(rank[x.Kind], rank[y.Kind]), strings.Compare(x.Kind, y.Kind), happened(a).Compare(happened(b)),
			strings.Compare(x.Namespace, y.Namespace), strings.Compare(x.Name, y.Name),
		)
	})
	return sorted
}

// worse orders findings by severity, then by age, then by name.
func worse(a, b Finding) int {
	return cmp.Or(
		cmp.Compare(b.Severity, a.Severity), began(a).Compare(began(b)), strings.Compare(a.Kind, b.Kind),
		strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(a.Rule, b.Rule),
		strings.Compare(a.Container, b.Container),
	)
}

// began is zero for what has held for nobody knows how long.
func began(f Finding) time.Time {
	if f.Since == nil {
		return time.Time{}
	}
	return *f.Since
}
