package schema

import (
	"crypto/sha1" //nolint:gosec // UUID version 5 is defined with it, and nothing relies on its strength
	"encoding/hex"
)

// erasureSpace returns the UUID of convdel's own name space, from which part IDs are made. It will not change.
func erasureSpace() []byte {
	return []byte{0x6f, 0x9c, 0x1d, 0x52, 0x3a, 0x7e, 0x4b, 0x0d, 0x9a, 0x61, 0x5e, 0x0b, 0x84, 0x2f, 0xc7, 0x13}
}

// PartID returns the CloudEvents id of the event by which an erasure deletes one conversation: a UUID, version 5, of the request
// and the conversation. So an erasure that is run again asks for the same parts, and needs no memory to know them. ClearRamble is
// no part of it.
func PartID(requestID string, c Conversation) string {
	h := sha1.New() //nolint:gosec // see the import
	h.Write(erasureSpace())
	h.Write([]byte(c.Key() + "\n" + requestID)) // a key has no line feed
	var id [16]byte
	copy(id[:], h.Sum(nil))
	id[6] = id[6]&0x0f | 0x50 // version 5
	id[8] = id[8]&0x3f | 0x80 // the variant of RFC 9562
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
