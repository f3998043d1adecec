// Package deploycheck has the tests of deploy/ and of the releases' configuration: every query of dashboard and alerts against the metrics of
// a replica that runs, the Kubernetes manifests as kustomize builds them, the systemd unit, and the files that name settings.
//
// It is a module of its own, so that convdel's stays without what only this needs. The variable CONVDEL names the binary, RENDERED a
// directory for the manifests as they were built, for the schemas' check.
package deploycheck
