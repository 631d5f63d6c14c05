// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package catalogue

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// ReferencePath is where the reference page is, from the root of the repository.
const ReferencePath = "docs/reference/anomalies.md"

const introduction = `# Anomalies

What agents report of a broken cluster, and what ` + "`kubectl atlhyper analyze`" + ` finds in a file of objects: %d rules.

This page is generated from [catalogue.json](../../internal/anomaly/catalogue/catalogue.json); ` + "`go run ./hack/docs`" + ` writes it.

## How to read it

- **For** is how long the condition has to hold without a break. Until then the anomaly is *pending*, then *raised*. Rules that are
  about what is normal at first say nothing while they are pending. A gap that is said to be bridged does not start the wait anew.
- **Stays** is how long an anomaly stays raised after the condition held last; then it is *cleared*.
- **Severity**: critical is an outage or likely loss of data, warning needs a human today, info is context and notifies nobody.
  An anomaly that is *escalated* keeps its severity until it clears.
- **One per** says what makes several matches one anomaly: fifty replicas that crash are one, with a count. The top owner is the
  Deployment, StatefulSet, DaemonSet, CronJob or Job behind a pod; with the template hash a new rollout is a new anomaly.
- **Notified** is the least time between two notifications of the same anomaly.
- An anomaly is not raised while one that it is **inhibited by** holds for the same node, workload, registry or claim.
- What happens **once** (a kill, an eviction) is remembered over restarts of the agent. An agent that starts for the first time
  reports only what is younger than 10 minutes.
- More than 200 new anomalies of a cluster within a minute are told later, the most severe first, and one anomaly
  ` + "`AnomalyStorm`" + ` says how many wait.
- While an agent is offline its anomalies are Unknown, never cleared.

## What is not evaluated

`

// Reference returns the reference page of all rules, in Markdown.
func Reference() []byte {
	var w bytes.Buffer
	rules := Rules()
	fmt.Fprintf(&w, introduction, len(rules))
	unevaluated(&w, rules)
	contents(&w, rules)
	for _, category := range categories(rules) {
		fmt.Fprintf(&w, "\n## %s\n", heading(category))
		for _, rule := range rules {
			if rule.Category == category {
				section(&w, rule)
			}
		}
	}
	return w.Bytes()
}

func unevaluated(w *bytes.Buffer, rules []*Rule) {
	w.WriteString("By agents:\n\n| rule | reason |\n|---|---|\n")
	for _, rule := range rules {
		if rule.Unevaluated != "" {
			fmt.Fprintf(w, "| [%s](#%s) | %s |\n", rule.ID, anchor(rule), rule.Unevaluated)
		}
	}
	fmt.Fprintf(w, unreadable, named(rules, SourceKubelet))
	w.WriteString("\nBy `analyze`, because a file of objects does not have it:\n\n| rules | what they need |\n|---|---|\n")
	for _, source := range []Source{SourceSamples, SourceKubelet, SourceAgent} {
		fmt.Fprintf(w, "| %s | %s |\n", named(rules, source), sources[source])
	}
	for _, rule := range rules {
		if rule.Dump != "" {
			fmt.Fprintf(w, "| [%s](#%s) | %s |\n", rule.ID, anchor(rule), rule.Dump)
		}
	}
}

// unreadable is what agents do not evaluate unless somebody lets them.
const unreadable = `
By agents that may not read kubelets, which is how they are installed: %s. The API server knows nothing of what these are about.
One of two components of kustomize turns them on, with the flag ` + "`--kubelet-interval=60s`" + `:

| component | how | rights |
|---|---|---|
| ` + "`config/agent/kubelet-direct`" + ` | the agent asks kubelets, whose certificates have to be from the cluster's authority or from ` + "`--kubelet-ca-file`" + ` | statistics only (` + "`nodes/stats`, `nodes/metrics`" + `) |
| ` + "`config/agent/kubelet`" + ` | the API server asks them for the agent, whatever their certificates | ` + "`get`" + ` of ` + "`nodes/proxy`" + `, which reaches further than reading: with it, commands can be run in any container |

An agent that has the flag and not the right says so in its log, once, and in the metric ` + "`atlhyper_agent_kubelet_refused`" + `.

- Of a node that cannot be read, what was open stays open (after a restart of the agent, for 15 minutes), and when a few minutes have passed nothing new is raised.
- Containers without a memory limit or a CPU limit are not judged, and neither are claims whose volume has no figures (block volumes, some drivers).
- The trend of a claim begins where less than 40 %% of its space or its inodes are free.
`

// named lists the rules of a source.
func named(rules []*Rule, source Source) string {
	var names []string
	for _, rule := range rules {
		if rule.Source == source {
			names = append(names, fmt.Sprintf("[%s](#%s)", rule.ID, anchor(rule)))
		}
	}
	return strings.Join(names, ", ")
}

var sources = map[Source]string{
	SourceStatus:  "fields of objects",
	SourceEvents:  "Kubernetes events",
	SourceSamples: "samples of the node collector",
	SourceKubelet: "what kubelets tell, where the agent may ask them",
	SourceAgent:   "what the agent measures itself",
	SourceHub:     "objects of the hub",
}

func contents(w *bytes.Buffer, rules []*Rule) {
	w.WriteString("\n## All rules\n\n| rule | kind | severity | for | stays | |\n|---|---|---|---|---|---|\n")
	for _, rule := range rules {
		fmt.Fprintf(w, "| [%s](#%s) | %s | %s | %s | %s | %s |\n", rule.ID, anchor(rule), strings.Join(rule.Kinds, ", "),
			severities(rule), short(rule.For), short(rule.KeepFiringFor), rule.Title(English))
	}
}

func severities(r *Rule) string {
	words := []string{r.Severity.String()}
	for _, e := range r.Escalations {
		if word := e.Severity.String(); words[len(words)-1] != word {
			words = append(words, word)
		}
	}
	return strings.Join(words, ", then ")
}

func section(w *bytes.Buffer, r *Rule) {
	fmt.Fprintf(w, "\n### %s\n\n%s · %s · %s\n\n%s\n\n", r.ID, r.Title(English), r.Title(Chinese), r.Title(Japanese), r.Meaning)
	fmt.Fprintf(w, "**What to do:** %s\n\n", r.Action)
	row := func(what, value string) { fmt.Fprintf(w, "- **%s:** %s\n", what, value) }
	row("Kind", strings.Join(r.Kinds, ", "))
	row("Condition", r.Condition)
	row("From", sources[r.Source])
	row("Severity", r.Severity.String())
	for _, e := range r.Escalations {
		row("Then "+e.Severity.String(), e.When)
	}
	hold := short(r.For)
	if r.Bridge > 0 {
		hold += ", gaps of up to " + short(r.Bridge) + " are bridged"
	}
	row("For", hold)
	row("Stays", short(r.KeepFiringFor))
	if r.Edge {
		row("Once", "each occurrence is told once")
	}
	row("One per", r.Identity)
	row("Notified", "at most every "+short(r.Renotify))
	if len(r.Exclusions) > 0 {
		row("Not", strings.Join(r.Exclusions, "; "))
	}
	if len(r.InhibitedBy) > 0 {
		names := make([]string, 0, len(r.InhibitedBy))
		for _, id := range r.InhibitedBy {
			names = append(names, fmt.Sprintf("[%s](#%s)", id, strings.ToLower(string(id))))
		}
		row("Inhibited by", strings.Join(names, ", "))
	}
	if r.Unevaluated != "" {
		row("Not evaluated by agents", r.Unevaluated)
	}
	if r.Dump != "" {
		row("In a dump", r.Dump)
	}
}

func anchor(r *Rule) string { return strings.ToLower(string(r.ID)) }

func heading(category string) string {
	words := strings.ReplaceAll(category, "-", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

func categories(rules []*Rule) []string {
	var list []string
	seen := map[string]bool{}
	for _, rule := range rules {
		if !seen[rule.Category] {
			seen[rule.Category] = true
			list = append(list, rule.Category)
		}
	}
	return list
}

// short writes a duration as people do: 7d, 1h, 5m, 40s.
func short(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "0s"
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	default:
		return d.String()
	}
}
