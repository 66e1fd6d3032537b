//go:build !race

// Package racetest reports whether the race detector is on in the tests.
package racetest

// Enabled reports whether the race detector is on. Code takes about six times
// as long under it, and allocates differently.
const Enabled = false
