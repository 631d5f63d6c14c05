// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package attacks

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

const (
	waitTimeout  = time.Minute
	mergePatch   = "application/merge-patch+json"
	applyPatch   = "application/apply-patch+yaml"
	jsonDocument = "application/json"
)

// object is a Kubernetes object as it goes over the wire. An attacker is not
// bound to what a typed client can express.
type object = map[string]any

// caller sends requests as somebody.
type caller struct {
	name   string
	host   string
	client *http.Client
	header map[string]string
}

// answer is what the API server said.
type answer struct {
	Request string
	Code    int
	Message string
	Body    []byte
}

func (a answer) String() string { return fmt.Sprintf("%s: %d %s", a.Request, a.Code, a.Message) }

func newCaller(name string, config *rest.Config) *caller {
	GinkgoHelper()
	client, err := rest.HTTPClientFor(config)
	Expect(err).NotTo(HaveOccurred())
	return &caller{name: name, host: config.Host, client: client}
}

// withToken is somebody who has nothing but a bearer token.
func withToken(name, token string) *caller {
	GinkgoHelper()
	config := rest.AnonymousClientConfig(plane.Config())
	config.BearerToken = token
	return newCaller(name, config)
}

// as is the same caller with more headers.
func (c *caller) as(header map[string]string) *caller {
	return &caller{name: c.name, host: c.host, client: c.client, header: header}
}

// send makes one request. It returns when the answer's header is there for a
// watch that was granted, and else when its body is.
func (c *caller) send(ctx context.Context, method, path, contentType string, body []byte) answer {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.host+path, bytes.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Accept", jsonDocument)
	for key, value := range c.header {
		request.Header.Set(key, value)
	}
	response, err := c.client.Do(request)
	Expect(err).NotTo(HaveOccurred(), "%s %s %s", c.name, method, path)
	defer response.Body.Close()
	result := answer{Request: c.name + " " + method + " " + path, Code: response.StatusCode}
	if result.Code == http.StatusOK && strings.Contains(path, "watch=true") {
		return result
	}
	result.Body, err = io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())
	var status metav1.Status
	if result.Code >= http.StatusBadRequest {
		result.Message = string(result.Body)
		if json.Unmarshal(result.Body, &status) == nil && status.Message != "" {
			result.Message = status.Message
		}
	}
	return result
}

func (c *caller) get(ctx context.Context, path string) answer {
	GinkgoHelper()
	return c.send(ctx, http.MethodGet, path, jsonDocument, nil)
}

func (c *caller) create(ctx context.Context, path string, body any) answer {
	GinkgoHelper()
	return c.send(ctx, http.MethodPost, path, jsonDocument, encode(body))
}

func (c *caller) update(ctx context.Context, path string, body any) answer {
	GinkgoHelper()
	return c.send(ctx, http.MethodPut, path, jsonDocument, encode(body))
}

func (c *caller) patch(ctx context.Context, path string, body any) answer {
	GinkgoHelper()
	return c.send(ctx, http.MethodPatch, path, mergePatch, encode(body))
}

func (c *caller) apply(ctx context.Context, path, manager string, body any) answer {
	GinkgoHelper()
	return c.send(ctx, http.MethodPatch, path+"?force=true&fieldManager="+manager, applyPatch, encode(body))
}

func (c *caller) delete(ctx context.Context, path string) answer {
	GinkgoHelper()
	return c.send(ctx, http.MethodDelete, path, jsonDocument, nil)
}

func encode(body any) []byte {
	GinkgoHelper()
	if raw, ok := body.([]byte); ok {
		return raw
	}
	data, err := json.Marshal(body)
	Expect(err).NotTo(HaveOccurred())
	return data
}

// decode reads the body of an answer that has to be a success.
func decode[T any](a answer) T {
	GinkgoHelper()
	var into T
	Expect(a.Code).To(BeNumerically("<", 300), a.String())
	Expect(json.Unmarshal(a.Body, &into)).To(Succeed())
	return into
}

func beAnswered(code int) types.GomegaMatcher { return HaveField("Code", code) }

func beGranted() types.GomegaMatcher {
	return HaveField("Code", And(BeNumerically(">=", 200), BeNumerically("<", 300)))
}

func beRefused() types.GomegaMatcher { return HaveField("Code", http.StatusForbidden) }

// beRefusedByRBAC is true when the request did not get as far as admission.
func beRefusedByRBAC() types.GomegaMatcher {
	return And(beRefused(), HaveField("Message", Not(ContainSubstring("ValidatingAdmissionPolicy"))))
}

// beRefusedBy is true when RBAC let the request through and the policy did not.
func beRefusedBy(policy string) types.GomegaMatcher {
	return And(beRefused(), HaveField("Message", ContainSubstring("ValidatingAdmissionPolicy '"+policy+"'")))
}
