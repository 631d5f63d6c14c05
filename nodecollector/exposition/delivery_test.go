// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package exposition_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/atlhyper/atlhyper/nodecollector/exposition"
	"github.com/atlhyper/atlhyper/nodecollector/push"
)

// delivered is what became of some samples.
type delivered push.Stats

// Stats implements exposition.Delivery.
func (d delivered) Stats() push.Stats { return push.Stats(d) }

func TestDeliveryIsShown(t *testing.T) {
	d := delivered{
		Collected: 1000, Sent: 900, Dropped: 60, DroppedFor: push.Drops{Overflow: 50, Refused: 7, TooLarge: 3},
		Buffered: 40, BufferedBytes: 12345, Oldest: time.Now().Add(-10 * time.Minute), Failures: 4,
	}
	families := scrape(t, exposition.HandlerWith(&fake{}, d))
	for _, tc := range []struct {
		name   string
		labels map[string]string
		want   float64
		kind   dto.MetricType
	}{
		{"collected_samples_total", nil, 1000, dto.MetricType_COUNTER},
		{"sent_samples_total", nil, 900, dto.MetricType_COUNTER},
		{"dropped_samples_total", map[string]string{"reason": "overflow"}, 50, dto.MetricType_COUNTER},
		{"dropped_samples_total", map[string]string{"reason": "refused"}, 7, dto.MetricType_COUNTER},
		{"dropped_samples_total", map[string]string{"reason": "too_large"}, 3, dto.MetricType_COUNTER},
		{"buffered_samples", nil, 40, dto.MetricType_GAUGE},
		{"buffered_bytes", nil, 12345, dto.MetricType_GAUGE},
		{"failed_attempts", nil, 4, dto.MetricType_GAUGE},
	} {
		name := "atlhyper_nodecollector_" + tc.name
		if got := find(t, families, name, tc.labels); got != tc.want || families[name].GetType() != tc.kind {
			t.Errorf("%s %v is a %s of %g, want a %s of %g", name, tc.labels, families[name].GetType(), got, tc.kind, tc.want)
		}
	}
	if age := find(t, families, "atlhyper_nodecollector_oldest_age_seconds", nil); age < 600 || age > 700 {
		t.Errorf("the oldest sample is %g s old, want 600", age)
	}
}

// Without samples that wait there is no age, and a clock that was set back makes
// none that is negative.
func TestAgeOfTheOldestSample(t *testing.T) {
	for name, d := range map[string]delivered{
		"nothing waits":     {Collected: 10, Sent: 10},
		"the clock was set": {Collected: 10, Buffered: 1, Oldest: time.Now().Add(time.Hour)},
	} {
		if age := find(t, scrape(t, exposition.HandlerWith(&fake{}, d)), "atlhyper_nodecollector_oldest_age_seconds", nil); age != 0 {
			t.Errorf("%s: the age is %g", name, age)
		}
	}
}

// Names and help keep to the rules of Prometheus.
func TestDeliveryIsNamedWell(t *testing.T) {
	w := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	exposition.HandlerWith(&fake{}, delivered{}).ServeHTTP(w, request)
	own := []string{}
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, "atlhyper_nodecollector_") {
			own = append(own, line)
		}
	}
	if len(own) < 3*7 {
		t.Fatalf("%d lines", len(own))
	}
	problems, err := promlint.New(bytes.NewReader([]byte(strings.Join(own, "")))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	families := scrape(t, exposition.Handler(&fake{}))
	for name := range families {
		if strings.HasPrefix(name, "atlhyper_") {
			t.Errorf("there is %s without a delivery to tell of", name)
		}
	}
}
