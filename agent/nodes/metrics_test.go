// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricsSayWhatStatsSay(t *testing.T) {
	stats := Stats{Nodes: 5, Fresh: 3, Accepted: 100, Duplicates: 7, Refused: 2, Lost: 9, Answers: map[Reason]uint64{ReasonAccepted: 40, ReasonNoNode: 1}}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(NewCollector(func() Stats { return stats })); err != nil {
		t.Fatal(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("the metrics are not in order: %v, %v", problems, err)
	}
	want := `
# HELP atlhyper_agent_nodes Nodes whose collectors were heard within an hour, by whether they are fresh or silent.
# TYPE atlhyper_agent_nodes gauge
atlhyper_agent_nodes{state="fresh"} 3
atlhyper_agent_nodes{state="silent"} 2
# HELP atlhyper_agent_nodes_lost_samples_total Samples that never come: collectors dropped them, or they were refused for good.
# TYPE atlhyper_agent_nodes_lost_samples_total counter
atlhyper_agent_nodes_lost_samples_total 9
# HELP atlhyper_agent_nodes_records_total Records of node collectors, samples and gaps, by what became of them.
# TYPE atlhyper_agent_nodes_records_total counter
atlhyper_agent_nodes_records_total{result="accepted"} 100
atlhyper_agent_nodes_records_total{result="duplicate"} 7
atlhyper_agent_nodes_records_total{result="refused"} 2
`
	err := testutil.GatherAndCompare(registry, strings.NewReader(want), "atlhyper_agent_nodes", "atlhyper_agent_nodes_lost_samples_total", "atlhyper_agent_nodes_records_total")
	if err != nil {
		t.Error(err)
	}
	n, err := testutil.GatherAndCount(registry, "atlhyper_agent_nodes_requests_total")
	if err != nil || n != len(reasons) {
		t.Errorf("%d series of requests for %d reasons, %v", n, len(reasons), err)
	}
}
