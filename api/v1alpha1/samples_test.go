// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kstatus "sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// samples reads every object in the folder of samples that is of our group.
func samples() []*unstructured.Unstructured {
	files, err := filepath.Glob(filepath.Join(sampleFolder, "*.yaml"))
	Expect(err).NotTo(HaveOccurred())
	var objects []*unstructured.Unstructured
	for _, file := range files {
		content, err := os.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
		for {
			object := &unstructured.Unstructured{}
			err := decoder.Decode(&object.Object)
			if errors.Is(err, io.EOF) {
				break
			}
			Expect(err).NotTo(HaveOccurred(), file)
			if strings.HasPrefix(object.GetAPIVersion(), v1alpha1.GroupName+"/") {
				objects = append(objects, object)
			}
		}
	}
	return objects
}

// sample returns one sample by kind and name.
func sample(kind, name string) *unstructured.Unstructured {
	GinkgoHelper()
	for _, object := range samples() {
		if object.GetKind() == kind && object.GetName() == name {
			return object
		}
	}
	Fail("no sample " + kind + " " + name)
	return nil
}

// patched returns the sample changed by a merge patch (RFC 7386) in YAML.
func patched(kind, name, patch string) *unstructured.Unstructured {
	GinkgoHelper()
	object := sample(kind, name)
	change := map[string]any{}
	Expect(yaml.Unmarshal([]byte(patch), &change)).To(Succeed())
	object.Object = merged(object.Object, change)
	return object
}

func merged(target, change map[string]any) map[string]any {
	result := maps.Clone(target)
	if result == nil {
		result = map[string]any{}
	}
	for key, value := range change {
		switch value := value.(type) {
		case nil:
			delete(result, key)
		case map[string]any:
			old, _ := result[key].(map[string]any)
			result[key] = merged(old, value)
		default:
			result[key] = value
		}
	}
	return result
}

// expectRejected asks the API server to create the patched sample, and expects
// that it refuses with a message that holds each of the parts.
func expectRejected(ctx context.Context, kind, name, patch string, parts ...string) {
	GinkgoHelper()
	err := kube.Create(ctx, patched(kind, name, patch), client.DryRunAll)
	Expect(err).To(HaveOccurred(), "the API server accepted it")
	Expect(apierrors.IsInvalid(err)).To(BeTrue(), "it was refused, but not as invalid: %v", err)
	for _, part := range parts {
		Expect(err.Error()).To(ContainSubstring(part))
	}
}

// expectAccepted asks the API server to create the patched sample, without keeping it.
func expectAccepted(ctx context.Context, kind, name, patch string) {
	GinkgoHelper()
	Expect(kube.Create(ctx, patched(kind, name, patch), client.DryRunAll)).To(Succeed())
}

func withoutResourceVersion(object *unstructured.Unstructured) map[string]any {
	object = object.DeepCopy()
	object.SetResourceVersion("")
	return object.Object
}

var _ = Describe("samples", func() {
	It("exist for every kind", func() {
		kinds := map[string]int{}
		actions := map[string]bool{}
		for _, object := range samples() {
			kinds[object.GetKind()]++
			if action, ok, _ := unstructured.NestedString(object.Object, "spec", "action"); ok {
				actions[action] = true
			}
		}
		Expect(slices.Sorted(maps.Keys(kinds))).To(Equal([]string{
			"AlertRule", "ManagedCluster", "NotificationChannel", "RemoteCommand", "ServiceSLO", "Silence",
		}))
		Expect(actions).To(HaveLen(12), "one sample for each remote action")
	})

	It("are accepted, and applied twice without a difference", func(ctx SpecContext) {
		for _, object := range samples() {
			id := object.GetKind() + " " + object.GetName()
			apply := func() *unstructured.Unstructured {
				u := object.DeepCopy()
				Expect(kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("gitops"))).To(Succeed(), id)
				return u
			}
			first := apply()
			DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, first)).To(Succeed()) })
			// The API server drops the status on creation and stores its default with
			// the next write, whichever that is: the only thing that may change.
			second := apply()
			Expect(second.GetGeneration()).To(Equal(int64(1)), id)
			Expect(withoutResourceVersion(second)).To(Equal(withoutResourceVersion(first)), id)
			third := apply()
			Expect(third.GetResourceVersion()).To(Equal(second.GetResourceVersion()), "%s changed when it was applied again", id)
		}
	})

	It("can be given another member of a union by applying it", func(ctx SpecContext) {
		for _, change := range []struct{ kind, name, patch string }{
			{"ServiceSLO", "shop-web", `{spec: {window: {rollingDays: null, calendar: {unit: Month}}, target: {ingress: null, service: {namespace: shop, name: web}}}}`},
			{"ServiceSLO", "checkout-api", `{spec: {budgetingMethod: null, timeslices: null}}`},
			{"NotificationChannel", "pager", `{spec: {type: Slack, webhook: null, slack: {urlSecretRef: {name: slack, key: url}}}}`},
			{"AlertRule", "cluster-unavailable", `{spec: {source: {cluster: null, anomaly: {}}}}`},
		} {
			before, after := sample(change.kind, change.name), patched(change.kind, change.name, change.patch)
			Expect(kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(before), client.FieldOwner("gitops"))).To(Succeed(), change.name)
			DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, before)).To(Succeed()) })
			Expect(kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(after), client.FieldOwner("gitops"))).To(Succeed(), change.name)
		}
	})

	It("are in progress, for kstatus, until a controller has seen them", func(ctx SpecContext) {
		for _, object := range samples() {
			id := object.GetKind() + " " + object.GetName()
			Expect(kube.Create(ctx, object)).To(Succeed(), id)
			DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, object)).To(Succeed()) })

			observed, found, err := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
			Expect(err).NotTo(HaveOccurred(), id)
			Expect(found).To(BeTrue(), id)
			Expect(observed).To(Equal(int64(-1)), id)

			result, err := kstatus.Compute(object)
			Expect(err).NotTo(HaveOccurred(), id)
			Expect(result.Status).To(Equal(kstatus.InProgressStatus), id)
		}
	})

	It("are current, for kstatus, when Ready at their generation, and failed when Stalled", func(ctx SpecContext) {
		for _, kind := range []string{"ManagedCluster/staging", "ServiceSLO/shop-web", "AlertRule/shop-workloads", "NotificationChannel/shop-slack", "Silence/node-replacement", "RemoteCommand/restart-cart"} {
			kind, name, _ := strings.Cut(kind, "/")
			object := sample(kind, name)
			Expect(kube.Create(ctx, object)).To(Succeed())
			DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, object)).To(Succeed()) })
			condition := func(conditionType, status string) any {
				return map[string]any{"type": conditionType, "status": status, "reason": "Test", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
			}
			setStatus := func(conditions ...any) kstatus.Status {
				object.Object["status"] = map[string]any{"observedGeneration": object.GetGeneration(), "conditions": conditions}
				Expect(kube.Status().Update(ctx, object)).To(Succeed())
				result, err := kstatus.Compute(object)
				Expect(err).NotTo(HaveOccurred())
				return result.Status
			}
			Expect(setStatus(condition(v1alpha1.ConditionReady, "True"))).To(Equal(kstatus.CurrentStatus), kind)
			Expect(setStatus(condition(v1alpha1.ConditionReady, "False"), condition(v1alpha1.ConditionReconciling, "True"))).To(Equal(kstatus.InProgressStatus), kind)
			Expect(setStatus(condition(v1alpha1.ConditionReady, "False"), condition(v1alpha1.ConditionStalled, "True"))).To(Equal(kstatus.FailedStatus), kind)
		}
	})
})
