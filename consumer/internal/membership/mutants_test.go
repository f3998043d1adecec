//go:build mutants

package membership

import (
	"testing"

	"convdel/internal/testkit/mutation"
)

// TestMutantsApply: each broken rule still replaces something, and compiles.
func TestMutantsApply(t *testing.T) {
	t.Parallel()
	mutation.Apply(t, mutants())
}

// TestMutants: the package's tests notice each broken rule.
func TestMutants(t *testing.T) {
	t.Parallel()
	mutation.Notice(t, "consumer/internal/membership", mutants())
}

func mutants() []mutation.Mutant {
	return mutation.InPackage("consumer/internal/membership", [][4]string{
		{"claims leave out what is being drained", "holding.go", "	h.claimed = h.all()\n", "	h.claimed = h.kept()\n"},
		{"nothing is claimed", "holding.go", "	return claims{h.generation, h.claimed}\n", "	return claims{h.generation, nil}\n"},
		{"claims are of no generation", "holding.go", "	return claims{h.generation, h.claimed}\n", "	return claims{-1, h.claimed}\n"},
		{"partitions are given away before they are drained", "holding.go", "		m.holding.held[p] = true\n", "		delete(m.holding.held, p)\n"},
		{"what is taken away is kept", "holding.go", "	return slices.DeleteFunc(h.kept(), h.isAssigned), gained\n", "	return nil, gained\n"},
		{"what is kept is opened again", "holding.go", "		if _, ok := h.held[p]; !ok {\n", "		{\n"},
		{"what was given up during a join is nobody's for long", "holding.go", "	h.released = slices.ContainsFunc(h.claimed, func(p int) bool { return !h.isAssigned(p) })\n", "	h.released = !h.settled()\n"},
		{"no second generation", "advance.go", "m.stopping.IsZero() && m.holding.released && m.holding.settled()", "m.stopping.IsZero() && m.holding.released && len(m.holding.held) < 0"},
		{"the second generation comes before the drain ends", "advance.go", " && m.holding.released && m.holding.settled()", " && m.holding.released"},
		{"work goes on after a loss", "holding.go", "		m.order(Lose{why})\n", "		_ = why\n"},
		{"what was lost is claimed", "holding.go", "	m.holding = holding{generation: m.holding.generation, claimed: m.holding.claimed}\n", ""},
		{"given back is not opened", "membership.go", "			back = append(back, p)\n", "			_ = p\n"},
		{"partitions not asked for are given up", "membership.go", "		if !m.holding.giving(p) {\n			continue\n		}\n", ""},

		{"no pause in silence", "contact.go", "	case !now.Before(m.silent()):\n", "	case now.IsZero():\n"},
		{"a member that holds nothing is never silent", "contact.go", "bool { return !m.contact.alive.IsZero() }", "bool { return !m.contact.alive.IsZero() && len(m.holding.held) > 0 }"},
		{"a loss of nothing leaves the pause", "holding.go", "	if len(m.holding.held) > 0 || m.contact.paused != nil {\n", "	if len(m.holding.held) > 0 {\n"},
		{"a rebalance makes a new member late", "contact.go", "	if calm || c.calm.IsZero() {\n", "	if calm {\n"},
		{"a pause keeps its first reason", "contact.go", "(was == nil || *was != *why)", "was == nil"},
		{"the pause in silence comes late", "contact.go", "m.contact.alive.Add(m.cfg.Session - m.cfg.Session/4)", "m.contact.alive.Add(m.cfg.Session - m.cfg.Session/100)"},
		{"silence raises no doubt", "contact.go", "	m.contact.doubted = true\n	if", "	if"},
		{"a member in doubt asks nobody", "contact.go", "	if m.phase < Yielding && m.stopping.IsZero() {\n", "	if m.phase > Ended {\n"},
		{"doubt comes late", "contact.go", "{ return m.contact.alive.Add(m.cfg.Session) }", "{ return m.contact.alive.Add(m.cfg.Session * 3 / 2) }"},
		{"a heartbeat ends doubt", "answers.go", "	case a.Code == 0:\n		m.contact.heard(r.sent, true)\n", "	case a.Code == 0:\n		m.contact.heard(r.sent, true)\n		m.contact.doubted = false\n"},
		{"doubt does not end", "answers.go", "m.contact.doubted = time.Time{}, time.Time{}, false\n	m.noted", "_ = time.Time{}, time.Time{}, false\n	m.noted"},
		{"writes go on in doubt", "contact.go", "	if len(m.holding.held) == 0 || m.contact.doubted {\n		return time.Time{}\n", "	if len(m.holding.held) == 0 {\n		return time.Time{}\n"},
		{"writes go on for longer than a rebalance waits", "contact.go", "late := m.removed(), m.contact.calm.Add(m.cfg.Rebalance); late.After(removed) {", "late := m.removed(), m.contact.calm.Add(m.cfg.Rebalance); !late.IsZero() {"},
		{"life counts from the answer", "answers.go", "	case a.Code == rebalanceInProgress:\n		m.contact.heard(r.sent, false)\n", "	case a.Code == rebalanceInProgress:\n		m.contact.heard(now, false)\n"},
		{"a calm heartbeat counts from the answer", "answers.go", "	case a.Code == 0:\n		m.contact.heard(r.sent, true)\n", "	case a.Code == 0:\n		m.contact.heard(now, true)\n"},
		{"a sync counts from its answer", "answers.go", "	m.contact.heard(r.sent, true)\n	m.contact.crossed", "	m.contact.heard(now, true)\n	m.contact.crossed"},
		{"no answer is a sign of life", "answers.go", "	case a.Err != nil || r.memberID != m.memberID:\n", "	case a.Err != nil:\n		m.contact.heard(r.sent, true)\n	case r.memberID != m.memberID:\n"},
		{"a rebalance is no sign of life", "answers.go", "		m.contact.heard(r.sent, false)\n", ""},
		{"no pause when a rebalance may end without the member", "contact.go", "	case !now.Before(m.overdue()):\n", "	case now.IsZero():\n"},
		{"a rebalance in progress is calm", "answers.go", "		m.contact.heard(r.sent, false)\n", "		m.contact.heard(r.sent, true)\n"},
		{"no pause when generations cross", "contact.go", "	case !m.contact.crossed.IsZero():\n", "	case now.IsZero():\n"},
		{"crossed generations are a loss", "answers.go", "	case m.phase == Working || m.phase == Yielding:\n", "	case m.phase != Syncing:\n"},
		{"an ended generation is no loss", "answers.go", "	case m.phase == Working || m.phase == Yielding:\n", "	case m.phase == Ended:\n"},
		{"former generations count", "answers.go", "a.Code == illegalGeneration && present:", "a.Code == illegalGeneration:"},
		{"answers to a former member count", "answers.go", "	case a.Err != nil || r.memberID != m.memberID:\n", "	case a.Err != nil:\n"},
		{"a lost answer to a join is waited for", "answers.go", "	case m.join.lapsed(now, m.brief()) && !now.Before(c.crossed.Add(m.brief())):\n", "	case m.leave.lapsed(now, m.brief()):\n"},
		{"a static member that was left out keeps what it had", "answers.go", "m.joined >= 0 && a.Generation > m.joined+1 {", "m.joined >= 0 && a.Generation < 0 {"},
		{"dynamic members that were interrupted lose all", "answers.go", "	if m.cfg.InstanceID != \"\" && m.joined >= 0", "	if m.joined >= 0"},

		{"eager ignored", "requests.go", "	if m.both && len(m.holding.held) > 0 {\n", "	if m.both && len(m.holding.held) < 0 {\n"},
		{"always eager", "requests.go", "	if m.both && len(m.holding.held) > 0 {\n", "	if len(m.holding.held) > 0 {\n"},
		{"range offered in a convdel generation", "answers.go", "	m.both = m.protocol != Cooperative\n", ""},
		{"range is never offered again", "answers.go", "	m.leader, m.both = false, true\n", "	m.leader = false\n"},
		{"range before convdel", "subscription.go", "		offered = append(offered, Protocol{Range, subscriptionBytes(topic, 0, claims{})})\n", "		offered = append([]Protocol{{Range, subscriptionBytes(topic, 0, claims{})}}, offered...)\n"},
		{"range with claims", "subscription.go", "subscriptionBytes(topic, 0, claims{})})\n", "subscriptionBytes(topic, withClaims, c)})\n"},
		{"a member that comes in too early locks out the others", "answers.go", "	case a.Code == inconsistentProtocols && !m.both:\n", "	case a.Code == inconsistentProtocols && m.phase == Ended:\n"},
		{"a protocol that was not offered is taken", "answers.go", "a.Protocol != Cooperative && (a.Protocol != Range || !m.both)", "a.Protocol == \"\""},
		{"kafka-go's subscriptions are not read", "subscription.go", "	if err != nil && len(bytes) > 2 {\n", "	if err != nil && len(bytes) < 2 {\n"},

		{"answers to former requests count", "membership.go", "	case m.sync.number:\n", "	case m.sync.number, m.sync.number - 2, m.sync.number - 1:\n		if m.sync.number == 0 {\n			break\n		}\n"},
		{"a held join is never made again", "requests.go", "	if m.join.lapsed(now, m.patience()) || m.sync", "	if m.sync"},
		{"a sync is waited for without end", "requests.go", " || m.sync.lapsed(now, m.patience()) {", " {"},
		{"a heartbeat is waited for without end", "requests.go", "	if m.heartbeat.lapsed(now, m.brief()) {\n", "	if m.heartbeat.lapsed(now, 100*m.brief()) {\n"},
		{"a join at a former coordinator is waited for", "answers.go", "present && m.phase == Joining && m.join.number != 0 &&", "present && m.phase == Ended && m.join.number != 0 &&"},
		{"each heartbeat doubts the join", "answers.go", " && !r.sent.Before(m.join.sent.Add(2*m.cfg.Heartbeat)) {", " {"},
		{"a lost sync holds up a rebalance", "answers.go", "	case r.sent.After(m.contact.announced):\n", "	case r.sent.Before(m.contact.announced):\n"},
		{"a frozen process hears answers first", "membership.go", "	m.lapse(now)\n	var r request\n", "	var r request\n"},
		{"heartbeats end with a join", "requests.go", "m.generation >= 0 && m.phase < Leaving }", "m.generation >= 0 && m.phase < Leaving && m.join.number == 0 }"},
		{"heartbeats end with a drain", "requests.go", "m.generation >= 0 && m.phase < Leaving }", "m.generation >= 0 && m.phase < Yielding }"},
		{"heartbeats pile up", "requests.go", "m.beats() && m.heartbeat.number == 0 && !now", "m.beats() && !now"},
		{"a refused commit is forgotten", "membership.go", "			m.beat = now\n", "			_ = now\n"},
		{"a refused commit of any generation counts", "membership.go", "	if of == m.Identity() && m.beats() {\n", "	if of.MemberID == m.memberID && m.beats() {\n"},
		{"a refused commit of a former ID counts", "membership.go", "	if of == m.Identity() && m.beats() {\n", "	if of.Generation == m.generation && m.beats() {\n"},
		{"retries do not pause", "codes.go", "retryFirst = 100 * time.Millisecond", "retryFirst = 0 * time.Millisecond"},
		{"refusals do not pause", "codes.go", "refusedFirst = time.Second", "refusedFirst = time.Millisecond"},
		{"a pause that is asked for is none", "answers.go", "	wait = max(wait, a.Pause)\n", ""},
		{"joins in a row are not told", "requests.go", "		m.order(Refused{&RefusedError{Request: \"join\", Err: &RestlessError{m.soon, silent}}, now.Add(wait)})\n", ""},
		{"joins that nobody answers are not told", "requests.go", " || silent && m.join.lapsed(now, m.patience()) {\n", " {\n"},
		{"joins that the coordinator holds are told", "requests.go", " || silent && m.join.lapsed(now, m.patience()) {\n", " || m.join.lapsed(now, m.patience()) {\n"},
		{"calls may be made in a pause", "contact.go", "	if len(m.holding.held) == 0 || m.contact.paused != nil {\n", "	if len(m.holding.held) == 0 {\n"},
		{"calls may be made for a whole session", "contact.go", "		return silent\n	}\n	return m.overdue()\n", "		return m.removed()\n	}\n	return m.overdue()\n"},
		{"calls may be made for longer than a rebalance waits", "contact.go", "	if silent, overdue := m.silent(), m.overdue(); overdue.After(silent) {\n", "	if silent, overdue := m.silent(), m.overdue(); !overdue.IsZero() {\n"},
		{"joins in a row do not pause", "requests.go", "	if m.soon > soonMost {\n", "	if m.soon > 1000*soonMost {\n"},
		{"failures are counted for ever", "answers.go", "	m.soon, m.failed, m.refused = 0, 0, 0\n", ""},

		{"a member that is fenced goes on", "answers.go", "	late := !m.orphan.IsZero() && now", "	late := m.memberID != \"\" || now"},
		{"a late join of its own fences a member", "answers.go", "	if late || m.memberID", "	if late && m.memberID == \"\" || m.memberID"},
		{"an ID that nobody has noted fences a member", "answers.go", "	if late || m.memberID != \"\" && m.memberID != m.noted {\n", "	if late {\n"},
		{"a member with a new ID takes a newer one's place", "answers.go", "			m.memberID = m.noted\n", "			m.memberID = \"\"\n"},
		{"a late join is taken for another process", "answers.go", "		if !late {\n", "		if !late || m.noted != \"\" {\n"},
		{"a late join is forgotten when it is given up", "requests.go", "		m.orphan = now\n", "		_ = now\n"},
		{"a late join is forgotten when it fails", "answers.go", "			m.orphan = now\n", "			_ = now\n"},
		{"late joins are remembered for ever", "answers.go", "m.orphan.Add(2*m.cfg.Session)", "m.orphan.Add(200*m.cfg.Session)"},
		{"a wrong session timeout is tried again", "answers.go", "	case a.Code == invalidSession:\n", "	case a.Code == invalidSession && m.phase == Ended:\n"},

		{"a member begins while its former process may work", "answers.go", "m.gain(gained, m.inherits(now))", "m.gain(gained, time.Time{})"},
		{"a stopping member opens what it gains", "answers.go", "	if m.stopping.IsZero() {\n		m.gain(gained, m.inherits(now))\n	}\n", "	m.gain(gained, m.inherits(now))\n"},
		{"a stopping member leaves before it has drained", "advance.go", "	case !m.stopping.IsZero() && empty && m.phase < Leaving:\n", "	case !m.stopping.IsZero() && m.phase < Leaving:\n"},
		{"a static member leaves", "advance.go", "	case m.cfg.InstanceID != \"\":\n", "	case m.cfg.InstanceID != \"\" && m.memberID == \"\":\n"},
		{"a dynamic member does not leave", "advance.go", "		m.phase = Leaving\n", "		m.end(nil)\n"},
		{"a stop does not wait for the ID", "advance.go", "	case m.join.number == 0 || !now", "	case m.join.number != 0 || !now"},
		{"a leave is tried once", "answers.go", "	if !a.absent() {\n", "	if !a.absent() || m.partings > 0 {\n"},
		{"a leave is tried without end", "advance.go", "m.partings++; m.partings > soonMost", "m.partings++; m.partings > 1000*soonMost"},

		{"the leader does not see the topic grow", "advance.go", "	case r.topic > 0 && r.topic != r.basis.number:\n", "	case r.topic < 0:\n"},
		{"two brokers' numbers make a storm", "advance.go", "later(r.changed, r.begun.Add(m.brief()))", "later(r.changed, r.begun)"},
		{"all members see the topic grow at once", "advance.go", "	wait := m.cfg.Session\n	if m.leader {\n		wait = 0\n	}\n", "	wait := time.Duration(0)\n"},
		{"a topic that is not there has no partitions", "advance.go", "	if n > 0 && n <= mostPartition", "	if n <= mostPartition"},
		{"what is withheld is forgotten", "advance.go", "	case r.basis.withheld:\n", "	case r.basis.withheld && r.topic < 0:\n"},
		{"the withheld are not told", "assign.go", "		b.withheld = assignSticky(candidates, n)\n", "		_ = assignSticky(candidates, n)\n"},

		{"the assignment follows the order of the members", "assign.go", "	slices.SortFunc(candidates, (*candidate).order)\n", ""},
		{"the assignment follows a map's order", "assign.go", "	slices.SortFunc(candidates, (*candidate).order)\n", "	mixed := map[string]*candidate{}\n	for _, c := range candidates {\n		mixed[c.memberID] = c\n	}\n	candidates = slices.Collect(maps.Values(mixed))\n"},
		{"static members have no place", "assign.go", "cmp.Compare(cmp.Or(c.instanceID, c.memberID), cmp.Or(d.instanceID, d.memberID))", "cmp.Compare(c.memberID, d.memberID)"},
		{"claimed partitions are given to others", "assign.go", "		if owners[p] != nil {\n", "		if owners[p] != nil && slices.Contains(owners[p].gets, p) {\n"},
		{"claims are not kept", "assign.go", "		c.gets = slices.Clone(c.kept[:min(len(c.kept), c.share)])\n", "		c.gets = slices.Clone(c.kept[len(c.kept)-min(len(c.kept), c.share):])\n"},
		{"no share is exceeded, and none limits", "assign.go", "		if n == 0 {\n			c.share", "		if n == 0 || c.share > 0 {\n			c.share"},
		{"an unknown number takes everything away", "assign.go", "		if n == 0 {\n			c.share", "		if n < 0 {\n			c.share"},
		{"old claims win", "assign.go", "c.claims.generation > owner.claims.generation", "c.claims.generation < owner.claims.generation"},
		{"the last of equal claims wins", "assign.go", "c.claims.generation > owner.claims.generation", "c.claims.generation >= owner.claims.generation"},
		{"partitions that are no more are kept", "assign.go", "(p < n || n == 0) && (", "("},
		{"the larger shares go anywhere", "assign.go", "cmp.Compare(len(d.kept), len(c.kept))", "cmp.Compare(len(c.kept), len(d.kept))"},
		{"range by instance IDs", "assign.go", "	slices.SortFunc(candidates, func(c, d *candidate) int { return cmp.Compare(c.memberID, d.memberID) })\n", "	slices.Reverse(candidates)\n"},
		{"members of other topics get partitions", "subscription.go", "err != nil || !slices.Contains(m.Topics, topic)", "err != nil"},
		{"huge bytes are read", "subscription.go", "	if len(bytes) > mostBytes {\n		return share{}", "	if len(bytes) > 2*mostBytes {\n		return share{}"},
	})
}
