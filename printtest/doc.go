// Package printtest shows what loggers, encoders and dumpers make of the SDK's
// types. It is a module of its own, because those are not to be dependencies
// of the SDK. It has tests only.
package printtest
