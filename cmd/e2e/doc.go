// Package e2e holds the end-to-end tests and the measurements: convdel as processes of its own, against
// the API simulator and a broker. That is an embedded one, or with CONVDEL_TEST_BROKERS (host:port,
// comma-separated) any Kafka; `make test-kafka` starts one and runs the tests on it.
//
// It contains no code but tests.
package e2e
