// Package schema holds the schemas of the CRDs against what Clarion itself makes of the objects: the API server refuses what it
// can see to be wrong, and never what Clarion would take.
package schema
