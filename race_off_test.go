//go:build !race

package plural_test

const raceDetector = false
