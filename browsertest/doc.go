// Package browsertest opens the emulator's pages in a real Chromium. It does
// what a payer would do, and what a user of the sandbox would do. It tests with
// and without JavaScript, on a desktop and on a phone. It is a module of its
// own, so nobody else needs the driver of a browser.
//
//	make browser
//
// leaves a picture of each page under browsertest/screenshots.
package browsertest
