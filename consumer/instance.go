package consumer

import (
	"strings"
	"time"
)

// These bound [Config.SessionTimeout]. A shorter session expires in a pause of a busy machine. Brokers allow 6 s and more by default,
// and 45 s is the default of Kafka's own client.
const (
	leastSession = 6 * time.Second
	mostSession  = 45 * time.Second
)

// isInstanceID says whether a text can be an instance ID, by the rules of Kafka's own client. Brokers take any text. An empty text is no
// ID, and allowed.
func isInstanceID(text string) bool {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
	}
	return len(text) <= 249 && text != "." && text != ".." && !strings.ContainsFunc(text, func(r rune) bool { return !legal(r) })
}
