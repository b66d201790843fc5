// Package monitoring tests the alerts and the dashboard for Prometheus and Grafana, with Prometheus' own parser and engine. It is a
// module of its own, because Prometheus has many dependencies.
package monitoring
