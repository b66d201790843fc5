// Package kube is the API as the announcer of one node sees it: what it watches, what it writes and
// what it tells people.
//
//	Watcher ──► Subscription (one for layer 2, one for BGP) ──► plan.View
//	KeyWatcher ──► the key of the gossip
//	CacheSync ──► whether the caches have caught up after the node was cut off
//	StatusWriter, Events ──► what the node says of itself
//
// It decides nothing: package plan does.
package kube
