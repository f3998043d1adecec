package deadletter

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"

	"convdel/consumer/internal/pass"
	"convdel/schema"
)

// The letter of a replayed record names the letter that was replayed, and replaces it. The name comes from headers of a
// record of the topic of events, and anybody who may publish can forge them to hide another letter. So the name is a claim,
// and the two letters must prove it: a replay publishes the same key, value and headers, with the time of the first record,
// and one replay more. If a forged record fulfils that, it asks for the same delete of the same age, so hiding the older
// letter loses nothing.

// maxProvenReplays bounds how many letters one letter can replace.
const maxProvenReplays = 1000

// proof is the part of a letter that proves a replay.
type proof struct {
	// source is a hash of what a replay keeps of the source record. It is so long that nobody finds another record with the
	// same hash.
	source [16]byte
	// of is the letter whose replay the source record claims to be. It means nothing if replays is 0.
	of      letterKey
	replays int32
}

// proves returns true if the letter's source record is a replay of the old letter's.
func (p proof) proves(old proof) bool {
	return p.source == old.source && p.replays > 0 && p.replays <= maxProvenReplays && p.replays == old.replays+1
}

// proofOf reads a letter. ok is false if the letter lacks a part of its source record.
func (ix *index) proofOf(l *Letter) (p proof, ok bool) {
	if l.Omitted != nil || l.Batch != nil {
		return proof{}, false
	}
	h := sha256.New()
	pass.HashSource(h, schema.Record{Key: l.Key, Value: l.Value, Headers: l.Headers})
	var at [12]byte
	binary.BigEndian.PutUint64(at[:], uint64(l.Timestamp.Unix()))        //nolint:gosec // only to be compared
	binary.BigEndian.PutUint32(at[8:], uint32(l.Timestamp.Nanosecond())) //nolint:gosec // below a billion
	_, _ = h.Write(at[:])
	copy(p.source[:], h.Sum(nil))
	p.replays = int32(min(l.Replays, math.MaxInt32)) //nolint:gosec // bounded
	if l.ReplayOf != "" {
		p.of = ix.key(l.ReplayOf)
	}
	return p, true
}

// prove checks the letters' claims. It reads the letters on both sides of each claim once more. Afterwards the index's
// replaces holds only true claims, and letters that are replaced are not among the open ones.
func (t *Table) prove(ctx context.Context, ix *index) error {
	ix.dropIdleClaims()
	ix.dropCycles()
	proofs, err := t.proofs(ctx, ix)
	if err != nil {
		return err
	}
	ix.dropUnproven(proofs)
	ix.shareOut()
	ix.hideReplaced()
	return nil
}

// dropIdleClaims drops claims by letters or about letters that are not open, and claims about letters of other topics.
func (ix *index) dropIdleClaims() {
	for key, old := range ix.replaces {
		_, open := ix.open[key]
		if _, oldOpen := ix.open[old]; !open || !oldOpen || old == key || old.topic != key.topic {
			delete(ix.replaces, key)
		}
	}
}

// dropCycles drops the claims of letters that claim each other, in a ring of any length: no replay comes before itself.
// Each letter makes at most one claim, so every walk along the claims ends, or runs into a ring.
func (ix *index) dropCycles() {
	walks := make(map[letterKey]int, len(ix.replaces)) // the walk in which a letter was first met
	var rings []letterKey
	walk := 0
	for start := range ix.replaces {
		walk++
		key, more := start, true
		for more && walks[key] == 0 {
			walks[key] = walk
			key, more = ix.next(key)
		}
		if !more || walks[key] != walk {
			continue
		}
		for first := key; ; {
			rings = append(rings, key)
			if key, _ = ix.next(key); key == first {
				break
			}
		}
	}
	for _, key := range rings {
		delete(ix.replaces, key)
	}
}

func (ix *index) next(key letterKey) (letterKey, bool) {
	old, ok := ix.replaces[key]
	return old, ok
}

// proofs reads the letters on both sides of each claim.
func (t *Table) proofs(ctx context.Context, ix *index) (map[letterKey]proof, error) {
	keys := make(map[letterKey]bool, 2*len(ix.replaces))
	for key, old := range ix.replaces {
		keys[key], keys[old] = true, true
	}
	cursors := make([]*cursor, t.partitions)
	for p := range cursors {
		cursors[p] = &cursor{t: t, partition: p}
	}
	for key := range keys {
		at := ix.open[key]
		cursors[at.partition].want(at.offset, key)
	}
	proofs := make(map[letterKey]proof, len(keys))
	for _, c := range cursors {
		c.sort()
		for {
			if err := c.fill(ctx, ix); err != nil {
				return nil, err
			}
			if len(c.ready) == 0 {
				break
			}
			for _, l := range c.takeAll() {
				if p, ok := ix.proofOf(l); ok {
					proofs[l.key] = p
				}
			}
		}
	}
	return proofs, nil
}

func (ix *index) dropUnproven(proofs map[letterKey]proof) {
	for key, old := range ix.replaces {
		newer, ok := proofs[key]
		older, okOld := proofs[old]
		if !ok || !okOld || newer.of != old || !newer.proves(older) {
			delete(ix.replaces, key)
		}
	}
}

// shareOut leaves each replaced letter to one of the letters that replace it. There are several if it was replayed twice.
// It is settled once, with the chosen one.
func (ix *index) shareOut() {
	heirs := make(map[letterKey]letterKey, len(ix.replaces))
	for key, old := range ix.replaces {
		if other, taken := heirs[old]; !taken || key.compare(other) < 0 {
			heirs[old] = key
		}
	}
	for key, old := range ix.replaces {
		if heirs[old] != key {
			delete(ix.replaces, key)
		}
	}
}

func (k letterKey) compare(other letterKey) int {
	return cmp.Or(cmp.Compare(k.topic, other.topic), cmp.Compare(k.partition, other.partition), cmp.Compare(k.offset, other.offset))
}

// hideReplaced removes replaced letters from the open ones, but keeps their positions, since they are settled together with
// the letter that replaces them.
func (ix *index) hideReplaced() {
	for _, old := range ix.replaces {
		if at, open := ix.open[old]; open {
			ix.elsewhere[old] = append(ix.elsewhere[old], at)
			delete(ix.open, old)
			ix.replaced++
		}
	}
}
