// Package e2e holds the end-to-end tests and the measurements. They run convdel in processes of its own, against the API
// simulator and a broker. The broker is embedded, or any Kafka named by TEST_BROKERS (host:port, comma-separated).
// `make test-kafka` starts one and runs the tests on it.
//
// The build tag soak adds a soak: three replicas work under load with one fault a minute, for any length of time (`make
// soak MINUTES=n`).
//
// The package contains only tests.
package e2e
