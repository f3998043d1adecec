//go:build mutants

package sim

// memberMutants break the rules of the group's membership. That two leaders assign differently makes no difference as long as members
// keep what they claim: tests of package membership have that.
func memberMutants() []mutant {
	const (
		assign  = "consumer/internal/membership/assign.go"
		advance = "consumer/internal/membership/advance.go"
		answers = "consumer/internal/membership/answers.go"
		contact = "consumer/internal/membership/contact.go"
		request = "consumer/internal/membership/requests.go"

		beats = "m.generation >= 0 && m.phase < Leaving"
	)
	return []mutant{
		one("a partition is given away before it is drained", "consumer/tenure.go", "	if !t.emptied(ctx, of.p) {\n		return\n	}\n", "", "owner", "repeated", "outcome"),
		one("a partition that is claimed is given to another at once", assign, "		if owners[p] != nil {\n			continue\n",
			"		if owners[p] != nil && slices.Contains(owners[p].gets, p) {\n			continue\n", "owner", "repeated", "outcome", "quota"),
		one("a static replica leaves when it stops", advance, "	case m.cfg.InstanceID != \"\":\n		m.end(nil)\n	case m.memberID", "	case m.memberID", "restart"),
		{"a partition is worked on after it was lost", []edit{
			{"consumer/session.go", "		if !now.joined || now.term != s.term {\n", "		if now.term > s.term+1000 {\n"},
			{"consumer/tenure.go", "		if !now.joined || now.term != t.term {\n", "		if now.term > t.term+1000 {\n"},
			{"consumer/group_member.go", "	g.c.limiter.allow(rules.MayCall())\n", "	if at := rules.MayCall(); !at.IsZero() {\n		g.c.limiter.allow(at)\n	}\n"},
		}, []string{"fenced", "owner", "repeated", "lost", "stuck", "calm"}},
		one("a fenced replica joins again", answers, "	err := &FencedError{m.cfg.InstanceID}\n	m.lose(err)\n	m.end(err)\n",
			"	m.unknown(now, fencedInstance)\n", "fenced", "restart"),
		{"a replica that hears nothing of its coordinator works on", []edit{
			{contact, "{ return m.contact.alive.Add(m.cfg.Session - m.cfg.Session/4) }", "{ return m.contact.alive.Add(time.Hour) }"},
			{contact, "{ return m.contact.alive.Add(m.cfg.Session) }", "{ return m.contact.alive.Add(time.Hour) }"},
			{contact, "	return m.contact.calm.Add(m.cfg.Rebalance - m.cfg.Session/4)\n", "	return m.contact.calm.Add(time.Hour)\n"},
		}, []string{"owner", "quota"}},
		one("no heartbeats while a join waits", request, beats, beats+" && m.join.number == 0", "beats"),
		one("no heartbeats while a partition is given up", request, beats, beats+" && len(m.holding.kept()) == len(m.holding.held)", "beats"),
		one("a replica takes the former protocol with partitions in hand", request, "	if m.both && len(m.holding.held) > 0 {\n",
			"	if m.both && len(m.holding.held) > 1000 {\n", "owner", "repeated"),
		one("a replica never offers the former protocol again", answers, "		m.both = true\n		m.rejoin(now)\n", "		m.rejoin(now)\n", "calm"),
		one("nobody joins again for what was given up", advance, "	case m.phase == Working && m.stopping.IsZero() && m.holding.released && m.holding.settled():\n		m.rejoin(now)\n", "", "calm", "stuck"),
	}
}
