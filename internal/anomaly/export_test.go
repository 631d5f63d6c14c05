// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly

// Links returns how many objects the engine remembers to be part of an incident.
func (e *Engine) Links() int { return len(e.subjects) }
