//go:build !linux

package nn

import "time"

var testStart = time.Now()

func threadTime() float64 { return time.Since(testStart).Seconds() }
