// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// memoryVersion is that of the file's form.
	memoryVersion = 1
	// maxMemoryBytes bounds what is read of a file.
	maxMemoryBytes = 64 << 20
	// damagedSuffix is given to a file that cannot be used.
	damagedSuffix = ".damaged"
)

// memory is what outlives a restart.
type memory struct {
	// Version of the form.
	Version int `json:"version"`
	// SavedAt is when it was taken.
	SavedAt time.Time `json:"savedAt"`
	// Engine is the engine's part.
	Engine *anomaly.State `json:"engine"`
	// Storm is the last transition of the anomaly that stands for many, unless
	// that has cleared. The next engine knows nothing of it.
	Storm *anomaly.Transition `json:"storm,omitempty"`
	// Unsent is what was not handed on.
	Unsent []anomaly.Transition `json:"unsent,omitempty"`
}

// load reads a file. Nil without an error means that there is none. After an error
// the file was put aside if it was there.
func load(path string) (*memory, error) {
	content, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing to remember is no error
	}
	if err != nil {
		return nil, fmt.Errorf("reading what is remembered of anomalies: %w", err)
	}
	m := &memory{}
	err = json.Unmarshal(content, m)
	switch {
	case err != nil:
	case m.Version != memoryVersion:
		err = fmt.Errorf("it has version %d, this agent knows %d", m.Version, memoryVersion)
	case m.Engine == nil:
		err = errors.New("it lacks the engine's part")
	default:
		m.complete()
		return m, nil
	}
	return nil, errors.Join(fmt.Errorf("reading what is remembered of anomalies: %w", err), os.Rename(path, path+damagedSuffix))
}

func read(path string) ([]byte, error) {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(file, maxMemoryBytes+1))
	if err == nil && len(content) > maxMemoryBytes {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxMemoryBytes)
	}
	return content, err
}

// complete drops transitions that no sink would take, and lets the next engine raise
// what the storm guard of the one before held back.
func (m *memory) complete() {
	kept := m.Unsent[:0]
	for i := range m.Unsent {
		if m.Unsent[i].Validate() == nil {
			kept = append(kept, m.Unsent[i])
		}
	}
	m.Unsent = kept
	for i := range m.Engine.Incidents {
		if x := &m.Engine.Incidents[i]; x.Told == 0 && telemetry.AnomalyState(x.State) >= telemetry.AnomalyRaised {
			x.State = 0
		}
	}
}

// save writes a file, whole or not at all.
func save(path string, m *memory) error {
	content, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("writing what is remembered of anomalies: %w", err)
	}
	if err := write(path, content); err != nil {
		return fmt.Errorf("writing what is remembered of anomalies: %w", err)
	}
	return nil
}

func write(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name()) // it is no use
		}
	}()
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
