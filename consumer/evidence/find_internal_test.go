package evidence

import (
	"io"
	"testing"

	"convdel/consumer/deadletter"
)

// TestLaterTransactionsHoldUpNoSearch: only what lay behind a transaction at the first look is waited for.
func TestLaterTransactionsHoldUpNoSearch(t *testing.T) {
	t.Parallel()
	open := func(partition int, first, last int64) deadletter.Gap {
		return deadletter.Gap{Partition: partition, First: first, Last: last}
	}
	bad := deadletter.Gap{Partition: 0, First: 3, Last: 4, Err: io.EOF}
	looks := []struct {
		gaps           []deadletter.Gap
		hidden, damage bool
	}{
		{[]deadletter.Gap{bad, open(0, 5, 9), open(1, 7, 7)}, true, true},
		{[]deadletter.Gap{open(0, 12, 20), open(1, 7, 30), open(2, 0, 5)}, true, false},
		{[]deadletter.Gap{open(0, 12, 20), open(1, 8, 30), open(2, 0, 5)}, false, false},
		{nil, false, false},
	}
	var first map[int]int64
	for i, look := range looks {
		u := &deadletter.Unread{Gaps: look.gaps}
		first = forgetLater(u, first)
		if hidden, damaged := u.Kinds(); hidden != look.hidden || damaged != look.damage {
			t.Errorf("look %d: hidden %t, damaged %t, %+v", i, hidden, damaged, u.Gaps)
		}
	}
}
