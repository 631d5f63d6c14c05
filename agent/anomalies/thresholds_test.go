// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// document has thresholds of cpu_usage_percent, each a rule with what it must exceed.
func document(rules ...string) string {
	var entries []string
	for _, r := range rules {
		name, limit, _ := strings.Cut(r, ">")
		entries = append(entries, fmt.Sprintf(
			`{"rule":%q,"metric":{"scope":"Node","name":"cpu_usage_percent","operator":"GreaterThan","threshold":%q},"severity":"critical"}`, name, limit))
	}
	return `{"version":1,"thresholds":[` + strings.Join(entries, ",") + "]}"
}

// busy has the agent see a sample of node-1, each newer than the one before.
func (a *agent) busy(percent float64) *agent {
	a.t.Helper()
	a.ObserveSample(&telemetry.NodeSample{
		Node: "node-1", BootID: "boot-1", CollectorSeq: uint64(time.Now().Unix()), Interval: 15 * time.Second, //nolint:gosec // after 1970
		Series: []telemetry.Series{{Metric: telemetry.MetricCPUUsage}}, Values: []float64{percent},
	}, time.Now(), time.Now())
	synctest.Wait()
	return a
}

func (a *agent) comparing(document string) *agent {
	a.Thresholds(document)
	synctest.Wait()
	return a
}

func TestThresholds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := start(t, fileIn(t), node("node-1")).busy(90)
		a.comparing(document("t/a>80")).wants("raised metric:t/a node-1")
		if s, _ := a.after(time.Second).Summary(); s.Critical != 1 || s.Worst[0].Rule != "metric:t/a" {
			t.Errorf("the summary says %+v", s)
		}
		a.comparing(document("t/a>80", "t/b>95")).busy(96).wants("raised metric:t/b node-1")
		a.comparing("").wants("cleared metric:t/a node-1", "cleared metric:t/b node-1")
	})
}

func TestBadThresholds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var lines []string
		a := start(t, fileIn(t), node("node-1")).busy(90)
		a.stop()
		a.options.Logger = funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{})
		j := a.newJudge(nil, time.Now())
		compare := func(document string, want Stats) {
			t.Helper()
			j.compare(document, time.Now())
			if got := a.Stats(); got != want {
				t.Errorf("%+v; want %+v", got, want)
			}
		}
		logged := func(want ...string) {
			t.Helper()
			text := strings.Join(lines, "\n")
			for _, w := range want {
				if strings.Count(text, w) != 1 {
					t.Errorf("the log does not say %s once: %s", w, text)
				}
			}
			lines = nil
		}
		compare(document("t/a>80", "t/bad>NaN"), Stats{Thresholds: 1, Refused: 1})
		logged("AlertRule t/bad", `"thresholds"=1`)
		compare(`{`, Stats{Thresholds: 1, Refused: 1, Unreadable: true})
		logged("Staying with")
		if n := len(j.engine.State().Thresholds); n != 1 {
			t.Errorf("%d are left", n)
		}
		err := testutil.CollectAndCompare(NewCollector(a.Stats), strings.NewReader(`
# HELP atlhyper_agent_thresholds Metric thresholds of the hub by whether they are evaluated, or refused because they are not valid.
# TYPE atlhyper_agent_thresholds gauge
atlhyper_agent_thresholds{state="evaluated"} 1
atlhyper_agent_thresholds{state="refused"} 1
# HELP atlhyper_agent_thresholds_unreadable 1 while the hub's last thresholds could not be read and those before them are evaluated.
# TYPE atlhyper_agent_thresholds_unreadable gauge
atlhyper_agent_thresholds_unreadable 1
`))
		if err != nil {
			t.Error(err)
		}
		compare("", Stats{})
	})
}

// An agent that starts while the hub is away goes on with what it knows.
func TestThresholdsOverRestarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := fileIn(t)
		a := start(t, file, node("node-1")).comparing(document("t/a>80", "t/b>95")).busy(90).wants("raised metric:t/a node-1")
		a.stop()

		a = start(t, file, node("node-1")).after(time.Hour).wants()
		if s := a.Stats(); s.Thresholds != 2 {
			t.Errorf("%d thresholds are known", s.Thresholds)
		}
		a.busy(97).wants("raised metric:t/b node-1")
		a.comparing(document("t/b>95")).wants("cleared metric:t/a node-1").stop()

		b := begin(t, file)
		b.comparing(document("t/c>90")).wants()
		b.Observe(node("node-1"))
		b.Synced(nil)
		synctest.Wait()
		b.wants("cleared metric:t/b node-1").busy(97).wants("raised metric:t/c node-1")
	})
}

// They are remembered also when nothing comes of them.
func TestThresholdsAreRememberedWhileItRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := begin(t, fileIn(t))
		a.comparing(document("t/a>80"))
		a.Synced(nil)
		a.after(2 * savePause)
		m, err := load(a.file)
		if err != nil || m == nil || len(m.Engine.Thresholds) != 1 {
			t.Errorf("%v: %+v is remembered", err, m)
		}
		a.comparing(document("t/a>80", "t/b>80")).after(2 * savePause)
		if m, err = load(a.file); err != nil || len(m.Engine.Thresholds) != 2 {
			t.Errorf("%v: %+v is remembered", err, m)
		}
	})
}
