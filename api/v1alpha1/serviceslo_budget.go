// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

// BudgetingMethod says what an error budget counts.
// +kubebuilder:validation:Enum=Occurrences;Timeslices
type BudgetingMethod string

const (
	// BudgetingMethodOccurrences counts failed requests.
	BudgetingMethodOccurrences BudgetingMethod = "Occurrences"
	// BudgetingMethodTimeslices counts bad slices of time.
	BudgetingMethodTimeslices BudgetingMethod = "Timeslices"
)

// EmptySlices says what a slice without requests is.
// +kubebuilder:validation:Enum=Skip;Good;Bad
type EmptySlices string

const (
	// EmptySlicesSkip does not count it.
	EmptySlicesSkip EmptySlices = "Skip"
	// EmptySlicesGood counts it as good.
	EmptySlicesGood EmptySlices = "Good"
	// EmptySlicesBad counts it as bad.
	EmptySlicesBad EmptySlices = "Bad"
)

// SLOTimeslices says when a slice of time is good.
type SLOTimeslices struct {
	// sliceSeconds is the length of a slice, a multiple of 60. From 60 to 3600.
	// Defaults to 60.
	// +optional
	// +default=60
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=3600
	// +kubebuilder:validation:MultipleOf=60
	SliceSeconds int32 `json:"sliceSeconds,omitempty"`

	// sliceObjective is how many of the requests in a slice must be good for the
	// slice to be good, in percent: above 0, below 100.
	// +required
	SliceObjective Percent `json:"sliceObjective,omitempty"`

	// emptySlices says what a slice without requests is:
	//   - Skip: it does not count
	//   - Good: it counts as good
	//   - Bad: it counts as bad
	// Defaults to Skip.
	// +optional
	// +default="Skip"
	EmptySlices EmptySlices `json:"emptySlices,omitempty"`
}

// EndpointsDownPolicy says what no traffic means while no endpoint is ready.
// +kubebuilder:validation:Enum=Outage;Ignore
type EndpointsDownPolicy string

const (
	// EndpointsDownOutage takes it for an outage.
	EndpointsDownOutage EndpointsDownPolicy = "Outage"
	// EndpointsDownIgnore takes it for a quiet service.
	EndpointsDownIgnore EndpointsDownPolicy = "Ignore"
)

// SLODataPolicy says what missing data means.
// +kubebuilder:validation:MinProperties=1
type SLODataPolicy struct {
	// minCoveragePercent is how much of a window must have been observed before
	// it is judged. Below it, alerts of tiers that use the window are frozen:
	// they neither fire nor resolve. From 1 to 100. Defaults to 90.
	// +optional
	// +default=90
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MinCoveragePercent int32 `json:"minCoveragePercent,omitempty"`

	// endpointsDown says what no traffic means while a backend of the target has
	// had no ready endpoint for a minute:
	//   - Outage: BackendsReady becomes False, and with Timeslices the slices are bad
	//   - Ignore: the same as no traffic at night
	// Defaults to Outage.
	// +optional
	// +default="Outage"
	EndpointsDown EndpointsDownPolicy `json:"endpointsDown,omitempty"`

	// absentForSeconds is how long data may be missing before the missing itself
	// raises an alert, SLODataMissing. From 300 to 86400. Defaults to 600.
	// +optional
	// +default=600
	// +kubebuilder:validation:Minimum=300
	// +kubebuilder:validation:Maximum=86400
	AbsentForSeconds int32 `json:"absentForSeconds,omitempty"`
}

// BurnAlertPolicy says where burn tiers come from.
// +kubebuilder:validation:Enum=Default;None;Custom
type BurnAlertPolicy string

const (
	// BurnAlertPolicyDefault uses the built-in tiers.
	BurnAlertPolicyDefault BurnAlertPolicy = "Default"
	// BurnAlertPolicyNone has no tiers.
	BurnAlertPolicyNone BurnAlertPolicy = "None"
	// BurnAlertPolicyCustom uses the tiers of the SLO.
	BurnAlertPolicyCustom BurnAlertPolicy = "Custom"
)

// Names of the built-in burn tiers.
const (
	// BurnTierFastPage looks at 1 hour and 5 minutes; critical.
	BurnTierFastPage = "fastPage"
	// BurnTierSlowPage looks at 6 hours and 30 minutes; critical.
	BurnTierSlowPage = "slowPage"
	// BurnTierFastTicket looks at 1 day and 2 hours; warning.
	BurnTierFastTicket = "fastTicket"
	// BurnTierSlowTicket looks at 3 days and 6 hours; warning.
	BurnTierSlowTicket = "slowTicket"
)

// SLOBurnAlerts says at which speeds of burning a budget is at risk.
// +kubebuilder:validation:XValidation:rule="(self.policy == 'Custom') == has(self.tiers)",message="tiers is required when policy is Custom, and allowed only then"
type SLOBurnAlerts struct {
	// policy says where the tiers come from:
	//   - Default: the built-in ones fastPage (1 h and 5 min), slowPage (6 h and
	//     30 min), fastTicket (1 d and 2 h) and slowTicket (3 d and 6 h), with
	//     factors that fit the window: 14.4, 6, 3 and 1 for 30 days. A factor that
	//     the objective puts out of reach is lowered and ThresholdsExact says so
	//   - None: no tiers, no burn alerts
	//   - Custom: those in tiers
	// +required
	Policy BurnAlertPolicy `json:"policy,omitempty"`

	// tiers are the tiers of policy: Custom, fastest first. From 1 to 8.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Tiers []SLOBurnTier `json:"tiers,omitempty"`
}

// SLOBurnTier is one speed of burning. It is exceeded while the burn rate is
// above the factor over the long window (enough of the budget is gone to care)
// and over the short one (it is still burning).
// +kubebuilder:validation:ExactlyOneOf=factor;budgetPercent
// +kubebuilder:validation:XValidation:rule="self.shortSeconds < self.longSeconds",message="shortSeconds must be below longSeconds"
type SLOBurnTier struct {
	// name is the name of the tier, for AlertRules and the label "tier" of their
	// alerts. Letters and digits, starting with a lower-case letter.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[a-z][a-zA-Z0-9]*$`
	Name string `json:"name,omitempty"`

	// shortSeconds is the length of the short window, a multiple of 60, usually a
	// twelfth of the long one. From 120 to 86400.
	// +required
	// +kubebuilder:validation:Minimum=120
	// +kubebuilder:validation:Maximum=86400
	// +kubebuilder:validation:MultipleOf=60
	ShortSeconds int32 `json:"shortSeconds,omitempty"`

	// longSeconds is the length of the long window, a multiple of 60, longer than
	// the short one and not longer than the SLO's window. From 300 to 2592000.
	// +required
	// +kubebuilder:validation:Minimum=300
	// +kubebuilder:validation:Maximum=2592000
	// +kubebuilder:validation:MultipleOf=60
	LongSeconds int32 `json:"longSeconds,omitempty"`

	// factor is the burn rate above which the tier is exceeded; 1 spends the
	// budget exactly by the end of the window. Above 0, and below
	// 1/(1 - objective) of every objective, because nothing burns faster: 1000
	// for 99.9 %, but 10 for 90 %.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9.]+$') || double(self) > 0.0",message="factor must be above 0"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('-')",message="factor must be above 0"
	Factor Decimal `json:"factor,omitempty"`

	// budgetPercent is the share of the budget, in percent, that may burn within
	// the long window. The factor follows from it: for 2 % in 1 hour of 30 days
	// it is 14.4.
	// +optional
	BudgetPercent Percent `json:"budgetPercent,omitempty"`

	// severity is the severity of the alert: critical, warning or info.
	// +required
	Severity Severity `json:"severity,omitempty"`
}
