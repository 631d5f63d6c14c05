// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// quoting runs an Anomalies that reads logs.
func quoting(t *testing.T, read Lines, there ...facts.Object) *agent {
	t.Helper()
	a := beginWith(t, Options{File: fileIn(t), Lines: read})
	for _, o := range there {
		a.Observe(o)
	}
	a.Synced(nil)
	synctest.Wait()
	return a
}

// quotesOf returns what came in, with what it quotes.
func quotesOf(a *agent) []string {
	a.t.Helper()
	synctest.Wait()
	var texts []string
	for _, l := range a.sink.all() {
		text := l.text
		for _, e := range l.t.Evidence {
			if e.Key == quoteKey {
				text += ": " + e.Value
			}
			if e.Key == quotedKey {
				text += " of " + e.Value
			}
		}
		texts = append(texts, text)
	}
	return texts
}

func TestLastLinesFollowWhatIsRaised(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asked []string
		a := quoting(t, func(ctx context.Context, namespace, pod, container string) (string, error) {
			asked = append(asked, namespace+"/"+pod+"/"+container)
			return "starting\n\x1b[31mfatal: password=hunter2\n", lasting(ctx, 3*time.Second)
		}, pod("web-1", ""))
		a.see(pod("web-1", "OOMKilled"))
		if got := quotesOf(a); !cmp.Equal(got, []string{"raised PodOOMKilled web-1"}) {
			t.Errorf("before the log is read: %q", got)
		}
		a.after(3 * time.Second)
		want := []string{"raised PodOOMKilled web-1", "raised PodOOMKilled web-1: starting\n[31mfatal: password=[redacted] of web-1"}
		if diff := cmp.Diff(want, quotesOf(a)); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		// More of the same is told with what is known, and nothing is read again.
		a.see(pod("web-2", "OOMKilled"))
		want = append(want, strings.Replace(want[1], "web-1", "web-2", 1))
		if diff := cmp.Diff(want, quotesOf(a)); diff != "" || len(asked) != 1 || asked[0] != "default/web-1/web" {
			t.Errorf("asked for %q, told (-want +got):\n%s", asked, diff)
		}
		for _, l := range a.sink.all() {
			if err := l.t.Validate(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestLinesThatComeTooLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := quoting(t, func(ctx context.Context, _, _, _ string) (string, error) {
			return "late", lasting(ctx, 5*time.Second)
		}, pod("web-1", ""))
		a.see(pod("web-1", "OOMKilled"))
		a.Forget(pod("web-1", "").Ref)
		a.after(time.Hour)
		got := quotesOf(a)
		if last := got[len(got)-1]; !strings.HasPrefix(last, "cleared ") {
			t.Errorf("told %q", got)
		}
	})
}

func TestLinesThatCannotBeRead(t *testing.T) {
	for name, fails := range map[string]error{
		"no right": apierrors.NewForbidden(schema.GroupResource{Resource: "pods/log"}, "web-1", errors.New("no")),
		"no log":   errors.New("the kubelet does not answer"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				read := 0
				a := quoting(t, func(context.Context, string, string, string) (string, error) { read++; return "", fails }, pod("web-1", ""))
				a.see(pod("web-1", "OOMKilled")).after(time.Minute)
				if got := quotesOf(a); !cmp.Equal(got, []string{"raised PodOOMKilled web-1"}) || read != 1 {
					t.Errorf("read %d times, told %q", read, got)
				}
			})
		})
	}
}

func TestExcerpt(t *testing.T) {
	const padded = " \n a\tb\r\n"
	for in, want := range map[string]string{
		"":                                  "",
		padded:                              "a\tb",
		"a\xffb":                            "a\uFFFDb",
		strings.Repeat("é", maxQuote) + "x": strings.Repeat("é", (maxQuote-1)/2) + "x",
		strings.Repeat("x", 9<<10):          strings.Repeat("x", maxQuote),
	} {
		if got := excerpt(in); got != want {
			t.Errorf("%.20q became %.20q of %d bytes, want %d", in, got, len(got), len(want))
		}
	}
}

func TestCiteKeepsEvidenceSortedAndShared(t *testing.T) {
	shared := make([]telemetry.Label, 2, 8)
	shared[0], shared[1] = telemetry.Label{Key: "exitCode", Value: "1"}, telemetry.Label{Key: "value", Value: "Error"}
	got := cite(shared, "web-1", "boom")
	want := []telemetry.Label{{Key: "exitCode", Value: "1"}, {Key: quoteKey, Value: "boom"}, {Key: quotedKey, Value: "web-1"}, {Key: "value", Value: "Error"}}
	if diff := cmp.Diff(want, got); diff != "" || shared[1].Key != "value" {
		t.Errorf("shared %v, cited (-want +got):\n%s", shared, diff)
	}
	if again := cite(got, "web-2", "other"); !cmp.Equal(again, got) {
		t.Errorf("cited twice: %v", again)
	}
	full := make([]telemetry.Label, telemetry.MaxAttributes-1)
	if got := cite(full, "web-1", "boom"); len(got) != len(full) {
		t.Errorf("%d pieces of evidence", len(got))
	}
}

// lasting lets time pass within a call.
func lasting(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
