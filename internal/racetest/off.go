//go:build !race

// Package racetest reports whether the race detector is on in the tests.
package racetest

// Enabled reports whether the race detector is on. With the race detector, code
// takes about six times as long, and allocates memory differently.
const Enabled = false
