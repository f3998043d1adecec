package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"convdel/internal/testkit"
	"convdel/schema"
)

// untrue says what is wrong in a dead letter's headers about its record and its calls; empty if all of it is true.
func (l *ledger) untrue(e *entry, d schema.DeadLetter, written time.Time) string {
	if why := originOf(e, d); why != "" {
		return why
	}
	switch {
	case d.Group != group:
		return "it names another group"
	case (d.OutcomeTopic == outcomes) != l.w.sc.outcomes || d.OutcomeHidesAccounts != (l.w.sc.outcomes && !l.w.sc.accounts):
		return fmt.Sprintf("it says that its outcome is in %q, without accounts %t", d.OutcomeTopic, d.OutcomeHidesAccounts)
	case d.Error == "":
		return "it gives no error"
	case d.Code != 0 && !strings.Contains(d.Error, strconv.Itoa(d.Code)):
		return "its error is not its code's"
	case d.Attempts == 0 && (d.Code != 0 || !d.FirstAttempt.IsZero() || !d.LastAttempt.IsZero()):
		return "it tells of attempts, and there was none"
	case d.Attempts == 0:
		return ""
	case d.FirstAttempt.Before(e.since) || d.LastAttempt.Before(d.FirstAttempt) || d.LastAttempt.After(written.Add(time.Millisecond)):
		return "its attempts are out of order"
	case d.Attempts == 1 && !d.LastAttempt.Equal(d.FirstAttempt):
		return "its only attempt has two times"
	}
	return l.unmade(e, d)
}

// originOf says what is wrong in a dead letter's headers about its source record.
func originOf(e *entry, d schema.DeadLetter) string {
	if d.ID() != e.id {
		return "it names another record"
	}
	published, replays, of := e.r.Timestamp, 0, ""
	if origin, ok := schema.Origin(testkit.Headers(e.r)); ok {
		published, replays, of = origin.Timestamp, origin.Replays, origin.ID()
	}
	switch {
	case !d.Timestamp.Equal(published):
		return fmt.Sprintf("its record is of %s", published)
	case d.Replays != replays || d.ReplayOf != of:
		return fmt.Sprintf("it is replay %d of %q", replays, of)
	}
	return ""
}

// unmade names calls that a dead letter reports and that the API has not seen. A call without a code may not have arrived.
func (l *ledger) unmade(e *entry, d schema.DeadLetter) string {
	if d.Code == 0 {
		return ""
	}
	answered := func(at time.Time, code int) bool {
		return slices.ContainsFunc(l.asked(e), func(c *call) bool {
			return !c.ok && (code < 0 || c.code == code) && !c.at.Before(at) && !c.at.After(at.Add(l.w.sc.callTimeout))
		})
	}
	if !answered(d.LastAttempt, d.Code) {
		return "its last attempt was not answered so"
	}
	failed := 0
	for _, c := range l.asked(e) {
		if !c.ok && !c.at.Before(d.FirstAttempt) && !c.at.After(d.LastAttempt.Add(l.w.sc.callTimeout)) {
			failed++
		}
	}
	unseen := l.w.during(func(a *act) bool { return a.outage || a.doubt }, d.FirstAttempt, d.LastAttempt)
	if failed < d.Attempts && !unseen {
		return fmt.Sprintf("%d attempts, and the API saw %d failing", d.Attempts, failed)
	}
	return ""
}
