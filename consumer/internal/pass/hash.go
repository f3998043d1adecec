package pass

import (
	"encoding/binary"
	"hash"

	"convdel/schema"
)

// HashSource adds to a hash what a replay keeps of a record: key, value, and the headers that are not dead letters' own. It tells null
// from empty, and adds the length of everything first, so that no other record gives the same hash.
func HashSource(h hash.Hash, r schema.Record) {
	write := func(data []byte) {
		var size [8]byte
		if data != nil {
			binary.BigEndian.PutUint64(size[:], uint64(len(data))+1)
		}
		_, _ = h.Write(size[:])
		_, _ = h.Write(data)
	}
	write(r.Key)
	write(r.Value)
	for _, header := range schema.SourceHeaders(r.Headers) {
		write([]byte(header.Key))
		write(header.Value)
	}
}
