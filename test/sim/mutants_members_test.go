//go:build mutants

package sim

// memberMutants break the rules of the group's membership. That two leaders assign differently makes no difference as long as members
// keep what they claim: tests of package membership have that.
func memberMutants() []mutant {
	const (
		assign  = "consumer/internal/membership/assign.go"
		answers = "consumer/internal/membership/answers.go"
		request = "consumer/internal/membership/requests.go"
		advance = "consumer/internal/membership/advance.go"
		contact = "consumer/internal/membership/contact.go"
	)
	return []mutant{
		one("a partition is given away before it is drained", "consumer/tenure.go", "	if !t.emptied(ctx, of.p) {\n		return\n	}\n", "", "owner", "repeated", "outcome"),
		one("a partition that is claimed is given to another at once", assign, "		if owners[p] != nil {\n			continue\n",
			"		if owners[p] != nil && slices.Contains(owners[p].gets, p) {\n			continue\n", "owner", "repeated", "outcome", "quota"),
		one("a partition is worked on after it was lost", "consumer/tenure.go", "		if !now.joined || now.term != t.term {\n", "		if now.term > t.term+1000 {\n", "owner", "repeated", "outcome", "quota", "stuck"),
		one("an unknown member works on", answers, "	m.lose(&LostError{Code: code, Reason: \"is unknown to the group's coordinator\"})\n", "	_ = code\n", "owner", "repeated", "outcome", "quota"),
		one("silence of the coordinator is no loss", contact, "	if len(m.holding.held) > 0 && !now.Before(m.lost()) {\n", "	if len(m.holding.held) > 1000 && !now.Before(m.lost()) {\n", "owner", "repeated", "outcome", "quota"),
		one("no heartbeats while a partition is given up", request, "	if m.beats() && m.heartbeat.number == 0 && !now.Before(m.beat) {", "	if m.holding.settled() && len(m.holding.kept()) == len(m.holding.all()) && m.beats() && m.heartbeat.number == 0 && !now.Before(m.beat) {", "beats"),
		one("no heartbeats while a join waits", request, "	if m.beats() && m.heartbeat.number == 0 && !now.Before(m.beat) {", "	if m.join.number == 0 && m.beats() && m.heartbeat.number == 0 && !now.Before(m.beat) {", "beats", "owner", "repeated"),
		one("what a replica gains counts at once", "consumer/internal/quota/limiter.go", "from: now.Add(Window)}", "from: now}", "quota"),
		one("a static replica leaves when it stops", advance, "	case m.cfg.InstanceID != \"\":\n		m.end(now, nil)\n	case m.memberID", "	case m.memberID", "restart"),
		one("a fenced replica joins again", answers, "	err := &FencedError{m.cfg.InstanceID}\n	m.lose(err)\n	m.end(now, err)\n", "	m.unknown(now, fencedInstance)\n", "fenced", "restart"),
		one("a replica takes the former protocol with partitions in hand", request, "	if m.both && len(m.holding.held) > 0 {\n", "	if m.both && len(m.holding.held) > 1000 {\n", "owner", "repeated", "outcome", "quota"),
		one("a replica never offers the former protocol again", answers, "		m.both = true\n		m.rejoin(now)\n	default:", "		m.rejoin(now)\n	default:", "owner", "repeated", "outcome", "stuck", "calm"),
		one("nobody joins again for what was given up", advance, "	case m.phase == Working && m.stopping.IsZero() && m.holding.released && m.holding.settled():\n		m.rejoin(now)\n", "", "calm", "stuck"),
	}
}
