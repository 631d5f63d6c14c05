// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package observability

import "runtime/debug"

// version is set by the linker: -X .../internal/observability.version=v1.2.3.
var version string

// Version is the release this program was built as, in semantic versioning with
// a leading v, or v0.0.0-dev for a build that is no release.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "v0.0.0-dev"
}
