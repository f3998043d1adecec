// Package cluster connects to Kafka: it knows the brokers' addresses and the login, and it gives every connection
// deadlines. All of the service's connections to Kafka come from here, so that a fault is met the same way everywhere.
package cluster
