// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// errLeftFleet ends a session whose cluster was removed from the hub.
var errLeftFleet = errors.New("the cluster left the fleet")

// rhythm is what the ManagedCluster demands of the Lease's renewal.
type rhythm struct {
	period, grace time.Duration
	// conflict is the UID that owns this identity, when it is not our own.
	conflict string
	deleting bool
}

// rhythmOf reads the rhythm from a ManagedCluster; nil is one that has not been
// seen yet.
func rhythmOf(cluster *v1alpha1.ManagedCluster, clusterID string) rhythm {
	period, misses := int32(defaultHeartbeatSeconds), int32(defaultMisses)
	r := rhythm{}
	if cluster != nil {
		if h := cluster.Spec.Heartbeat; h != nil {
			if h.PeriodSeconds > 0 {
				period = h.PeriodSeconds
			}
			if h.MissesBeforeUnavailable > 0 {
				misses = h.MissesBeforeUnavailable
			}
		}
		for _, id := range []string{cluster.Spec.ExpectedClusterID, cluster.Status.ClusterID} {
			if id != "" && id != clusterID {
				r.conflict = id
			}
		}
		r.deleting = !cluster.DeletionTimestamp.IsZero()
	}
	r.period = time.Duration(period) * time.Second
	r.grace = r.period * time.Duration(misses)
	return r
}

// leasePatch is the body of a renewal. One merge patch carries everything, so
// that a renewal costs one request and conflicts with nothing.
func leasePatch(holder string, now time.Time, grace time.Duration, joined string) ([]byte, error) {
	type spec struct {
		HolderIdentity       string           `json:"holderIdentity"`
		RenewTime            metav1.MicroTime `json:"renewTime"`
		LeaseDurationSeconds int64            `json:"leaseDurationSeconds"`
	}
	type metadata struct {
		Annotations map[string]string `json:"annotations"`
	}
	patch := struct {
		Metadata *metadata `json:"metadata,omitempty"`
		Spec     spec      `json:"spec"`
	}{Spec: spec{holder, metav1.NewMicroTime(now), int64(grace / time.Second)}}
	if joined != "" {
		patch.Metadata = &metadata{map[string]string{v1alpha1.AnnotationJoined: joined}}
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encoding the renewal of the Lease: %w", err)
	}
	return body, nil
}

func (s *session) renewLease(ctx context.Context, holder string, grace time.Duration, joined string) error {
	body, err := leasePatch(holder, time.Now(), grace, joined)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	lease, err := s.leases.Leases(s.namespace).Patch(ctx, v1alpha1.AgentLease, types.MergePatchType, body,
		metav1.PatchOptions{FieldManager: v1alpha1.FieldOwnerAgent})
	if err != nil {
		return fmt.Errorf("renewing the Lease: %w", cause(err))
	}
	s.state.Lock()
	s.heldLease = lease.UID
	s.state.Unlock()
	return nil
}

// heartbeat renews the Lease until the session ends. It is the only writer of
// the Lease, so that the goodbye is its last word.
func (s *session) heartbeat(ctx context.Context) error {
	if !s.awaitView(ctx) {
		return nil
	}
	toldJoin := false
	failed := s.noFailures()
	for {
		want := s.rhythm()
		if want.deleting && want.conflict == "" {
			return s.sayGoodbye(ctx)
		}
		joined := ""
		if !toldJoin && s.stored.Load() {
			joined = s.credentials().JoinID
		}
		err := s.renewLease(ctx, s.id+"/"+s.options.Instance, want.grace, joined)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // ctx ended, which is no failure
		}
		var pause time.Duration
		if err != nil {
			pause = s.afterFailure(err, want, failed)
		} else {
			failed = s.noFailures()
			toldJoin = toldJoin || joined != ""
			pause = s.afterRenewal(want)
		}
		if !s.pause(ctx, pause, want, err == nil && !toldJoin) {
			return nil
		}
	}
}

// failures are the renewals since the last one that succeeded.
type failures struct {
	backoff *wait.Backoff
	refused bool
}

func (s *session) noFailures() *failures {
	return &failures{backoff: retry(s.timing.RetryMin, s.timing.RetryMax)}
}

// afterFailure reports that the Lease could not be renewed and returns when to
// try again.
func (s *session) afterFailure(err error, want rhythm, failed *failures) time.Duration {
	if isRefused(err) && !failed.refused {
		// renewTokens finds out what that means; it renews or locks out.
		failed.refused = true
		return 2 * s.timing.LockOutConfirm
	}
	s.setState(HubUnreachable, s.explain(err))
	signal(s.trouble)
	return min(failed.backoff.Step(), want.period)
}

// afterRenewal reports that the hub accepted a renewal and returns when the next
// is due.
func (s *session) afterRenewal(want rhythm) time.Duration {
	if want.conflict != "" {
		s.setState(Clone, fmt.Sprintf("ManagedCluster %s belongs to the cluster with kube-system UID %s and this one is %s; give this cluster a ManagedCluster and a join token of its own",
			s.cluster, want.conflict, s.id))
		return jitter(s.timing.CloneRenew, random())
	}
	s.setState(Connected, "the hub accepts renewals of the Lease")
	return jitter(want.period, random())
}

// pause waits for the next renewal: the time, or before it a reason to renew at
// once. It is false when ctx ended first.
func (s *session) pause(ctx context.Context, d time.Duration, before rhythm, untold bool) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-s.moved:
			return true
		case <-s.saved:
			if untold {
				return true
			}
		case <-s.seen:
			if s.rhythm() != before {
				return true
			}
		}
	}
}

// awaitView waits until the ManagedCluster was seen, but not for long: a
// heartbeat matters more than its rhythm. It is false when ctx ended.
func (s *session) awaitView(ctx context.Context) bool {
	timer := time.NewTimer(firstViewTimeout)
	defer timer.Stop()
	for {
		if s.hasView() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-s.seen:
		}
	}
}

// sayGoodbye leaves the fleet: it forgets the session in the member cluster and
// empties the Lease's holder, which is what the hub waits for.
func (s *session) sayGoodbye(ctx context.Context) error {
	s.setState(Deleting, "the ManagedCluster is being deleted: cleaning up and saying goodbye")
	if err := s.clearStore(ctx); err != nil && ctx.Err() == nil {
		// The hub revokes the session anyway, so what stays behind is worthless.
		s.log.Error(err, "Leaving the session behind in this cluster")
	}
	backoff := retry(s.timing.RetryMin, s.timing.RetryMax)
	for {
		err := s.renewLease(ctx, "", s.rhythm().grace, "")
		switch {
		case err == nil, isRefused(err), apierrors.IsNotFound(err), apierrors.IsForbidden(err):
			// Refused: the hub did not wait and has revoked the session already.
			return errLeftFleet
		}
		s.log.V(1).Info("Saying goodbye again", "reason", err.Error())
		if !sleep(ctx, backoff.Step()) {
			return nil
		}
	}
}

func (s *session) clearStore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clearTimeout)
	defer cancel()
	s.storing.Lock()
	defer s.storing.Unlock()
	s.cleared = true
	backoff := retry(s.timing.RetryMin, s.timing.RetryMax)
	for {
		err := s.options.Store.Clear(ctx)
		if err == nil || !sleep(ctx, backoff.Step()) {
			return err
		}
	}
}

// explain puts an error of the heartbeat into words.
func (s *session) explain(err error) string {
	where := s.credentials().Endpoint.URL
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Sprintf("the hub at %s has no Lease %s/%s, which it creates for every accepted ManagedCluster", where, s.namespace, v1alpha1.AgentLease)
	case apierrors.IsForbidden(err):
		return fmt.Sprintf("the hub at %s does not let this agent renew its Lease: %v", where, err)
	case isRefused(err):
		return fmt.Sprintf("the hub at %s refused the session token; asking for a new one", where)
	default:
		return fmt.Sprintf("reaching the hub at %s: %v", where, err)
	}
}

// leaseUID reads the UID of the own Lease over a link.
func (c *Connection) leaseUID(ctx context.Context, l *link) (types.UID, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, leases, err := builtinClients(clientConfig(c.options.Version, linkRoundTripper{l}))
	if err != nil {
		return "", err
	}
	lease, err := leases.Leases(v1alpha1.ClusterNamespacePrefix+l.cluster).Get(ctx, v1alpha1.AgentLease, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("reading the Lease: %w", cause(err))
	}
	return lease.UID, nil
}
