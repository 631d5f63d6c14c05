// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	agentmanifests "github.com/atlhyper/atlhyper/config/agent"
)

func testDocuments() joinDocuments {
	return joinDocuments{
		cluster: "prod-eu-1",
		answer: joinAnswer{
			nonce:   "00112233445566778899aabbccddeeff",
			data:    map[string][]byte{v1alpha1.CredentialToken: []byte("the-token")},
			expires: testNow.Add(time.Hour),
		},
		hub:   endpoint{url: "https://hub.example.com:6443", ca: []byte("the certificates\n")},
		image: "registry.example.com/agent:v9",
	}
}

func TestJoinDocuments(t *testing.T) {
	files := fstest.MapFS{
		"deployment.yaml": {Data: []byte(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: atlhyper-agent, namespace: atlhyper-system}
spec: {template: {spec: {containers: [{name: agent, image: old}, {name: sidecar, image: kept}]}}}
`)},
		"kustomization.yaml": {Data: []byte("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n")},
		"namespace.yaml":     {Data: []byte("# A comment\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: atlhyper-system}\n---\n")},
		"session.yaml": {Data: []byte(`
apiVersion: v1
kind: Secret
metadata: {name: atlhyper-agent-session, namespace: atlhyper-system}
data: {}
stringData: {token: ""}
`)},
		"embed.go": {Data: []byte("package x")},
	}
	objects, err := testDocuments().all(files, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{formatYAML, formatJSON} {
		var b bytes.Buffer
		if err := writeObjects(&b, objects, format); err != nil {
			t.Fatal(err)
		}
		golden(t, "join."+format, b.Bytes())
	}
	only, err := testDocuments().all(files, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(objects[len(objects)-1:], only); diff != "" {
		t.Errorf("the Secret alone differs from the last document:\n%s", diff)
	}
}

func TestJoinDocumentsNeedTheAgent(t *testing.T) {
	files := fstest.MapFS{"a.yaml": {Data: []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: atlhyper-system}\n")}}
	if _, err := testDocuments().all(files, false); err == nil || !strings.Contains(err.Error(), "container named agent") {
		t.Errorf("manifests without an agent: %v", err)
	}
	files["a.yaml"].Data = []byte("kind: [")
	if _, err := testDocuments().all(files, false); err == nil || !strings.Contains(err.Error(), "a.yaml") {
		t.Errorf("manifests that are no YAML: %v", err)
	}
}

// The manifests that are shipped have to be those that the contract names.
func TestShippedManifests(t *testing.T) {
	objects, err := testDocuments().all(agentmanifests.Files, false)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, object := range objects {
		names = append(names, object.GetKind()+" "+object.GetName())
		if object.GetKind() == "Secret" && object.GetName() == v1alpha1.MemberSessionSecret {
			if _, found := object.Object["data"]; found {
				t.Error("the session Secret has data, which would overwrite the agent's")
			}
		}
		if object.GetKind() == "Deployment" {
			containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
			if image := containers[0].(map[string]any)["image"]; image != "registry.example.com/agent:v9" {
				t.Errorf("the image is %v", image)
			}
		}
	}
	want := []string{
		"Namespace " + v1alpha1.MemberNamespace, "ServiceAccount " + v1alpha1.MemberAgent,
		"ClusterRole " + v1alpha1.MemberAgent, "ClusterRoleBinding " + v1alpha1.MemberAgent,
		// Its own Secrets, and the heartbeats of nodes.
		"Role " + v1alpha1.MemberAgent, "Role " + v1alpha1.MemberAgent, "RoleBinding " + v1alpha1.MemberAgent, "RoleBinding " + v1alpha1.MemberAgent,
		"Secret " + v1alpha1.MemberSessionSecret, "Secret " + v1alpha1.MemberNodesSecret, "Service " + v1alpha1.MemberAgent,
		"Deployment " + v1alpha1.MemberAgent, "Secret " + v1alpha1.MemberJoinSecret,
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}

func TestChooseEndpoint(t *testing.T) {
	public := endpoint{url: "https://203.0.113.7:6443", ca: []byte("kubeconfig")}
	tests := map[string]struct {
		flags, advertised, local endpoint
		want                     endpoint
		warning, failure         string
	}{
		"from the kubeconfig": {local: public, want: public},
		"advertised":          {advertised: endpoint{url: "https://hub", ca: []byte("hub")}, local: public, want: endpoint{url: "https://hub", ca: []byte("hub")}},
		"advertised with the system's certificates": {
			advertised: endpoint{url: "https://hub.example.com"}, local: public, want: endpoint{url: "https://hub.example.com"},
		},
		"flags win": {
			flags:      endpoint{url: "https://flag", ca: []byte("flag")},
			advertised: endpoint{url: "https://hub", ca: []byte("hub")}, local: public, want: endpoint{url: "https://flag", ca: []byte("flag")},
		},
		"another URL, the same certificates": {
			flags: endpoint{url: "https://10.0.0.1"}, local: public, want: endpoint{url: "https://10.0.0.1", ca: []byte("kubeconfig")},
		},
		"loopback": {
			local: endpoint{url: "https://127.0.0.1:6443", ca: []byte("x")},
			want:  endpoint{url: "https://127.0.0.1:6443", ca: []byte("x")}, warning: "an address of this machine",
		},
		"private":  {local: endpoint{url: "https://192.168.1.5"}, want: endpoint{url: "https://192.168.1.5"}, warning: "a private address"},
		"mapped":   {local: endpoint{url: "https://[::ffff:10.1.2.3]:6443"}, want: endpoint{url: "https://[::ffff:10.1.2.3]:6443"}, warning: "a private address"},
		"internal": {local: endpoint{url: "https://kubernetes.default.svc"}, want: endpoint{url: "https://kubernetes.default.svc"}, warning: "private network"},
		"insecure": {local: endpoint{url: "https://203.0.113.7", insecure: true}, failure: "--hub-ca-file"},
		"insecure, but given certificates": {
			flags: endpoint{ca: []byte("flag")}, local: endpoint{url: "https://203.0.113.7", insecure: true},
			want: endpoint{url: "https://203.0.113.7", ca: []byte("flag")},
		},
		"another server name": {
			local: endpoint{url: "https://203.0.113.7", ca: []byte("x"), serverName: "hub"},
			want:  endpoint{url: "https://203.0.113.7", ca: []byte("x")}, warning: "verifies the hub as hub",
		},
		"plain HTTP": {local: endpoint{url: "http://203.0.113.7"}, failure: "--hub-url"},
		"nothing":    {failure: "--hub-url"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, warnings, err := chooseEndpoint(test.flags, test.advertised, test.local)
			if test.failure != "" {
				if err == nil || !strings.Contains(err.Error(), test.failure) {
					t.Fatalf("error %v; want one with %q", err, test.failure)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.url != test.want.url || !bytes.Equal(got.ca, test.want.ca) {
				t.Errorf("got %s with %q; want %s with %q", got.url, got.ca, test.want.url, test.want.ca)
			}
			all := strings.Join(warnings, "\n")
			if (all == "") != (test.warning == "") || !strings.Contains(all, test.warning) {
				t.Errorf("warnings %q; want %q", all, test.warning)
			}
		})
	}
}

func TestCheckURL(t *testing.T) {
	for raw, fine := range map[string]bool{
		"https://hub.example.com": true, "https://hub:6443/k8s/clusters/c-1": true, "https://[2001:db8::1]:6443": true,
		"hub:6443": false, "http://hub": false, "https://": false, "https://:6443": false, "https://u:secret@hub": false,
		"https://hub?x=y": false, "https://hub#x": false, "https://u:secret@hub\x7f": false, "": false,
	} {
		err := checkURL(raw)
		if (err == nil) != fine {
			t.Errorf("%q: %v", raw, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error repeats the password: %v", raw, err)
		}
	}
}

func TestDiagnoseJoin(t *testing.T) {
	const nonce = "n"
	asked := func(c *v1alpha1.ManagedCluster) {
		c.Annotations = map[string]string{v1alpha1.AnnotationJoinRequest: nonce}
	}
	tests := map[string]struct {
		cluster v1alpha1.ManagedCluster
		want    string
	}{
		"somebody else asked":  {member("x"), "another join request"},
		"deleting":             {member("x", asked, deleted(time.Hour)), "being deleted"},
		"denied meanwhile":     {member("x", asked, notAccepted), "not accepted any more"},
		"hub never ran":        {member("x", asked, unobserved), "no hub has acted"},
		"hub stopped long ago": {member("x", asked, func(c *v1alpha1.ManagedCluster) { c.Generation = 4 }), "generation 1 of the ManagedCluster but not 4"},
		"hub stopped":          {member("x", asked), "probably stopped"},
		"stalled": {
			member("x", asked, condition(v1alpha1.ConditionStalled, metav1.ConditionTrue, "Provoked", "because", time.Hour)),
			"condition Stalled is True (Provoked): because",
		},
		"not ready": {
			member("x", asked, condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ClusterReasonProvisionFailed, "quota", time.Hour)),
			"condition Ready is False (ProvisionFailed): quota",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := diagnoseJoin(&test.cluster, nonce); !strings.Contains(got, test.want) {
				t.Errorf("%q does not say %q", got, test.want)
			}
		})
	}
}

func TestWritePrivateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "join.yaml")
	if err := os.WriteFile(path, []byte("a longer old content"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writePrivateFile(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != "new" || info.Mode().Perm() != 0o600 {
		t.Errorf("content %q, mode %o", data, info.Mode().Perm())
	}
	if err := writePrivateFile(filepath.Join(t.TempDir(), "no", "such", "folder"), nil); err == nil {
		t.Error("writing into a folder that does not exist succeeded")
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestAcceptedAppliers(t *testing.T) {
	entry := func(manager string, operation metav1.ManagedFieldsOperationType, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, FieldsV1: metav1.NewFieldsV1(fields)}
	}
	got := acceptedAppliers([]metav1.ManagedFieldsEntry{
		entry("argocd-controller", metav1.ManagedFieldsOperationApply, `{"f:spec":{"f:accepted":{},"f:displayName":{}}}`),
		entry("kubectl", metav1.ManagedFieldsOperationUpdate, `{"f:spec":{"f:accepted":{}}}`),
		entry("flux", metav1.ManagedFieldsOperationApply, `{"f:spec":{"f:displayName":{}}}`),
		entry(FieldManager, metav1.ManagedFieldsOperationApply, `{"f:spec":{"f:accepted":{}}}`),
		{Manager: "odd", Operation: metav1.ManagedFieldsOperationApply},
	})
	if diff := cmp.Diff([]string{"argocd-controller"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCommandLine(t *testing.T) {
	tests := map[string]struct {
		args        []string
		code        int
		out, errOut string
	}{
		"help":                {[]string{}, 0, "kubectl atlhyper [command]", ""},
		"join help":           {[]string{"join", "--help"}, 0, "kubectl atlhyper join prod-eu-1 | kubectl --context member apply -f -", ""},
		"version":             {[]string{"version"}, 0, "kubectl-atlhyper v", ""},
		"no name":             {[]string{"join"}, 1, "", "error: accepts 1 arg(s), received 0"},
		"unknown command":     {[]string{"jion"}, 1, "", `unknown command "jion"`},
		"a token as argument": {[]string{"status", "--token=x"}, 1, "", "unknown flag: --token"},
		"accept nothing":      {[]string{"accept"}, 1, "", "--all-pending"},
		"accept too much":     {[]string{"accept", "x", "--all-pending"}, 1, "", "--all-pending"},
		"join as table":       {[]string{"join", "x", "-o", "wide"}, 1, "", "yaml or json"},
		"join without end":    {[]string{"join", "x", "--timeout=0s"}, 1, "", "--timeout"},
		"join a bad URL":      {[]string{"join", "x", "--hub-url=http://x"}, 1, "", "--hub-url"},
		"join a bad file":     {[]string{"join", "x", "--hub-ca-file=testdata/join.yaml"}, 1, "", "no PEM certificate"},
		"status as name":      {[]string{"status", "-o", "name"}, 1, "", "wide, yaml or json"},
		"status selector":     {[]string{"status", "-l", "a=b=c"}, 1, "", "--selector"},
		"status both":         {[]string{"status", "x", "-l", "a=b"}, 1, "", "not both"},
		"no kubeconfig":       {[]string{"status", "--kubeconfig=testdata/none"}, 1, "", "reading the kubeconfig"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			streams, _, out, errOut := genericiooptions.NewTestIOStreams()
			code := Run(t.Context(), streams, test.args)
			if code != test.code || !strings.Contains(out.String(), test.out) || !strings.Contains(errOut.String(), test.errOut) {
				t.Errorf("code %d\nstandard output:\n%s\nstandard error:\n%s", code, out, errOut)
			}
			if test.code == 0 && errOut.Len() > 0 || test.code != 0 && out.Len() > 0 {
				t.Errorf("wrong stream\nstandard output:\n%s\nstandard error:\n%s", out, errOut)
			}
		})
	}
}

func TestSecretValuesAreEncoded(t *testing.T) {
	data, _, err := unstructured.NestedStringMap(testDocuments().secret().Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		v1alpha1.CredentialCluster: "prod-eu-1", v1alpha1.CredentialHubURL: "https://hub.example.com:6443",
		v1alpha1.CredentialHubCA: "the certificates\n", v1alpha1.CredentialToken: "the-token",
		v1alpha1.CredentialJoinID: "00112233445566778899aabbccddeeff",
	}
	got := map[string]string{}
	for key, value := range data {
		decoded, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		got[key] = string(decoded)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
