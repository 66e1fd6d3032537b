// Package browsertest opens the emulator's pages in a real Chromium, as a payer
// and as the sandbox's user would, with and without JavaScript, on a desktop
// and on a phone. It is a module of its own, so nobody else needs a browser's
// driver.
//
//	make browser
//
// leaves a picture of each page under browsertest/screenshots.
package browsertest
