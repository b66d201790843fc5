// Package dashboard is the verb "kubectl clarion dashboard": a page on this computer that shows the
// state of a cluster, and changes nothing.
//
//	API server ──watch──► snapshot.Live ──► State ──► overviewOf ──► board ──► server ──► page (folder page/)
//	                                          └─────► pathOf, when asked for                  ▲
//	                                                                       the browser, on the loopback
//
// What the page shows is an overview, which is a pure function of a snapshot.State, or a path, for
// one Service. Both have all words: the page has no rule of its own. It is plain HTML, CSS and
// JavaScript, as the browser gets it.
package dashboard
