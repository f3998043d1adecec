package cluster

import "strings"

// IsName says whether a text is a name by Kafka's rules: 1 to 249 letters, digits, dots, underscores or hyphens, and not "." or "..".
// Brokers hold topics to that, and Kafka's own client instance IDs.
func IsName(text string) bool {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
	}
	return text != "" && len(text) <= 249 && text != "." && text != ".." && !strings.ContainsFunc(text, func(r rune) bool { return !legal(r) })
}
