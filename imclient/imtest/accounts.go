package imtest

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Conversation is an entry of an account's list of conversations.
type Conversation struct {
	// Type is 1 for a conversation of two, 2 for a group.
	Type int
	// To is the other account, or the group's ID.
	To string
	// MsgTime is the time of the last message, in whole seconds. A zero time is an empty conversation, which is shown only to calls
	// that ask for empty ones (AssistFlags, bit 1).
	MsgTime time.Time
	// Pinned conversations come before the others if the call asks for that (bit 0), in pages if it asks for that too (bit 2).
	Pinned bool
}

const (
	// maxSeeded is how many conversations the name of an account can ask for.
	maxSeeded = 10_000
	// maxSeededInAll is how many conversations all such accounts have together. Beyond it all of these accounts begin again.
	maxSeededInAll = 200_000
)

// accounts holds the conversations of accounts.
type accounts struct {
	mu sync.Mutex
	// of has the conversations of each account that has been told any, and of those whose name asks for some, once they are used.
	of map[string]map[conversation]Conversation
	// seeded are the accounts that have conversations only because of their names. seededInAll is how many they began with.
	seeded      map[string]bool
	seededInAll int
}

// SetConversations replaces an account's conversations. Without any, it is an account without conversations, whatever its name.
func (s *Server) SetConversations(account string, list ...Conversation) {
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	s.accounts.keep(account, make(map[conversation]Conversation, len(list)))
	s.accounts.add(account, list)
}

// AddConversations adds to an account's conversations. One that is there already is replaced, which is how a message arrives.
func (s *Server) AddConversations(account string, list ...Conversation) {
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	s.accounts.keep(account, s.accounts.get(account, s.now()))
	s.accounts.add(account, list)
}

// Conversations returns all conversations of an account, those beyond the limit of lists too, the most recent first.
func (s *Server) Conversations(account string) []Conversation {
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	return inOrder(s.accounts.get(account, s.now()))
}

// keep makes conversations those of an account that was told some.
func (a *accounts) keep(account string, all map[conversation]Conversation) {
	if a.of == nil {
		a.of = make(map[string]map[conversation]Conversation)
	}
	if all == nil {
		all = make(map[conversation]Conversation)
	}
	a.of[account] = all
	delete(a.seeded, account)
}

func (a *accounts) add(account string, list []Conversation) {
	for _, c := range list {
		c.MsgTime = c.MsgTime.Truncate(time.Second)
		a.of[account][conversation{from: account, to: c.To, kind: c.Type}] = c
	}
}

// get returns the conversations of an account. It makes those that the account's name asks for.
func (a *accounts) get(account string, now time.Time) map[conversation]Conversation {
	all, known := a.of[account]
	count := namedConversations(account)
	if known || count == 0 {
		return all
	}
	if a.seededInAll+count > maxSeededInAll {
		for name := range a.seeded {
			delete(a.of, name)
		}
		a.seeded, a.seededInAll = nil, 0
	}
	a.keep(account, make(map[conversation]Conversation, count))
	a.add(account, seed(count, now))
	if a.seeded == nil {
		a.seeded = make(map[string]bool)
	}
	a.seeded[account] = true
	a.seededInAll += count
	return a.of[account]
}

// namedConversations is how many conversations an account's name asks for: "has-250-alice" for 250.
func namedConversations(account string) int {
	text, ok := strings.CutPrefix(account, "has-")
	if !ok {
		return 0
	}
	text, _, _ = strings.Cut(text, "-")
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0
	}
	return int(min(n, maxSeeded))
}

// seed makes conversations, the last message of each a minute before that of the one before it. Every fourth is a group's, every
// fiftieth is pinned.
func seed(count int, now time.Time) []Conversation {
	list := make([]Conversation, count)
	for i := range list {
		number := strconv.Itoa(i + 1)
		c := Conversation{Type: 1, To: "peer-" + number, MsgTime: now.Add(-time.Duration(i) * time.Minute), Pinned: i%50 == 49}
		if i%4 == 3 {
			c.Type, c.To = 2, "group-"+number
		}
		list[i] = c
	}
	return list
}

// remove deletes a conversation. It does nothing if there is none.
func (a *accounts) remove(which conversation, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.get(which.from, now), which)
}

// inOrder returns conversations with the most recent first.
func inOrder(all map[conversation]Conversation) []Conversation {
	return slices.SortedFunc(maps.Values(all), func(a, b Conversation) int {
		return cmp.Or(b.MsgTime.Compare(a.MsgTime), cmp.Compare(a.Type, b.Type), cmp.Compare(a.To, b.To))
	})
}

// These are the bits of AssistFlags that the simulator knows.
const (
	flagPinned = 1 << iota
	flagEmpty
	flagPagedPinned
)

// listing is what a call for a page asks for: the cursors and flags of its body.
type listing struct {
	time, start, topTime, topStart int64
	flags                          int64
}

// item is an entry of a page. An entry has one of the names of the other side.
type item struct {
	Type    int
	To      string `json:"To_Account,omitempty"`
	Group   string `json:"GroupId,omitempty"`
	MsgTime int64
	TopFlag int
}

// page returns the API's JSON for a page. A cursor is how many conversations the pages before it have shown, and the time of the first
// page. So a conversation that gets a message, or goes, between two pages moves others to a page where they are shown twice, or not at all.
func (s *Server) page(account string, l listing) []byte {
	rest, pinned := s.shown(account, l.flags)
	l.start, l.topStart = min(l.start, int64(len(rest))), min(l.topStart, int64(len(pinned)))
	rest, pinned = rest[l.start:], pinned[l.topStart:]
	top := pinned
	if l.flags&flagPagedPinned != 0 {
		top = top[:min(s.cfg.PageSize, len(top))]
	}
	others := rest[:min(max(0, s.cfg.PageSize-len(top)), len(rest))]
	if l.time == 0 {
		l.time = s.now().Unix()
	}
	answer := struct {
		SessionItem             []item
		CompleteFlag            int
		TimeStamp, StartIndex   int64
		TopTimeStamp            int64
		TopStartIndex           int64
		ActionStatus            string
		ErrorCode               int
		ErrorInfo, ErrorDisplay string
	}{
		SessionItem: []item{}, ActionStatus: "OK",
		TimeStamp: l.time, StartIndex: l.start + int64(len(others)), TopTimeStamp: l.time, TopStartIndex: l.topStart + int64(len(top)),
	}
	if len(others) == len(rest) && len(top) == len(pinned) {
		answer.CompleteFlag = 1
	}
	for _, c := range slices.Concat(top, others) {
		answer.SessionItem = append(answer.SessionItem, itemOf(c))
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return []byte(success) // numbers and strings always marshal
	}
	return text
}

// shown returns the conversations that an account's lists show: the ordinary and the pinned ones.
func (s *Server) shown(account string, flags int64) (ordinary, pinned []Conversation) {
	all := s.Conversations(account)
	if flags&flagEmpty == 0 {
		all = slices.DeleteFunc(all, func(c Conversation) bool { return c.MsgTime.IsZero() })
	}
	for _, c := range all[:min(s.cfg.ListLimit, len(all))] {
		if c.Pinned && flags&flagPinned != 0 {
			pinned = append(pinned, c)
		} else {
			c.Pinned = false
			ordinary = append(ordinary, c)
		}
	}
	return ordinary, pinned
}

func itemOf(c Conversation) item {
	i := item{Type: c.Type, To: c.To}
	if c.Type == 2 {
		i.To, i.Group = "", c.To
	}
	if !c.MsgTime.IsZero() {
		i.MsgTime = c.MsgTime.Unix()
	}
	if c.Pinned {
		i.TopFlag = 1
	}
	return i
}
