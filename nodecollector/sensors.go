// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// mostSensors is how many temperatures are shown.
	mostSensors = 64
	// hwmonFolder and thermalFolder have the sensors, below /sys.
	hwmonFolder   = "class/hwmon"
	thermalFolder = "class/thermal"
)

// zone is a thermal zone.
type zone struct{ name, kind string }

// sensor is a file with a temperature.
type sensor struct {
	input source
	// critical is what it calls critical, which does not change.
	critical    float64
	hasCritical bool

	label, chip, name, kind string
}

// sensorTable knows the temperature sensors. All of it is used by the probe alone
// while that is outstanding: a sensor is asked through its driver, and some drivers
// ask a device that may be gone.
type sensorTable struct {
	sys    tree
	probe  probe
	rounds int

	sensors []sensor
	results []Temperature
	// round is the one that results are of.
	round  int
	buffer []byte
}

func newSensorTable(sys tree) *sensorTable {
	t := &sensorTable{sys: sys}
	t.probe.call = t.read
	return t
}

// due appends the probe.
func (t *sensorTable) due(p *prober, probes []*probe) []*probe {
	if !p.ready(&t.probe) {
		return probes
	}
	t.rounds++
	return append(probes, &t.probe)
}

// temperatures appends what the sensors said in this round; nothing when one of
// them keeps the driver waiting.
func (t *sensorTable) temperatures(p *prober, list []Temperature) []Temperature {
	if !p.ready(&t.probe) || t.round != t.rounds {
		return list
	}
	return append(list, t.results...)
}

func (t *sensorTable) read() {
	t.round = t.rounds
	if t.rounds%rareEvery == 1 {
		t.find()
	}
	t.results = t.results[:0]
	for i := range t.sensors {
		s := &t.sensors[i]
		b, err := s.input.read(&t.buffer)
		if err != nil {
			continue // EAGAIN, ENODATA and more, from drivers that have nothing to say
		}
		if celsius, ok := parseMillidegrees(b); ok {
			t.results = append(t.results, Temperature{
				Label: s.label, Chip: s.chip, Sensor: s.name, Type: s.kind,
				Celsius: celsius, Critical: s.critical, HasCritical: s.hasCritical,
			})
		}
	}
}

// find looks for sensors anew. Own for hwmon, which procfs does not read.
func (t *sensorTable) find() {
	t.close()
	t.sensors = t.sensors[:0]
	for _, dir := range numbered(filepath.Join(t.sys.path, hwmonFolder), "hwmon") {
		t.findChip(filepath.Join(hwmonFolder, dir))
	}
	for _, z := range thermalZones(t.sys.path) {
		folder := "thermal_zone" + z.name
		t.add(sensor{
			input: t.sys.source(filepath.Join(thermalFolder, folder, "temp"), true),
			label: strings.TrimSuffix(folder+"/"+z.kind, "/"), name: z.name, kind: z.kind,
		})
	}
}

func (t *sensorTable) findChip(folder string) {
	name := t.text(filepath.Join(folder, "name"))
	inputs := t.inputs(folder)
	if len(inputs) == 0 {
		// Drivers of Linux 3 put them into the folder of the device.
		folder = filepath.Join(folder, "device")
		if inputs = t.inputs(folder); name == "" {
			name = t.text(filepath.Join(folder, "name"))
		}
	}
	if name == "" {
		name = filepath.Base(folder)
	}
	chip := t.chipName(folder, name)
	for _, input := range inputs {
		s := sensor{input: t.sys.source(filepath.Join(folder, input+"_input"), true), chip: chip, name: input}
		label := t.text(filepath.Join(folder, input+"_label"))
		if label == "" {
			label = input
		}
		s.label = name + "/" + label
		if b, err := t.sys.readOnce(filepath.Join(folder, input+"_crit"), &t.buffer); err == nil {
			s.critical, s.hasCritical = parseMillidegrees(b)
		}
		t.add(s)
	}
}

// add takes a sensor under a label of its own: two sockets have the same chip with
// the same labels.
func (t *sensorTable) add(s sensor) {
	if len(t.sensors) >= mostSensors {
		return
	}
	s.label = telemetry.Clip(s.label, telemetry.MaxLabelValue-8)
	label := s.label
	for n := 2; slices.ContainsFunc(t.sensors, func(o sensor) bool { return o.label == s.label }); n++ {
		s.label = label + " #" + strconv.Itoa(n)
	}
	t.sensors = append(t.sensors, s)
}

// inputs lists temp1, temp2 and so on of a folder.
func (t *sensorTable) inputs(folder string) []string {
	entries, err := os.ReadDir(filepath.Join(t.sys.path, folder))
	if err != nil {
		return nil
	}
	var found []string
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), "_input")
		if number, isTemp := strings.CutPrefix(name, "temp"); ok && isTemp {
			if _, ok := parseUint([]byte(number)); ok {
				found = append(found, name)
			}
		}
	}
	byNumber(found, "temp")
	return found
}

// text reads a name.
func (t *sensorTable) text(path string) string {
	b, err := t.sys.readOnce(path, &t.buffer)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// chipName is how node_exporter calls a chip: after where its device is, such as
// platform_coretemp_0, or else after the chip's own name.
func (t *sensorTable) chipName(folder, name string) string {
	device, err := filepath.EvalSymlinks(filepath.Join(t.sys.path, strings.TrimSuffix(folder, "/device"), "device"))
	if err != nil {
		return metricWord(name)
	}
	bus, last := metricWord(filepath.Base(filepath.Dir(device))), metricWord(filepath.Base(device))
	if bus == "" || last == "" {
		return metricWord(name)
	}
	return bus + "_" + last
}

// metricWord makes a name fit for Prometheus: lower case, anything but letters,
// digits and colons as underscores.
func metricWord(s string) string {
	word := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == ':' {
			return r
		}
		return '_'
	}, strings.ToLower(s))
	return strings.Trim(word, "_")
}

func (t *sensorTable) close() {
	for i := range t.sensors {
		t.sensors[i].input.close()
	}
}

// numbered lists the entries of a folder with a prefix and a number, in the order
// of the numbers.
func numbered(folder, prefix string) []string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	var names []string
	for _, entry := range entries {
		if number, ok := strings.CutPrefix(entry.Name(), prefix); ok {
			if _, ok := parseUint([]byte(number)); ok {
				names = append(names, entry.Name())
			}
		}
	}
	byNumber(names, prefix)
	return names
}

func byNumber(names []string, prefix string) {
	number := func(s string) uint64 {
		n, _ := parseUint([]byte(strings.TrimPrefix(s, prefix)))
		return n
	}
	slices.SortFunc(names, func(a, b string) int {
		x, y := number(a), number(b)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		default:
			return strings.Compare(a, b)
		}
	})
}
