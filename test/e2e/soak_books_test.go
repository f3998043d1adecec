//go:build kafka && soak

package e2e

import (
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/internal/testkit"
	"convdel/schema"
)

// books record what was published and how it ended, in a few bytes for each record.
type books struct {
	mu            sync.Mutex
	conversations map[string]*account
	letters       map[string]expected // Expected dead letters by key.
	published     int
	pending       int // Conversations with an event since their last delete.
	deleted       int
	repeated      int // Deletes in excess of one for each event.
	refused       []error
}

// account is the state of one conversation.
type account struct {
	kind      *kind
	published time.Time // When its last event was published.
	called    time.Time // When the last successful call for it arrived.
	events    int
	deletes   int
}

// expected describes an expected dead letter.
type expected struct {
	kind  *kind
	value uint64
}

func newBooks() *books {
	return &books{conversations: make(map[string]*account), letters: make(map[string]expected)}
}

// publish notes an event that is about to be published.
func (b *books) publish(name string, k *kind) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.published++
	if name == "" {
		return
	}
	a := b.conversations[name]
	if a == nil {
		a = &account{kind: k}
		b.conversations[name] = a
	}
	if k.class == "" && !a.pending() {
		b.pending++
	}
	a.events++
	a.published = time.Now()
}

// acknowledge notes the partition and offset that the broker has given a record.
func (b *books) acknowledge(r *kgo.Record, k *kind, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.refused = append(b.refused, err)
		return
	}
	if k.class != "" {
		b.letters[fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)] = expected{kind: k, value: digest(r.Value)}
	}
}

// delete notes a call that has deleted a conversation.
func (b *books) delete(name string, arrived time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deleted++
	a := b.conversations[name]
	if a == nil {
		a = &account{}
		b.conversations[name] = a
	}
	was := a.pending()
	a.deletes++
	if arrived.After(a.called) {
		a.called = arrived
	}
	if was && !a.pending() {
		b.pending--
	}
	if a.deletes > a.events {
		b.repeated++
	}
}

// pending returns true if an event may not have been executed: no call has begun since it was published.
func (a *account) pending() bool { return a.events > 0 && !a.called.After(a.published) }

func (b *books) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pending
}

func (b *books) repeats() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.repeated
}

func (b *books) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprintf("published %d, deleted %d (%d again), %d pending, letters due %d", b.published, b.deleted, b.repeated, b.pending, len(b.letters))
}

// due returns how many expected dead letters are missing.
func (b *books) due(table map[string]*kgo.Record) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for key := range b.letters {
		if table[key] == nil {
			n++
		}
	}
	return n
}

// check compares the books, which are closed by now, with the dead-letter table, and returns the differences.
func (b *books) check(table map[string]*kgo.Record) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var wrong []string
	for _, err := range b.refused {
		wrong = append(wrong, fmt.Sprintf("a record was not published: %v", err))
	}
	for _, name := range sortedKeys(b.conversations) {
		switch a := b.conversations[name]; {
		case a.kind == nil:
			wrong = append(wrong, name+" deleted, and never published")
		case a.kind.class == "" && a.pending():
			wrong = append(wrong, fmt.Sprintf("%s published at %s and not deleted since", name, a.published.Format(time.StampMilli)))
		case a.kind.class != "" && a.deletes > 0:
			wrong = append(wrong, name+" deleted, and is a dead letter")
		}
	}
	for _, key := range sortedKeys(b.letters) {
		if letter, ok := table[key]; !ok {
			wrong = append(wrong, fmt.Sprintf("no dead letter %s of %s", key, b.letters[key].kind.account))
		} else if fault := b.letters[key].fault(letter); fault != "" {
			wrong = append(wrong, fmt.Sprintf("dead letter %s of %s: %s", key, b.letters[key].kind.account, fault))
		}
	}
	for _, key := range sortedKeys(table) {
		if _, ok := b.letters[key]; !ok {
			wrong = append(wrong, fmt.Sprintf("dead letter %s that none was to become: %s %s %s %.80s", key, testkit.Header(table[key], "dlt-class"),
				testkit.Header(table[key], "dlt-code"), testkit.Header(table[key], "dlt-error"), table[key].Value))
		}
	}
	return wrong
}

// fault says how a dead letter differs from the expected one; empty if it does not.
func (e expected) fault(r *kgo.Record) string {
	var faults []string
	if class := testkit.Header(r, "dlt-class"); class != string(e.kind.class) {
		faults = append(faults, "class "+class)
	}
	// The last call of an event that keeps failing may have failed in an outage, without a code.
	if code := testkit.Header(r, "dlt-code"); code != e.kind.code && (e.kind.class != schema.ClassExhausted || code != "0") {
		faults = append(faults, "code "+code)
	}
	if digest(r.Value) != e.value {
		faults = append(faults, "other bytes")
	}
	return strings.Join(faults, ", ")
}

func digest(value []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(value)
	return h.Sum64()
}
