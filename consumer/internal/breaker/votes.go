package breaker

import "time"

const (
	// Most calls fail where, within voteWindow, mostShare of at least mostVotes votes are failures, or all of at least allVotes.
	// Where four of five events always fail, 18 of 20 votes are failures in one case of five, and 90 of 100 in one of 180.
	voteWindow = 10 * time.Second
	mostVotes  = 100
	mostShare  = 0.9
	allVotes   = 20
)

// votes are the votes of the last voteWindow, by tenths of it.
type votes [10]tally

// tally counts the votes of a tenth of the window.
type tally struct {
	// slot numbers the tenth, counted from the zero time of Unix.
	slot        int64
	all, failed int
}

func slotOf(now time.Time) int64 { return now.UnixNano() / int64(voteWindow/10) }

// add counts a vote.
func (v *votes) add(failed bool, now time.Time) {
	slot := slotOf(now)
	t := &v[slot%int64(len(v))]
	if t.slot != slot {
		*t = tally{slot: slot}
	}
	t.all++
	if failed {
		t.failed++
	}
}

// mostFail says whether the votes of the window say that most calls fail.
func (v *votes) mostFail(now time.Time) bool {
	oldest := slotOf(now) - int64(len(v)) + 1
	all, failed := 0, 0
	for _, t := range v {
		if t.slot >= oldest {
			all += t.all
			failed += t.failed
		}
	}
	if failed == all {
		return all >= allVotes
	}
	return all >= mostVotes && float64(failed) >= mostShare*float64(all)
}
