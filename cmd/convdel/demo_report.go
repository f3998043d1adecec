package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"convdel/imclient/imtest"
	"convdel/internal/service"
	"convdel/schema"
)

// introduce says what runs where.
func (d *demo) introduce() {
	d.printf("convdel demo: everything in this process, nothing leaves this machine\n\n")
	d.printf("  broker   %-24s embedded, speaks Kafka: any client may publish to it\n", d.broker.address)
	d.printf("  API      %-24s simulator, quota %s, latency 20 to 120 ms\n", strings.TrimPrefix(d.sim.URL, "http://"), quotaText(d.quota))
	d.printf("  service  %-24s the same as convdel run; retries after 100 ms to 1 s, not\n", strings.TrimPrefix(d.service.AdminURL(), "http://"))
	d.printf("  %33s 500 ms to 30 s, so that the demo does not take minutes\n\n", "")
}

// report prints the ledger and explains it.
func (d *demo) report(l *ledger) {
	d.reportLedger(l)
	d.reportCalls()
	d.reportLetters(l)
	if len(l.problems) == 0 {
		d.printf("The ledger balances: each event ended in exactly one way, and all of them are committed.\n")
		return
	}
	d.printf("THE LEDGER DOES NOT BALANCE:\n")
	for _, p := range l.problems {
		d.printf("  %s\n", p)
	}
}

func (d *demo) reportLedger(l *ledger) {
	row := func(what string, service, found int, source string) {
		d.printf("  %-16s %8d %8d   %s\n", what, service, found, source)
	}
	letters := len(l.letters)
	consumed := service.Sum(l.service)
	d.printf("\nLedger            service  checked   against\n")
	d.printf("  %-16s %8s %8d   %s\n", "published", "", l.published, "topic "+schema.Topic)
	row("consumed", consumed, l.deleted+letters, "committed offsets = ends of the topic")
	row("= deleted", l.service["deleted"], l.deleted, "the simulator's own record")
	row("+ dead letters", consumed-l.service["deleted"], letters, "topic …dead-letter, bytes as published")
	classes := l.classes()
	for _, outcome := range service.DeadOutcomes() {
		codes := classes[schema.Class(outcome)]
		if len(codes) == 0 && l.service[string(outcome)] == 0 {
			continue
		}
		row("    "+string(outcome), l.service[string(outcome)], service.Sum(codes), describeCodes(codes))
	}
	if l.erased > 0 {
		d.printf("  %d of them are the parts of the erasure\n", l.erased)
	}
	if l.foreign > 0 {
		d.printf("  %d of them are not the demo's own\n", l.foreign)
	}
	if l.leftover {
		d.printf("  the service also ended what an earlier run had left\n")
	}
	if l.regrouped {
		d.printf("  the service had to join its group again: events under way then may count twice\n")
	}
}

// describeCodes lists codes with their numbers of answers; code 0 stands for all answers that are not the API's.
func describeCodes(codes map[int]int) string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		name := fmt.Sprintf("code %d", code)
		if code == 0 {
			name = "without a code"
		}
		parts = append(parts, fmt.Sprintf("%d × %s", codes[code], name))
	}
	return strings.Join(parts, ", ")
}

func (d *demo) reportCalls() {
	// The erasure comes later, at a pace of its own.
	c := measureCalls(slices.DeleteFunc(d.sim.Arrivals(), func(a imtest.Arrival) bool { return a.From == demoErased }))
	coalesced := d.service.Counts("convdel_coalesced_total")[""]
	retries := d.service.Counts("convdel_retries_total")[""]
	stats := d.sim.Stats()
	d.printf("\nCalls, as the simulator saw them\n")
	if !d.stay {
		d.printf("  (without those of the erasure)\n")
	}
	d.printf("  made      %d in %.1f s, %d of them repeats; %d more events shared another's call\n",
		c.calls, c.took.Seconds(), retries, coalesced)
	if d.quota > 0 && c.busy > 3*time.Second {
		rate := float64(c.busyCalls) / c.busy.Seconds()
		d.printf("  rate      %.1f a second while there was work and no call was refused as too fast: %.1f %% of the quota\n", rate, 100*rate/float64(d.quota))
	}
	d.printf("  peak      %d in any one second; the quota is %s\n", stats.PeakPerSecond, quotaText(d.quota))
	d.printf("  faults    %d × HTTP 502, %d × refused as too fast (%d by the quota, the others by script)\n",
		c.badGateway, c.tooFast, stats.Throttled)
	d.printf("  answers   p50 %d ms, p99 %d ms\n", c.p50.Milliseconds(), c.p99.Milliseconds())
}

// callFigures sums up the simulator's records of calls.
type callFigures struct {
	calls, tooFast, badGateway int
	// took is the time from the first call to the last answer. busy begins with the first call, too. It ends with the first
	// call of the last conversation, since only retries come later, and retries wait. If a call is refused as too fast
	// before that, busy ends there, since the service slows down then.
	took, busy time.Duration
	busyCalls  int
	p50, p99   time.Duration
}

func measureCalls(arrivals []imtest.Arrival) callFigures {
	c := callFigures{calls: len(arrivals)}
	if len(arrivals) == 0 {
		return c
	}
	first, last := arrivals[0].At, arrivals[0].At
	var latencies []time.Duration
	met := map[schema.Conversation]bool{}
	for i, a := range arrivals {
		who := schema.Conversation{From: a.From, Type: schema.ConversationType(a.Type), To: a.To}
		if a.Code == codeTooFast {
			c.tooFast++
		}
		if !met[who] && c.tooFast == 0 {
			met[who] = true
			c.busy, c.busyCalls = a.At.Sub(first), i
		}
		if a.HTTPStatus == http.StatusBadGateway {
			c.badGateway++
		}
		if !a.Answered.IsZero() {
			latencies = append(latencies, a.Answered.Sub(a.At))
			last = a.Answered
		}
	}
	c.took = last.Sub(first)
	slices.Sort(latencies)
	if n := len(latencies); n > 0 {
		c.p50, c.p99 = latencies[n/2], latencies[n*99/100]
	}
	return c
}

// reportLetters lists the first dead letters of each kind.
func (d *demo) reportLetters(l *ledger) {
	if len(l.letters) == 0 || d.letters == 0 {
		d.printf("\n")
		return
	}
	shown := pick(l.letters, d.letters)
	d.printf("\nDead letters, %d of %d\n", len(shown), len(l.letters))
	table := tabwriter.NewWriter(d.con.stdout, 0, 8, 2, ' ', 0)
	say(table, "  CLASS\tCODE\tCALLS\tRECORD\tERROR\n")
	for _, letter := range shown {
		code := "-"
		if letter.Code != 0 {
			code = strconv.Itoa(letter.Code)
		}
		say(table, "  %s\t%s\t%d\t%d/%d\t%s\n",
			letter.Class, code, letter.Attempts, letter.Partition, letter.Offset, cut(letter.Error, 58))
	}
	_ = table.Flush() // it is the same output as for the other lines
	d.printf("\n")
}

// pick takes n letters, evenly from first to last, so that each kind is among them.
func pick(letters []letter, n int) []letter {
	if n >= len(letters) {
		return letters
	}
	picked := make([]letter, n)
	for i := range picked {
		picked[i] = letters[i*len(letters)/n]
	}
	return picked
}

// cut shortens a text to n characters.
func cut(text string, n int) string {
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return text
}

// invite says what can be tried while the demo keeps running.
func (d *demo) invite() {
	d.printf("\nStill running; ctrl-C stops it. Try:\n")
	d.printf("  convdel publish --brokers %s --from alice --to bob --clear-ramble\n", d.broker.address)
	d.printf("  convdel publish --brokers %s --from code-50001-alice --to bob\n", d.broker.address)
	d.printf("  echo '{\"From_Account\":\"alice\",\"Type\":1,\"To_Account\":\"bob\"}' |\n    kcat -b %s -t %s -P\n", d.broker.address, schema.Topic)
	d.printf("  kcat -b %s -t %s -C -f '%%k %%h %%s\\n'\n", d.broker.address, schema.DeadLetterTopic)
	d.printf("  convdel status --admin %s    or open %s\n", d.service.AdminURL(), d.service.AdminURL())
	d.printf("  curl %s/metrics    curl %s/readyz\n", d.service.AdminURL(), d.service.AdminURL())
}
