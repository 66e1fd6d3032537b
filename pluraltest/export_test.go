package pluraltest

import "net"

// MemPair is a connection of the network in memory, and how to reset it from
// one end.
func MemPair() (client, server net.Conn, reset func()) {
	c, s := memPair()
	return c, s, s.abort
}

// EditFrames runs bytes through the HTTP/2 frame editor, in pieces of a size.
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
