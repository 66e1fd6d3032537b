package pluraltest

import "net"

// MemPair makes a connection in memory. It returns both ends and a function
// that resets the connection.
func MemPair() (client, server net.Conn, reset func()) {
	c, s := memPair()
	return c, s, s.abort
}

// EditFrames passes bytes through the HTTP/2 frame editor, in pieces of a given
// size.
func EditFrames(p []byte, size int) []byte {
	var e frameEditor
	out := append([]byte(nil), p...)
	for rest := out; len(rest) > 0; {
		n := min(size, len(rest))
		e.edit(rest[:n])
		rest = rest[n:]
	}
	return out
}
