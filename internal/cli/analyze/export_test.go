// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package analyze

import "slices"

// JudgeBackwards is Judge with the objects in the opposite order, in which nothing
// is known of what an object is judged by when it is put.
func JudgeBackwards(d *Dump, o Options) []Finding {
	objects, partial := prepare(d, o)
	slices.Reverse(objects)
	return anomaliesOf(objects, partial, o.Now)
}
