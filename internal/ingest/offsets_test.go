// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func TestOffsets(t *testing.T) {
	h := start(t, nil)
	h.expectAcked(h.post("a", h.encode(events(1, 5))), 5, 0)
	h.expectAcked(h.post("a", h.encodeBatch(telemetry.NewBatch(telemetry.StreamEvents, 9, events(1, 2)))), 2, 0)
	ask := func(cluster, path string) response {
		return h.do(h.client, h.request(cluster, http.MethodGet, path, nil))
	}
	if got := ask("a", "/v1/offsets"); len(got.reply.Offsets) != 2 {
		t.Errorf("all offsets are %s", got.body)
	}
	for path, want := range map[string]StreamOffset{
		"/v1/offsets?stream=events&epoch=1":            {Stream: "events", Epoch: 1, Acked: 5},
		"/v1/offsets?epoch=9&stream=events":            {Stream: "events", Epoch: 9, Acked: 2},
		"/v1/clusters/a/offsets?stream=events&epoch=1": {Stream: "events", Epoch: 1, Acked: 5},
		"/v1/offsets?cluster=a&stream=events&epoch=9":  {Stream: "events", Epoch: 9, Acked: 2},
		"/v1/offsets?stream=events&epoch=2":            {Stream: "events", Epoch: 2},
		"/v1/offsets?stream=sli&epoch=1":               {Stream: "sli", Epoch: 1},
	} {
		got := ask("a", path)
		if diff := cmp.Diff([]StreamOffset{want}, got.reply.Offsets); got.status != http.StatusOK || diff != "" {
			t.Errorf("%s: %d (-want +got):\n%s", path, got.status, diff)
		}
	}
	if got := ask("b", "/v1/offsets?stream=events&epoch=1"); !strings.Contains(got.body, `{"offsets":[{"stream":"events","epoch":1,"acked":0}]}`) {
		t.Errorf("another cluster is told %s", got.body)
	}
	h.expect(ask("a", "/v1/offsets?stream=events&epoch=1&cluster=b"), http.StatusForbidden, ReasonContradiction)
}

func TestOffsetsThatThereCannotBe(t *testing.T) {
	h := start(t, nil)
	for _, query := range []string{
		"stream=events", "epoch=1", "stream=&epoch=", "stream=gossip&epoch=1", "stream=events&epoch=0", "stream=events&epoch=-1",
		"stream=events&epoch=1.5", "stream=events&epoch=%2B1", "stream=events&epoch=9223372036854775808", "stream=events&epoch=1&epoch=2",
		"stream=events&stream=events&epoch=1", "stream=events;epoch=1", "stream=events&epoch=%zz", "stream=Events&epoch=1", "stream=stream(9)&epoch=1",
	} {
		for _, client := range []*http.Client{h.client, h.http1} {
			got := h.do(client, h.request("a", http.MethodGet, "/v1/offsets?"+query, nil))
			h.expect(got, http.StatusBadRequest, ReasonInvalidQuery)
			if !strings.Contains(got.reply.Message, "stream and epoch go together") || len(got.body) > 256 {
				t.Errorf("%s: %s", query, got.body)
			}
		}
	}
}

func TestOffsetsWithoutAStore(t *testing.T) {
	h := start(t, nil)
	for _, err := range []error{&history.UnavailableError{Reason: history.UnavailableConnection, Err: errors.New("no")}, errors.New("syntax error near SELECT")} {
		h.store.set(func(f *fakeStore) { f.err = err })
		for _, path := range []string{"/v1/offsets", "/v1/offsets?stream=events&epoch=1"} {
			got := h.do(h.client, h.request("a", http.MethodGet, path, nil))
			h.expect(got, http.StatusServiceUnavailable, ReasonStoreUnavailable)
			if strings.Contains(got.body, "SELECT") || strings.Contains(got.body, "acked") {
				t.Errorf("got %s", got.body)
			}
		}
	}
}
