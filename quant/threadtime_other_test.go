//go:build !linux

package quant

import "time"

var testStart = time.Now()

func threadTime() float64 { return time.Since(testStart).Seconds() }
