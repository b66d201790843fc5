// Package dashboard tests the page of "kubectl clarion dashboard" in a browser, on a cluster that
// does not exist: five nodes and two hundred Services. On a real cluster the end-to-end tests do.
package dashboard
