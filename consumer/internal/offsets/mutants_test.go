//go:build mutants

package offsets

import (
	"testing"

	"convdel/internal/testkit/mutation"
)

// TestMutantsApply: each broken rule still replaces something, and compiles.
func TestMutantsApply(t *testing.T) {
	t.Parallel()
	mutation.Apply(t, mutants())
}

// TestMutants: the package's tests notice each broken rule.
func TestMutants(t *testing.T) {
	t.Parallel()
	mutation.Notice(t, "consumer/internal/offsets", mutants())
}

func mutants() []mutation.Mutant {
	return mutation.InPackage("consumer/internal/offsets", [][4]string{
		{"a tracker restarts behind delivered records", "tracker.go", "	if t.tail > 0 {\n		return false\n	}\n", ""},
		{"a tracker that restarts keeps what was inherited", "tracker.go", "position: position, lastRead: NothingRead(), changed: true}", "position: position, inherited: t.inherited, lastRead: NothingRead(), changed: true}"},
		{"a tracker that restarts reports no change", "tracker.go", "lastRead: NothingRead(), changed: true}", "lastRead: NothingRead()}"},
		{"nothing is inherited", "tracker.go", "position: from.Watermark, inherited: from.Finished, lastRead", "position: from.Watermark, lastRead"},
		{"the epoch of what was read is not inherited", "tracker.go", "lastRead: from.LastRead}", "lastRead: NothingRead()}"},
		{"a range that ends before an offset has it", "tracker.go", "t.inherited[0].Last < offset {", "t.inherited[0].Last < offset-1 {"},
		{"the last offset of a range is not finished", "tracker.go", "t.inherited[0].Last < offset {", "t.inherited[0].Last <= offset {"},
		{"the first offset of a range is not finished", "tracker.go", "offset >= t.inherited[0].First", "offset > t.inherited[0].First"},
		{"what is before a range is finished", "tracker.go", "	return len(t.inherited) > 0 && offset >= t.inherited[0].First", "	return len(t.inherited) > 0"},
		{"the ring overflows", "tracker.go", "	if t.tail-t.head == uint64(len(t.entries)) {", "	if t.tail-t.head == uint64(len(t.entries))+1 {"},
		{"delivery does not move the position", "tracker.go", "	t.position = max(t.position, offset+1)\n", ""},
		{"delivery is not read", "tracker.go", "	t.read = max(t.read, offset+1)\n", ""},
		{"a passed record is not read", "tracker.go", "	t.read = max(t.read, position)\n", ""},
		{"the position goes back", "tracker.go", "	if position <= t.position {\n		return\n	}\n", ""},
		{"skipping changes nothing", "tracker.go", "	if t.head == t.tail {\n		t.changed = true\n	}\n", ""},
		{"skipping always changes", "tracker.go", "	if t.head == t.tail {\n		t.changed = true\n	}\n", "	t.changed = true\n"},
		{"an end changes nothing", "tracker.go", "ended = true\n	t.changed = true\n", "ended = true\n"},
		{"the watermark waits for the last record", "tracker.go", "t.head < t.tail && t.at(t.head).ended {", "t.head+1 < t.tail && t.at(t.head).ended {"},
		{"the watermark passes what has not ended", "tracker.go", "t.head < t.tail && t.at(t.head).ended {", "t.head < t.tail && (t.at(t.head).ended || t.at(t.tail-1).ended) {"},
		{"a span always shrinks", "tracker.go", "	return t.head != before\n", "	return t.head >= before\n"},
		{"a span is one more", "tracker.go", "return int(t.tail - t.head) }", "return int(t.tail-t.head) + 1 }"},
		{"the watermark is the offset behind the last one", "tracker.go", "	if t.head == t.tail {\n		return t.position\n", "	if t.head == t.tail {\n		return t.read\n"},
		{"an inherited list's epoch is forgotten", "tracker.go", "	if t.read == 0 || last >= 0 && t.inherited[last].Last >= t.position {", "	if t.read == 0 || last >= 0 && t.read == 0 {"},
		{"an inherited epoch stays", "tracker.go", "	if t.read == 0 || last >= 0 && t.inherited[last].Last >= t.position {", "	if t.read >= 0 || last >= 0 {"},
		{"an unknown epoch has an end", "tracker.go", "	if own.Epoch < 0 {\n		return NothingRead()\n	}\n", ""},
		{"every snapshot changes", "tracker.go", "	changed, t.changed = t.changed, false\n", "	changed = true\n"},
		{"no snapshot changes", "tracker.go", "	changed, t.changed = t.changed, false\n", "	t.changed = false\n"},
		{"an inherited list is committed as it was", "tracker.go", "		r.First = max(r.First, t.position)\n", ""},
		{"an inherited list is dropped", "tracker.go", "			now.Finished = append(now.Finished, r)\n", ""},
		{"an inherited range behind the position is committed", "tracker.go", "		case r.Last < t.position:\n", "		case r.Last < t.position-1:\n"},
		{"the watermark stays below an inherited range", "tracker.go", "			now.Watermark = r.Last + 1\n", "			_ = r.Last\n"},
		{"an inherited range moves the watermark too little", "tracker.go", "			now.Watermark = r.Last + 1\n", "			now.Watermark = r.Last\n"},
		{"an epoch behind what was read", "tracker.go", "	if now.Watermark <= t.read {\n", "	{\n"},
		{"a failed commit is not repeated", "tracker.go", "func (t *Tracker) NotCommitted() { t.changed = true }", "func (t *Tracker) NotCommitted() {}"},
		{"ranges span what has not ended", "tracker.go", "		case !e.ended:\n			open = false\n", "		case !e.ended:\n"},
		{"ranges are of one record", "tracker.go", "			open = true\n", ""},
		{"a ring that grows loses its order", "tracker.go", "		bigger[n%uint64(len(bigger))] = *t.at(n)\n", "		bigger[n%uint64(len(t.entries))] = *t.at(n)\n"},
		{"what has ended is unfinished", "tracker.go", "	t.open--\n", ""},
		{"what is read again is unfinished twice", "tracker.go", "max(0, min(r.Last+1, end)-max(r.First, t.position))", "max(0, min(r.Last+1, end)-r.First)"},
		{"what is inherited is unfinished", "tracker.go", "	return int64(t.open) + unread\n", "	return int64(t.open) + max(0, end-t.position)\n"},
		{"the first record is the oldest", "tracker.go", "!e.ended && (!ok || e.at < at)", "!e.ended && !ok"},
		{"what has ended is the oldest", "tracker.go", "!e.ended && (!ok || e.at < at)", "(!ok || e.at < at)"},

		{"a list is longer than its room", "finished.go", "DecodedLen(max(0, room-len(asRanges)))", "DecodedLen(max(0, room))"},
		{"a gap is from a range's first offset", "finished.go", "		from = r.Last\n	}\n	if len(buf) == 0 {", "		from = r.First\n	}\n	if len(buf) == 0 {"},
		{"a range that does not fit is cut", "finished.go", "			buf = buf[:fits]\n", "			_ = fits\n			buf = buf[:most]\n"},
		{"bits are not tried", "finished.go", "			if r.First-watermark < int64(8*most) {", "			if r.First-watermark < 0 {"},
		{"bits are tried where they reach less far", "finished.go", "			if r.First-watermark < int64(8*most) {", "			if r.First-watermark < int64(64*most) {"},
		{"a bit is behind its offset", "finished.go", "			at := int(o - watermark)\n", "			at := int(o-watermark) - 1\n"},
		{"the bits end early", "finished.go", "			used = at/8 + 1\n", "			used = at / 8\n"},
		{"an unknown form is ranges", "finished.go", "	return nil, errForm\n", "	return decodeRanges(watermark, buf)\n"},
		{"an unknown form is empty", "finished.go", "	return nil, errForm\n", "	return nil, nil\n"},
		{"a short gap is nothing", "finished.go", "		if n <= 0 {\n			return nil, errShort\n		}\n", "		if n < 0 {\n			return nil, errShort\n		}\n		if n == 0 {\n			return ranges, nil\n		}\n"},
		{"a short length is nothing", "finished.go", "		if m <= 0 {\n", "		if m < 0 {\n"},
		{"the watermark may have ended", "finished.go", "		if gap == 0 || first <= from || last < first {", "		if first < from || last < first {"},
		{"a first offset may overflow", "finished.go", "		if gap == 0 || first <= from || last < first {", "		if gap == 0 || last < first {"},
		{"a last offset may overflow", "finished.go", "		if gap == 0 || first <= from || last < first {", "		if gap == 0 || first <= from {"},
		{"the watermark's bit may be set", "finished.go", "	if len(bits) > 0 && bits[0]&1 != 0 || watermark", "	if watermark"},
		{"bits may overflow", "finished.go", " || watermark > math.MaxInt64-int64(8*len(bits)) {", " && watermark <= math.MaxInt64-int64(8*len(bits)) {"},
		{"bits do not make ranges", "finished.go", "ranges[n-1].Last == o-1 {", "ranges[n-1].Last == o {"},

		{"a list takes the room of the stamp", "stamp.go", "maxMetadata-len(s.text())-len(\" done=\"))", "maxMetadata-len(\" done=\"))"},
		{"a list takes a byte too many", "stamp.go", "maxMetadata-len(s.text())-len(\" done=\"))", "maxMetadata-len(s.text()))"},
		{"brokers take more", "stamp.go", "maxMetadata = 4096", "maxMetadata = 5000"},
		{"a former list takes room", "stamp.go", "	s.List = \"\"\n	s.List = encode", "	s.List = encode"},
		{"no list is one", "stamp.go", "	case NoList:\n		s.List = \"\"\n", "	case NoList:\n"},
		{"a topic alone has all", "stamp.go", "		s = Unstamped()\n		s.Topic = topic\n", "		s.Topic = topic\n"},
		{"a topic alone is nothing", "stamp.go", "		s = Unstamped()\n		s.Topic = topic\n", "		_ = topic\n		s = Unstamped()\n"},
		{"nothing is something", "stamp.go", "	case Nothing:\n		return \"\"\n", "	case Nothing:\n		s = Unstamped()\n"},
		{"no number of partitions is one", "stamp.go", "	if s.Partitions > 0 {", "	if s.Partitions >= 0 {"},
		{"an unknown offset is written", "stamp.go", "	if s.Offset >= 0 {", "	if s.Offset >= -1 {"},
		{"the offset 0 is not written", "stamp.go", "	if s.Offset >= 0 {", "	if s.Offset > 0 {"},
		{"an unknown epoch is written", "stamp.go", "	if s.LastRead.Epoch >= 0 {", "	if s.LastRead.Epoch >= -1 {"},
		{"the epoch 0 is not written", "stamp.go", "	if s.LastRead.Epoch >= 0 {", "	if s.LastRead.Epoch > 0 {"},
		{"former metadata has no topic", "stamp.go", "		s.Topic = readTopicID(former)\n		return s\n", "		_ = former\n		return s\n"},
		{"other metadata is read", "stamp.go", "	if words[0] != stampWord {\n		return s\n	}\n", ""},
		{"a stamp of another offset counts", "stamp.go", "	if s.Offset != offset || s.Partition != partition {", "	if s.Partition != partition {"},
		{"a stamp of another partition counts", "stamp.go", "	if s.Offset != offset || s.Partition != partition {", "	if s.Offset != offset {"},
		{"a stamp of another offset has an epoch", "stamp.go", "		s.Partition, s.Offset, s.LastRead, s.List = -1, -1, NothingRead(), \"\"", "		s.Partition, s.Offset, s.List = -1, -1, \"\""},
		{"a stamp of another offset has a list", "stamp.go", "		s.Partition, s.Offset, s.LastRead, s.List = -1, -1, NothingRead(), \"\"", "		s.Partition, s.Offset, s.LastRead = -1, -1, NothingRead()"},
		{"a negative number is one", "stamp.go", "	if err != nil || n < 0 {", "	if err != nil {"},
		{"a number may be too large", "stamp.go", "	n, err := strconv.ParseInt(text, 10, bits)", "	n, err := strconv.ParseInt(text, 10, max(64, bits))"},
		{"the word that stamps begin with is another", "stamp.go", "stampWord = \"convdel3\"", "stampWord = \"convdel4\""},
		{"the word for the list is another", "stamp.go", "	word(\"done\", s.List)\n	return", "	word(\"list\", s.List)\n	return"},

		{"a cut leaves the watermark", "epochs.go", "Watermark: min(h.Watermark, end), LastRead", "Watermark: h.Watermark, LastRead"},
		{"a log that starts behind the cut is cut there", "epochs.go", "	end := max(found.End, logStart)\n", "	end := found.End\n	_ = logStart\n"},
		{"a cut leaves the range that it cuts", "epochs.go", "Last: min(r.Last, end-1)})", "Last: r.Last})"},
		{"a cut drops the range that it cuts", "epochs.go", "		if r.First >= end {", "		if r.Last >= end {"},
		{"a cut leaves an offset too many", "epochs.go", "Last: min(r.Last, end-1)})", "Last: min(r.Last, end)})"},
		{"an epoch begins where it ends", "epochs.go", "		if s.first < offset {\n			return s.epoch", "		if s.first <= offset {\n			return s.epoch"},
		{"all epochs are forgotten", "epochs.go", "	for len(e.steps) > 1 && e.steps[1].first < offset {", "	for len(e.steps) > 1 {"},

		{"a topic of another cluster is a former one", "topic.go", "	case committed.Cluster == now.Cluster:", "	case committed.Cluster == now.Cluster || committed.Topic != now.Topic:"},
		{"an unknown topic is another", "topic.go", "	case committed == (TopicID{}) || now == (TopicID{}) || committed == now:", "	case committed == now:"},
		{"a topic made anew is the same", "topic.go", "		return FormerTopic\n", "		return ThisTopic\n"},
		{"an ID of another length is one", "topic.go", "	if err != nil || len(raw) != 4+len(id.Topic) {", "	if err != nil || len(raw) < 4 {"},
	})
}
