// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package attacks

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
)

// every verb that a request for a resource can have.
var verbs = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}

// attempt is one thing somebody may try.
type attempt struct {
	verb, group, version, resource, subresource, namespace, name string
	// inside is true for a resource that is in namespaces.
	inside bool
	// supported are the verbs that the API server says it has for the resource.
	supported []string
}

func (a attempt) String() string {
	return fmt.Sprintf("%s %s namespace=%q name=%q", a.verb, a.id(), a.namespace, a.name)
}

// id is the resource as in "leases.coordination.k8s.io" or "pods/exec".
func (a attempt) id() string {
	id := a.resource
	if a.group != "" {
		id += "." + a.group
	}
	if a.subresource != "" {
		id += "/" + a.subresource
	}
	return id
}

// path is the URL of the collection or of the object.
func (a attempt) path() string {
	path := "/apis/" + a.group + "/" + a.version
	if a.group == "" {
		path = "/api/" + a.version
	}
	if a.namespace != "" {
		path += "/namespaces/" + a.namespace
	}
	path += "/" + a.resource
	switch a.verb {
	case "list", "watch":
		path += "?watch=" + fmt.Sprint(a.verb == "watch") + "&timeoutSeconds=1"
		if a.name != "" {
			path += "&fieldSelector=metadata.name%3D" + a.name
		}
		return path
	case "deletecollection":
		return path + "?dryRun=All"
	case "create":
		if a.subresource != "" {
			path += "/" + a.name
		}
	default:
		path += "/" + a.name
	}
	if a.subresource != "" {
		path += "/" + a.subresource
	}
	if a.verb == "get" {
		return path
	}
	return path + "?dryRun=All"
}

// sendable is false for what only the authorizer can be asked about: there is
// no URL for the list of a subresource.
func (a attempt) sendable() bool {
	return a.subresource == "" || slices.Contains([]string{"get", "create", "update", "patch", "delete"}, a.verb)
}

func (a attempt) send(ctx context.Context, by *caller) answer {
	GinkgoHelper()
	method := map[string]string{
		"get": http.MethodGet, "list": http.MethodGet, "watch": http.MethodGet, "create": http.MethodPost,
		"update": http.MethodPut, "patch": http.MethodPatch, "delete": http.MethodDelete, "deletecollection": http.MethodDelete,
	}[a.verb]
	contentType, body := jsonDocument, []byte("{}")
	switch a.verb {
	case "get", "list", "watch", "delete", "deletecollection":
		body = nil
	case "patch":
		contentType, body = mergePatch, []byte(`{"metadata":{"labels":{"attacked":"yes"}}}`)
	}
	return by.send(ctx, method, a.path(), contentType, body)
}

// authorized asks the authorizer about the caller itself.
func (a attempt) authorized(ctx context.Context, by *caller) bool {
	GinkgoHelper()
	review := authorizationv1.SelfSubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectAccessReview"},
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: a.verb, Group: a.group, Version: a.version, Resource: a.resource, Subresource: a.subresource,
			Namespace: a.namespace, Name: a.name,
		}},
	}
	answer := by.create(ctx, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
	return decode[authorizationv1.SelfSubjectAccessReview](answer).Status.Allowed
}

// served lists every resource and subresource that the API server serves, each
// as an attempt without verb and place.
func served() []attempt {
	GinkgoHelper()
	client, err := discovery.NewDiscoveryClientForConfig(plane.Config())
	Expect(err).NotTo(HaveOccurred())
	_, lists, err := client.ServerGroupsAndResources()
	Expect(err).NotTo(HaveOccurred())
	var found []attempt
	for _, list := range lists {
		group, version, hasGroup := strings.Cut(list.GroupVersion, "/")
		if !hasGroup {
			group, version = "", list.GroupVersion
		}
		for _, r := range list.APIResources {
			resource, subresource, _ := strings.Cut(r.Name, "/")
			found = append(found, attempt{
				group: group, version: version, resource: resource, subresource: subresource,
				inside: r.Namespaced, supported: r.Verbs,
			})
		}
	}
	return found
}

// granted is the whole of what the agent of a cluster may do, and what everybody
// who is authenticated may ask about oneself. It is written down here a second
// time on purpose: a role that grows has to be defended against this list.
func granted(cluster string, a attempt) bool {
	reads := slices.Contains([]string{"get", "list", "watch"}, a.verb)
	switch a.id() {
	case "selfsubjectaccessreviews.authorization.k8s.io", "selfsubjectrulesreviews.authorization.k8s.io",
		"selfsubjectreviews.authentication.k8s.io":
		return a.verb == "create"
	case "clustertrustbundles.certificates.k8s.io":
		return reads // public certificates, which Kubernetes lets every ServiceAccount read
	case "managedclusters.atlhyper.io":
		return a.name == cluster && reads
	case "managedclusters.atlhyper.io/status":
		return a.name == cluster && (a.verb == "get" || a.verb == "patch")
	}
	if a.namespace != home(cluster) {
		return false
	}
	switch a.id() {
	case "remotecommands.atlhyper.io":
		return reads
	case "remotecommands.atlhyper.io/status":
		return a.verb == "get" || a.verb == "patch"
	case "leases.coordination.k8s.io":
		return a.name == "agent" && slices.Contains([]string{"get", "patch", "update"}, a.verb)
	case "serviceaccounts/token":
		return a.name == "agent" && a.verb == "create"
	case "configmaps":
		return a.name == "agent-bundle" && reads
	}
	return false
}

// attempts are all verbs on all resources in all places that matter, under the
// names that roles mention and without one where that means all.
func attempts() []attempt {
	GinkgoHelper()
	var all []attempt
	for _, r := range served() {
		places := map[string][]string{"": {attacker, victim, "agent"}}
		if r.inside {
			own := []string{"agent", "agent-session", "agent-join", "agent-bundle"}
			places = map[string][]string{
				home(victim): own, home(attacker): own,
				hubNamespace: {"agent"}, "kube-system": {"agent"}, "default": {"agent"}, "": {"agent"},
			}
		}
		for namespace, names := range places {
			for _, verb := range verbs {
				a := r
				a.verb, a.namespace = verb, namespace
				collective := slices.Contains([]string{"list", "watch", "deletecollection"}, verb) || verb == "create" && r.subresource == ""
				if r.inside && namespace == "" && !collective {
					continue
				}
				if collective {
					all = append(all, a)
				}
				if collective && verb != "list" && verb != "watch" {
					continue
				}
				for _, a.name = range names {
					all = append(all, a)
				}
			}
		}
	}
	return all
}

// parallel runs a function on every item, a few at a time, and returns what it
// complained about.
func parallel[T any](items []T, run func(T) string) []string {
	GinkgoHelper()
	const workers = 8
	var (
		mu         sync.Mutex
		complaints []string
		group      sync.WaitGroup
	)
	queue := make(chan T, len(items))
	for _, item := range items {
		queue <- item
	}
	close(queue)
	for range workers {
		group.Go(func() {
			defer GinkgoRecover()
			for item := range queue {
				if complaint := run(item); complaint != "" {
					mu.Lock()
					complaints = append(complaints, complaint)
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	return complaints
}
