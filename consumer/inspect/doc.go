// Package inspect asks Kafka for what the service needs of it: brokers, topics with their settings, the group and other groups of the same
// topic, and the rights of the user. It reads alone: it makes no topic, joins no group, commits and writes nothing.
package inspect
