// Package browsertest opens the emulator's pages in a real Chromium. Its tests
// act as a payer, and as a user of the sandbox. They run with and without
// JavaScript, on a desktop and on a phone. The package is a module of its own,
// so users of the SDK do not download the driver of the browser.
//
//	make browser
//
// This command runs the tests, and saves a picture of each page under
// browsertest/screenshots.
package browsertest
