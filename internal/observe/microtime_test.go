// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package observe_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/observe"
)

// Times have as many digits behind the second as whoever wrote them left.
func TestFractionsOfSeconds(t *testing.T) {
	for stamp, want := range map[string]time.Time{
		`"2026-11-23T12:00:00Z"`:           start,
		`"2026-11-23T12:00:00.5Z"`:         start.Add(500 * time.Millisecond),
		`"2026-11-23T12:00:00.123Z"`:       start.Add(123 * time.Millisecond),
		`"2026-11-23T12:00:00.123456Z"`:    start.Add(123456 * time.Microsecond),
		`"2026-11-23T12:00:00.123456789Z"`: start.Add(123456789),
		`"2026-11-23T13:00:00+01:00"`:      start,
		`null`:                             {},
	} {
		decode := func(apiVersion, kind, fields string) facts.Object {
			t.Helper()
			o, err := observe.Decode(apiVersion, kind, []byte(`{"metadata":{"name":"x","namespace":"y","uid":"z"},`+fields+`}`))
			if err != nil {
				t.Fatalf("%s of %s: %v", kind, stamp, err)
			}
			if o.About().UID != "z" {
				t.Errorf("%s is not what it was: %+v", kind, o)
			}
			return o
		}
		l := decode("coordination.k8s.io/v1", "Lease", `"spec":{"holderIdentity":"h","renewTime":`+stamp+`,"acquireTime":`+stamp+`}`)
		got := []time.Time{l.(*facts.Lease).Renewed}
		for _, e := range []struct{ apiVersion, about string }{{"v1", "involvedObject"}, {"events.k8s.io/v1", "regarding"}} {
			about := `"` + e.about + `":{"kind":"Pod","name":"p"},`
			o := decode(e.apiVersion, "Event", about+`"eventTime":`+stamp)
			got = append(got, o.(*facts.Event).Last)
			o = decode(e.apiVersion, "Event", about+`"eventTime":"2026-11-23T11:00:00Z","series":{"count":7,"lastObservedTime":`+stamp+`}`)
			if event := o.(*facts.Event); event.Count != 7 {
				t.Errorf("a series of 7 became %+v", event)
			} else if !want.IsZero() {
				got = append(got, event.Last)
			}
		}
		for _, at := range got {
			if !at.Equal(want) {
				t.Errorf("%s was read as %s", stamp, at)
			}
		}
	}
	for _, stamp := range []string{`"soon"`, `""`, `5`, `"2026-11-23"`} {
		if o, err := observe.Decode("coordination.k8s.io/v1", "Lease", []byte(`{"metadata":{"name":"x"},"spec":{"renewTime":`+stamp+`}}`)); err == nil {
			t.Errorf("%s became %+v", stamp, o)
		}
	}
}

// What network rules look at of objects that others than this package's types have.
func TestNetworkFields(t *testing.T) {
	about := func(kind, name string) facts.Meta {
		return facts.Meta{Ref: facts.Ref{Kind: kind, Namespace: "y", Name: name}, Created: start}
	}
	template := map[string]string{"app": "web"}
	for name, tc := range map[string]struct {
		apiVersion, kind, fields string
		want                     facts.Object
	}{
		"a ReplicationController": {
			"v1", "ReplicationController", `"spec":{"replicas":0,"selector":{"app":"old"},"template":{"metadata":{"labels":{"app":"web"}}}}`,
			&facts.Workload{Meta: about(facts.KindController, "x"), Labels: template},
		},
		"one without a template": {
			"v1", "ReplicationController", `"spec":{"selector":{"app":"web"}}`,
			&facts.Workload{Meta: about(facts.KindController, "x"), Desired: 1, Labels: template},
		},
		"a ReplicaSet of nobody": {
			"apps/v1", "ReplicaSet", `"spec":{"replicas":0,"template":{"metadata":{"labels":{"app":"web"}}}}`,
			&facts.Workload{Meta: about(facts.KindReplicaSet, "x"), Labels: template},
		},
		"a Certificate": {
			"cert-manager.io/v1", "Certificate", `"spec":{"secretName":"tls"},"status":{"renewalTime":"2026-11-23T12:00:00Z"}`,
			&facts.Certificate{Meta: about(facts.KindCertificate, "x"), Secret: "tls", Renewal: start},
		},
		"a budget": {
			"policy/v1", "PodDisruptionBudget", `"status":{"expectedPods":3,"desiredHealthy":2,"currentHealthy":1}`,
			&facts.DisruptionBudget{Meta: about(facts.KindDisruptionBudget, "x"), Expected: 3, Desired: 2, Healthy: 1},
		},
		"Endpoints": {
			"v1", "Endpoints", `"subsets":[{"addresses":[{"ip":"10.0.0.1"}]}]`,
			&facts.EndpointSlice{Meta: about(facts.KindEndpointSlice, "endpoints/x"), Service: "x", Ready: 1},
		},
	} {
		content := `{"metadata":{"name":"x","namespace":"y","creationTimestamp":"2026-11-23T12:00:00Z"},` + tc.fields + `}`
		o, err := observe.Decode(tc.apiVersion, tc.kind, []byte(content))
		if diff := cmp.Diff(tc.want, o); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// The slices tell twice when they changed: by the trigger, and by who set what.
func TestWhenEndpointsChanged(t *testing.T) {
	const trigger = `"annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"2026-11-23T12:00:00.5Z"}`
	const set = `"managedFields":[{"time":"2026-11-23T12:00:07Z","fieldsV1":{"f:endpoints":{}}},{"time":"2026-11-23T12:00:09Z","fieldsV1":{"f:metadata":{}}}]`
	for fields, want := range map[string]time.Time{
		`"labels":{}`:       {},
		trigger:             start.Add(500 * time.Millisecond),
		set:                 start.Add(7 * time.Second),
		trigger + "," + set: start.Add(7 * time.Second),
	} {
		o, err := observe.Decode("discovery.k8s.io/v1", "EndpointSlice", []byte(`{"metadata":{"name":"x",`+fields+`}}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := o.(*facts.EndpointSlice).Changed; !got.Equal(want) {
			t.Errorf("%s: changed at %s, want %s", fields, got, want)
		}
	}
}

func TestCommandsThatAreOver(t *testing.T) {
	for status, want := range map[string]bool{
		`{}`: false, `{"state":"Queued"}`: false, `{"state":"Claimed"}`: false, `{"state":"PendingApproval"}`: false,
		`{"state":"Succeeded"}`: true, `{"state":"Failed"}`: true, `{"state":"TimedOut"}`: true, `{"state":"Interrupted"}`: true, `{"state":"Expired"}`: true,
		`{"state":"Denied"}`: true, `{"state":"Cancelled"}`: true, `{"state":"SkippedAlreadyExecuted"}`: true,
		`{"state":"Claimed","completionTime":"2026-11-23T12:00:00Z"}`: true,
	} {
		o, err := observe.Decode("atlhyper.io/v1alpha1", "RemoteCommand", []byte(`{"metadata":{"name":"x"},"status":`+status+`}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := o.(*facts.RemoteCommand).Finished; got != want {
			t.Errorf("%s is over: %t", status, got)
		}
	}
}
