package deadletter

import (
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
	// ends is where each partition ended when the pass began.
	ends []int64
	open map[letterKey]place
	// elsewhere are further places of the same ID, after partitions were added to the topic.
	elsewhere map[letterKey][]place
	// replaces says which letter the letter of a replayed record replaces.
	replaces map[letterKey]letterKey
	// topics numbers the source topics' names.
	topics  map[string]int32
	names   []string
	records int
	foreign int
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
	return Totals{Records: ix.records, Open: len(ix.open), Foreign: ix.foreign}
}

// index reads the whole topic once.
func (t *Table) index(ctx context.Context) (*index, error) {
	ix := &index{
		ends: make([]int64, t.partitions), open: make(map[letterKey]place), elsewhere: make(map[letterKey][]place),
		replaces: make(map[letterKey]letterKey), topics: make(map[string]int32),
	}
	found := make([]*partitionIndex, t.partitions)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(passLanes)
	for p := range t.partitions {
		group.Go(func() (err error) {
			found[p], err = t.indexPartition(ctx, p)
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
	ix.dropReplaced()
	return ix, nil
}

// partitionIndex is the pass over one partition: the newest record of each key is its state.
type partitionIndex struct {
	end              int64
	open             map[string]int64
	replaces         map[string]string
	records, foreign int
}

func (t *Table) indexPartition(ctx context.Context, partition int) (*partitionIndex, error) {
	ix := &partitionIndex{open: make(map[string]int64), replaces: make(map[string]string)}
	var from int64
	err := t.retry(ctx, func() (err error) {
		if from, err = t.log.Offset(ctx, partition, kafka.FirstOffset); err == nil {
			ix.end, err = t.log.Offset(ctx, partition, kafka.LastOffset)
		}
		return err
	})
	for err == nil && from < ix.end {
		from, err = t.read(ctx, recordlog.Request{Partition: partition, Offset: from, MaxBytes: passBytes, Epoch: recordlog.NoEpoch}, ix.add)
	}
	return ix, err
}

func (ix *partitionIndex) add(r *recordlog.Record) error {
	if r.Offset >= ix.end {
		return nil
	}
	ix.records++
	id := string(r.Key)
	if r.Value == nil {
		delete(ix.open, id)
		delete(ix.replaces, id)
		return nil
	}
	replayOf, ours := inspect(r.Headers)
	if _, _, _, err := schema.ParseID(id); err != nil || !ours {
		ix.foreign++
		return nil //nolint:nilerr // another tool's record
	}
	ix.open[id] = r.Offset
	delete(ix.replaces, id)
	if replayOf != "" {
		ix.replaces[id] = replayOf
	}
	return nil
}

// inspect looks for what the pass needs to know, without reading all of it.
func inspect(headers []schema.Header) (replayOf string, ours bool) {
	for _, h := range headers {
		switch h.Key {
		case schema.HeaderClass:
			ours = true
		case schema.HeaderReplayOf:
			replayOf = string(h.Value)
		}
	}
	return replayOf, ours
}

func (ix *index) merge(partition int32, one *partitionIndex) {
	ix.ends[partition] = one.end
	ix.records += one.records
	ix.foreign += one.foreign
	for id, offset := range one.open {
		key, at := ix.key(id), place{partition: partition, offset: offset}
		if other, again := ix.open[key]; again {
			ix.elsewhere[key] = append(ix.elsewhere[key], other)
		}
		ix.open[key] = at
		if replayed, ok := one.replaces[id]; ok {
			ix.replaces[key] = ix.key(replayed)
		}
	}
}

// key numbers an ID, which is a legal one but for that of a replaced letter.
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

// dropReplaced takes letters out that a newer one replaces, but keeps their places: whoever settles the
// newer one settles them too.
func (ix *index) dropReplaced() {
	for key, old := range ix.replaces {
		if _, open := ix.open[key]; !open {
			delete(ix.replaces, key)
		} else if _, open := ix.open[old]; !open || old == key {
			delete(ix.replaces, key)
		}
	}
	for _, old := range ix.replaces {
		if at, open := ix.open[old]; open {
			ix.elsewhere[old] = append(ix.elsewhere[old], at)
			delete(ix.open, old)
		}
	}
}

// places are the partitions in which an ID has to be settled.
func (ix *index) places(k letterKey) []int {
	var all []int
	if at, ok := ix.open[k]; ok {
		all = append(all, int(at.partition))
	}
	for _, at := range ix.elsewhere[k] {
		all = append(all, int(at.partition))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// chain lists what a letter replaces, and what that replaced.
func (ix *index) chain(k letterKey) []superseded {
	var all []superseded
	for old, ok := ix.replaces[k]; ok && len(all) < len(ix.replaces); old, ok = ix.replaces[old] {
		all = append(all, superseded{id: ix.id(old), places: ix.places(old)})
	}
	return all
}
