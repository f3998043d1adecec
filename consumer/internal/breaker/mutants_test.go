//go:build mutants

package breaker

import (
	"testing"

	"convdel/internal/testkit/mutation"
)

// TestMutantsApply: each broken rule still replaces something, and compiles.
func TestMutantsApply(t *testing.T) {
	t.Parallel()
	mutation.Apply(t, mutants())
}

// TestMutants: the package's tests notice each broken rule. Scenes take seconds, and bound what comes of all rules together.
func TestMutants(t *testing.T) {
	t.Parallel()
	mutation.Notice(t, "consumer/internal/breaker", mutants(), "-test.skip=^TestScenes$")
}

func mutants() []mutation.Mutant {
	return mutation.InPackage("consumer/internal/breaker", [][4]string{
		{"an answered call is no failure", "answer.go", "return k == Coded || k == Unreached }", "return k == Unreached }"},
		{"an unanswered call is no failure", "answer.go", "return k == Coded || k == Unreached }", "return k == Coded }"},
		{"a denial ends no event", "answer.go", "k == Deleted || k == Refused || k == Denied }", "k == Deleted || k == Refused }"},
		{"a refusal ends no event", "answer.go", "k == Deleted || k == Refused || k == Denied }", "k == Deleted || k == Denied }"},
		{"a refusal votes", "answer.go", "return k.Failure() || k == Deleted }", "return k.Failure() || k == Deleted || k == Refused }"},
		{"a throttled answer votes", "answer.go", "return k.Failure() || k == Deleted }", "return k.Failure() || k == Deleted || k == Throttled }"},
		{"a success does not vote", "answer.go", "return k.Failure() || k == Deleted }", "return k.Failure() }"},
		{"an error code ends a denial", "answer.go", "		return r == Halt\n", "		return r != Outage\n"},
		{"a denial does not let a credential in", "answer.go", "		return r == Halt\n", "		return false\n"},
		{"a throttled answer ends a pause", "answer.go", "	case Unreached, Throttled, Renewed, Halted:\n	}\n	return false", "	case Throttled:\n		return true\n	case Unreached, Renewed, Halted:\n	}\n	return false"},
		{"a halted probe keeps the reason", "answer.go", "	case Halted:\n		return Halt\n", "	case Halted:\n"},
		{"a failed probe keeps the reason", "answer.go", "	case Coded, Unreached:\n		return Outage\n", "	case Coded, Unreached:\n"},
		{"what may yet count is nothing", "answer.go", "return a.Counted == 0 && !a.unreached }", "return a.Counted == 0 }"},

		{"the window is half as long", "votes.go", "voteWindow = 10 * time.Second", "voteWindow = 5 * time.Second"},
		{"the window is a second longer", "votes.go", "voteWindow = 10 * time.Second", "voteWindow = 11 * time.Second"},
		{"nineteen votes are enough", "votes.go", "allVotes   = 20", "allVotes   = 19"},
		{"ninety-nine votes are enough for most", "votes.go", "mostVotes  = 100", "mostVotes  = 99"},
		{"a hundred votes are not enough for most", "votes.go", "mostVotes  = 100", "mostVotes  = 101"},
		{"twenty votes are not enough", "votes.go", "allVotes   = 20", "allVotes   = 21"},
		{"89 % are most", "votes.go", "mostShare  = 0.9", "mostShare  = 0.89"},
		{"90 % are not most", "votes.go", "mostShare  = 0.9", "mostShare  = 0.91"},
		{"votes are counted for ever", "votes.go", "		if t.slot >= oldest {", "		if t.slot >= min(0, oldest) {"},
		{"the oldest tenth does not count", "votes.go", "		if t.slot >= oldest {", "		if t.slot > oldest {"},
		{"a former tenth's votes stay", "votes.go", "		*t = tally{slot: slot}\n", "		t.slot = slot\n"},
		{"failures alone are votes", "votes.go", "	t.all++\n	if failed {\n		t.failed++\n", "	if failed {\n		t.all++\n		t.failed++\n"},

		{"two are enough for all", "breaker.go", "AllFail = 3", "AllFail = 2"},
		{"all are four", "breaker.go", "AllFail = 3", "AllFail = 4"},
		{"four denied are enough", "breaker.go", "deniedMost = 5", "deniedMost = 4"},
		{"five denied are not enough", "breaker.go", "deniedMost = 5", "deniedMost = 6"},
		{"the first probe is early", "breaker.go", "probeFirst = time.Second", "probeFirst = time.Second / 2"},
		{"probes are rarer", "breaker.go", "probeMost  = 30 * time.Second", "probeMost  = 40 * time.Second"},
		{"probes go on every 16 seconds", "breaker.go", "probeMost  = 30 * time.Second", "probeMost  = 16 * time.Second"},
		{"probes do not become rarer", "breaker.go", "	b.interval = min(2*b.interval, probeMost)\n", ""},
		{"fetching pauses early", "breaker.go", "fetchOpen     = 50", "fetchOpen     = 49"},
		{"fetching pauses late", "breaker.go", "fetchOpen     = 50", "fetchOpen     = 51"},
		{"no further events for further probes", "breaker.go", "fetchPerProbe = 20", "fetchPerProbe = 0"},
		{"fetching never pauses", "breaker.go", "	return b.open == nil || pending <", "	return b.open == nil || pending >= 0 || pending <"},
		{"fetching pauses while it is closed", "breaker.go", "	return b.open == nil || pending < fetchOpen+fetchPerProbe*b.open.Probes", "	return pending < fetchOpen || b.open != nil && pending < fetchOpen+fetchPerProbe*b.open.Probes"},

		{"a quiet minute is not heeded", "breaker.go", "		b.quiet = now.Add(e.Quiet)\n", ""},
		{"a quiet minute hurries probes", "breaker.go", "	if b.quiet.After(b.open.NextProbe) {", "	if !b.quiet.IsZero() {"},
		{"a probe that is under way has a time", "breaker.go", "	if b.probing {\n		p.NextProbe = time.Time{}\n	}\n", ""},
		{"two probes at once", "breaker.go", "	case b.probing:\n		return Wait, time.Time{}\n", ""},
		{"probes need no time", "breaker.go", "	case now.Before(b.due()):\n		return Wait, b.due()\n", ""},
		{"an open breaker lets calls go", "breaker.go", "	case b.open == nil:\n		return Go, time.Time{}\n", "	case b.open == nil || b.probing:\n		return Go, time.Time{}\n"},
		{"an abandoned probe is waited for", "breaker.go", "func (b *Breaker) Abandon() { b.probing = false }", "func (b *Breaker) Abandon() {}"},
		{"nothing hurries a probe", "breaker.go", "		b.open.NextProbe = now\n	}\n}", "	}\n}"},
		{"a hurried probe leaves the spacing", "breaker.go", "		b.interval = probeFirst\n		b.open.NextProbe = now\n", "		b.open.NextProbe = now\n"},

		{"late answers count", "breaker.go", "	case b.open != nil || e.Call.change != b.changes:\n", "	case b.open != nil:\n"},
		{"answers count while it is open", "breaker.go", "	case b.open != nil || e.Call.change != b.changes:\n", "	case e.Call.change != b.changes:\n"},
		{"a late failure counts against its event", "breaker.go", "		return Ruling{Void: e.Kind.Failure() || e.Kind == Halted || e.Kind == Denied && b.open != nil}", "		return Ruling{Void: e.Kind == Halted || e.Kind == Denied && b.open != nil}"},
		{"a late halt counts", "breaker.go", "		return Ruling{Void: e.Kind.Failure() || e.Kind == Halted || e.Kind == Denied && b.open != nil}", "		return Ruling{Void: e.Kind.Failure() || e.Kind == Denied && b.open != nil}"},
		{"a late denial ends its events during a pause", "breaker.go", "		return Ruling{Void: e.Kind.Failure() || e.Kind == Halted || e.Kind == Denied && b.open != nil}", "		return Ruling{Void: e.Kind.Failure() || e.Kind == Halted}"},
		{"a late denial ends nothing", "breaker.go", " || e.Kind == Denied && b.open != nil}", " || e.Kind == Denied}"},
		{"any answer is a probe's", "breaker.go", "	case e.Call.Probe && b.open != nil:\n", "	case b.open != nil:\n"},
		{"a halted credential is a failed call", "breaker.go", "	case e.Kind == Halted:\n		return b.opens(Halt, now, true)\n", ""},
		{"a halt ends its events", "breaker.go", "		return b.opens(Halt, now, true)\n", "		return b.opens(Halt, now, false)\n"},
		{"denials are not counted", "breaker.go", "		b.denied++\n", ""},
		{"the last denial keeps its event", "breaker.go", "			return b.opens(NoPermission, now, false)\n", "			return b.opens(NoPermission, now, true)\n"},
		{"an outage uses up the attempt by which it is noticed", "breaker.go", "		return b.opens(Outage, now, true)\n", "		return b.opens(Outage, now, false)\n"},
		{"alone it opens", "breaker.go", "	if e.Kind.Failure() && !b.alone(e, now) && (", "	if e.Kind.Failure() && ("},
		{"a success opens it", "breaker.go", "	if e.Kind.Failure() && !b.alone(e, now) && (", "	if e.Kind.votes() && !b.alone(e, now) && ("},
		{"most failing is no outage", "breaker.go", "b.votes.mostFail(now) || b.allFail(", "b.allFail("},
		{"all failing is no outage", "breaker.go", "(b.votes.mostFail(now) || b.allFail(now))", "b.votes.mostFail(now)"},

		{"a success does not end a row of denials", "breaker.go", "	case Deleted:\n		b.denied = 0\n", "	case Deleted:\n"},
		{"alone at once", "breaker.go", "aloneAfter = 3 * time.Minute", "aloneAfter = 0"},
		{"alone after long only", "breaker.go", "aloneAfter = 3 * time.Minute", "aloneAfter = 4 * time.Minute"},
		{"alone after two minutes", "breaker.go", "aloneAfter = 3 * time.Minute", "aloneAfter = 2 * time.Minute"},
		{"a shorter gap ends being alone", "breaker.go", "aloneGap   = time.Minute", "aloneGap   = 50 * time.Second"},
		{"a longer gap does not end being alone", "breaker.go", "aloneGap   = time.Minute", "aloneGap   = 70 * time.Second"},
		{"few with room are alone for long", "breaker.go", "		if e.Few && e.Full {\n", "		if e.Few {\n"},
		{"many in full memory are alone for long", "breaker.go", "		if e.Few && e.Full {\n", "		if e.Full {\n"},
		{"being alone is counted from the last failure", "breaker.go", "				b.aloneSince = now\n			}\n", "			}\n			b.aloneSince = now\n"},
		{"a gap is from the first failure", "breaker.go", "			b.lastAlone = now\n", "			b.lastAlone = b.aloneSince\n"},
		{"alone any pause ends", "breaker.go", ", was == Outage && b.alone(e, now):\n", ", b.alone(e, now):\n"},
		{"the last attempt of an event counts for all", "breaker.go", "e.Last && len(b.failing) >= AllFail:", "len(b.failing) >= AllFail:"},
		{"two that fail keep a last attempt from counting", "breaker.go", "e.Last && len(b.failing) >= AllFail:", "e.Last && len(b.failing) >= AllFail-1:"},
		{"a gap does not begin anew", "breaker.go", "			if now.Sub(b.lastAlone) > aloneGap {\n", "			if b.aloneSince.IsZero() {\n"},
		{"room for others does not matter", "breaker.go", "	return e.Few && e.Full && ", "	return e.Few && "},
		{"others do not matter", "breaker.go", "	return e.Few && e.Full && ", "	return e.Full && "},
		{"a refusal ends a row of denials", "breaker.go", "	case Refused, Throttled, Renewed, Halted:\n	}\n}", "	case Refused:\n		b.denied = 0\n	case Throttled, Renewed, Halted:\n	}\n}"},
		{"a throttled answer ends a row of denials", "breaker.go", "	case Refused, Throttled, Renewed, Halted:\n	}\n}", "	case Throttled:\n		b.denied = 0\n	case Refused, Renewed, Halted:\n	}\n}"},
		{"an error code ends a row of denials", "breaker.go", "	case Coded, Unreached:\n		if e.Few", "	case Coded, Unreached:\n		b.denied = 0\n		if e.Few"},
		{"any success is the witness", "breaker.go", "		if e.Call.Began.After(b.witness) {\n", "		{\n"},
		{"there is never a witness", "breaker.go", "			b.witness = e.Call.Began\n", ""},
		{"a success clears later failures", "breaker.go", "				if began.Before(b.witness) {\n", "				if !began.IsZero() {\n"},
		{"a success clears no failures", "breaker.go", "					delete(b.failing, c)\n", "					_ = c\n"},

		{"replays vote", "breaker.go", "	if e.Kind.votes() && !e.Replay && !e.Standing.voted {", "	if e.Kind.votes() && !e.Standing.voted {"},
		{"a conversation votes with each answer", "breaker.go", "		e.Standing.voted = true\n", ""},
		{"whatever votes has failed", "breaker.go", "		b.votes.add(e.Kind.Failure(), now)", "		b.votes.add(true, now)"},
		{"a conversation fails anew with each call", "breaker.go", "e.Kind.Failure() && e.Standing.failed != b.changes+1 {", "e.Kind.Failure() {"},
		{"a conversation fails once for all periods", "breaker.go", "e.Kind.Failure() && e.Standing.failed != b.changes+1 {", "e.Kind.Failure() && e.Standing.failed == 0 {"},
		{"replays do not tell that all fail", "breaker.go", "e.Kind.Failure() && e.Standing.failed != b.changes+1 {", "e.Kind.Failure() && !e.Replay && e.Standing.failed != b.changes+1 {"},
		{"a failure with a witness counts for all", "breaker.go", "		if !e.Call.Began.Before(b.witness) {\n", "		{\n"},
		{"all fail from the answer on", "breaker.go", "			b.failing[e.Conversation] = e.Call.Began\n", "			b.failing[e.Conversation] = now\n"},
		{"all fail at once", "breaker.go", "		if now.Sub(began) >= b.callTimeout {", "		if now.Sub(began) >= 0 {"},
		{"all fail after the call timeout", "breaker.go", "		if now.Sub(began) >= b.callTimeout {", "		if now.Sub(began) > b.callTimeout {"},
		{"all fail after half of the call timeout", "breaker.go", "		if now.Sub(began) >= b.callTimeout {", "		if now.Sub(began) >= b.callTimeout/2 {"},
		{"a last attempt is like any other", "breaker.go", "	case e.Kind == Coded && e.Last && len(b.failing) >= AllFail: // an outage perhaps\n", ""},

		{"a probe that has been answered is under way", "breaker.go", "	b.probing = false\n	r := ", "	r := "},
		{"a failed probe counts against its event", "breaker.go", "	r := Ruling{Void: e.Kind.Failure() || e.Kind == Halted}\n", "	r := Ruling{Void: e.Kind == Halted}\n"},
		{"a halted probe ends its events", "breaker.go", "	r := Ruling{Void: e.Kind.Failure() || e.Kind == Halted}\n", "	r := Ruling{Void: e.Kind.Failure()}\n"},
		{"a pause that was an outage ends like any other", "breaker.go", "	case was.overBy(e.Kind) && (e.Kind == Deleted || !b.open.outage), was", "	case was.overBy(e.Kind), was"},
		{"alone an outage goes on", "breaker.go", " || !b.open.outage), was == Outage && b.alone(e, now):\n", " || !b.open.outage):\n"},
		{"a probe says nothing of its end", "breaker.go", "		r.Change = Closed\n", ""},
		{"a denied probe ends its event", "breaker.go", "	r := Ruling{Void: true}\n", "	r := Ruling{}\n"},
		{"a denied probe is no failed one", "breaker.go", "	case e.Kind == Denied && b.denied >= deniedMost:\n		return b.deniedProbe(now)\n", ""},
		{"a renewed signature is a failed probe", "breaker.go", "	case e.Kind == Renewed, e.Kind.Final():", "	case e.Kind.Final():"},
		{"a refused probe is a failed one", "breaker.go", "	case e.Kind == Renewed, e.Kind.Final():", "	case e.Kind == Renewed:"},
		{"a refused probe is waited after", "breaker.go", "		b.open.NextProbe = now\n		return r\n", "		return r\n"},
		{"an older failed probe counts", "breaker.go", "	b.probed = nil\n	b.open.Probes++\n", "	b.open.Probes++\n"},
		{"probes are not counted", "breaker.go", "	b.open.Probes++\n", ""},
		{"the next probe is not spaced", "breaker.go", "	b.open.NextProbe = now.Add(b.interval)\n", "	b.open.NextProbe = now\n"},
		{"an outage behind a halt is forgotten", "breaker.go", "		b.open.outage = b.open.outage || b.open.Reason == Outage\n", ""},
		{"another reason is kept to itself", "breaker.go", "		r.Change = OtherReason\n", ""},
		{"a failed probe never counts", "breaker.go", "			a.Counted++\n		}\n	}\n	b.open = nil\n", "			_ = a\n		}\n	}\n	b.open = nil\n"},
		{"a failed probe counts without a success", "breaker.go", "	if k == Deleted {\n		for _, a := range b.probed", "	if k != 0 {\n		for _, a := range b.probed"},
		{"it opens where it was left", "breaker.go", "	b.interval, b.probing = probeFirst, false\n", "	b.interval, b.probing = max(b.interval, probeFirst), false\n"},
		{"the first probe goes at once", "breaker.go", "NextProbe: now.Add(probeFirst), outage", "NextProbe: now, outage"},
		{"an outage is not remembered", "breaker.go", ", outage: reason == Outage}", ", outage: false}"},
		{"every pause has been an outage", "breaker.go", ", outage: reason == Outage}", ", outage: true}"},
		{"periods are not told apart", "breaker.go", "	b.changes++\n", ""},
		{"a pause ends a row of denials", "breaker.go", "	b.changes++\n", "	b.changes++\n	b.denied = 0\n"},
		{"votes are kept over a change", "breaker.go", "	b.votes = votes{}\n", ""},
		{"failed conversations are kept over a change", "breaker.go", "	clear(b.failing)\n", ""},
		{"a failed probe is kept over a change", "breaker.go", "	clear(b.failing)\n	b.probed = nil\n", "	clear(b.failing)\n"},
		{"failed probes are not noted", "breaker.go", "func (b *Breaker) Probed(events []*Attempts) { b.probed = events }", "func (b *Breaker) Probed([]*Attempts) {}"},

		{"an event that has ended is probed", "breaker.go", "bool { return of == a })", "bool { return of != a && false })"},

		{"alone a failure needs a witness", "breaker.go", "	case b.alone(e, now):\n		a.Counted++\n", ""},
		{"an error code needs a witness", "breaker.go", "	case e.Kind == Coded:\n		a.Counted++\n		a.coded++\n		a.open = e.Call.Began\n", ""},
		{"an error code is never forgotten", "breaker.go", "		a.coded++\n", ""},
		{"an error code gets no witness", "breaker.go", "		a.coded++\n		a.open = e.Call.Began\n", "		a.coded++\n"},
		{"a failure without a code counts at once", "breaker.go", "		a.unreached, a.open = true, e.Call.Began\n", "		a.Counted++\n"},
		{"a failure without a code never counts", "breaker.go", "		a.unreached, a.open = true, e.Call.Began\n", ""},
		{"no failure needs a witness", "breaker.go", "	if !a.open.IsZero() && b.witness.After(a.open) {", "	if !a.open.IsZero() {"},
		{"a call that began together is a witness", "breaker.go", "	if !a.open.IsZero() && b.witness.After(a.open) {", "	if !a.open.IsZero() && !b.witness.Before(a.open) {"},
		{"a witness is none", "breaker.go", "	if !a.open.IsZero() && b.witness.After(a.open) {", "	if b.witness.After(a.open) && a.open.IsZero() {"},
		{"a failure without a code waits for its witness", "breaker.go", "	a.unreached = false\n}\n\n// Forget", "}\n\n// Forget"},
		{"opening does not look for a witness", "breaker.go", "	b.Take(a)\n	a.Counted -= a.coded\n", "	a.unreached = false\n	a.Counted -= a.coded\n"},
		{"opening forgets nothing", "breaker.go", "	a.Counted -= a.coded\n", ""},
		{"opening forgets all", "breaker.go", "	a.Counted -= a.coded\n", "	a.Counted = 0\n"},
		{"what is forgotten is forgotten twice", "breaker.go", "	a.Counted -= a.coded\n	a.coded, a.open = 0, time.Time{}\n", "	a.Counted -= a.coded\n"},
		{"a witness does not count a failure", "breaker.go", "	if a.unreached {\n		a.Counted++\n	}\n", ""},
		{"a witness counts every failure anew", "breaker.go", "	if a.unreached {\n		a.Counted++\n	}\n", "	a.Counted++\n"},
		{"what has a witness may be forgotten", "breaker.go", "		a.Counted++\n	}\n	a.coded, a.open = 0, time.Time{}\n", "		a.Counted++\n	}\n	a.open = time.Time{}\n"},
	})
}
