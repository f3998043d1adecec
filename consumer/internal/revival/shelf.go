package revival

import "time"

// maxShelved is how many conversations the lists on the shelf show together: a few megabytes. Without the shelf, events that come when
// their account's list was read already would take another list.
const maxShelved = 20_000

// shelf keeps each account's last list for as long as it serves.
type shelf struct {
	lists map[string]*List
	// order are the accounts of all lists that were put there, the oldest list first; shown is how many conversations they show.
	order []shelved
	shown int
}

type shelved struct {
	account string
	*List
}

// put keeps an account's list, and drops those that serve no longer, or have no room.
func (s *shelf) put(account string, l *List, now time.Time) {
	if s.lists == nil {
		s.lists = make(map[string]*List)
	}
	s.lists[account] = l
	s.order = append(s.order, shelved{account, l})
	s.shown += 1 + len(l.last)
	for len(s.order) > 0 && (s.shown > maxShelved || !Fresh(s.order[0].began, now)) {
		oldest := s.order[0]
		s.order[0] = shelved{}
		s.order = s.order[1:]
		s.shown -= 1 + len(oldest.last)
		if s.lists[oldest.account] == oldest.List {
			delete(s.lists, oldest.account)
		}
	}
}
