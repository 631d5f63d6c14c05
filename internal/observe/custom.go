// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package observe

import (
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// heartbeatRefresh is how often the hub writes the heartbeat of a connected
// cluster.
const heartbeatRefresh = 5 * time.Minute

// Conditioned is any object of which hardly more than conditions is looked at:
// Gateways, APIServices, Certificates and the like, whose types would drag in much
// for little.
type Conditioned struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		SecretName string `json:"secretName"`
	} `json:"spec"`
	Status struct {
		Conditions  []metav1.Condition `json:"conditions"`
		RenewalTime *metav1.Time       `json:"renewalTime"`
		Parents     []struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"parents"`
	} `json:"status"`
}

func custom(o any) (facts.Object, bool) {
	switch o := o.(type) {
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		return ValidatingWebhooks(o), true
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		return MutatingWebhooks(o), true
	case *apiextensionsv1.CustomResourceDefinition:
		return definition(o), true
	case *v1alpha1.ManagedCluster:
		return ManagedCluster(o), true
	case *v1alpha1.RemoteCommand:
		return RemoteCommand(o), true
	case *corev1.ReplicationController:
		return controller(o), true
	case *corev1.Endpoints: //nolint:staticcheck // old dumps have nothing else
		return oldEndpoints(o), true
	case *Conditioned:
		return conditioned(o), true
	default:
		return nil, false
	}
}

func definition(o *apiextensionsv1.CustomResourceDefinition) *facts.Conditioned {
	return &facts.Conditioned{
		Meta: meta(facts.KindDefinition, &o.ObjectMeta),
		Conditions: conditions(o.Status.Conditions, func(c *apiextensionsv1.CustomResourceDefinitionCondition) facts.Condition {
			return facts.Condition{Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time}
		}),
	}
}

func conditioned(o *Conditioned) facts.Object {
	list := slices.Clip(o.Status.Conditions)
	for i := range o.Status.Parents {
		list = append(list, o.Status.Parents[i].Conditions...)
	}
	converted := conditions(list, metaCondition)
	if o.Kind == facts.KindCertificate {
		return &facts.Certificate{
			Meta: meta(o.Kind, &o.ObjectMeta), Secret: o.Spec.SecretName, Renewal: timeOf(o.Status.RenewalTime), Conditions: converted,
		}
	}
	return &facts.Conditioned{Meta: meta(intern(o.Kind), &o.ObjectMeta), Conditions: converted}
}

// controller converts a ReplicationController, which ReplicaSets have replaced. Only
// analyze does: agents do not watch them.
func controller(o *corev1.ReplicationController) *facts.Workload {
	w := &facts.Workload{
		Meta: meta(facts.KindController, &o.ObjectMeta), Observed: o.Status.ObservedGeneration,
		Desired: orElse(o.Spec.Replicas, 1), Current: o.Status.Replicas, Ready: o.Status.ReadyReplicas, Available: o.Status.AvailableReplicas,
		Labels: o.Spec.Selector,
	}
	if o.Spec.Template != nil {
		w.Labels = o.Spec.Template.Labels
	}
	return w
}

// oldEndpoints converts Endpoints, which EndpointSlices have replaced.
func oldEndpoints(o *corev1.Endpoints) *facts.EndpointSlice { //nolint:staticcheck // see custom
	s := &facts.EndpointSlice{Meta: meta(facts.KindEndpointSlice, &o.ObjectMeta), Service: o.Name}
	s.Name = "endpoints/" + o.Name
	for i := range o.Subsets {
		s.Ready += len(o.Subsets[i].Addresses)
	}
	s.Changed = endpointsChanged(&o.ObjectMeta, "subsets")
	return s
}

// ManagedCluster converts a ManagedCluster of the hub.
func ManagedCluster(o *v1alpha1.ManagedCluster) *facts.ManagedCluster {
	m := &facts.ManagedCluster{
		Meta: meta(facts.KindManagedCluster, &o.ObjectMeta), Heartbeat: timeOf(o.Status.LastHeartbeatTime), Interval: 30 * time.Second,
		Conditions: conditions(o.Status.Conditions, metaCondition),
	}
	if h := o.Spec.Heartbeat; h != nil && h.PeriodSeconds > 0 {
		m.Interval = time.Duration(h.PeriodSeconds) * time.Second
	}
	if facts.Is(m.Conditions, v1alpha1.ClusterConditionConnected, facts.True) != nil {
		m.Refresh = heartbeatRefresh
	}
	return m
}

// finalStates are those of a command that nothing is done about any more.
var finalStates = []v1alpha1.CommandState{
	v1alpha1.CommandStateSucceeded, v1alpha1.CommandStateFailed, v1alpha1.CommandStateTimedOut, v1alpha1.CommandStateInterrupted,
	v1alpha1.CommandStateExpired, v1alpha1.CommandStateDenied, v1alpha1.CommandStateCancelled, v1alpha1.CommandStateSkippedAlreadyExecuted,
}

// RemoteCommand converts a RemoteCommand of the hub.
func RemoteCommand(o *v1alpha1.RemoteCommand) *facts.RemoteCommand {
	r := &facts.RemoteCommand{
		Meta: meta(facts.KindRemoteCommand, &o.ObjectMeta), State: string(o.Status.State),
		Finished: o.Status.CompletionTime != nil || slices.Contains(finalStates, o.Status.State) ||
			facts.Is(conditions(o.Status.Conditions, metaCondition), v1alpha1.CommandConditionFinished, facts.True) != nil,
	}
	begin := o.CreationTimestamp.Time
	if o.Status.StartTime != nil {
		begin = o.Status.StartTime.Time
	} else {
		begin = begin.Add(time.Duration(o.Spec.StartDeadlineSeconds) * time.Second)
	}
	if !o.CreationTimestamp.IsZero() || o.Status.StartTime != nil {
		r.Deadline = begin.Add(time.Duration(o.Spec.TimeoutSeconds) * time.Second)
	}
	return r
}
