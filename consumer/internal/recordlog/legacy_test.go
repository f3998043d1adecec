package recordlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// TestOldFormats reads messages in the formats of brokers before 0.11.
func TestOldFormats(t *testing.T) {
	t.Parallel()
	plain := func(magic byte, offset int64, value string) message {
		return message{offset: offset, magic: magic, time: 1000 + offset, value: []byte(value)}
	}
	v0 := func(offset int64, value string) message { return plain(0, offset, value) }
	v1 := func(offset int64, value string) message { return plain(1, offset, value) }
	abc := map[int64]string{100: "a", 101: "b", 102: "c"}
	type old struct {
		log  []byte
		want reading
	}
	tests := map[string]old{
		"v0":            {join(v0(100, "a"), v0(101, "b"), v0(102, "c")), reading{values: abc, next: 103}},
		"v1":            {join(v1(100, "a"), v1(101, "b"), v1(102, "c")), reading{values: abc, next: 103}},
		"mixed":         {join(v0(100, "a"), of(101, "b"), v1(102, "c")), reading{values: abc, next: 103}},
		"holes":         {join(v1(100, "a"), v1(107, "b")), reading{values: map[int64]string{100: "a", 107: "b"}, next: 108}},
		"checksum":      {join(v1(100, "a"), message{offset: 101, magic: 1, wrongCRC: true}, v1(102, "c")), reading{map[int64]string{100: "a"}, 101, 101, ReasonCRC, 0}},
		"short":         {join(v1(100, "a"), message{offset: 101, magic: 1, size: new(int32(3))}), reading{map[int64]string{100: "a"}, 101, 101, ReasonMalformed, 0}},
		"null set":      {join(message{offset: 101, magic: 1, attributes: 1}), reading{nil, 100, 101, ReasonMalformed, 0}},
		"unknown codec": {join(message{offset: 101, magic: 1, attributes: 7, value: []byte("x")}), reading{nil, 100, 101, ReasonCompression, 0}},
	}
	for _, p := range packings()[1:] {
		s := func(magic byte, last int64, inner ...message) []byte {
			return set(plain(magic, last, ""), byte(p.codec), p.pack, inner...).bytes()
		}
		for name, test := range map[string]old{
			"v0":             {s(0, 102, v0(100, "a"), v0(101, "b"), v0(102, "c")), reading{values: abc, next: 103}},
			"v1":             {s(1, 102, v1(0, "a"), v1(1, "b"), v1(2, "c")), reading{values: abc, next: 103}},
			"v1 compacted":   {s(1, 109, v1(0, "a"), v1(4, "b"), v1(9, "c")), reading{values: map[int64]string{100: "a", 104: "b", 109: "c"}, next: 110}},
			"v1 first gone":  {s(1, 109, v1(4, "b"), v1(9, "c")), reading{values: map[int64]string{104: "b", 109: "c"}, next: 110}},
			"v0 compacted":   {s(0, 109, v0(101, "a"), v0(104, "b"), v0(109, "c")), reading{values: map[int64]string{101: "a", 104: "b", 109: "c"}, next: 110}},
			"v0 asked later": {s(0, 102, v0(98, "y"), v0(99, "z"), v0(102, "c")), reading{values: map[int64]string{102: "c"}, next: 103}},
			"v1 backwards":   {s(1, 102, v1(0, "a"), v1(2, "b"), v1(1, "c")), reading{nil, 100, 102, ReasonMalformed, 0}},
			"v0 backwards":   {s(0, 102, v0(100, "a"), v0(102, "b"), v0(101, "c")), reading{map[int64]string{100: "a", 102: "b"}, 103, 103, ReasonMalformed, 0}},
			"v0 beyond":      {s(0, 102, v0(100, "a"), v0(103, "b")), reading{map[int64]string{100: "a"}, 101, 102, ReasonMalformed, 0}},
			"empty":          {s(1, 102), reading{nil, 100, 102, ReasonMalformed, 0}},
			"formats mixed":  {s(1, 102, v0(0, "a")), reading{nil, 100, 102, ReasonMalformed, 0}},
			"inner checksum": {s(0, 102, v0(100, "a"), message{offset: 101, wrongCRC: true}), reading{map[int64]string{100: "a"}, 101, 102, ReasonCRC, 0}},
			"nested":         {s(1, 102, set(v1(0, ""), byte(p.codec), p.pack, v1(0, "a"))), reading{nil, 100, 102, ReasonMalformed, 0}},
			"cut":            {s(0, 102, v0(100, "a"), message{offset: 101, size: new(int32(1000))}), reading{map[int64]string{100: "a"}, 101, 102, ReasonMalformed, 0}},
			"negative size":  {s(0, 102, v0(100, "a"), message{offset: 101, size: new(int32(-4))}), reading{map[int64]string{100: "a"}, 101, 102, ReasonMalformed, 0}},
		} {
			if name == "empty" && p.name != "gzip" {
				continue
			}
			tests[p.name+" "+name] = test
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.check(t, answered(new(Log), 100, test.log))
		})
	}
}

// TestOldFormatsInDetail reads times, frames of LZ4 with a wrong checksum, and messages beyond the bounds.
func TestOldFormatsInDetail(t *testing.T) {
	t.Parallel()
	kafkas := func(b []byte) []byte { // those producers compute the checksum of the frame's head wrongly
		out := packLZ4()(b)
		out[6] ^= 0x5a
		return out
	}
	list, err := delivered(t, answered(new(Log), 100, set(message{offset: 100}, codecLZ4, kafkas, message{offset: 100, value: []byte("a")}).bytes()))
	if err != nil || len(list) != 1 || !list[0].Time.IsZero() || list[0].Epoch != NoEpoch {
		t.Errorf("LZ4 of format 0: %d records, %v", len(list), err)
	}
	inner := message{magic: 1, time: 1000, key: []byte("key"), value: bytes.Repeat([]byte("v"), 5000)}
	for attributes, want := range map[byte]int64{0: 1000, logAppendTime: 7000} {
		outer := set(message{offset: 100, magic: 1, time: 7000, attributes: attributes}, codecGzip, packGzip, inner)
		for _, bound := range []int64{0, 1000} {
			list, err := delivered(t, answered(&Log{Bounds: Bounds{Record: bound}}, 100, outer.bytes()))
			if err != nil || len(list) != 1 || list[0].Time.UnixMilli() != want || string(list[0].Key) != "key" {
				t.Fatalf("bound %d: %d records, %v", bound, len(list), err)
			}
			if o := list[0].Omitted; (o != nil) != (bound > 0) || o != nil && (o.Size != 5000 || o.SHA256 != sha256.Sum256(inner.value)) {
				t.Errorf("bound %d: omitted %+v", bound, o)
			}
		}
	}
	inner.offset = 100
	list, err = delivered(t, answered(&Log{Bounds: Bounds{Record: 1000}}, 100, inner.bytes()))
	if err != nil || len(list) != 1 || list[0].Omitted == nil || list[0].Omitted.Size != 5000 || list[0].Value != nil || string(list[0].Key) != "key" {
		t.Errorf("not compressed: %+v, %v", list, err)
	}
	inner.key = inner.value
	for name, m := range map[string]message{"alone": inner, "in a set": set(message{offset: 100, magic: 1}, codecGzip, packGzip, inner)} {
		list, err = delivered(t, answered(&Log{Bounds: Bounds{Record: 1000}}, 100, m.bytes()))
		if err != nil || len(list) != 1 || list[0].Omitted == nil || list[0].Key != nil || list[0].Size != 0 {
			t.Errorf("a key beyond the bounds, %s: %+v, %v", name, list, err)
		}
	}
}

// message is a message of format 0 or 1.
type message struct {
	offset     int64
	magic      byte
	attributes byte
	time       int64
	key, value []byte
	wrongCRC   bool
	size       *int32
}

func (m message) bytes() []byte {
	b := []byte{m.magic, m.attributes}
	if m.magic == 1 {
		b = binary.BigEndian.AppendUint64(b, uint64(m.time))
	}
	for _, f := range [][]byte{m.key, m.value} {
		n := int32(len(f))
		if f == nil {
			n = -1
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(n)), f...)
	}
	crc := crc32.ChecksumIEEE(b)
	if m.wrongCRC {
		crc++
	}
	b = append(binary.BigEndian.AppendUint32(nil, crc), b...)
	out := binary.BigEndian.AppendUint64(nil, uint64(m.offset))
	return append(binary.BigEndian.AppendUint32(out, uint32(or(m.size, int32(len(b))))), b...)
}

// set returns a message whose value is a compressed set of messages.
func set(outer message, codec byte, pack func([]byte) []byte, inner ...message) message {
	var data []byte
	for _, m := range inner {
		data = append(data, m.bytes()...)
	}
	outer.attributes |= codec
	outer.value = pack(data)
	return outer
}
