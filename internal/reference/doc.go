// Package reference knows how documents are linked. Its tests hold what they say of the code against the
// code. The pages of docs/reference are made from the code, by the command in generate.
package reference
