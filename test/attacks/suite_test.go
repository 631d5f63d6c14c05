// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package attacks tries to break into a hub on a real API server with the roles and the
// admission policies that AtlHyper ships: as the agent of one cluster against
// another and against the hub, and with a stolen credential of the hub itself.
// docs/security.md says what is expected to hold, and what is not.
package attacks

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/format"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
)

// The clusters of the fleet: the agent of victim does no harm, the agent of
// attacker is in the wrong hands.
const (
	attacker = "prod-a"
	victim   = "prod-b"
)

const (
	agentPolicy      = "atlhyper-agent-confinement"
	hubPolicy        = "atlhyper-hub-confinement"
	protectionPolicy = "atlhyper-cluster-protection"
)

var (
	plane *controlplane.ControlPlane
	// admin is a member of system:masters, hub has a token of the hub's
	// ServiceAccount, agentA and agentB have session tokens.
	admin, hub, agentA, agentB *caller
)

func TestAttacks(t *testing.T) {
	RegisterFailHandler(Fail)
	format.MaxLength = 0 // a list of what was not refused is of use in full only
	RunSpecs(t, "Attacks")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	plane, err = controlplane.Start(ctx, controlplane.Options{Dir: GinkgoT().TempDir(), ControllerManager: true})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(plane.Stop()).To(Succeed()) })

	admin = newCaller("admin", plane.Config())
	_, err = envtest.InstallCRDs(plane.Config(), envtest.CRDInstallOptions{
		Paths: []string{repository("config", "crd", "bases")}, ErrorIfPathMissing: true,
	})
	Expect(err).NotTo(HaveOccurred())
	installHub(ctx)
	kubectl(ctx, "apply", "-k", repository("config", "admission"))
	waitForPolicies(ctx)

	token := hubToken(ctx)
	hub = withToken("hub", token)
	runHub(ctx, token)
	for _, cluster := range []string{attacker, victim} {
		provision(ctx, cluster)
	}
	agentA, agentB = joined(ctx, attacker), joined(ctx, victim)
	applyFixtures(ctx)
})

// waitForPolicies returns when the API server enforces the policies it was
// given; it reads them through an informer.
func waitForPolicies(ctx context.Context) {
	GinkgoHelper()
	for user, policy := range map[string]string{
		agentUser(attacker): agentPolicy,
		hubUser:             hubPolicy,
	} {
		// system:masters lets it through the authorizer: only the policy can refuse.
		impostor := admin.as(map[string]string{"Impersonate-User": user, "Impersonate-Group": "system:masters"})
		Eventually(func() answer {
			return impostor.create(ctx, "/api/v1/namespaces/default/configmaps?dryRun=All", object{
				"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "probe"},
			})
		}).WithTimeout(waitTimeout).Should(beRefusedBy(policy))
	}
	Eventually(func() answer {
		return admin.create(ctx, clustersPath, object{
			"apiVersion": atlhyperAPI, "kind": "ManagedCluster", "metadata": object{"name": "protected"},
			"spec": object{"protection": object{"deletion": "Denied"}},
		})
	}).WithTimeout(waitTimeout).Should(beAnswered(201))
	Eventually(func() answer {
		return admin.delete(ctx, clustersPath+"/protected?dryRun=All")
	}).WithTimeout(waitTimeout).Should(beRefusedBy(protectionPolicy))
}

// kubectl runs the real kubectl as the administrator of the hub.
func kubectl(ctx context.Context, args ...string) {
	GinkgoHelper()
	binaries, err := controlplane.Binaries()
	Expect(err).NotTo(HaveOccurred())
	cmd := exec.CommandContext(ctx, filepath.Join(binaries, "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+plane.Kubeconfig())
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	Expect(cmd.Run()).To(Succeed(), "kubectl %v: %s", args, &output)
}

// repository is a path inside the checkout; tests run in their own folder.
func repository(elements ...string) string {
	return filepath.Join(append([]string{"..", ".."}, elements...)...)
}

func agentUser(cluster string) string {
	return fmt.Sprintf("system:serviceaccount:%s:agent", home(cluster))
}
