package deadletter

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"convdel/consumer/internal/recordlog"
	"convdel/schema"
)

// passLanes is how many partitions the pass reads at once: what a fetch decompresses to is in memory.
const passLanes = 2

// index is what a pass over the topic has found: where the open letters are. It keeps some tens of
// bytes for each, whatever their size and however many are settled.
type index struct {
	// ends is where committed reads of each partition ended when the pass began.
	ends []int64
	open map[letterKey]place
	// elsewhere are further places of the same ID, after partitions were added to the topic.
	elsewhere map[letterKey][]place
	// replaces says which letter the letter of a replayed record claims to replace, and, once that has
	// been looked into, does.
	replaces map[letterKey]letterKey
	// topics numbers the source topics' names.
	topics  map[string]int32
	names   []string
	records int
	foreign int
	// replaced counts the letters that are open and that another one stands for.
	replaced int
	unread   *Unread
}

// letterKey is an ID.
type letterKey struct {
	topic, partition int32
	offset           int64
}

// place is where in the dead-letter topic a record is.
type place struct {
	partition int32
	offset    int64
}

func (ix *index) totals() Totals {
	return Totals{Records: ix.records, Open: len(ix.open), Foreign: ix.foreign, Replaced: ix.replaced, Unread: ix.unread}
}

// index reads the whole topic once, and what claims to be replaced once more.
func (t *Table) index(ctx context.Context) (*index, error) {
	ix := &index{
		ends: make([]int64, t.partitions), open: make(map[letterKey]place), elsewhere: make(map[letterKey][]place),
		replaces: make(map[letterKey]letterKey), topics: make(map[string]int32),
	}
	found := make([]*partitionIndex, t.partitions)
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(passLanes)
	for p := range t.partitions {
		group.Go(func() (err error) {
			found[p], err = t.indexPartition(inGroup, p)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for p, one := range found {
		ix.merge(int32(p), one)
		found[p] = nil
	}
	if err := t.prove(ctx, ix); err != nil {
		return nil, err
	}
	return ix, nil
}

// partitionIndex is the pass over one partition: the newest record of each key is its state.
type partitionIndex struct {
	end              int64
	open             map[string]int64
	replaces         map[string]string
	records, foreign int
	unread           *Unread
}

func (t *Table) indexPartition(ctx context.Context, partition int) (*partitionIndex, error) {
	ix := &partitionIndex{open: make(map[string]int64), replaces: make(map[string]string)}
	var from, logEnd int64
	err := t.retry(ctx, func() (err error) {
		if from, err = t.log.Offset(ctx, partition, kafka.FirstOffset); err != nil {
			return err
		}
		// The log's own end first: what is written between the two questions is no transaction's.
		if logEnd, err = t.log.Offset(ctx, partition, kafka.LastOffset); err != nil {
			return err
		}
		ix.end, err = t.log.Stable(ctx, partition)
		return err
	})
	if err == nil && ix.end < logEnd {
		t.note(&ix.unread, Gap{Partition: partition, First: ix.end, Last: logEnd - 1})
	}
	r := recordlog.Request{Partition: partition, Offset: from, MaxBytes: passBytes, Epoch: recordlog.NoEpoch}
	for idle := 0; err == nil && r.Offset < ix.end; {
		before := r.Offset
		var gap *Gap
		if r.Offset, gap, err = t.read(ctx, r, ix.add); gap != nil {
			t.note(&ix.unread, *gap)
		}
		if r.Offset > before {
			idle = 0
		} else if idle++; err == nil {
			err = t.idle(ctx, r, idle)
		}
	}
	return ix, err
}

func (ix *partitionIndex) add(r *recordlog.Record) error {
	if r.Offset >= ix.end {
		return nil
	}
	ix.records++
	if r.Omitted != nil {
		ix.foreign++ // no letter is that large, and its value is not null but not there
		return nil
	}
	id := string(r.Key)
	if r.Value == nil {
		delete(ix.open, id)
		delete(ix.replaces, id)
		return nil
	}
	// What only looks like a letter takes no letter's place.
	l := readLetter(r)
	if l == nil {
		ix.foreign++
		return nil
	}
	ix.open[id] = r.Offset
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
	ix.unread = ix.unread.and(one.unread)
	for id, offset := range one.open {
		key, at := ix.key(id), place{partition: partition, offset: offset}
		if other, again := ix.open[key]; again {
			ix.elsewhere[key] = append(ix.elsewhere[key], other)
		}
		ix.open[key] = at
		delete(ix.replaces, key)
		if replayed, ok := one.replaces[id]; ok {
			ix.replaces[key] = ix.key(replayed)
		}
	}
}

// key numbers an ID. One that is none, as an operator can type it, is no letter's.
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

// places are where an ID has to be settled: once in each partition.
func (ix *index) places(k letterKey) []place {
	all := slices.Clone(ix.elsewhere[k])
	if at, ok := ix.open[k]; ok {
		all = append(all, at)
	}
	slices.SortFunc(all, func(a, b place) int { return cmp.Compare(a.partition, b.partition) })
	return slices.CompactFunc(all, func(a, b place) bool { return a.partition == b.partition })
}

// chain lists what a letter replaces, and what that replaced.
func (ix *index) chain(k letterKey) []superseded {
	var all []superseded
	for old, ok := ix.replaces[k]; ok; old, ok = ix.replaces[old] {
		all = append(all, superseded{id: ix.id(old), places: ix.places(old)})
	}
	return all
}
