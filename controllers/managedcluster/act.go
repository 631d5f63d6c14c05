// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"context"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// act provisions, revokes and answers requests to join, as decided. It sets when
// to verify what it did.
func (r *Reconciler) act(ctx context.Context, in *Input, v *Verdict, now time.Time, verifyAt *time.Time) error {
	mc := in.Cluster
	if v.Membership == MembershipAwaiting || v.Wait {
		return nil
	}
	*verifyAt = in.verifyAt
	if !v.Provision && !v.Revoke && !v.Join.Withdraw {
		return nil
	}
	if err := r.setFinalizer(ctx, mc, controllerutil.AddFinalizer); err != nil {
		return err
	}
	r.ledger.begin(mc.Name)
	written, err := r.write(ctx, in, v, now)
	drifted := r.ledger.finish(mc.Name, written)
	if err != nil {
		return err
	}
	*verifyAt = written.verifyAt
	if drifted {
		*verifyAt = now
	}
	return nil
}

// write makes the changes of act and returns what to remember of them.
func (r *Reconciler) write(ctx context.Context, in *Input, v *Verdict, now time.Time) (*record, error) {
	mc := in.Cluster
	out := &record{owner: mc.UID, marks: in.marks, versions: map[objectRef]string{}, verifyAt: in.verifyAt}
	if known, _ := r.ledger.lookup(mc.Name, mc.UID); known != nil && known.versions != nil {
		out.versions = maps.Clone(known.versions)
	}
	var err error
	switch {
	case v.Provision:
		if out.versions, err = r.apply(ctx, in); err != nil {
			return nil, err
		}
		out.marks.provisioned, out.verifyAt = in.desired, nextVerification(now)
	case v.Revoke:
		if out.versions, err = r.revoke(ctx, mc.Name); err != nil {
			return nil, err
		}
		out.marks.provisioned, out.marks.openUntil, out.verifyAt = revokedMark, time.Time{}, nextVerification(now)
	}
	switch {
	case v.Join.Issue:
		nonce := mc.Annotations[v1alpha1.AnnotationJoinRequest]
		if out.marks.openUntil, err = r.issueJoin(ctx, mc.Name, nonce, now); err != nil {
			return nil, err
		}
		out.marks.answered, v.Join.NextCheck = nonce, out.marks.openUntil
		r.Recorder.Eventf(mc, nil, corev1.EventTypeNormal, EventJoinTokenIssued, actionJoin, "a join token was issued, valid until %s", formatTime(out.marks.openUntil))
	case v.Join.Withdraw && !v.Revoke:
		if err := r.withdrawJoin(ctx, mc.Name); err != nil {
			return nil, err
		}
		out.marks.openUntil = time.Time{}
		r.Recorder.Eventf(mc, nil, corev1.EventTypeNormal, EventJoinTokenWithdrawn, actionJoin, "the join token is not valid any more")
	}
	version, err := r.mark(ctx, mc.Name, in.marks, out.marks)
	if v.Revoke {
		err = client.IgnoreNotFound(err) // without the namespace there is nothing to remember
	}
	if err != nil {
		return nil, err
	}
	if version != "" {
		out.versions[objectRef{kindNamespace, namespaceOf(mc.Name)}] = version
	}
	return out, nil
}
