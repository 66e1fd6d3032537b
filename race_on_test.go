//go:build race

package plural_test

// raceDetector makes what runs on one goroutine anyhow smaller, for it takes
// six times as long under the race detector.
const raceDetector = true
