// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package threshold

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// version of the document's form. A document of another version is not read at all:
// what it means is not known.
const version = 1

// RuleError says why one threshold is not evaluated.
type RuleError struct {
	// Rule is the AlertRule's namespace and name as far as they could be read.
	Rule string
	// Err is what is wrong.
	Err error
}

// Error names the rule, in one line of bounded length.
func (e *RuleError) Error() string {
	name := "a threshold without a rule"
	if e.Rule != "" {
		name = "threshold of AlertRule " + strings.Trim(quote(e.Rule), `"`)
	}
	const most = 1 << 10
	return telemetry.Clip(name+": "+strings.ReplaceAll(e.Err.Error(), "\n", "; "), most)
}

// Unwrap returns what is wrong.
func (e *RuleError) Unwrap() error { return e.Err }

var (
	errTwice   = errors.New("it is there twice, the first one counts")
	errTooMany = fmt.Errorf("a cluster has at most %d thresholds, those whose names come first", MaxThresholds)
	errNoRoom  = fmt.Errorf("there is no room for it in the %d bytes that all thresholds of a cluster have, which those get whose names come first", MaxDocument)
)

// Marshal returns the document with every good threshold, and says what is wrong
// with the others. The same thresholds in any order make the same bytes.
func Marshal(list []Threshold) (document []byte, refused []*RuleError, err error) {
	good := make([]Threshold, 0, len(list))
	for i := range list {
		if err := list[i].Validate(); err != nil {
			refused = append(refused, &RuleError{list[i].Rule, err})
			continue
		}
		good = append(good, list[i].Canonical())
	}
	good, more := arrange(good)
	refused = append(refused, more...)
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"version":%d,"thresholds":[`, version)
	const end = "]}"
	first := true
	for i := range good {
		entry, err := json.Marshal(&good[i])
		if err != nil {
			return nil, nil, fmt.Errorf("writing the threshold of AlertRule %s: %w", good[i].Rule, err)
		}
		if b.Len()+1+len(entry)+len(end) > MaxDocument {
			refused = append(refused, &RuleError{good[i].Rule, errNoRoom})
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		b.Write(entry)
	}
	b.WriteString(end)
	return b.Bytes(), refused, nil
}

// Parse returns every good threshold of a document, sorted by rule and canonical,
// and says what is wrong with the others. An empty document has none. It fails when
// the document as a whole cannot be read; then nobody knows what it says.
func Parse(document string) (list []Threshold, refused []*RuleError, err error) {
	if document == "" {
		return nil, nil, nil
	}
	if len(document) > MaxDocument {
		return nil, nil, fmt.Errorf("reading thresholds: %d bytes are more than %d", len(document), MaxDocument)
	}
	var file struct {
		Version    int               `json:"version"`
		Thresholds []json.RawMessage `json:"thresholds"`
	}
	if err := json.Unmarshal([]byte(document), &file); err != nil {
		return nil, nil, fmt.Errorf("reading thresholds: %w", err)
	}
	if file.Version != version {
		return nil, nil, fmt.Errorf("reading thresholds: they have version %d, this agent knows %d", file.Version, version)
	}
	list = make([]Threshold, 0, min(len(file.Thresholds), MaxThresholds))
	for _, raw := range file.Thresholds {
		t, err := parseOne(raw)
		if err != nil {
			refused = append(refused, &RuleError{t.Rule, err})
			continue
		}
		list = append(list, t.Canonical())
	}
	list, more := arrange(list)
	return list, append(refused, more...), nil
}

// parseOne reads one threshold strictly: a field that is not known may change what
// the others mean. After an error only the rule counts.
func parseOne(raw json.RawMessage) (Threshold, error) {
	var t Threshold
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&t); err != nil {
		var named struct {
			Rule string `json:"rule"`
		}
		_ = json.Unmarshal(raw, &named) // as far as it goes
		return Threshold{Rule: named.Rule}, err
	}
	err := t.Validate()
	return t, err
}

// arrange sorts by rule and takes out what is there twice and what is too much.
func arrange(list []Threshold) ([]Threshold, []*RuleError) {
	slices.SortStableFunc(list, func(a, b Threshold) int { return strings.Compare(a.Rule, b.Rule) })
	var refused []*RuleError
	kept := list[:0]
	for i := range list {
		switch {
		case len(kept) > 0 && kept[len(kept)-1].Rule == list[i].Rule:
			refused = append(refused, &RuleError{list[i].Rule, errTwice})
		case len(kept) == MaxThresholds:
			refused = append(refused, &RuleError{list[i].Rule, errTooMany})
		default:
			kept = append(kept, list[i])
		}
	}
	return kept, refused
}
