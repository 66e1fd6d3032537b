// Package printtest tests what loggers, encoders and dumpers print of the SDK's
// types. The package is in a module of its own, because these libraries must
// not become dependencies of the SDK. It has only tests.
package printtest
