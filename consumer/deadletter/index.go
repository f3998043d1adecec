package deadletter

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"

	"convdel/consumer/internal/pass"
	"convdel/consumer/internal/recordlog"
	"convdel/schema"
)

// index is the result of a pass over the topic: the positions of the open letters. It keeps some tens of bytes for each
// open letter, however large the letters are and however many are settled.
type index struct {
	// ends are the offsets at which committed reads of each partition ended when the pass began. read are those up to which
	// the index has been brought since.
	ends, read []int64
	open       map[letterKey]position
	// elsewhere holds further positions of an ID. There are some if partitions were added to the topic.
	elsewhere map[letterKey][]position
	// settled holds the newest tombstones of letters that are not open, if they were asked for.
	settled map[letterKey]tombstone
	// replaces maps a letter to the letter that it claims to replace. After prove it holds only claims that are true.
	replaces map[letterKey]letterKey
	// topics numbers the source topics' names.
	topics  map[string]int32
	names   []string
	records int
	foreign int
	// opened counts the letters in open after the pass, replaced those that are not in it because another letter replaces
	// them. unjudged counts the letters of which a filter's account can't tell.
	opened, replaced, unjudged int
	unread                     *Unread
}

// letterKey is a letter's ID.
type letterKey struct {
	topic, partition int32
	offset           int64
}

// position is a record's position in the dead-letter topic.
type position struct {
	partition int32
	offset    int64
}

func (ix *index) totals() Totals {
	return Totals{Records: ix.records, Open: ix.opened, Foreign: ix.foreign, Replaced: ix.replaced, Unjudged: ix.unjudged, Unread: ix.unread}
}

// index reads the whole topic once. It reads the letters on both sides of a claim once more.
func (t *Table) index(ctx context.Context) (*index, error) { return t.indexAll(ctx, false) }

// indexSettled does the same, and keeps the tombstones as well.
func (t *Table) indexSettled(ctx context.Context) (*index, error) { return t.indexAll(ctx, true) }

func (t *Table) indexAll(ctx context.Context, settled bool) (*index, error) {
	ix := &index{
		ends: make([]int64, t.partitions), open: make(map[letterKey]position), elsewhere: make(map[letterKey][]position),
		settled: make(map[letterKey]tombstone), replaces: make(map[letterKey]letterKey), topics: make(map[string]int32),
	}
	found := make([]*partitionIndex, t.partitions)
	err := pass.EachPartition(ctx, t.in.All(), func(ctx context.Context, p int) (err error) {
		found[p], err = t.indexPartition(ctx, p, settled)
		return err
	})
	if err != nil {
		return nil, err
	}
	for p, one := range found {
		ix.merge(int32(p), one)
		found[p] = nil
	}
	maps.DeleteFunc(ix.settled, func(key letterKey, _ tombstone) bool {
		_, open := ix.open[key]
		return open
	})
	if err := t.prove(ctx, ix); err != nil {
		return nil, err
	}
	ix.opened, ix.read = len(ix.open), slices.Clone(ix.ends)
	return ix, nil
}

// partitionIndex is the pass over one partition. The newest record of each key is the letter's state.
type partitionIndex struct {
	end              int64
	open             map[string]int64
	replaces         map[string]string
	graves           *graves // nil if tombstones are not asked for
	records, foreign int
	unread           *Unread
}

func (t *Table) indexPartition(ctx context.Context, partition int, settled bool) (*partitionIndex, error) {
	ix := &partitionIndex{open: make(map[string]int64), replaces: make(map[string]string)}
	if settled {
		ix.graves = newGraves()
	}
	span, err := t.in.Span(ctx, partition)
	if err != nil {
		return nil, err
	}
	ix.end = span.Stable
	note := func(g Gap) { t.note(&ix.unread, g) }
	if hidden := span.Hidden(partition); hidden != nil {
		note(*hidden)
	}
	_, err = t.in.Each(ctx, pass.Part{Partition: partition, From: span.First, To: span.Stable, MaxBytes: passBytes}, ix.add, note)
	return ix, err
}

func (ix *partitionIndex) add(r *recordlog.Record) error {
	ix.records++
	if r.Omitted != nil {
		ix.foreign++ // no letter is so large; its value was not read, and is not null
		return nil
	}
	id := string(r.Key)
	if r.Value == nil {
		letter, open := ix.open[id]
		ix.graves.bury(r, id, letter, open)
		delete(ix.open, id)
		delete(ix.replaces, id)
		return nil
	}
	// A record that is no letter does not change the state of the letter with the same key.
	l := readLetter(r)
	if l == nil {
		ix.foreign++
		return nil
	}
	ix.open[id] = r.Offset
	ix.graves.reopen(id)
	delete(ix.replaces, id)
	if l.ReplayOf != "" && l.ReplayOf != id {
		ix.replaces[id] = l.ReplayOf
	}
	return nil
}

func (ix *index) merge(partition int32, one *partitionIndex) {
	ix.ends[partition] = one.end
	ix.records += one.records
	ix.foreign += one.foreign
	ix.unread = ix.unread.And(one.unread)
	for id, offset := range one.open {
		key, at := ix.key(id), position{partition: partition, offset: offset}
		if other, again := ix.open[key]; again {
			ix.elsewhere[key] = append(ix.elsewhere[key], other)
		}
		ix.open[key] = at
		delete(ix.replaces, key)
		if replayed, ok := one.replaces[id]; ok {
			ix.replaces[key] = ix.key(replayed)
		}
	}
	ix.mergeGraves(partition, one.graves)
}

// key numbers an ID. A text that is no ID, an operator's typing error say, gets the key of no letter.
func (ix *index) key(id string) letterKey {
	topic, partition, offset, err := schema.ParseID(id)
	if err != nil {
		return letterKey{topic: -1}
	}
	n, ok := ix.topics[topic]
	if !ok {
		n = int32(len(ix.names)) //nolint:gosec // a handful
		ix.topics[topic] = n
		ix.names = append(ix.names, topic)
	}
	return letterKey{topic: n, partition: int32(partition), offset: offset} //nolint:gosec // ParseID bounds it
}

func (ix *index) id(k letterKey) string {
	return ix.names[k.topic] + "/" + strconv.Itoa(int(k.partition)) + "/" + strconv.FormatInt(k.offset, 10)
}

// positions are where an ID has to be settled: once in each partition that has it.
func (ix *index) positions(k letterKey) []position {
	all := slices.Clone(ix.elsewhere[k])
	if at, ok := ix.open[k]; ok {
		all = append(all, at)
	}
	slices.SortFunc(all, func(a, b position) int { return cmp.Compare(a.partition, b.partition) })
	return slices.CompactFunc(all, func(a, b position) bool { return a.partition == b.partition })
}

// chain lists the letter that k replaces, the letter that this one replaces, and so on.
func (ix *index) chain(k letterKey) []superseded {
	var all []superseded
	for old, ok := ix.replaces[k]; ok; old, ok = ix.replaces[old] {
		if at := ix.positions(old); len(at) > 0 { // none if it was settled meanwhile
			all = append(all, superseded{id: ix.id(old), positions: at})
		}
	}
	return all
}
