package status

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"convdel/consumer"
	"convdel/internal/notable"
	"convdel/schema"
)

// text is the text of an error as the report shows it.
func (from *Source) text(err error, accounts ...string) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if !from.Accounts {
		text = consumer.WithoutAccounts(err, accounts...)
	}
	if from.Clean != nil {
		text = from.Clean(text)
	}
	return text
}

func (from *Source) event(e consumer.UnfinishedEvent) Event {
	id := schema.DeadLetter{Topic: from.Replica.Topic, Partition: e.Partition, Offset: e.Offset}.ID()
	event := Event{
		Record: id, Time: e.Time.UTC(), State: string(e.State), Attempts: e.Attempts, Code: e.Code, Due: e.Due.UTC(),
		LastError: from.text(e.Err, e.Conversation.From, e.Conversation.To),
	}
	if e.Due.IsZero() {
		event.Due = time.Time{}
	}
	if from.Accounts && e.Conversation != (schema.Conversation{}) {
		event.Conversation = fmt.Sprintf("%s %s → %s", e.Conversation.Type, e.Conversation.From, e.Conversation.To)
	}
	return event
}

func lineOf(l notable.Line) Line {
	line := Line{Time: l.Time, Level: l.Level.String(), Message: l.Message}
	for _, a := range l.Attrs {
		line.Attrs = append(line.Attrs, Setting{a.Name, a.Value})
	}
	return line
}

func unfinishedOf(s consumer.Snapshot) Unfinished {
	u := Unfinished{
		Known: s.Status.Live || len(s.Partitions) > 0,
		Ready: s.Unfinished.Ready, Waiting: s.Unfinished.Waiting, Calling: s.Unfinished.Calling, DeadLetters: s.Unfinished.DeadLetters,
		Outcomes: s.Unfinished.Outcomes,
	}
	for _, p := range s.Partitions {
		u.Total += p.Unfinished
	}
	// The two are counted at different moments.
	inMemory := int64(s.Unfinished.Total())
	u.Total = max(u.Total, inMemory)
	u.Unread = u.Total - inMemory
	return u
}

// Roughly writes a length of time in its two largest units: 3d4h, 2h5m, 40s.
func Roughly(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	const day = 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%s%dd%dh", sign, d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%s%dh%dm", sign, d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%s%dm%ds", sign, d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%s%ds", sign, d/time.Second)
}

// Thousands writes a number with a comma before each three digits.
func Thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return sign + b.String()
}

// Number writes a rate: whole from 10 on, otherwise with one digit behind the point.
func Number(n float64) string {
	if n >= 10 || n <= -10 {
		return Thousands(int64(n + 0.5))
	}
	return strings.TrimSuffix(strconv.FormatFloat(n, 'f', 1, 64), ".0")
}

// Count writes a number with the word for one or for several.
func Count(n int64, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return Thousands(n) + " " + several
}
