// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// tokenOf returns something that looks like the token of a cluster's agent.
func tokenOf(cluster, secret string) string {
	claims := fmt.Sprintf(`{"sub":"system:serviceaccount:atlhyper-cluster-%s:agent"}`, cluster)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + secret
}

// fakeReviewer knows tokens.
type fakeReviewer struct {
	mu    sync.Mutex
	users map[string]string
	err   error
	calls atomic.Int64
	enter chan struct{} // when set, a call waits for it
}

func (f *fakeReviewer) Review(ctx context.Context, token string) (string, error) {
	f.calls.Add(1)
	f.mu.Lock()
	enter := f.enter
	f.mu.Unlock()
	if enter != nil {
		select {
		case <-enter:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.users[token], f.err
}

func (f *fakeReviewer) set(change func(f *fakeReviewer)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// fakeMembers knows clusters.
type fakeMembers struct {
	mu      sync.Mutex
	members map[string]Member
	err     error
}

func (f *fakeMembers) Member(_ context.Context, name string) (Member, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.members[name]
	if !ok && f.err == nil {
		return m, fmt.Errorf("looking: %w", ErrUnknownCluster)
	}
	return m, f.err
}

func (f *fakeMembers) set(name string, m Member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members[name] = m
}

// fakeStore keeps what a store keeps, as far as ingest can tell.
type fakeStore struct {
	mu      sync.Mutex
	err     error
	enter   chan struct{} // when set, a call waits for it
	waiting atomic.Int64
	offsets map[telemetry.Key]uint64
	content map[telemetry.Key]map[uint64]string
	refused map[telemetry.Key][]history.Refused
}

func newFakeStore() *fakeStore {
	return &fakeStore{offsets: map[telemetry.Key]uint64{}, content: map[telemetry.Key]map[uint64]string{}, refused: map[telemetry.Key][]history.Refused{}}
}

func (f *fakeStore) Append(ctx context.Context, cluster history.ClusterUID, batch telemetry.Batch, refused ...history.Refused) (history.Ack, error) {
	f.mu.Lock()
	enter := f.enter
	f.mu.Unlock()
	if enter != nil {
		f.waiting.Add(1)
		defer f.waiting.Add(-1)
		select {
		case <-enter:
		case <-ctx.Done():
			return history.Ack{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return history.Ack{}, f.err
	}
	key := telemetry.Key{ClusterUID: string(cluster), Stream: batch.Stream, Epoch: batch.Epoch}
	last := f.offsets[key]
	if batch.FirstSeq > last+1 {
		return history.Ack{}, &history.GapError{Expected: last + 1, Got: batch.FirstSeq}
	}
	ack, err := f.apply(key, last, batch, refused)
	for other := range f.offsets {
		if err == nil && last == 0 && other.ClusterUID == key.ClusterUID && other.Stream == key.Stream && other.Epoch < key.Epoch {
			ack.NewEpoch = true
		}
	}
	return ack, err
}

func (f *fakeStore) apply(key telemetry.Key, last uint64, batch telemetry.Batch, refused []history.Refused) (history.Ack, error) {
	if f.content[key] == nil {
		f.content[key] = map[uint64]string{}
	}
	var ack history.Ack
	fresh := map[uint64]string{}
	for _, r := range batch.Records {
		data, err := json.Marshal(r.Payload)
		if err != nil {
			return ack, err
		}
		switch before, known := f.content[key][r.Seq]; {
		case known && before != string(data):
			return history.Ack{}, fmt.Errorf("sequence number %d: %w", r.Seq, history.ErrContentMismatch)
		case r.Seq <= last:
			ack.Duplicates++
		default:
			fresh[r.Seq] = string(data)
			ack.Stored++
		}
	}
	maps.Copy(f.content[key], fresh)
	for _, r := range refused {
		if r.LastSeq <= last {
			ack.Duplicates++
			continue
		}
		ack.Quarantined++
		f.refused[key] = append(f.refused[key], r)
	}
	ack.LastSeq = max(last, batch.LastSeq)
	f.offsets[key] = ack.LastSeq
	return ack, nil
}

func (f *fakeStore) Offset(_ context.Context, cluster history.ClusterUID, stream telemetry.Stream, epoch telemetry.Epoch) (history.Offset, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := telemetry.Key{ClusterUID: string(cluster), Stream: stream, Epoch: epoch}
	last, ok := f.offsets[key]
	if !ok && f.err == nil {
		return history.Offset{}, fmt.Errorf("reading an offset: %w", history.ErrNotFound)
	}
	return history.Offset{Key: key, LastSeq: last}, f.err
}

func (f *fakeStore) Offsets(_ context.Context, cluster history.ClusterUID) ([]history.Offset, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []history.Offset
	for key, last := range f.offsets {
		if key.ClusterUID == string(cluster) {
			found = append(found, history.Offset{Key: key, LastSeq: last})
		}
	}
	return found, f.err
}

func (f *fakeStore) set(change func(f *fakeStore)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// quarantine returns what was set aside of a cluster's events.
func (f *fakeStore) quarantine(cluster string, epoch telemetry.Epoch) []history.Refused {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.refused[telemetry.Key{ClusterUID: cluster, Stream: telemetry.StreamEvents, Epoch: epoch}])
}

// rows is how many records are stored of a cluster.
func (f *fakeStore) rows(cluster string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for key, content := range f.content {
		if key.ClusterUID == cluster {
			n += len(content)
		}
	}
	return n
}

// instantStore stores nothing and says that it did.
type instantStore struct{}

func (instantStore) Append(_ context.Context, _ history.ClusterUID, b telemetry.Batch, _ ...history.Refused) (history.Ack, error) {
	return history.Ack{LastSeq: b.LastSeq, Stored: len(b.Records)}, nil
}
