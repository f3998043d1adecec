// Package desk does what an erasure needs done, in Kafka and at the API: it finds the records of a request, publishes parts, waits for their
// ends, and reads lists.
package desk
