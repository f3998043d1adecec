package status

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"convdel/internal/notable"
)

const (
	// mostText and mostWord bound the bytes of a text and of a name. What is beyond is cut off.
	mostText = 1 << 10
	mostWord = 100
	// mostEvents bounds a number of events, mostRate one a second: sums of them are numbers still.
	mostEvents = 1 << 50
	mostRate   = 1e9
	// mostPartitions, mostKinds and mostAttrs bound lists.
	mostPartitions = 100_000
	mostKinds      = 10_000
	mostAttrs      = 1000
)

// errImplausible says that a report can't be one.
var errImplausible = errors.New("the numbers in the answer can't be true")

// Bound makes a report from elsewhere fit to be added up and shown: long texts are cut. An error says that its numbers are out of all bounds.
func (r *Report) Bound() error {
	if !r.plausible() {
		return errImplausible
	}
	words := []*string{
		(*string)(&r.State), &r.Replica.Version, &r.Replica.Commit, &r.Replica.Group, &r.Replica.Topic,
	}
	texts := []*string{&r.Sentence, &r.Empty.Text}
	if r.Paused != nil {
		words, texts = append(words, &r.Paused.Reason), append(texts, &r.Paused.LastError)
	}
	for i := range r.Oldest {
		e := &r.Oldest[i]
		words, texts = append(words, &e.State), append(texts, &e.Record, &e.LastError, &e.Conversation)
	}
	for i := range r.DeadLetters {
		words = append(words, &r.DeadLetters[i].Class, &r.DeadLetters[i].Code)
	}
	settings := [][]Setting{r.Settings}
	for i := range r.Log {
		l := &r.Log[i]
		words, texts = append(words, &l.Level), append(texts, &l.Message)
		settings = append(settings, l.Attrs)
	}
	for _, list := range settings {
		for i := range list {
			words, texts = append(words, &list[i].Name), append(texts, &list[i].Value)
		}
	}
	cutAll(words, mostWord)
	cutAll(texts, mostText)
	return nil
}

func (r *Report) plausible() bool {
	counts := []int64{r.Unfinished.Total, r.Unfinished.Unread}
	for _, l := range r.DeadLetters {
		counts = append(counts, l.Letters)
	}
	for _, n := range r.Ended {
		counts = append(counts, n)
	}
	for _, p := range r.Partitions {
		counts = append(counts, p.Unfinished)
	}
	rates := []float64{r.Quota.Used, r.Quota.Share, r.Quota.Limit, r.Rates.Ended, r.Rates.Arriving, r.Rates.Calls, r.Rates.Failed}
	attrs := len(r.Settings)
	for _, l := range r.Log {
		attrs = max(attrs, len(l.Attrs))
	}
	return !slices.ContainsFunc(counts, func(n int64) bool { return n < 0 || n > mostEvents }) &&
		!slices.ContainsFunc(rates, func(n float64) bool { return n < 0 || n > mostRate }) &&
		len(r.Partitions) <= mostPartitions && len(r.Oldest) <= MaxOldest && len(r.Log) <= notable.MaxLines &&
		len(r.DeadLetters) <= mostKinds && len(r.Ended) <= mostKinds && attrs <= mostAttrs
}

// cutAll cuts texts to so many bytes, without splitting a character.
func cutAll(texts []*string, limit int) {
	const ellipsis = "…"
	for _, text := range texts {
		if len(*text) <= limit {
			continue
		}
		end := limit - len(ellipsis)
		for end > 0 && !utf8.RuneStart((*text)[end]) {
			end--
		}
		*text = strings.Clone((*text)[:end]) + ellipsis
	}
}
