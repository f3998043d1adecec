package main

import (
	"fmt"
	"os/user"
	"reflect"
	"slices"
	"time"

	"github.com/alecthomas/kong"
)

// settleFlags say what replay and discard may settle, and in whose name.
type settleFlags struct {
	Yes    bool    `group:"settle" help:"Carry the plan out: exactly the letters in it. Without this flag, the plan is shown and nothing is changed."`
	All    bool    `group:"settle" help:"Settle every open letter. Needed with --yes if there is no filter; --limit is none, nor is an --until that is not past."`
	Expect *string `group:"settle" help:"The number of letters that the plan must have. With another number nothing is settled, and the exit status is 1." placeholder:"NUMBER"`
	By     *string `group:"settle" help:"Who settles the letters, which stays with them. Default: your user name." placeholder:"NAME"`
}

// settleNames are those of these flags that have no environment variable.
func settleNames(more ...string) []string {
	return append(filterNames(more...), "yes", "all", "expect", "by")
}

// read checks the flags. A plan alone needs no permission to settle everything.
func (f *settleFlags) read(c *checker, filter *filterFlags, job *settling, now time.Time) {
	job.yes, job.everything = f.Yes, !filter.given(job.choice.Filter.Until, now)
	switch {
	case f.All && !job.everything:
		c.conflict("all", "true", "not with a filter (--limit is none)")
	case f.Yes && job.everything && !f.All:
		c.conflict("yes", "true", "without a filter, settling takes --all as well (--limit is no filter, nor is an --until that is not past)")
	}
	if f.Expect != nil {
		n := c.number("expect", *f.Expect, 0, 1<<40, ", as the plan says")
		job.expect = &n
	}
	if f.By != nil {
		job.choice.By = c.line("by", *f.By)
	} else {
		job.choice.By = userName(job.con.env)
	}
}

// userName names the user of this process.
func userName(env func(string) (string, bool)) string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	for _, name := range []string{"USER", "LOGNAME", "USERNAME"} {
		if text, _ := env(name); text != "" {
			return text
		}
	}
	return "unknown"
}

// repeatedFlags refuses a flag that is given more than once where only the last one would count, though each may decide
// about somebody's conversation.
func repeatedFlags(parsed *kong.Context) error {
	var seen, lines []string
	for _, part := range parsed.Path {
		flag := part.Flag
		if flag == nil || part.Resolved || flag.Group == nil || flag.IsBool() {
			continue
		}
		if _, several := reflect.TypeAssert[words](flag.Target); several || !slices.Contains([]string{groupFilter, groupSettle, groupEvent}, flag.Group.Key) {
			continue
		}
		line := fmt.Sprintf("--%s is given more than once", flag.Name)
		if slices.Contains(seen, flag.Name) && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
		seen = append(seen, flag.Name)
	}
	if len(lines) == 0 {
		return nil
	}
	return &usageError{lines: lines}
}
