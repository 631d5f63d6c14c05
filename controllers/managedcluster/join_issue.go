// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// joinTokenLifetime is how long an agent has to join after it was asked for.
const joinTokenLifetime = time.Hour

// issueJoin makes the join Secret for a nonce and returns when its token
// expires. A complete Secret for the same nonce, left by a hub that was stopped
// in between, is taken as it is; any other is replaced, which ends its token.
func (r *Reconciler) issueJoin(ctx context.Context, cluster, nonce string, now time.Time) (time.Time, error) {
	ns := namespaceOf(cluster)
	existing := &corev1.Secret{}
	err := r.Get(ctx, client.ObjectKey{Namespace: ns, Name: v1alpha1.AgentJoinSecret}, existing)
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return time.Time{}, fmt.Errorf("reading the join Secret: %w", err)
	default:
		expires, err := time.Parse(time.RFC3339, existing.Annotations[v1alpha1.AnnotationJoinExpires])
		if err == nil && existing.Annotations[v1alpha1.AnnotationJoinRequest] == nonce &&
			len(existing.Data[v1alpha1.CredentialToken]) > 0 && now.Before(expires) {
			return expires, nil
		}
		if err := r.withdrawJoin(ctx, cluster); err != nil {
			return time.Time{}, err
		}
	}
	skeleton := joinSecret(cluster, nonce)
	if err := r.Apply(ctx, skeleton, client.ForceOwnership); err != nil {
		return time.Time{}, fmt.Errorf("creating the join Secret: %w", err)
	}
	if skeleton.ObjectMetaApplyConfiguration == nil || skeleton.UID == nil {
		return time.Time{}, fmt.Errorf("creating the join Secret: the API server returned no UID")
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: v1alpha1.AgentServiceAccount}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: new(int64(joinTokenLifetime.Seconds())),
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Secret", Name: v1alpha1.AgentJoinSecret, UID: *skeleton.UID,
		},
	}}
	if err := r.SubResource("token").Create(ctx, account, request); err != nil {
		return time.Time{}, fmt.Errorf("requesting a join token: %w", err)
	}
	expires := request.Status.ExpirationTimestamp.Time
	data := map[string][]byte{
		v1alpha1.CredentialCluster: []byte(cluster),
		v1alpha1.CredentialToken:   []byte(request.Status.Token),
		v1alpha1.CredentialJoinID:  []byte(nonce),
	}
	if r.AdvertiseURL != "" {
		data[v1alpha1.CredentialHubURL] = []byte(r.AdvertiseURL)
		data[v1alpha1.CredentialHubCA] = r.AdvertiseCA
	}
	full := joinSecret(cluster, nonce).WithUID(*skeleton.UID).WithData(data).
		WithAnnotations(map[string]string{v1alpha1.AnnotationJoinExpires: formatTime(expires)})
	if err := r.Apply(ctx, full, client.ForceOwnership); err != nil {
		return time.Time{}, fmt.Errorf("storing the join token: %w", err)
	}
	return expires.Truncate(time.Second), nil
}

func joinSecret(cluster, nonce string) *coreac.SecretApplyConfiguration {
	return coreac.Secret(v1alpha1.AgentJoinSecret, namespaceOf(cluster)).
		WithLabels(map[string]string{v1alpha1.LabelCluster: cluster, labelManagedBy: v1alpha1.FieldOwnerHub}).
		WithAnnotations(map[string]string{v1alpha1.AnnotationJoinRequest: nonce}).
		WithType(corev1.SecretTypeOpaque)
}

// withdrawJoin deletes the join Secret, if there is one, which ends its token.
func (r *Reconciler) withdrawJoin(ctx context.Context, cluster string) error {
	if err := r.deleteSecret(ctx, cluster, v1alpha1.AgentJoinSecret); err != nil {
		return fmt.Errorf("deleting the join Secret: %w", err)
	}
	return nil
}

func (r *Reconciler) deleteSecret(ctx context.Context, cluster, name string) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespaceOf(cluster), Name: name}}
	return client.IgnoreNotFound(r.Delete(ctx, secret))
}
