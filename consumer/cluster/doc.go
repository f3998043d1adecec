// Package cluster connects to Kafka: it knows where the brokers are and how to log in, and it gives every connection
// deadlines. Everything that talks to Kafka connects through it, so that a fault is met the same way everywhere.
package cluster
