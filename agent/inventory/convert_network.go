// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// annotationIngressClass named the class before there was a field for it.
const annotationIngressClass = "kubernetes.io/ingress.class"

// port is "https:443/TCP", "443/TCP" without a name, and "TCP" for any port.
func port(name string, number int32, protocol string) string {
	s := protocol
	if number != 0 {
		s = strconv.Itoa(int(number)) + "/" + protocol
	}
	if name != "" {
		s = name + ":" + s
	}
	return s
}

func convertService(s *corev1.Service, b *builder) bool {
	b.begin(&s.ObjectMeta)
	b.attribute(telemetry.AttributeType, string(s.Spec.Type))
	b.ownAttribute(telemetry.AttributeClusterIP, s.Spec.ClusterIP)
	b.attribute(telemetry.AttributePorts, join(b, s.Spec.Ports, func(p *corev1.ServicePort) string {
		return port(p.Name, p.Port, string(p.Protocol))
	}))
	selector := slices.Sorted(maps.Keys(s.Spec.Selector))
	b.ownAttribute(telemetry.AttributeSelector, join(b, selector, func(key *string) string { return *key + "=" + s.Spec.Selector[*key] }))
	addresses := slices.Clone(s.Spec.ExternalIPs)
	for n := range s.Status.LoadBalancer.Ingress {
		addresses = append(addresses, firstOf(s.Status.LoadBalancer.Ingress[n].IP, s.Status.LoadBalancer.Ingress[n].Hostname))
	}
	if s.Spec.ExternalName != "" {
		addresses = append(addresses, s.Spec.ExternalName)
	}
	b.ownAttribute(telemetry.AttributeAddresses, join(b, addresses, itself))
	return true
}

func convertEndpointSlice(s *discoveryv1.EndpointSlice, b *builder) bool {
	b.begin(&s.ObjectMeta)
	if service := s.Labels[discoveryv1.LabelServiceName]; service != "" && (b.owner == record{}.owner) {
		b.ownedBy("Service", service, "")
	}
	ready := int64(0)
	for n := range s.Endpoints {
		// Unknown means ready, says the API.
		if r := s.Endpoints[n].Conditions.Ready; r == nil || *r {
			ready++
		}
	}
	b.number(telemetry.NumberEndpoints, int64(len(s.Endpoints)))
	b.number(telemetry.NumberReadyEndpoints, ready)
	b.attribute(telemetry.AttributeType, string(s.AddressType))
	b.attribute(telemetry.AttributePorts, join(b, s.Ports, func(p *discoveryv1.EndpointPort) string {
		var name string
		var number int32
		protocol := string(corev1.ProtocolTCP)
		if p.Name != nil {
			name = *p.Name
		}
		if p.Port != nil {
			number = *p.Port
		}
		if p.Protocol != nil {
			protocol = string(*p.Protocol)
		}
		return port(name, number, protocol)
	}))
	return true
}

func convertIngress(i *networkingv1.Ingress, b *builder) bool {
	b.begin(&i.ObjectMeta)
	b.spec(i.Generation, 0)
	class := i.Annotations[annotationIngressClass]
	if i.Spec.IngressClassName != nil {
		class = *i.Spec.IngressClassName
	}
	b.attribute(telemetry.AttributeClass, class)
	b.ownAttribute(telemetry.AttributeHosts, join(b, i.Spec.Rules, func(r *networkingv1.IngressRule) string { return r.Host }))
	addresses := join(b, i.Status.LoadBalancer.Ingress, func(a *networkingv1.IngressLoadBalancerIngress) string {
		return firstOf(a.IP, a.Hostname)
	})
	b.attribute(telemetry.AttributeAddresses, addresses)
	b.isReady(addresses != "")
	return true
}
