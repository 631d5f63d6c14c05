// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/observability"
)

const (
	agentRepository = "ghcr.io/atlhyper/agent"
	agentContainer  = "agent"
)

var release = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`)

func isRelease() bool { return release.MatchString(observability.Version()) }

// defaultAgentImage is the agent of this program's version. A tag may not
// contain the + of a development version.
func defaultAgentImage() string {
	return agentRepository + ":" + strings.ReplaceAll(observability.Version(), "+", "-")
}

// installOrder is the order in which kinds are printed; others come before the
// last, the Deployment.
var installOrder = []string{
	"Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding",
	"ConfigMap", "Secret", "Service", "NetworkPolicy",
}

// joinDocuments makes what is applied in the member cluster.
type joinDocuments struct {
	cluster string
	answer  joinAnswer
	hub     endpoint
	image   string
}

// all returns the agent's manifests from files and then the join Secret, or the
// Secret alone.
func (d joinDocuments) all(files fs.FS, onlySecret bool) ([]*unstructured.Unstructured, error) {
	if onlySecret {
		return []*unstructured.Unstructured{d.secret()}, nil
	}
	objects, err := readManifests(files)
	if err != nil {
		return nil, fmt.Errorf("reading the agent's manifests: %w", err)
	}
	images := 0
	for _, object := range objects {
		switch object.GetKind() {
		case "Secret":
			// Without data, applying it again keeps the agent's session: the data
			// belong to the agent.
			unstructured.RemoveNestedField(object.Object, "data")
			unstructured.RemoveNestedField(object.Object, "stringData")
		case "Deployment":
			n, err := setImage(object, d.image)
			if err != nil {
				return nil, err
			}
			images += n
		}
	}
	if images == 0 {
		return nil, errors.New("the agent's manifests have no Deployment with a container named " + agentContainer)
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int {
		return cmp.Compare(installRank(a.GetKind()), installRank(b.GetKind()))
	})
	return append(objects, d.secret()), nil
}

func installRank(kind string) int {
	if kind == "Deployment" {
		return len(installOrder) + 1
	}
	if i := slices.Index(installOrder, kind); i >= 0 {
		return i
	}
	return len(installOrder)
}

func (d joinDocuments) secret() *unstructured.Unstructured {
	data := map[string]any{}
	for key, value := range map[string][]byte{
		v1alpha1.CredentialCluster: []byte(d.cluster),
		v1alpha1.CredentialHubURL:  []byte(d.hub.url),
		v1alpha1.CredentialHubCA:   d.hub.ca,
		v1alpha1.CredentialToken:   d.answer.data[v1alpha1.CredentialToken],
		v1alpha1.CredentialJoinID:  []byte(d.answer.nonce),
	} {
		data[key] = base64.StdEncoding.EncodeToString(value)
	}
	metadata := map[string]any{
		"name":      v1alpha1.MemberJoinSecret,
		"namespace": v1alpha1.MemberNamespace,
		"labels": map[string]any{
			"app.kubernetes.io/name":    v1alpha1.MemberAgent,
			"app.kubernetes.io/part-of": "atlhyper",
			v1alpha1.LabelCluster:       d.cluster,
		},
	}
	if !d.answer.expires.IsZero() {
		metadata["annotations"] = map[string]any{
			v1alpha1.AnnotationJoinExpires: d.answer.expires.UTC().Format(time.RFC3339),
		}
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1",
		"kind":       "Secret",
		"metadata":   metadata,
		"type":       "Opaque",
		"data":       data,
	}}
}

// readManifests reads every object of every YAML file, but for what is meant
// for kustomize itself.
func readManifests(files fs.FS) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".yaml" {
			return err
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
		for {
			object := &unstructured.Unstructured{}
			if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return fmt.Errorf("decoding %s: %w", name, err)
			}
			if len(object.Object) > 0 && !strings.HasPrefix(object.GetAPIVersion(), "kustomize.config.k8s.io/") {
				objects = append(objects, object)
			}
		}
	})
	return objects, err
}

// setImage sets the image of the agent's container and returns how many there are.
func setImage(deployment *unstructured.Unstructured, image string) (int, error) {
	where := []string{"spec", "template", "spec", "containers"}
	containers, _, err := unstructured.NestedSlice(deployment.Object, where...)
	if err != nil {
		return 0, fmt.Errorf("reading the containers of Deployment %s: %w", deployment.GetName(), err)
	}
	found := 0
	for i := range containers {
		container, ok := containers[i].(map[string]any)
		if ok && container["name"] == agentContainer {
			container["image"] = image
			found++
		}
	}
	if err := unstructured.SetNestedSlice(deployment.Object, containers, where...); err != nil {
		return 0, fmt.Errorf("setting the image of Deployment %s: %w", deployment.GetName(), err)
	}
	return found, nil
}
