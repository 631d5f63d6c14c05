// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package catalogue is the one list of the anomaly rules: what each is called in
// three languages, how severe it is, how long it has to hold, what it means and
// what to do. The engine, the dashboard, notifications and the reference page all
// read it. The detectors are in internal/anomaly/rules.
package catalogue

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

//go:embed catalogue.json
var data []byte

// ID is the identifier of a rule, such as "PodCrashLoopBackOff".
type ID string

// Language of a title: a two-letter code.
type Language string

// The languages that every rule has a title in.
const (
	English  Language = "en"
	Chinese  Language = "zh"
	Japanese Language = "ja"
)

// Source is where a rule gets what it judges.
type Source string

// The sources.
const (
	// SourceStatus is fields of objects, seen by watching the API server.
	SourceStatus Source = "status"
	// SourceEvents is Kubernetes events, for what no field tells.
	SourceEvents Source = "events"
	// SourceSamples is the samples of the node collector.
	SourceSamples Source = "samples"
	// SourceKubelet is what kubelets tell, through the API server's proxy or directly.
	SourceKubelet Source = "kubelet"
	// SourceAgent is what the agent measures itself.
	SourceAgent Source = "agent"
	// SourceHub is objects of the hub.
	SourceHub Source = "hub"
)

// Escalation raises the severity of an anomaly that is already there.
type Escalation struct {
	// When says in words what has to hold.
	When string
	// Severity from then on, until the anomaly clears.
	Severity telemetry.Severity
}

// Rule is one rule. It is shared: never change it.
type Rule struct {
	// ID names the rule.
	ID ID
	// Kinds are the kinds of the objects that it is about, without groups;
	// "Cluster" for the cluster as a whole.
	Kinds []string
	// Category groups rules for people, such as "image" or "storage".
	Category string
	// Severity before any escalation.
	Severity telemetry.Severity
	// Titles are the rule's name for people by language.
	Titles map[Language]string
	// Source is where it gets what it judges.
	Source Source
	// Condition says in words what has to hold, with the fields.
	Condition string
	// For is how long it has to hold without a break before it is raised.
	For time.Duration
	// KeepFiringFor is how long it stays raised after it held last.
	KeepFiringFor time.Duration
	// Bridge is how long a break in the condition may be without starting For
	// anew, for states that alternate with others by nature. 0 for none.
	Bridge time.Duration
	// Renotify is the least time between two notifications of one anomaly.
	Renotify time.Duration
	// Edge rules are about something that happened once, such as a kill. They
	// clear when it has not happened again for KeepFiringFor.
	Edge bool
	// Quiet rules tell nothing while they are pending, because what they are
	// about is normal at first.
	Quiet bool
	// Escalations are what raises the severity.
	Escalations []Escalation
	// Exclusions say in words what the rule is not about.
	Exclusions []string
	// InhibitedBy are the rules that keep this one from being raised while they
	// hold for the same node, workload, registry or claim.
	InhibitedBy []ID
	// Identity says in words what makes two matches one anomaly.
	Identity string
	// Meaning says in a sentence or two what has happened.
	Meaning string
	// Action says what to do about it.
	Action string
	// Dump says how far the rule can be judged from a file of objects. Empty
	// when it can, or when Source says that it cannot.
	Dump string
	// Unevaluated says why no agent evaluates the rule; empty when agents do.
	Unevaluated string
}

// Title returns the rule's name in a language, and in English when it has none.
func (r *Rule) Title(language Language) string {
	if title := r.Titles[language]; title != "" {
		return title
	}
	return r.Titles[English]
}

// InDump reports whether the rule can be judged from objects alone.
func (r *Rule) InDump() bool {
	return r.Source == SourceStatus || r.Source == SourceEvents || r.Source == SourceHub
}

// Clearing is how long after its last match an anomaly of the rule stays at most
// open: what agents and tests wait for.
func (r *Rule) Clearing() time.Duration { return max(r.KeepFiringFor, r.Bridge) }

type table struct {
	list []*Rule
	byID map[ID]*Rule
}

var load = sync.OnceValues(func() (table, error) { return parse(data) })

// Rules returns every rule, in the order of the catalogue. It panics when the
// embedded catalogue is broken, which a test of this package excludes.
func Rules() []*Rule { return slices.Clone(must().list) }

// Lookup returns the rule with an identifier, if there is one.
func Lookup(id ID) (*Rule, bool) {
	rule, ok := must().byID[id]
	return rule, ok
}

func must() table {
	t, err := load()
	if err != nil {
		panic(err) //nolint:forbidigo // embedded at build time and read by every test
	}
	return t
}

// written is a rule as catalogue.json has it.
type written struct {
	ID            ID                  `json:"id"`
	Kinds         []string            `json:"kinds"`
	Category      string              `json:"category"`
	Severity      telemetry.Severity  `json:"severity"`
	Title         map[Language]string `json:"title"`
	Source        Source              `json:"source"`
	Condition     string              `json:"condition"`
	For           duration            `json:"for"`
	KeepFiringFor duration            `json:"keepFiringFor"`
	Bridge        duration            `json:"bridge"`
	Renotify      duration            `json:"renotify"`
	Edge          bool                `json:"edge"`
	Quiet         bool                `json:"quiet"`
	Escalations   []struct {
		When     string             `json:"when"`
		Severity telemetry.Severity `json:"severity"`
	} `json:"escalations"`
	Exclusions  []string `json:"exclusions"`
	InhibitedBy []ID     `json:"inhibitedBy"`
	Identity    string   `json:"identity"`
	Meaning     string   `json:"meaning"`
	Action      string   `json:"action"`
	Dump        string   `json:"dump"`
	Unevaluated string   `json:"unevaluated"`
}

type duration time.Duration

// UnmarshalText reads what time.ParseDuration does.
func (d *duration) UnmarshalText(text []byte) error {
	value, err := time.ParseDuration(string(text))
	*d = duration(value)
	return err
}

func parse(content []byte) (table, error) {
	var file struct {
		Rules []written `json:"rules"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return table{}, fmt.Errorf("reading the catalogue of anomaly rules: %w", err)
	}
	t := table{byID: make(map[ID]*Rule, len(file.Rules))}
	for i := range file.Rules {
		rule := file.Rules[i].rule()
		if t.byID[rule.ID] != nil {
			return table{}, fmt.Errorf("reading the catalogue of anomaly rules: %s is there twice", rule.ID)
		}
		t.list = append(t.list, rule)
		t.byID[rule.ID] = rule
	}
	return t, nil
}

func (w *written) rule() *Rule {
	r := &Rule{
		ID: w.ID, Kinds: w.Kinds, Category: w.Category, Severity: w.Severity, Titles: w.Title,
		Source: w.Source, Condition: w.Condition,
		For: time.Duration(w.For), KeepFiringFor: time.Duration(w.KeepFiringFor),
		Bridge: time.Duration(w.Bridge), Renotify: time.Duration(w.Renotify),
		Edge: w.Edge, Quiet: w.Quiet, Exclusions: w.Exclusions, InhibitedBy: w.InhibitedBy,
		Identity: w.Identity, Meaning: w.Meaning, Action: w.Action, Dump: w.Dump, Unevaluated: w.Unevaluated,
	}
	for _, e := range w.Escalations {
		r.Escalations = append(r.Escalations, Escalation{When: e.When, Severity: e.Severity})
	}
	return r
}
