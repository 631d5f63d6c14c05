// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func (e *evaluation) judgeService(s *facts.Service) {
	if s.Type == "LoadBalancer" && s.Addresses == 0 && s.Deleted.IsZero() {
		f := itself(&s.Meta, serviceNoAddress, "AddressPending", time.Time{})
		f.Earliest = s.Created
		f.Explain = inState("Service "+s.Name+" has no address yet", "status.loadBalancer.ingress", "empty")
		if h, ok := e.ask(s.Ref, &balancer); ok {
			f.Reason = h.Reason
			f.Explain = byEvents("The load balancer cannot be made", h)
		}
		e.add(&s.Meta, f, sinceCreated)
	}
	if len(s.Selector) == 0 || s.Type == "ExternalName" || s.Headless && s.PublishNotReady || !s.Deleted.IsZero() {
		return
	}
	if e.partial(facts.KindEndpointSlice, serviceNoEndpoints) {
		return
	}
	earliest, none := e.noEndpoints(s)
	if !none || e.scaledToZero(s) {
		return
	}
	f := itself(&s.Meta, serviceNoEndpoints, "NoReadyEndpoints", time.Time{})
	f.Earliest = earliest
	f.Explain = inState("No endpoint of Service "+s.Name+" is ready", "endpoints[].conditions.ready", "none", label("selector", selectorOf(s.Selector)))
	e.add(&s.Meta, f, sinceCreated)
}

func selectorOf(selector map[string]string) string {
	pairs := make([]string, 0, len(selector))
	for key, value := range selector {
		pairs = append(pairs, key+"="+value)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

func (e *evaluation) judgeIngress(i *facts.Ingress) {
	if !i.Deleted.IsZero() {
		return
	}
	missing := e.missingBackends(i)
	if len(i.Secrets) > 0 && !e.partial(facts.KindSecret, ingressBackend) {
		for _, name := range i.Secrets {
			if e.look(facts.Ref{Kind: facts.KindSecret, Namespace: i.Namespace, Name: name}) == nil {
				missing = append(missing, "Secret "+name)
			}
		}
	}
	if i.Class != "" && !e.partial(facts.KindIngressClass, ingressBackend) && e.look(facts.Ref{Kind: facts.KindIngressClass, Name: i.Class}) == nil {
		missing = append(missing, "IngressClass "+i.Class)
	}
	if len(missing) == 0 {
		return
	}
	reason, _, _ := strings.Cut(missing[0], " ")
	f := itself(&i.Meta, ingressBackend, reason+"Missing", time.Time{})
	f.Explain = inState("The Ingress refers to what does not exist: "+strings.Join(missing, ", "), "spec", missing[0], label("missing", strings.Join(missing, ", ")))
	e.add(&i.Meta, f, sinceCreated)
}

func (e *evaluation) missingBackends(i *facts.Ingress) []string {
	if e.partial(facts.KindService, ingressBackend) {
		return nil
	}
	var missing []string
	for _, b := range i.Backends {
		s, ok := e.look(facts.Ref{Kind: facts.KindService, Namespace: i.Namespace, Name: b.Service}).(*facts.Service)
		what := ""
		switch {
		case !ok:
			what = "Service " + b.Service
		case s.Type != "ExternalName" && !hasPort(s, b):
			what = "Port " + firstOf(b.PortName, strconv.Itoa(int(b.PortNumber))) + " of Service " + b.Service
		}
		if what != "" && !slices.Contains(missing, what) {
			missing = append(missing, what)
		}
	}
	return missing
}

func hasPort(s *facts.Service, b facts.Backend) bool {
	return b.PortName == "" && b.PortNumber == 0 || slices.ContainsFunc(s.Ports, func(p facts.Port) bool {
		return b.PortName != "" && p.Name == b.PortName || b.PortName == "" && p.Number == b.PortNumber
	})
}

func (e *evaluation) judgeWebhooks(w *facts.Webhooks) {
	if e.partial(facts.KindService, webhookDown) {
		return
	}
	// One that fails is enough; the one that may have failed for longest tells.
	var found *Finding
	for _, hook := range w.Hooks {
		if !hook.FailClosed || hook.Service == "" {
			continue
		}
		reason, earliest := "", w.Created
		s, ok := e.look(facts.Ref{Kind: facts.KindService, Namespace: hook.Namespace, Name: hook.Service}).(*facts.Service)
		if !ok {
			reason = "ServiceMissing"
		} else if s.Type != "ExternalName" && !e.partial(facts.KindEndpointSlice, webhookDown) {
			if lost, none := e.noEndpoints(s); none {
				reason, earliest = "NoReadyEndpoints", latestTime(w.Created, lost)
			}
		}
		if reason == "" || found != nil && !earliest.Before(found.Earliest) {
			continue
		}
		found = new(itself(&w.Meta, webhookDown, reason, time.Time{}))
		found.Earliest = earliest
		found.Explain = inState(fmt.Sprintf("Webhook %s fails every request: nothing answers for Service %s/%s", hook.Name, hook.Namespace, hook.Service),
			"webhooks[name="+hook.Name+"].clientConfig.service", hook.Namespace+"/"+hook.Service, label("webhook", hook.Name))
	}
	if found != nil {
		e.add(&w.Meta, *found, sinceCreated)
	}
}

var conditionedRules = map[string][]string{
	facts.KindGateway:    {"Accepted", "Programmed", "ResolvedRefs"},
	facts.KindHTTPRoute:  {"Accepted", "Programmed", "ResolvedRefs"},
	facts.KindAPIService: {"Available"},
	facts.KindDefinition: {"Established", "NamesAccepted"},
}

var apiServiceReasons = []string{
	"FailedDiscoveryCheck", "MissingEndpoints", "ServiceNotFound", "EndpointsNotFound", "ServicePortError", "ServiceAccessError", "EndpointsAccessError",
}

func (e *evaluation) judgeConditioned(o *facts.Conditioned) {
	id := gatewayNotProgrammed
	switch o.Kind {
	case facts.KindAPIService:
		id = apiServiceDown
	case facts.KindDefinition:
		id = crdNotEstablished
	}
	// What is being deleted is not wanted any more. An APIService breaks discovery
	// for as long as it is there.
	if !o.Deleted.IsZero() && id != apiServiceDown {
		return
	}
	c := oldest(o.Conditions, func(c *facts.Condition) bool {
		return c.Status == facts.False && slices.Contains(conditionedRules[o.Kind], c.Type) &&
			(id != apiServiceDown || slices.Contains(apiServiceReasons, c.Reason))
	})
	if c != nil {
		e.conditioned(&o.Meta, id, c, fmt.Sprintf("%s %s is not %s", o.Kind, o.Name, c.Type))
	}
}

// oldest returns the condition that has matched for longest, nil when none matches:
// a second one that matches since a moment does not make the first one younger. What
// is known counts before what is not.
func oldest(conditions []facts.Condition, match func(*facts.Condition) bool) *facts.Condition {
	var found *facts.Condition
	for i := range conditions {
		c := &conditions[i]
		if match(c) && (found == nil || found.Since.IsZero() && !c.Since.IsZero() || !c.Since.IsZero() && c.Since.Before(found.Since)) {
			found = c
		}
	}
	return found
}

const (
	certificateWarning  = 21 * 24 * time.Hour
	certificateCritical = 7 * 24 * time.Hour
)

func (e *evaluation) judgeSecret(s *facts.Secret) {
	if !s.TLS || s.NotAfter.IsZero() {
		return
	}
	// Until cert-manager renews it, its end is no surprise. Judged again when the
	// Certificate changes, and at the renewal at the latest.
	kept := keptSecret(s.Namespace, s.Name)
	e.need(kept)
	var renewal time.Time
	for _, name := range append([]string{s.Certificate}, e.w.keepers[kept]...) {
		if name == "" {
			continue
		}
		c, ok := e.look(facts.Ref{Kind: facts.KindCertificate, Namespace: s.Namespace, Name: name}).(*facts.Certificate)
		if ok && c.Renewal.After(e.now) {
			renewal = latestTime(renewal, c.Renewal)
		}
	}
	e.expiring(s, renewal)
}

func (e *evaluation) expiring(s *facts.Secret, notBefore time.Time) {
	f := itself(&s.Meta, tlsExpiring, "CertificateExpiring", s.NotAfter.Add(-certificateWarning))
	if !notBefore.IsZero() {
		f.Since = latestTime(f.Since, notBefore)
	}
	if !e.now.Before(s.NotAfter) {
		f.Reason = "CertificateExpired"
	}
	f.Hold = beyond
	begin := s.NotAfter.Add(-certificateCritical)
	f.Escalations = []Escalation{
		{Severity: telemetry.SeverityCritical, Since: begin, After: beyond},
		{Severity: telemetry.SeverityCritical, Since: s.NotAfter},
	}
	f.Explain = inState(fmt.Sprintf("The certificate of Secret %s ends at %s", s.Name, stampOf(s.NotAfter)), "notAfter", stampOf(s.NotAfter),
		label("subject", s.Subject), label("issuer", s.Issuer))
	e.add(&s.Meta, f, sinceCreated)
}

func (e *evaluation) judgeCertificate(c *facts.Certificate) {
	if ready := facts.Is(c.Conditions, "Ready", facts.False); ready != nil {
		e.conditioned(&c.Meta, certificateNotReady, ready, "cert-manager has no valid certificate for "+c.Name)
	}
}

func (e *evaluation) judgeSigningRequest(r *facts.SigningRequest) {
	if r.Decided {
		return
	}
	f := itself(&r.Meta, csrPending, "Pending", r.Created)
	f.Group = Group{Kind: "Signer", Name: r.Signer}
	f.Explain = inState("Nobody has decided on the request "+r.Name, "status.conditions", "none", label("signerName", r.Signer), label("username", r.Requester))
	e.add(&r.Meta, f, sinceCreated)
}
