// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// ErrNoSession means that no session is stored.
var ErrNoSession = errors.New("no session is stored")

// SessionStore keeps the agent's session over restarts.
type SessionStore interface {
	// Load returns the stored session, or ErrNoSession.
	Load(ctx context.Context) (Credentials, error)
	// Save stores a session in place of the one before.
	Save(ctx context.Context, session Credentials) error
	// Clear forgets the session. Clearing nothing is no error.
	Clear(ctx context.Context) error
}

// SecretStore keeps the session in a Secret that exists already: the agent may
// read and write this one Secret and create none.
type SecretStore struct {
	secrets corev1client.SecretInterface
	where   string
}

// NewSecretStore returns a store in the Secret MemberSessionSecret of a namespace
// of the member cluster.
func NewSecretStore(client corev1client.SecretsGetter, namespace string) *SecretStore {
	return &SecretStore{
		secrets: client.Secrets(namespace),
		where:   namespace + "/" + v1alpha1.MemberSessionSecret,
	}
}

// Load implements SessionStore. A Secret whose content makes no session is
// ErrNoSession too: the way out of both is to join.
func (s *SecretStore) Load(ctx context.Context) (Credentials, error) {
	secret, err := s.secrets.Get(ctx, v1alpha1.MemberSessionSecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Credentials{}, fmt.Errorf("secret %s does not exist, apply the agent's manifests again: %w", s.where, ErrNoSession)
	}
	if err != nil {
		return Credentials{}, fmt.Errorf("reading Secret %s: %w", s.where, err)
	}
	if len(secret.Data[v1alpha1.CredentialToken]) == 0 {
		return Credentials{}, fmt.Errorf("secret %s is empty: %w", s.where, ErrNoSession)
	}
	values := make(map[string]string, len(secret.Data))
	for key, value := range secret.Data {
		values[key] = string(value)
	}
	session, err := parseCredentials(values)
	if err != nil {
		return Credentials{}, fmt.Errorf("secret %s is malformed, %w: %w", s.where, err, ErrNoSession)
	}
	return session, nil
}

// Save implements SessionStore.
func (s *SecretStore) Save(ctx context.Context, session Credentials) error {
	return s.patch(ctx, map[string][]byte{
		v1alpha1.CredentialCluster: []byte(session.Cluster),
		v1alpha1.CredentialHubURL:  []byte(session.Endpoint.URL),
		v1alpha1.CredentialHubCA:   []byte(session.Endpoint.CA),
		v1alpha1.CredentialToken:   []byte(session.Token),
		v1alpha1.CredentialJoinID:  []byte(session.JoinID),
	})
}

// Clear implements SessionStore.
func (s *SecretStore) Clear(ctx context.Context) error { return s.patch(ctx, nil) }

func (s *SecretStore) patch(ctx context.Context, data map[string][]byte) error {
	body, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return fmt.Errorf("encoding the session: %w", err)
	}
	_, err = s.secrets.Patch(ctx, v1alpha1.MemberSessionSecret, types.MergePatchType, body,
		metav1.PatchOptions{FieldManager: v1alpha1.FieldOwnerAgent})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("storing the session: Secret %s does not exist; apply the agent's manifests again", s.where)
	}
	if err != nil {
		return fmt.Errorf("storing the session in Secret %s: %w", s.where, err)
	}
	return nil
}

var _ SessionStore = (*SecretStore)(nil)
