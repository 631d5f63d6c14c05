// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package trend says when something that shrinks will be used up.
package trend

import "time"

const (
	// window is how far back the line looks.
	window = 6 * time.Hour
	// step is the least time between two points that are kept, so that a line
	// has at most about 72.
	step = 5 * time.Minute
	// enough is the least time that the points have to span.
	enough = 30 * time.Minute
)

// Line is a straight line through the values of the last 6 hours. The zero value
// is empty.
type Line struct{ points []point }

type point struct {
	at    time.Time
	value float64
}

// Add adds a value. Values that are older than the last one, or too close to it,
// are not kept.
func (l *Line) Add(at time.Time, value float64) {
	if n := len(l.points); n > 0 && at.Sub(l.points[n-1].at) < step {
		return
	}
	first := 0
	for first < len(l.points) && at.Sub(l.points[first].at) > window {
		first++
	}
	l.points = append(l.points[first:len(l.points):len(l.points)], point{at, value})
}

// Empty returns when the line reaches 0 as seen from now, when the value is the
// given one. It is false when the value does not shrink or too little is known.
func (l *Line) Empty(now time.Time, value float64) (in time.Duration, ok bool) {
	n := len(l.points)
	if n < 3 || l.points[n-1].at.Sub(l.points[0].at) < enough {
		return 0, false
	}
	var sumX, sumY, sumXX, sumXY float64
	for _, p := range l.points {
		x := p.at.Sub(now).Seconds()
		sumX += x
		sumY += p.value
		sumXX += x * x
		sumXY += x * p.value
	}
	d := float64(n)*sumXX - sumX*sumX
	if d <= 0 {
		return 0, false
	}
	slope := (float64(n)*sumXY - sumX*sumY) / d
	if slope >= 0 {
		return 0, false
	}
	seconds := -value / slope
	if seconds > float64(100*365*24*60*60) {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}
