// Package causes has what goes wrong with Services: one list of causes, each with a cluster that has
// it, and with the words by which users are to find out. Tests hold everything that explains
// something against it: what `kubectl get` and `kubectl describe` show, the documentation, and
// `kubectl clarion why`.
//
// A cause is one change of a cluster in which all is well. Produce runs the controllers of the
// cloud-controller-manager over an API that has the objects, plays the announcers by their own plans,
// and returns all objects with their statuses and events.
//
// It is for tests alone.
package causes
