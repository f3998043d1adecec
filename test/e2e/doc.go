// Package e2e holds the end-to-end tests and the measurements: convdel as processes of its own, against
// the API simulator and a broker. That is an embedded one, or with CONVDEL_TEST_BROKERS (host:port,
// comma-separated) any Kafka; `make test-kafka` starts one and runs the tests on it.
//
// Behind the build tag soak is a soak: three replicas under load while one fault a minute befalls them, for as long
// as one likes (`make soak MINUTES=n`).
//
// It contains no code but tests.
package e2e
