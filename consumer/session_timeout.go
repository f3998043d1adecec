package consumer

import "time"

// These bound [Config.SessionTimeout]. A shorter session expires in a pause of a busy machine. Brokers allow 6 s and more by default,
// and 45 s is the default of Kafka's own client.
const (
	leastSession = 6 * time.Second
	mostSession  = 45 * time.Second
)
