//go:build mutants

package sim

// memberMutants break the rules of the group's membership. That two leaders assign differently makes no difference as long as members
// keep what they claim: tests of package membership have that.
func memberMutants() []mutant {
	const (
		assign  = "consumer/internal/membership/assign.go"
		advance = "consumer/internal/membership/advance.go"
	)
	return []mutant{
		one("a partition is given away before it is drained", "consumer/tenure.go", "	if !t.emptied(ctx, of.p) {\n		return\n	}\n", "", "owner", "repeated", "outcome"),
		one("a partition that is claimed is given to another at once", assign, "		if owners[p] != nil {\n			continue\n",
			"		if owners[p] != nil && slices.Contains(owners[p].gets, p) {\n			continue\n", "owner", "repeated", "outcome", "quota"),
		one("a static replica leaves when it stops", advance, "	case m.cfg.InstanceID != \"\":\n		m.end(now, nil)\n	case m.memberID", "	case m.memberID", "restart"),
		one("nobody joins again for what was given up", advance, "	case m.phase == Working && m.stopping.IsZero() && m.holding.released && m.holding.settled():\n		m.rejoin(now)\n", "", "calm", "stuck"),
	}
}
