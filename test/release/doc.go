// Package release makes what belongs to a release of Clarion: the manifests, the Helm chart, the container image
// for all platforms as one archive, the bill of materials and the checksums. The same commit always makes the
// same bytes: nothing in them depends on the machine or on when they are made.
package release
