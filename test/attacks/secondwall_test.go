// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package attacks

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// mistaken is a cluster whose agent somebody has bound to a role with "*" on everything.
const mistaken = "mistaken"

// unguarded are the resources that no admission policy is ever asked about: the
// policies themselves, and reviews, which write nothing.
var unguarded = []string{
	"validatingadmissionpolicies.admissionregistration.k8s.io", "validatingadmissionpolicybindings.admissionregistration.k8s.io",
	"mutatingadmissionpolicies.admissionregistration.k8s.io", "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
	"tokenreviews.authentication.k8s.io", "selfsubjectreviews.authentication.k8s.io",
	"subjectaccessreviews.authorization.k8s.io", "localsubjectaccessreviews.authorization.k8s.io",
	"selfsubjectaccessreviews.authorization.k8s.io", "selfsubjectrulesreviews.authorization.k8s.io",
}

var _ = Describe("An agent with a role that allows everything, by mistake", Ordered, func() {
	var agent *caller
	BeforeAll(func(ctx SpecContext) {
		provision(ctx, mistaken)
		ensure(ctx, admin, rbacPath("", "clusterroles"), object{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": object{"name": mistaken},
			"rules": []object{
				{"apiGroups": []string{"*"}, "resources": []string{"*"}, "verbs": []string{"*"}},
				{"nonResourceURLs": []string{"*"}, "verbs": []string{"*"}},
			},
		})
		ensure(ctx, admin, rbacPath("", "clusterrolebindings"), object{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": object{"name": mistaken},
			"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": mistaken},
			"subjects": []object{{"kind": "ServiceAccount", "name": "agent", "namespace": home(mistaken)}},
		})
		agent = joined(ctx, mistaken)
		Eventually(func() answer { return agent.get(ctx, "/api/v1/nodes") }).WithTimeout(waitTimeout).Should(beGranted())
	})
	AfterAll(func(ctx SpecContext) {
		Expect(admin.delete(ctx, rbacPath("", "clusterrolebindings/"+mistaken))).To(beGranted())
	})

	It("still writes nothing but what is its own", func(ctx SpecContext) {
		var writes []write
		for _, r := range served() {
			writes = append(writes, writesOf(ctx, r)...)
		}
		outcomes := make(map[string]int)
		answers := make(chan answer, len(writes))
		wrong := parallel(writes, func(w write) string {
			answer := w.send(ctx, agent)
			answers <- answer
			if answer.Code == http.StatusForbidden || w.copied && slices.Contains(invalid, answer.Code) {
				return ""
			}
			return answer.String()
		})
		close(answers)
		for answer := range answers {
			if strings.Contains(answer.Message, agentPolicy) {
				outcomes["refused by the policy"]++
			} else {
				outcomes[fmt.Sprint(answer.Code)]++
			}
		}
		AddReportEntry("writes", fmt.Sprintf("%d writes: %v", len(writes), outcomes))
		GinkgoWriter.Println(len(writes), "writes:", outcomes)
		Expect(wrong).To(BeEmpty())
		Expect(outcomes["refused by the policy"]).To(BeNumerically(">", 1000), "too few writes got as far as admission")
	})

	It("still does what an agent has to do", func(ctx SpecContext) {
		Expect(agent.patch(ctx, leasePath(mistaken), heartbeat())).To(beAnswered(200))
		Expect(agent.patch(ctx, clustersPath+"/"+mistaken+"/status", object{"status": honestStatus()})).
			To(beRefusedBy(agentPolicy), "a merge patch replaces the conditions of the hub")
		Expect(agent.apply(ctx, clustersPath+"/"+mistaken+"/status", "atlhyper-agent", report(mistaken, honestStatus()))).
			To(beAnswered(200))
	})

	// An admission policy is not asked about reads and impersonation, nor about
	// policies. This is why it is the second wall and not the first.
	It("can do what no admission policy can prevent", func(ctx SpecContext) {
		Expect(agent.get(ctx, homePath(victim, "secrets/secret-1"))).To(beGranted())
		Expect(agent.delete(ctx, "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/"+
			agentPolicy+"?dryRun=All")).To(beGranted())
		masters := agent.as(map[string]string{"Impersonate-User": "admin", "Impersonate-Group": "system:masters"})
		Expect(masters.create(ctx, "/api/v1/namespaces/default/configmaps?dryRun=All", object{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "probe"},
		})).To(beGranted())
	})
})

// invalid are the answers to a copy that cannot be made: names of some kinds
// follow from their content, and validation comes before admission.
var invalid = []int{http.StatusConflict, http.StatusUnprocessableEntity}

// write is one request that would change something.
type write struct {
	method, path, contentType string
	body                      []byte
	// copied is true for a copy under another name, which need not be valid.
	copied bool
}

// send makes the request as a dry run, which the policies do not distinguish.
// An update is repeated when somebody else was faster.
func (w write) send(ctx context.Context, by *caller) answer {
	GinkgoHelper()
	const attempts = 5
	path := w.path
	if !strings.Contains(path, "?") {
		path += "?dryRun=All"
	}
	answer := by.send(ctx, w.method, path, w.contentType, w.body)
	for i := 0; i < attempts && w.method == http.MethodPut && answer.Code == http.StatusConflict; i++ {
		answer = by.send(ctx, w.method, path, w.contentType, admin.get(ctx, w.path).Body)
	}
	return answer
}

// connectable are the subresources that are streams. They know no dry run.
var connectable = map[string]string{
	"pods/exec": "?command=id&stdout=true", "pods/attach": "?stdout=true", "pods/portforward": "?ports=80",
	"pods/proxy": "?path=x", "services/proxy": "?path=x", "nodes/proxy": "?path=x",
}

// postable are bodies for subresources that are created rather than updated.
var postable = map[string]object{
	"pods/eviction":         {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": object{"name": "NAME"}},
	"pods/binding":          {"apiVersion": "v1", "kind": "Binding", "metadata": object{"name": "NAME"}, "target": object{"kind": "Node", "name": "node-1"}},
	"serviceaccounts/token": {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": object{}},
}

// writesOf makes, from the objects that exist, every kind of write on a
// resource that is known to be valid apart from who sends it: a copy under
// another name, an update, a patch and a delete of each, and of all at once.
func writesOf(ctx context.Context, r attempt) []write {
	GinkgoHelper()
	parent := r
	parent.subresource, parent.verb = "", "list"
	if slices.Contains(unguarded, parent.id()) {
		return nil
	}
	listed := admin.get(ctx, parent.path())
	if listed.Code != http.StatusOK {
		return nil // it cannot be listed: there are no objects to make writes from
	}
	list := decode[struct {
		APIVersion, Kind string
		Items            []object
	}](listed)
	var writes []write
	namespaces := make(map[string]bool)
	const enough = 25
	for _, item := range list.Items[:min(len(list.Items), enough)] {
		meta := item["metadata"].(object)
		at := r
		at.verb, at.name = "get", meta["name"].(string)
		at.namespace, _ = meta["namespace"].(string)
		if r.subresource != "" {
			writes = append(writes, writesOfSubresource(ctx, at)...)
			continue
		}
		item["apiVersion"], item["kind"] = list.APIVersion, strings.TrimSuffix(list.Kind, "List")
		writes = append(writes, updates(at, item)...)
		one := at.path()
		collection := strings.TrimSuffix(one, "/"+at.name)
		if slices.Contains(r.supported, "delete") {
			writes = append(writes, write{method: http.MethodDelete, path: one, contentType: jsonDocument})
		}
		if slices.Contains(r.supported, "create") {
			writes = append(writes, write{http.MethodPost, collection, jsonDocument, encode(copyOf(item)), true})
		}
		if slices.Contains(r.supported, "deletecollection") && !namespaces[at.namespace] {
			namespaces[at.namespace] = true
			writes = append(writes, write{method: http.MethodDelete, path: collection, contentType: jsonDocument})
		}
	}
	return writes
}

func writesOfSubresource(ctx context.Context, at attempt) []write {
	GinkgoHelper()
	if query, ok := connectable[at.id()]; ok {
		return []write{{method: http.MethodPost, path: at.path() + query, contentType: jsonDocument}}
	}
	if body, ok := postable[at.id()]; ok {
		text := strings.ReplaceAll(string(encode(body)), "NAME", at.name)
		return []write{{method: http.MethodPost, path: at.path(), contentType: jsonDocument, body: []byte(text)}}
	}
	current := admin.get(ctx, at.path())
	if current.Code != http.StatusOK {
		return nil
	}
	var item object
	Expect(json.Unmarshal(current.Body, &item)).To(Succeed())
	return updates(at, item)
}

// updates are those writes of one existing object that are not the agent's to make.
func updates(at attempt, item object) []write {
	GinkgoHelper()
	var writes []write
	label := object{"metadata": object{"labels": object{"attacked": "yes"}}}
	path := at.path()
	status := at.id() == "managedclusters.atlhyper.io/status" && at.name == mistaken
	if at.verb = "update"; slices.Contains(at.supported, at.verb) && !granted(mistaken, at) && !status {
		writes = append(writes, write{method: http.MethodPut, path: path, contentType: jsonDocument, body: encode(item)})
	}
	if at.verb = "patch"; slices.Contains(at.supported, at.verb) && !status {
		writes = append(writes, write{method: http.MethodPatch, path: path, contentType: mergePatch, body: encode(label)})
	}
	return writes
}

// copyOf is the same object under another name.
func copyOf(item object) object {
	copied := maps.Clone(item)
	meta := maps.Clone(item["metadata"].(object))
	for _, key := range []string{"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"} {
		delete(meta, key)
	}
	meta["name"] = "copy-of-" + meta["name"].(string)
	copied["metadata"] = meta
	return copied
}
