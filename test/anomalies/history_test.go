// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// recorded reads from history, beside the hub.
type recorded struct {
	*store.Store

	cluster history.ClusterUID
}

// openHistory opens it until the specs are over.
func openHistory(ctx context.Context) recorded {
	GinkgoHelper()
	s, err := store.Open(ctx, hub.DSN, store.Options{ReadOnly: true, Connections: 2})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.Close)
	// A cluster is known by the UID of its namespace kube-system.
	ns, err := kube.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	return recorded{s, history.ClusterUID(ns.UID)}
}

// transitions returns all rows, oldest first, of the namespaces given or of all.
func (r recorded) transitions(ctx context.Context, namespaces ...string) ([]history.Anomaly, error) {
	now := time.Now()
	return all(ctx, r.AnomalyTransitions, history.AnomalyQuery{
		Cluster: r.cluster, Namespaces: namespaces, Range: history.Range{Start: now.Add(-time.Hour), End: now.Add(time.Minute)},
	})
}

// open returns what is open.
func (r recorded) open(ctx context.Context) ([]history.Anomaly, error) {
	return all(ctx, r.OpenAnomalies, history.AnomalyQuery{Cluster: r.cluster})
}

func all(
	ctx context.Context, ask func(context.Context, history.AnomalyQuery) (history.Page[history.Anomaly], error), q history.AnomalyQuery,
) (rows []history.Anomaly, err error) {
	q.Limit = history.MaxLimit
	for {
		page, err := ask(ctx, q)
		if err != nil {
			return nil, err
		}
		rows = append(rows, page.Items...)
		if q.Cursor = page.Next; q.Cursor == "" {
			slices.Reverse(rows)
			return rows, nil
		}
	}
}

// told returns what was told in some namespaces, such as "raised PodOOMKilled web".
func (r recorded) told(ctx context.Context, namespaces ...string) ([]string, error) {
	rows, err := r.transitions(ctx, namespaces...)
	return sentences(rows), err
}

func sentences(rows []history.Anomaly) []string {
	said := make([]string, 0, len(rows))
	for i := range rows {
		said = append(said, fmt.Sprintf("%s %s %s", rows[i].State, rows[i].Rule, rows[i].Object.Name))
	}
	return said
}

// soon waits until history tells something, for a second at most after the API server
// has answered.
func (r recorded) soon(ctx context.Context, namespace, sentence string) {
	GinkgoHelper()
	answered := time.Now()
	Eventually(r.told).WithArguments(ctx, namespace).WithTimeout(time.Second).Should(ContainElement(sentence))
	AddReportEntry(sentence+" after", time.Since(answered).Round(time.Millisecond).String())
}

// known waits until history has an object of the member: by then the rules have been
// shown it as well.
func (r recorded) known(ctx context.Context, kind telemetry.Kind, namespace, name string) {
	GinkgoHelper()
	Eventually(func() ([]string, error) {
		page, err := r.Objects(ctx, history.ObjectQuery{Cluster: r.cluster, Kinds: []telemetry.Kind{kind}, Namespaces: []string{namespace}})
		var names []string
		for i := range page.Items {
			names = append(names, page.Items[i].Name)
		}
		return names, err
	}).Should(ContainElement(name), "%s %s/%s", kind, namespace, name)
}

// hubHistory runs `hub history`.
func hubHistory(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(hub.Programs.AtlHyper, "hub"), append([]string{"history"}, args...)...)
	cmd.Env = append(os.Environ(), "ATLHYPER_DSN="+hub.DSN, "KUBECONFIG="+hub.Kubeconfig())
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("hub history %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// fleetAnomalies runs `kubectl atlhyper anomalies`.
func fleetAnomalies(ctx context.Context, args ...string) (string, error) {
	return hub.Kubectl(ctx, append([]string{"atlhyper", "anomalies"}, args...)...)
}
