// Package monitoring checks what doc/ hands to Prometheus and Grafana against the metrics an agent really exports.
package monitoring
