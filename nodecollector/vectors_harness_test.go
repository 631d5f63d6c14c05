// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"strings"
	"testing"
)

// Vectors by somebody who knew the formulas and not the code.
func TestIndependentVectors(t *testing.T) {
	for _, v := range readVectors(t, "testdata/independent-vectors.json").Vectors {
		t.Run(v.ID, func(t *testing.T) {
			if problem := v.check(); problem != "" {
				t.Errorf("%s\nbecause: %s", problem, v.Why)
			}
		})
	}
}

func vectorFileOf(vectors string) []byte {
	return []byte(`{"schema": "atlhyper.collector-vectors/v1", "vectors": [` + vectors + `]}`)
}

// What may be written in more than one way, and what a vector may say is absent.
// Everything in right must pass and everything in wrong fail, both for the same
// input.
func TestWaysToWriteVectors(t *testing.T) {
	const cpu = `"prev": {"user": 1000, "system": 400, "idle": 8000}, "cur": {"user": 1300, "system": 400, "idle": 8900}`
	for name, tc := range map[string]struct{ input, right, wrong string }{
		"no interval and no cores": {`{` + cpu + `}`, `"usagePct": 25, "totalJiffies": 1200`, `"usagePct": 26`},
		"no cores":                 {`{` + cpu + `, "seconds": 15}`, `"usagePct": 25`, `"sample": null`},
		"no interval":              {`{` + cpu + `, "cores": 64}`, `"usagePct": 25`, `"usagePct": null`},
		"too little for the cores": {`{` + cpu + `, "cores": 2, "seconds": 15}`, `"sample": null, "usagePct": null, "guestPct": null`, `"usagePct": 25`},
		"enough for the cores":     {`{` + cpu + `, "cores": 1, "prevMonotonic": 1, "curMonotonic": 16}`, `"usagePct": 25`, `"sample": null`},
		"no time passed":           {`{` + cpu + `, "seconds": 0}`, `"sample": null, "usagePct": null, "baselineReplaced": true`, `"usagePct": 25`},
		"time went back":           {`{` + cpu + `, "prevMonotonic": 10, "curMonotonic": 9}`, `"sample": null`, `"sample": true`},
		"no earlier moment":        {`{"prev": null, "cur": {"user": 1000, "idle": 8000}}`, `"sample": null, "idlePct": null`, `"idlePct": 88.8889`},
		"a kernel of 250 Hz":       {`{"prevUser": 0, "curUser": 3750, "prevIdle": 749, "curIdle": 0, "userHZ": 250}`, `"usagePct": 100`, `"sample": null`},
		"3 s back at 250 Hz":       {`{"prevUser": 0, "curUser": 3750, "prevIdle": 750, "curIdle": 0, "userHZ": 250}`, `"sample": null`, `"usagePct": 100`},
		"cores in any order":       {`{"prevCores": [3, 1, 0], "curCores": [10, 3, 0]}`, `"perCore": [0, 3], "cores": 3`, `"perCore": [3, 0]`},

		"no swap":               {`{"meminfoKB": {"MemTotal": 1000, "MemAvailable": 250}}`, `"usedPct": 75, "swapUsedPct": null, "swapUsedBytes": null, "hugepagesUsedBytes": null, "buffersBytes": null, "cachedBytes": null`, `"swapUsedPct": 0`},
		"swap alone":            {`{"SwapTotal": 1000, "SwapFree": 250}`, `"swapUsedPct": 75, "usedPct": null, "totalBytes": null`, `"totalBytes": 1048576`},
		"not enough to know":    {`{"meminfoKB": {"MemTotal": 1000, "MemFree": 10}}`, `"usedPct": null, "availableEstimated": null, "totalBytes": 1024000`, `"availableBytes": 10240`},
		"a line that is absent": {`{"meminfoKB": {"MemTotal": 1000, "MemAvailable": 250, "SwapTotal": null}}`, `"swapTotalBytes": null`, `"swapTotalBytes": 0`},

		"whole floats":             {`{"delta": {"readIOs": 600.0, "writeIOs": "300.0", "readSectors": "150", "weighted": 1.5e4}, "seconds": 15}`, `"readIOPS": 40, "writeIOPS": 20, "readBytesPerSec": 5120, "queueDepth": 1`, `"writeIOPS": 0`},
		"a delta below 0":          {`{"delta": {"readIOs": -5}, "seconds": 15}`, `"sample": null, "readIOPS": null`, `"readIOPS": 1229782938247303424`},
		"a disk in no time":        {`{"delta": {"readIOs": 600}, "seconds": 0}`, `"sample": null, "readIOPS": null, "utilPct": null, "deltaMs": null`, `"readIOPS": 0`},
		"a time field that fell":   {`{"prevReadTicks": 5000, "curReadTicks": 10, "prevReadIOs": 1, "curReadIOs": 31, "seconds": 15}`, `"readIOPS": 2, "readAwaitMs": null, "awaitMs": null, "writeAwaitMs": 0`, `"readAwaitMs": 0`},
		"nothing but a time field": {`{"prevWeighted": 5000, "curWeighted": 10}`, `"sample": null, "queueDepth": null`, `"queueDepth": 0`},

		"errors set back":         {`{"prevRxErrs": 5, "curRxErrs": 1, "delta": {"rxPackets": 10}, "seconds": 10}`, `"rxErrsPerSec": null, "rxErrRatio": null, "errRatio": null, "rxPacketsPerSec": 1, "txErrsPerSec": 0`, `"rxErrsPerSec": 0`},
		"drops set back":          {`{"prevTxDropped": 5, "curTxDropped": 1, "delta": {"txPackets": 10}, "seconds": 10}`, `"txDropsPerSec": null, "rxDropsPerSec": 0`, `"txDropsPerSec": 0`},
		"nothing but errors":      {`{"prevRxErrs": 5, "curRxErrs": 1, "seconds": 15}`, `"sample": null, "rxErrsPerSec": null`, `"sample": true`},
		"a speed of null":         {`{"speedMbps": null, "delta": {"rxBytes": 1000}, "seconds": 10}`, `"rxUtilPct": null, "rxBytesPerSec": 100`, `"rxUtilPct": 0`},
		"a speed of words":        {`{"speedMbps": "EINVAL", "deltaBytes": 1000}`, `"utilPct": null`, `"utilPct": 0`},
		"a small ratio":           {`{"delta": {"errs": 3, "packets": 1000000}, "seconds": 15}`, `"rxErrRatio": 0.000003`, `"rxErrRatio": 0.000004`},
		"bytes that fell":         {`{"deltaBytes": -1000, "prevMonotonic": 100.0, "curMonotonic": 115.0}`, `"bytesPerSec": null, "sample": null`, `"bytesPerSec": 1229782938247303424`},
		"bytes of an unknown way": {`{"prevBytes": 1000, "curBytes": 2500, "speedMbps": 1, "seconds": 15}`, `"bytesPerSec": 100, "utilPct": 0.08`, `"utilPct": 0.09`},

		"no pressure file":         {`{"file": null}`, `"some": null, "full": null, "somePct": null, "pct": null, "sample": null`, `"some": 0`},
		"no pressure in a kernel":  {`{"psiError": "ENOTSUP"}`, `"some": null, "fullPct": null`, `"fullPct": 0`},
		"a pressure of both kinds": {`{"delta": {"some": 750000, "full": 150000}, "seconds": 15}`, `"some": 5, "somePct": 5, "full": 1, "fullPct": 1`, `"full": 5`},
		"a pressure of one kind":   {`{"prevSomeTotalUs": 1000, "curSomeTotalUs": 751000, "seconds": 15}`, `"some": 5, "pct": 5, "full": null`, `"full": 0`},
		"a pressure in no time":    {`{"deltaTotalUs": 750000, "seconds": 0}`, `"pct": null, "somePct": null, "sample": null`, `"pct": 100`},
		"pressure files":           {`{"prev": "some avg10=0.00 total=1000", "cur": "some avg10=1.00 total=751000", "seconds": 15}`, `"somePct": 5, "fullPct": null`, `"somePct": 1`},

		"no cores for a load":   {`{"load1": 1.5, "cores": 0}`, `"loadPerCore": null, "load1": 1.5`, `"loadPerCore": 0`},
		"load of many digits":   {`{"load1": 6.125, "cores": 2}`, `"load1PerCore": 3.0625`, `"load1PerCore": 3.06`},
		"no connections so far": {`{"entries": 0, "max": 0}`, `"usedPct": null, "ratio": null, "used": 0`, `"usedPct": 0`},
		"connections":           {`{"entries": 500, "max": 2000}`, `"usedPct": 25, "ratio": 0.25`, `"usedPct": 0.25`},
		"no limit":              {`{"entries": 500, "max": null}`, `"usedPct": null, "entries": 500`, `"usedPct": 100`},
		"no sensors":            {`{"thermal_zone_temp": 41500, "hwmon_temp1_input": null}`, `"zoneC": 41.5, "sensorC": null, "critC": null`, `"sensorC": 0`},
		"a sensor that fails":   {`{"hwmon_temp1_input": "EAGAIN"}`, `"sensorC": null`, `"sensorC": 0`},
		"no blocks":             {`{"statfs": {"blocks": 0, "bfree": 0, "bavail": 0, "bsize": 4096}}`, `"usedPct": null, "sizeBytes": null`, `"usedPct": 0`},
	} {
		t.Run(name, func(t *testing.T) {
			of := func(expect string) string {
				file, err := parseVectors(vectorFileOf(`{"id": "x", "input": ` + tc.input + `, "expect": {` + expect + `}}`))
				if err != nil {
					t.Fatal(err)
				}
				return file.Vectors[0].check()
			}
			if problem := of(tc.right); problem != "" {
				t.Errorf("with %s: %s", tc.right, problem)
			}
			if of(tc.wrong) == "" {
				t.Errorf("%s passes", tc.wrong)
			}
		})
	}
}

// Words that describe are nobody's business.
func TestVectorsMayBeDescribed(t *testing.T) {
	file, err := parseVectors([]byte(`{"notes": ["any"], "schema": "atlhyper.collector-vectors/v1", "vectors": [
		{"id": "a", "source": "proc(5)", "comment": {"by": 1}, "input": {"load1": 1}, "expect": {"load1": 1}}], "created": 2026}` + "\n\n"))
	if err != nil {
		t.Fatal(err)
	}
	if problem := file.Vectors[0].check(); problem != "" {
		t.Error(problem)
	}
}

// A file or a vector that would not check what it seems to is refused.
func TestVectorsThatCheckNothing(t *testing.T) {
	const good = `"input": {"load1": 1}, "expect": {"load1": 1}`
	for name, tc := range map[string]struct{ file, want string }{
		"no schema":             {`{"vectors": [{"id": "x", ` + good + `}]}`, "the schema"},
		"another schema":        {`{"schema": "atlhyper.collector-vectors/v10", "vectors": [{"id": "x", ` + good + `}]}`, "the schema"},
		"no file":               {``, "EOF"},
		"half a file":           {`{"schema":`, "EOF"},
		"no vectors":            {string(vectorFileOf(``)), "no vectors"},
		"more behind it":        {string(vectorFileOf(`{"id": "x", `+good+`}`)) + "garbage", "something behind"},
		"two files":             {string(vectorFileOf(`{"id": "x", `+good+`}`)) + "{}", "something behind"},
		"no ID":                 {string(vectorFileOf(`{` + good + `}`)), "no id"},
		"the same ID":           {string(vectorFileOf(`{"id": "x", ` + good + `}, {"id": "x", ` + good + `}`)), "two vectors"},
		"a key misspelt":        {string(vectorFileOf(`{"id": "x", ` + good + `, "mustNotEquals": {"load1": 1}}`)), "mustNotEquals"},
		"expectations twice":    {string(vectorFileOf(`{"id": "x", ` + good + `, "expected": {"load1": 2}}`)), "expected"},
		"no expectation":        {string(vectorFileOf(`{"id": "x", "input": {"load1": 1}}`)), "expects nothing"},
		"an empty one":          {string(vectorFileOf(`{"id": "x", "input": {"load1": 1}, "expect": {}, "mustNotEqual": {"load1": 2}}`)), "expects nothing"},
		"an unknown result":     {string(vectorFileOf(`{"id": "x", "input": {"load1": 1}, "expect": {"load2": null}}`)), "no load2"},
		"an unknown non-result": {string(vectorFileOf(`{"id": "x", ` + good + `, "mustNotEqual": {"load2": 2}}`)), "no load2"},
		"an equal non-result":   {string(vectorFileOf(`{"id": "x", ` + good + `, "mustNotEqual": {"load1": 1.0}}`)), "must not be"},
		"an unknown input":      {string(vectorFileOf(`{"id": "x", "input": {"load1": 1, "load2": null}, "expect": {"load1": 1}}`)), `"load2"`},
		"deep in the input":     {string(vectorFileOf(`{"id": "x", "input": {"delta": {"rxBytes": 1, "rxBits": 8}}, "expect": {"rxUtilPct": null}}`)), "delta.rxBits"},
		"in statfs":             {string(vectorFileOf(`{"id": "x", "input": {"statfs": {"blocks": 1, "blocksize": 8}}, "expect": {"inodesUsedPct": null}}`)), "statfs.blocksize"},
		"half a request":        {string(vectorFileOf(`{"id": "x", "input": {"delta": {"readIOs": 0.5}}, "expect": {"sample": true}}`)), "no whole number"},
		"below nothing":         {string(vectorFileOf(`{"id": "x", "input": {"prevReadIOs": -5, "curReadIOs": 5}, "expect": {"sample": null}}`)), "below 0"},
		"bytes given twice":     {string(vectorFileOf(`{"id": "x", "input": {"delta": {"bytes": 1, "rxBytes": 8}}, "expect": {"sample": true}}`)), "twice"},
		"an object as a result": {string(vectorFileOf(`{"id": "x", "input": {"load1": 1}, "expect": {"load1": {}}}`)), "load1 is 1"},
	} {
		t.Run(name, func(t *testing.T) {
			var problem string
			if file, err := parseVectors([]byte(tc.file)); err != nil {
				problem = err.Error()
			} else {
				problem = file.Vectors[0].check()
			}
			if !strings.Contains(problem, tc.want) {
				t.Errorf("the problem is %q, want %q", problem, tc.want)
			}
		})
	}
}
