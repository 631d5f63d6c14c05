// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files of the current version anew")

func goldenPath(stream telemetry.Stream) string {
	return filepath.Join("testdata", "golden", stream.String()+".v1.bin")
}

// What version 1 once wrote must be read for as long as version 1 is read, and
// what is written now must have the same payload. The compressed form may change
// with the library.
func TestGoldenFiles(t *testing.T) {
	enc, dec := newCodec(t)
	for stream := range telemetry.Streams() {
		t.Run(stream.String(), func(t *testing.T) {
			want := fixture(stream)
			now := encode(t, enc, want)
			if *update {
				if err := os.WriteFile(goldenPath(stream), now, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(goldenPath(stream))
			if err != nil {
				t.Fatal(err)
			}
			got, err := dec.Decode(golden)
			if err != nil || len(got.Poison) > 0 {
				t.Fatalf("decoding the golden file: %v, poison %v", err, got.Poison)
			}
			if diff := cmp.Diff(*want, got.Batch, same); diff != "" {
				t.Errorf("the golden file reads differently (-want +got):\n%s", diff)
			}
			was, err := dec.Payload(golden)
			if err != nil {
				t.Fatal(err)
			}
			is, err := dec.Payload(now)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(was, is) {
				t.Errorf("the payload of the same batch is %d bytes and was %d: a change of the format needs a new version, or -update if none was released", len(is), len(was))
			}
			header, err := wire.ParseHeader(now)
			if err != nil || header != got.Header && header.BodyBytes == got.Header.BodyBytes {
				t.Errorf("the envelope is %+v and was %+v (%v)", header, got.Header, err)
			}
		})
	}
}
