// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SLOTarget is what receives the requests. Exactly one member is set.
// +kubebuilder:validation:ExactlyOneOf=ingress;httpRoute;ingressRoute;service;series
type SLOTarget struct {
	// ingress is an Ingress of networking.k8s.io, or a part of one.
	// +optional
	Ingress *SLOIngressTarget `json:"ingress,omitempty"`

	// httpRoute is an HTTPRoute of gateway.networking.k8s.io, or one of its rules.
	// +optional
	HTTPRoute *SLORouteTarget `json:"httpRoute,omitempty"`

	// ingressRoute is an IngressRoute of traefik.io, or one of its routes.
	// +optional
	IngressRoute *SLORouteTarget `json:"ingressRoute,omitempty"`

	// service is a Service, whichever routes lead to it.
	// +optional
	Service *SLOServiceTarget `json:"service,omitempty"`

	// series are the series of a controller, named by their labels: the way out
	// for what the other members cannot say.
	// +optional
	Series *SLOSeriesTarget `json:"series,omitempty"`
}

// SLOIngressTarget is an Ingress, or a part of one.
type SLOIngressTarget struct {
	// namespace is the namespace of the Ingress in the member cluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// name is the name of the Ingress.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// host is one of its hosts, as written in the Ingress; "*.example.com" means
	// that rule, not every host below it. When unset, all hosts.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Host string `json:"host,omitempty"`

	// path is one of its paths, as written in the Ingress. When unset, all paths.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/`
	Path string `json:"path,omitempty"`
}

// SLORouteTarget is a route object, or one of its rules.
type SLORouteTarget struct {
	// namespace is the namespace of the object in the member cluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// name is the name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// ruleIndex is the position of one of its rules (of spec.rules of an
	// HTTPRoute, of spec.routes of an IngressRoute), counted from 0. When unset,
	// all rules. From 0 to 127.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=127
	RuleIndex *int32 `json:"ruleIndex,omitempty"`
}

// SLOServiceTarget is a Service, or one of its ports.
type SLOServiceTarget struct {
	// namespace is the namespace of the Service in the member cluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// name is the name of the Service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// port is the number of one of its ports. When unset, all ports. From 1 to 65535.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
}

// RouteController is a kind of proxy whose metrics AtlHyper reads.
// +kubebuilder:validation:Enum=Traefik;IngressNginx;Envoy;HAProxy;NginxGatewayFabric;Istio;Linkerd
type RouteController string

// The proxies whose metrics AtlHyper reads.
const (
	RouteControllerTraefik            RouteController = "Traefik"
	RouteControllerIngressNginx       RouteController = "IngressNginx"
	RouteControllerEnvoy              RouteController = "Envoy"
	RouteControllerHAProxy            RouteController = "HAProxy"
	RouteControllerNginxGatewayFabric RouteController = "NginxGatewayFabric"
	RouteControllerIstio              RouteController = "Istio"
	RouteControllerLinkerd            RouteController = "Linkerd"
)

// SLOSeriesTarget is a set of series of a proxy.
type SLOSeriesTarget struct {
	// controller is the kind of proxy that reports the series: Traefik,
	// IngressNginx, Envoy, HAProxy, NginxGatewayFabric, Istio or Linkerd. HAProxy
	// and NginxGatewayFabric report no latency histogram.
	// +required
	Controller RouteController `json:"controller,omitempty"`

	// labels are labels that a series must have, with exactly these values, as in
	// service: shop-web-80@kubernetes. From 1 to 16.
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 64 && k.matches('^[a-zA-Z_][a-zA-Z0-9_]*$'))",message="a label name has at most 64 letters, digits and underscores and does not start with a digit"
	Labels map[string]LabelText `json:"labels,omitempty"`
}

// SLOObjective is one promise.
// +kubebuilder:validation:ExactlyOneOf=availability;latency
type SLOObjective struct {
	// name is the name of the objective within this SLO, such as availability.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// objective is how many of the requests must be good, in percent: above 0,
	// below 100, at most four digits after the point, as in "99.9".
	// +required
	Objective Percent `json:"objective,omitempty"`

	// availability counts requests that did not fail as good.
	// +optional
	Availability *SLOAvailability `json:"availability,omitempty"`

	// latency counts requests that were answered fast enough as good.
	// +optional
	Latency *SLOLatency `json:"latency,omitempty"`
}

// StatusCode is an HTTP status such as 429, a class of them such as 5xx, or a
// gRPC status from 0 to 16.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=3
// +kubebuilder:validation:Pattern=`^([1-5]xx|[1-5][0-9]{2}|1[0-6]|[0-9])$`
type StatusCode string

// SLOAvailability says which requests failed.
// +kubebuilder:validation:MinProperties=0
type SLOAvailability struct {
	// failureCodes are the statuses of failed requests: HTTP statuses (429),
	// classes (5xx) and gRPC statuses (0 to 16). When unset: 5xx, and of gRPC 2,
	// 4, 12, 13, 14 and 15. At most 32.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	FailureCodes []StatusCode `json:"failureCodes,omitempty"`

	// ignoredCodes are the statuses of requests that do not count at all, neither
	// as good nor as failed, such as 499. They win over failureCodes. When unset,
	// none. At most 32.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	IgnoredCodes []StatusCode `json:"ignoredCodes,omitempty"`
}

// SLOLatency says which requests were fast enough.
type SLOLatency struct {
	// thresholdMilliseconds is the time within which a request must be answered.
	// It should be a bound of the controller's histogram; where it lies between
	// two, the lower one is used and ThresholdsExact becomes False. Upgraded
	// connections (status 101) do not count. From 1 to 3600000.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600000
	ThresholdMilliseconds int32 `json:"thresholdMilliseconds,omitempty"`
}

// CalendarUnit is a unit of the calendar.
// +kubebuilder:validation:Enum=Week;Month;Quarter;Year
type CalendarUnit string

const (
	// CalendarUnitWeek begins on Monday.
	CalendarUnitWeek CalendarUnit = "Week"
	// CalendarUnitMonth begins on the first day of a month.
	CalendarUnitMonth CalendarUnit = "Month"
	// CalendarUnitQuarter begins in January, April, July and October.
	CalendarUnitQuarter CalendarUnit = "Quarter"
	// CalendarUnitYear begins in January.
	CalendarUnitYear CalendarUnit = "Year"
)

// SLOWindow is the time over which an objective must hold. Exactly one member is set.
// +kubebuilder:validation:ExactlyOneOf=rollingDays;calendar
type SLOWindow struct {
	// rollingDays is the length of a window that ends now, in days of 24 hours.
	// 28 or 30 suits most. From 1 to 90.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=90
	RollingDays int32 `json:"rollingDays,omitempty"`

	// calendar is a window that starts anew with every week, month, quarter or year.
	// +optional
	Calendar *SLOCalendar `json:"calendar,omitempty"`
}

// SLOCalendar is a window of the calendar.
type SLOCalendar struct {
	// unit is Week (from Monday), Month, Quarter or Year. At its start the budget
	// is full again.
	// +required
	Unit CalendarUnit `json:"unit,omitempty"`

	// timeZone is the name of the IANA time zone in which days begin, such as
	// Europe/Berlin. Defaults to UTC.
	// +optional
	// +default="UTC"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$`
	TimeZone string `json:"timeZone,omitempty"`
}

// SLOCorrection is a time that does not count.
// +kubebuilder:validation:XValidation:rule="self.from < self.to",message="from must be before to"
type SLOCorrection struct {
	// from is when it begins.
	// +required
	From metav1.Time `json:"from,omitzero"`

	// to is when it ends.
	// +required
	To metav1.Time `json:"to,omitzero"`

	// reason says why, for those who read the figures later. At most 256 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`
}
