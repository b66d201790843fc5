// Package reference has no code: its tests hold what documents say of the code against the code. The
// pages of docs/reference are made from the code, by the command in generate.
package reference
