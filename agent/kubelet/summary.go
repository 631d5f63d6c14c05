// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// volume is the filesystem of a claim as one kubelet sees it.
type volume struct {
	namespace, claim string
	// measured is when, by the node's clock; zero when it does not tell.
	measured time.Time
	// capacity and available are bytes; capacity is 0 when unknown, and so is inodes.
	capacity, available int64
	inodes, inodesFree  int64
}

// podStats is a pod of the Summary, as far as it is looked at.
type podStats struct {
	Volumes []volumeStats `json:"volume"`
}

type volumeStats struct {
	Time       time.Time `json:"time"`
	Available  *uint64   `json:"availableBytes"`
	Capacity   *uint64   `json:"capacityBytes"`
	Inodes     *uint64   `json:"inodes"`
	InodesFree *uint64   `json:"inodesFree"`
	Claim      *struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"pvcRef"`
}

// volume takes what belongs together, or nothing of it.
func (s *volumeStats) volume() volume {
	v := volume{namespace: s.Claim.Namespace, claim: s.Claim.Name, measured: s.Time}
	if s.Available != nil && s.Capacity != nil {
		v.available, v.capacity = bounded(*s.Available), bounded(*s.Capacity)
	}
	if s.Inodes != nil && s.InodesFree != nil {
		v.inodesFree, v.inodes = bounded(*s.InodesFree), bounded(*s.Inodes)
	}
	return v
}

var errNoSummary = errors.New("the document has no list of pods")

// readSummary returns the claims of a Summary, each once: pods that share one tell of
// it each, and the latest counts. It keeps one pod of the document at a time. A
// document that ends early is an error, so that nothing is taken for gone.
func readSummary(document io.Reader) ([]volume, error) {
	decoder := json.NewDecoder(document)
	if err := expect(decoder, json.Delim('{')); err != nil {
		return nil, err
	}
	var volumes []volume
	found := false
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("reading the Summary: %w", err)
		}
		if key != "pods" || found {
			if err := decoder.Decode(new(ignored)); err != nil {
				return nil, fmt.Errorf("reading the Summary: %w", err)
			}
			continue
		}
		found = true
		if volumes, err = readPods(decoder); err != nil {
			return nil, err
		}
	}
	if err := expect(decoder, json.Delim('}')); err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("reading the Summary: %w", errNoSummary)
	}
	return volumes, nil
}

// ignored is a value of which nothing is wanted.
type ignored struct{}

// UnmarshalJSON implements json.Unmarshaler.
func (*ignored) UnmarshalJSON([]byte) error { return nil }

func readPods(decoder *json.Decoder) ([]volume, error) {
	start, err := decoder.Token()
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the Summary: %w", err)
	case start == nil:
		return nil, nil // null is what Go makes of no pods
	case start != json.Delim('['):
		return nil, fmt.Errorf("reading the Summary: %w", errNoSummary)
	}
	var volumes []volume
	known := map[[2]string]int{}
	for decoder.More() {
		var pod podStats
		if err := decoder.Decode(&pod); err != nil {
			return nil, fmt.Errorf("reading a pod of the Summary: %w", err)
		}
		for i := range pod.Volumes {
			from := &pod.Volumes[i]
			if from.Claim == nil || !isName(from.Claim.Namespace) || !isName(from.Claim.Name) {
				continue
			}
			v := from.volume()
			key := [2]string{v.namespace, v.claim}
			n, again := known[key]
			switch {
			case !again && len(volumes) == maxObjects:
				return nil, fmt.Errorf("reading the Summary: %w", errTooMany)
			case !again:
				known[key] = len(volumes)
				volumes = append(volumes, v)
			case v.measured.After(volumes[n].measured):
				volumes[n] = v
			}
		}
	}
	return volumes, expect(decoder, json.Delim(']'))
}

// isName says whether something can be the name of an object.
func isName[T string | []byte](name T) bool { return len(name) > 0 && len(name) <= maxName }

func expect(decoder *json.Decoder, want json.Delim) error {
	got, err := decoder.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("reading the Summary: %w", err)
	}
	if got != want {
		return fmt.Errorf("reading the Summary: found %v instead of %v", got, want)
	}
	return nil
}

func bounded(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
