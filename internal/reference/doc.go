// Package reference has no code: its tests hold docs/reference.md, and what other pages say of the
// code, against the code.
package reference
