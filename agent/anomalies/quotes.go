// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/rules"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// quoteKey and quotedKey are the keys of the evidence: the lines, and the pod that
	// they are of. endedKey is that which tells that a container has ended.
	quoteKey, quotedKey, endedKey = "logs", "logsOf", "finishedAt"
	// maxQuotes is how many open anomalies have or wait for lines.
	maxQuotes = 256
	// maxQuote is how many bytes of them are kept, the last ones.
	maxQuote = 4 << 10
	// quoteTimeout is how long one reading may take. Nobody waits for it: what is
	// raised has been told.
	quoteTimeout = 10 * time.Second
	// refusedPause is how long nothing is read after the right to do so was missing.
	refusedPause = 5 * time.Minute
)

// Lines reads the last lines that a container wrote before it ended. They may be
// empty.
type Lines func(ctx context.Context, namespace, pod, container string) (string, error)

// quotes are the last lines of containers that anomalies are about. The judge owns
// them; reading is somebody else's work.
type quotes struct {
	wanted chan wish
	// held has what was told last of the anomalies that are quoted.
	held map[string]*quote
}

// wish asks for the lines of a container.
type wish struct{ key, namespace, pod, container string }

type quote struct {
	last      anomaly.Transition
	pod, text string
}

// quoted is the answer to a wish.
type quoted struct{ key, text string }

func newQuotes() *quotes {
	return &quotes{wanted: make(chan wish, maxQuotes), held: map[string]*quote{}}
}

// note adds to a transition what is known, and asks for it when it is the first that
// says that an anomaly is open.
func (q *quotes) note(t *anomaly.Transition) {
	if q == nil {
		return
	}
	key := t.Rule + "/" + t.Fingerprint
	known := q.held[key]
	switch {
	case t.State == telemetry.AnomalyCleared:
		delete(q.held, key)
	case known != nil:
		known.last = *t
		t.Evidence = cite(t.Evidence, known.pod, known.text)
	case t.State == telemetry.AnomalyPending || t.Object.Kind != facts.KindPod || t.Container == "" || len(q.held) >= maxQuotes || !ended(t.Evidence):
	default:
		select {
		case q.wanted <- wish{key, t.Object.Namespace, t.Object.Name, t.Container}:
			q.held[key] = &quote{last: *t, pod: t.Object.Name}
		default: // those before it take long; it goes without
		}
	}
}

// take returns what to tell now that an answer is there: the anomaly again, unless it
// has cleared meanwhile.
func (q *quotes) take(answer quoted, now time.Time) []anomaly.Transition {
	known := q.held[answer.key]
	if known == nil || known.text != "" || answer.text == "" {
		return nil
	}
	known.text = answer.text
	again := known.last
	again.At = now
	return []anomaly.Transition{again}
}

func ended(evidence []telemetry.Label) bool {
	return slices.ContainsFunc(evidence, func(l telemetry.Label) bool { return l.Key == endedKey })
}

// cite returns evidence with the lines, sorted. It leaves the list as it is, which
// others share.
func cite(evidence []telemetry.Label, pod, text string) []telemetry.Label {
	if text == "" || len(evidence)+2 > telemetry.MaxAttributes {
		return evidence
	}
	at, found := slices.BinarySearchFunc(evidence, quoteKey, func(l telemetry.Label, key string) int { return strings.Compare(l.Key, key) })
	if found {
		return evidence
	}
	return slices.Insert(slices.Clone(evidence), at, telemetry.Label{Key: quoteKey, Value: text}, telemetry.Label{Key: quotedKey, Value: pod})
}

// fetch reads what is wanted, one after the other, until ctx ends.
func (a *Anomalies) fetch(ctx context.Context, wanted <-chan wish) {
	var refused time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case w := <-wanted:
			if !refused.IsZero() && time.Since(refused) < refusedPause {
				continue
			}
			text, err := a.read(ctx, w)
			switch {
			case apierrors.IsForbidden(err):
				if refused.IsZero() {
					a.options.Logger.Error(err, "Attaching no lines of logs: apply config/agent/logs, which has the right to read them")
				}
				refused = time.Now()
			case err != nil:
				a.options.Logger.V(1).Info("Attaching no lines of a log", "namespace", w.namespace, "pod", w.pod, "container", w.container, "reason", err.Error())
			case text != "":
				a.inbox.say(quoted{w.key, text})
			}
		}
	}
}

func (a *Anomalies) read(ctx context.Context, w wish) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, quoteTimeout)
	defer cancel()
	text, err := a.options.Lines(ctx, w.namespace, w.pod, w.container)
	return excerpt(text), err
}

// excerpt returns the end of a text, without what looks like a credential and without
// what no text has. The first line may be cut.
func excerpt(text string) string {
	text = rules.Redact(strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD"))
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= ' ' && r != 0x7f {
			return r
		}
		return -1
	}, text)
	if len(text) > maxQuote {
		text = text[len(text)-maxQuote:]
		for len(text) > 0 && !utf8.RuneStart(text[0]) {
			text = text[1:]
		}
	}
	return text
}
