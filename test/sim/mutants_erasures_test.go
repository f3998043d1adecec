//go:build mutants

package sim

// erasureMutants are erasures that are broken on purpose.
func erasureMutants() []mutant {
	return []mutant{
		one("an erasure is verified before all parts have ended", "internal/erasure/rule.go", "len(r.Publish)+len(r.Need)+len(r.Pending)+len(r.Doubts) > 0",
			"len(r.Publish)+len(r.Need)+len(r.Doubts) > 0", "erased"),
		one("an erasure is verified by a list that is not complete", "internal/erasure/rule.go", "	case list.Doubt != \"\":\n",
			"	case list.Doubt != \"\" && list.Began.IsZero():\n", "erased"),
		one("an erasure of nothing is verified", "internal/erasure/rule.go", "	if len(r.Parts)+len(r.Residue) == 0 {\n",
			"	if len(r.Parts)+len(r.Residue) < 0 {\n", "erased"),
		one("an erasure is verified although something is left", "internal/erasure/rule.go", "len(r.Exceptions)+len(r.Residue)+len(r.Failures) > 0",
			"len(r.Exceptions)+len(r.Failures) > 0", "erased"),
		one("an erasure publishes again what could not be deleted", "internal/erasure/run.go", "	r.ev.Records, err = r.desk.Find(ctx)\n",
			"	all, err := r.desk.Find(ctx)\n	for _, rec := range all {\n		if rec.End == nil || rec.End.deleted() {\n			r.ev.Records = append(r.ev.Records, rec)\n		}\n	}\n", "erased"),
		one("an erasure goes on without a look at what it has published", "internal/erasure/run.go", "	r.ev.Records, err = r.desk.Find(ctx)\n",
			"	_, err = r.desk.Find(ctx)\n", "erased"),
		one("an erasure counts forged parts", "internal/erasure/evidence.go", "q.concerns(e.Conversation) && e.ID == schema.PartID(q.ID, e.Conversation)",
			"q.concerns(e.Conversation)", "erased"),
		one("an erasure does not see later messages", "internal/erasure/rule.go", "!r.Requested.IsZero() && e.LastMessage",
			"e == nil && e.LastMessage", "erased"),
		one("an erasure forgets other sides", "internal/erasure/rule.go", "			r.weighOther(otherSide(c))\n",
			"			_ = otherSide(c)\n", "erased"),
		one("an erasure deletes other sides unasked", "internal/erasure/rule.go", "published := r.weigh(c); published && q.OtherSides",
			"published := r.weigh(c); published", "erased"),
		one("an erasure publishes other sides without their lists", "internal/erasure/rule.go", "		r.seen[c] = true\n		r.Need = append(r.Need, c.From)\n",
			"		r.weigh(c)\n", "erased"),
		one("each run of an erasure has other IDs", "internal/erasure/run.go", "ID: schema.PartID(r.q.ID, c),",
			"ID: schema.PartID(r.q.ID+time.Now().String(), c),", "erased"),
		one("the plan of an erasure publishes", "internal/erasure/run.go", "	res := run.result()\n	res.State = Planned\n",
			"	run.o.Deadline = time.Now().Add(time.Minute)\n	_, _ = run.step(ctx)\n	res := run.result()\n	res.State = Planned\n", "erased"),
		one("a list that fails is an empty one", "internal/erasure/desk/list.go", "result.Failed, result.Doubt = true, \"a call has failed: \"+err.Error()",
			"result.Failed, result.Doubt = true, \"\"", "erased"),
		one("an erasure accepts the group of another app", "internal/erasure/desk/group.go", "p.App != \"\" && p.App != ours {", "p.App != \"\" && p.App == ours+ours {", "foreign"),
	}
}
