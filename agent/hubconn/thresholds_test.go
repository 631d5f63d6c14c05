// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/anomaly/threshold"
)

// The document speaks of metrics in the words of the API, so that the hub can write
// what an AlertRule says as it is.
func TestThresholdsAreInTheWordsOfTheAPI(t *testing.T) {
	source := v1alpha1.MetricSource{
		Scope: v1alpha1.MetricScopeNode, Name: "fs_used_percent", Operator: v1alpha1.ThresholdGreaterThan, Threshold: "90",
		Labels: map[string]v1alpha1.LabelText{"mount": "/var"},
		NodeSelector: &metav1.LabelSelector{
			MatchLabels:      map[string]string{"a": "b"},
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "c", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"d"}}, {Key: "e", Operator: metav1.LabelSelectorOpExists}},
		},
	}
	written, err := json.Marshal(&source)
	if err != nil {
		t.Fatal(err)
	}
	entry := `{"rule":"team/full","metric":` + string(written) + `,"severity":"` + string(v1alpha1.SeverityWarning) + `"}`
	list, refused, err := threshold.Parse(`{"version":1,"thresholds":[` + entry + `]}`)
	if err != nil || len(refused) > 0 {
		t.Fatalf("refused %v, error %v", refused, err)
	}
	read, err := json.Marshal(&list[0].Metric)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read, written) {
		t.Errorf("written %s, read %s", written, read)
	}
	for _, operator := range []v1alpha1.ThresholdOperator{
		v1alpha1.ThresholdGreaterThan, v1alpha1.ThresholdGreaterThanOrEqual, v1alpha1.ThresholdLessThan, v1alpha1.ThresholdLessThanOrEqual,
	} {
		x := list[0]
		x.Metric.Operator = string(operator)
		if err := x.Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, scope := range []v1alpha1.MetricScope{v1alpha1.MetricScopeNode, v1alpha1.MetricScopeCluster} {
		if _, ok := threshold.Lookup(string(scope), "cpu_usage_percent"); !ok {
			t.Errorf("nothing is known of scope %s", scope)
		}
	}
}

// What the bundle says of thresholds is handed on once, and what nobody says is not.
func TestHandsOnThresholds(t *testing.T) {
	for name, tc := range map[string]struct {
		data map[string]string
		want []string
	}{
		"a document":                 {map[string]string{v1alpha1.BundleThresholds: "{}"}, []string{"{}"}},
		"a bundle without":           {map[string]string{v1alpha1.BundleEndpoints: ""}, []string{""}},
		"beside malformed endpoints": {map[string]string{v1alpha1.BundleEndpoints: "{", v1alpha1.BundleIngest: "{", v1alpha1.BundleThresholds: "{}"}, []string{"{}"}},
		"no bundle":                  {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				var mu sync.Mutex
				var got []string
				r.options.Thresholds = func(document string) {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, document)
				}
				if tc.data != nil {
					r.hub.bundle = &corev1.ConfigMap{
						ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.AgentBundle, Namespace: "atlhyper-cluster-one", ResourceVersion: "1"}, Data: tc.data,
					}
				}
				r.join(t, "n1")
				r.run(t)
				pass(t, 10*time.Second)
				if tc.data != nil {
					r.setThresholds(tc.data[v1alpha1.BundleThresholds]) // the same in another session is no news
				}
				mu.Lock()
				defer mu.Unlock()
				if !slices.Equal(got, tc.want) {
					t.Errorf("handed on %q; want %q", got, tc.want)
				}
			})
		})
	}
}
