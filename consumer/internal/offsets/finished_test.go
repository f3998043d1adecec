package offsets

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestListLeavesOutWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	var ranges []Range
	for o := int64(2); o < 60_000; o += 3 {
		ranges = append(ranges, Range{First: o, Last: o + 1})
	}
	text := encodeFinished(0, ranges, 4000)
	if len(text) > 4000 {
		t.Fatalf("metadata of %d bytes", len(text))
	}
	got, err := decodeFinished(0, text)
	if err != nil {
		t.Fatal(err)
	}
	if whole := len(got) - 1; whole < 1000 || !slices.Equal(got[:whole], ranges[:whole]) { // the last one may be cut
		t.Fatalf("%d ranges came back, not the first ones of those given", len(got))
	}
}

// TestListAlternating: where every other offset has ended, the whole open span of a partition fits.
func TestListAlternating(t *testing.T) {
	t.Parallel()
	var ranges []Range
	for o := int64(101); o < 100+MaxSpan; o += 2 {
		ranges = append(ranges, Range{First: o, Last: o})
	}
	text := encodeFinished(100, ranges, 3700)
	got, err := decodeFinished(100, text)
	if err != nil || len(text) > 3700 || !slices.Equal(got, ranges) {
		t.Fatalf("%d bytes, %d of %d ranges came back, %v", len(text), len(got), len(ranges), err)
	}
}

// TestListReachesFurthest: where ranges reach further than bits, they are taken.
func TestListReachesFurthest(t *testing.T) {
	t.Parallel()
	var ranges []Range
	for o := int64(20); o < 4000; o += 20 {
		ranges = append(ranges, Range{First: o, Last: o})
	}
	got, err := decodeFinished(0, encodeFinished(0, ranges, 41)) // 30 bytes: 240 bits, or 15 ranges
	if err != nil || len(got) != 15 {
		t.Fatalf("%d ranges came back, %v", len(got), err)
	}
}

// FuzzDecodeFinished: whatever is in the metadata, no offset at or below the watermark is taken for
// ended, and ranges ascend.
func FuzzDecodeFinished(f *testing.F) {
	f.Add(int64(0), "r")
	f.Add(int64(7), "rAQI")
	f.Add(int64(1<<62), "r////////fwE")
	f.Add(int64(3), "r!!")
	f.Add(int64(9), "bqqqq")
	f.Add(int64(1<<63-2), "bqqqq")
	f.Add(int64(1), "é")
	f.Fuzz(func(t *testing.T, watermark int64, metadata string) {
		if watermark < 0 {
			return
		}
		ranges, err := decodeFinished(watermark, metadata)
		if err != nil {
			return
		}
		last := watermark
		for _, r := range ranges {
			if r.First <= last || r.Last < r.First {
				t.Fatalf("ranges %v behind %d", ranges, watermark)
			}
			last = r.Last
		}
	})
}

// listed reads a list offset by offset, as the comment on its two forms defines it.
func listed(t *rapid.T, watermark int64, list string) map[int64]bool {
	all := map[int64]bool{}
	if list == "" {
		return all
	}
	raw, err := base64.RawStdEncoding.DecodeString(list[1:])
	if err != nil {
		t.Fatal(err)
	}
	if list[0] == 'b' {
		for i := range raw {
			for bit := range 8 {
				if raw[i]>>bit&1 == 1 {
					all[watermark+int64(8*i+bit)] = true
				}
			}
		}
		return all
	}
	for end := watermark; len(raw) > 0; {
		gap, n := binary.Uvarint(raw)
		length, m := binary.Uvarint(raw[n:])
		raw = raw[n+m:]
		for o := end + int64(gap); o <= end+int64(gap)+int64(length); o++ {
			all[o] = true
		}
		end += int64(gap + length)
	}
	return all
}

// TestListAgainstModel writes any list with any limit of bytes, and reads it by the comment on its two forms: the listed
// offsets have ended, they are the lowest such offsets, and the decoder reads the same ones.
func TestListAgainstModel(t *testing.T) {
	t.Parallel()
	forms := map[byte]int{}
	rapid.Check(t, func(t *rapid.T) {
		watermark := rapid.OneOf(rapid.Int64Range(0, 300), rapid.Int64Range(0, 1<<62)).Draw(t, "watermark")
		widest := rapid.SampledFrom([]int64{2, 3, 300, 1 << 30}).Draw(t, "widest gap")
		var ranges []Range
		for from := watermark; len(ranges) < 400 && rapid.IntRange(0, 50).Draw(t, "end") > 0; from = ranges[len(ranges)-1].Last + 1 {
			first := from + rapid.Int64Range(1, widest).Draw(t, "gap")
			ranges = append(ranges, Range{First: first, Last: first + rapid.Int64Range(0, 4).Draw(t, "length")})
		}
		room := rapid.IntRange(-1, 400).Draw(t, "room")
		list := encodeFinished(watermark, ranges, room)
		if len(list) > max(0, room) {
			t.Fatalf("%d bytes in a room of %d", len(list), room)
		}
		got := listed(t, watermark, list)
		missing := false
		for _, r := range ranges {
			for o := r.First; o <= r.Last; o++ {
				if missing && got[o] {
					t.Fatalf("%q lists %d, and not a lower one", list, o)
				}
				missing = missing || !got[o]
				delete(got, o)
			}
		}
		if len(got) > 0 {
			t.Fatalf("%q lists %v, which have not ended", list, got)
		}
		if enough := 2 + 28*len(ranges); missing && room >= enough {
			t.Fatalf("%q leaves out something in a room of %d", list, room)
		}
		decoded, err := decodeFinished(watermark, list)
		if err != nil {
			t.Fatal(err)
		}
		want := listed(t, watermark, list)
		for o := range offsetsOf(decoded) {
			if !want[o] {
				t.Fatalf("%q does not list %d", list, o)
			}
			delete(want, o)
		}
		if len(want) > 0 {
			t.Fatalf("%q lists %v besides", list, want)
		}
		if list != "" {
			forms[list[0]]++
		}
	})
	if forms['r'] == 0 || forms['b'] == 0 {
		t.Errorf("not both forms were tried: %v", forms)
	}
}

// TestCorruptList: a list that can't be right is refused as a whole, and the error names the watermark of the commit.
func TestCorruptList(t *testing.T) {
	t.Parallel()
	varints := func(numbers ...uint64) string {
		var raw []byte
		for _, n := range numbers {
			raw = binary.AppendUvarint(raw, n)
		}
		return asRanges + base64.RawStdEncoding.EncodeToString(raw)
	}
	bits := func(raw ...byte) string { return asBits + base64.RawStdEncoding.EncodeToString(raw) }
	for _, test := range []struct {
		name      string
		watermark int64
		list      string
		why       error
	}{
		{"another form", 5, "xAQI", errForm},
		{"not ASCII", 5, "é", nil},
		{"not base64", 5, "r!!", nil},
		{"padded", 5, "rAQ==", nil},
		{"a number alone", 5, varints(1), errShort},
		{"a gap cut short", 5, asRanges + base64.RawStdEncoding.EncodeToString([]byte{1, 1, 0x80}), errShort},
		{"a number cut short", 5, asRanges + base64.RawStdEncoding.EncodeToString([]byte{1, 0x80}), errShort},
		{"a number of more than 64 bits", 5, asRanges + base64.RawStdEncoding.EncodeToString([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x01")), errShort},
		{"the watermark", 5, varints(0, 1), errOrder},
		{"the same offset twice", 5, varints(2, 1, 0, 1), errOrder},
		{"a gap beyond 64 bits", 5, varints(math.MaxUint64, 1), errOrder},
		{"a first offset beyond 63 bits", math.MaxInt64 - 1, varints(2, 0), errOrder},
		{"a last offset beyond 63 bits", math.MaxInt64 - 2, varints(1, 2), errOrder},
		{"a good range before a bad one", 5, varints(1, 1, 0, 0), errOrder},
		{"the watermark's bit", 5, bits(0b11), errOrder},
		{"bits beyond 63 bits", math.MaxInt64 - 7, bits(0b10), errOrder},
	} {
		ranges, err := decodeFinished(test.watermark, test.list)
		refused, is := errors.AsType[*ListError](err)
		if !is || ranges != nil || refused.Watermark != test.watermark || test.why != nil && !errors.Is(err, test.why) {
			t.Errorf("%s: %v, %v", test.name, ranges, err)
		}
	}
}

// TestListsAsWritten: commits of former versions hold lists in these forms, so they are read for ever.
func TestListsAsWritten(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]Range{
		"":         nil,
		"r":        nil,
		"b":        nil,
		"rAQI":     {{151, 153}},
		"rAQICAA":  {{151, 153}, {155, 155}},
		"rgAGAAQ":  {{278, 406}},
		"bAg":      {{151, 151}},
		"bqqo":     {{151, 151}, {153, 153}, {155, 155}, {157, 157}, {159, 159}, {161, 161}, {163, 163}, {165, 165}},
		"bgIE":     {{157, 158}, {165, 165}},
		"bAAAAAAA": nil,
	} {
		got, err := decodeFinished(150, list)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", list, got, err, want)
		}
	}
}
