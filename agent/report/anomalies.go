// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package report

import (
	"cmp"
	"math"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// maxWorst is how many anomalies a status names.
	maxWorst = 20
	// What the API lets a status say of one, in characters.
	maxRule, maxKind, maxName, maxReason = 64, 63, 253, 128
)

// anomalies returns what is open, nil while that is not known, and whether there is
// nothing to wait for.
func (r *Reporter) anomalies() (open *v1alpha1.AnomalySummary, judged bool) {
	if r.options.Anomalies == nil {
		return nil, true
	}
	summary, known := r.options.Anomalies.Summary()
	if !known {
		return nil, false
	}
	return summarize(&summary), true
}

// summarize puts what is open into a few words.
func summarize(s *anomaly.Summary) *v1alpha1.AnomalySummary {
	out := &v1alpha1.AnomalySummary{Critical: number(s.Critical), Warning: number(s.Warning), Info: number(s.Info)}
	for i := range s.Worst {
		if len(out.Worst) == maxWorst {
			break
		}
		if reference, ok := refer(&s.Worst[i]); ok {
			out.Worst = append(out.Worst, reference)
		}
	}
	return out
}

// refer names what is broken: the top owner if there is one. It is false for what
// has no name.
func refer(t *telemetry.AnomalyTransition) (v1alpha1.AnomalyReference, bool) {
	object := t.Owner
	if object.Kind == "" || object.Name == "" {
		object = t.Object
	}
	if object.Kind == "" || t.Rule == "" {
		return v1alpha1.AnomalyReference{}, false
	}
	return v1alpha1.AnomalyReference{
		Rule: truncate(t.Rule, maxRule), Severity: v1alpha1.Severity(t.Severity.String()),
		Kind: truncate(object.Kind, maxKind), Namespace: truncate(object.Namespace, maxKind),
		// An anomaly of a namespace's events is about nothing that has a name.
		Name:   truncate(cmp.Or(object.Name, object.Namespace, object.Kind), maxName),
		Reason: truncate(cmp.Or(t.Reason, t.Rule), maxReason),
		Count:  int32(min(max(t.Count, 1), math.MaxInt32)),
		Since:  seconds(t.Since),
	}, true
}

func number(n int) *int32 { return new(int32(min(max(n, 0), math.MaxInt32))) }

// moreCritical says whether a critical anomaly is shown that was not before.
func moreCritical(now, before *v1alpha1.AnomalySummary) bool {
	if now == nil {
		return false
	}
	if before == nil {
		return *now.Critical > 0
	}
	if *now.Critical > *before.Critical {
		return true
	}
	type name struct{ rule, kind, namespace, name string }
	shown := map[name]bool{}
	for i := range before.Worst {
		if w := &before.Worst[i]; w.Severity == v1alpha1.SeverityCritical {
			shown[name{w.Rule, w.Kind, w.Namespace, w.Name}] = true
		}
	}
	// What follows when one that was shown has cleared is no news.
	if len(before.Worst) == maxWorst && *now.Critical < *before.Critical {
		return false
	}
	for i := range now.Worst {
		w := &now.Worst[i]
		if w.Severity == v1alpha1.SeverityCritical && !shown[name{w.Rule, w.Kind, w.Namespace, w.Name}] {
			return true
		}
	}
	return false
}
