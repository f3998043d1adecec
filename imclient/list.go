package imclient

import (
	"bytes"
	"context"
	"iter"
	"strconv"
	"time"
	"unicode/utf8"
)

// DefaultListFlags is the AssistFlags of a [ListRequest] without Flags. The vendor's newest page asks for 63, its older ones for 7 and
// 15. Bit 0 is for pinned conversations, bit 1 for empty ones, bit 2 for pages of pinned ones.
const DefaultListFlags = 63

// maxListBody bounds the answer to a call for a list, in bytes. The vendor keeps at most 500 conversations of an account, in items of
// 100 to 300 bytes.
const maxListBody = 1 << 20

// ListRequest says whose conversations are listed, and when calls may be made.
type ListRequest struct {
	// Account is the account (From_Account).
	Account string
	// Flags are the AssistFlags, more than 0. 0 means [DefaultListFlags].
	Flags int
	// Permit, if set, is called before each call, with the list's context. It waits until the call may be made. The Wait of a rate
	// limiter is one. If it fails, no call is made, and its error ends the reading as it is.
	Permit func(ctx context.Context) error
	// Sent, if set, is called at most once for each call, as [DeleteRequest.Sent] is.
	Sent func()
}

func (r *ListRequest) validate() error {
	switch {
	case r.Account == "":
		return &RequestError{Field: "From_Account", Problem: "empty"}
	case !utf8.ValidString(r.Account):
		return &RequestError{Field: "From_Account", Problem: "not UTF-8, which JSON cannot carry"}
	case r.Flags < 0:
		return &RequestError{Field: "AssistFlags", Problem: strconv.Itoa(r.Flags) + " is less than 0"}
	}
	return nil
}

// body returns the JSON of the call for the page at the cursors.
func (r *ListRequest) body(at cursors) []byte {
	flags := r.Flags
	if flags == 0 {
		flags = DefaultListFlags
	}
	b := append(make([]byte, 0, 160+len(r.Account)), `{"From_Account":`...)
	b = appendString(b, r.Account)
	for i, name := range cursorFields() {
		b = append(b, `,"`+name+`":`...)
		b = strconv.AppendInt(b, at[i], 10)
	}
	b = append(b, `,"AssistFlags":`...)
	return append(strconv.AppendInt(b, int64(flags), 10), '}')
}

// Conversation is an entry of an account's list of conversations.
type Conversation struct {
	// Type is [C2C] or [G2C].
	Type int
	// To is the other side: an account, or a group's ID for G2C. It is 1 to 128 bytes of UTF-8.
	To string
	// MsgTime is the time of the last message, in whole seconds. It is zero if the API names none.
	MsgTime time.Time
	// Pinned says that the account has pinned the conversation.
	Pinned bool
}

// ListCounts counts what a list has shown. If the list was read twice, each of the last three is the larger count.
type ListCounts struct {
	// Calls is how many calls have been begun.
	Calls int
	// Given is how many different conversations there were.
	Given int
	// Repeated is how many items named a conversation that had been there before.
	Repeated int
	// Unknown is how many items were of a type other than C2C and G2C, or the clients' @TIM#SYSTEM. No call can delete them.
	Unknown int
	// Malformed is how many items were no conversation that can be named: a field has the wrong type, or lacks a sensible value.
	Malformed int
}

// List is an account's list of conversations while it is being read, see [Client.Conversations]. One goroutine may use it.
type List struct {
	ctx     context.Context //nolint:containedctx // that of Conversations, which is over when the list is read
	client  *Client
	request ListRequest
	reading *reading
	// given are conversations that were read and not yet yielded.
	given []Conversation
	err   error
}

// Conversations returns the list of an account's conversations (v4/recentcontact/get_list). It makes no call: ranging over [List.All]
// does, one call for each page, with all of the answers, errors and limits of a call for a delete, and up to 1 MiB for a page. No call
// is made again by itself.
//
// The API shows the most recent 100 conversations by default, up to 500 by plan. Older ones may come up once these are deleted.
//
// The API allows 200 of these calls a second, counted apart from deletes. The client does not limit them. So a program that lists many
// accounts has to give all of its requests one Permit, that of a limiter for this kind of call. All of the app's programs share the quota.
//
// The list is read page by page, and messages that arrive meanwhile move conversations between pages. Then the API repeats some and
// leaves others out. A list of more than one page is therefore read twice. It counts as complete only if both readings show the same.
func (c *Client) Conversations(ctx context.Context, r ListRequest) *List {
	return &List{ctx: ctx, client: c, request: r, reading: newReading()}
}

// All yields each conversation once, in the order in which the API shows them first, pinned ones included. It ends early if a call fails,
// see Err. A further range goes on: it yields what a range that was left has not yielded, and makes the call again that has failed.
func (l *List) All() iter.Seq[Conversation] {
	return func(yield func(Conversation) bool) {
		for l.fill() {
			next := l.given[0]
			l.given = l.given[1:]
			if !yield(next) {
				return
			}
		}
	}
}

// fill makes calls until there is a conversation to yield. It returns false if there will be none.
func (l *List) fill() bool {
	l.err = nil
	for len(l.given) == 0 && !l.reading.over {
		var p page
		if p, l.err = l.call(); l.err != nil {
			return false
		}
		l.given = l.reading.take(p)
	}
	return len(l.given) > 0
}

// call reads the next page.
func (l *List) call() (page, error) {
	if err := l.request.validate(); err != nil {
		return page{}, err
	}
	if l.request.Permit != nil {
		if err := l.request.Permit(l.ctx); err != nil {
			return page{}, err
		}
	}
	l.reading.counts.Calls++
	deadline := l.client.deadlines.begin(l.ctx)
	p, err := l.client.page(deadline, &l.request, l.reading.at)
	l.client.deadlines.done(deadline, err == nil)
	return p, err
}

// Err returns the error that ended the last range; nil if none did. It is one of those of [Client.DeleteConversation], or that of Permit.
func (l *List) Err() error { return l.err }

// Complete returns true if All has yielded every conversation that was in the list from the first call to the last, as far as the API
// shows conversations with these Flags. This is so if the API has said that nothing is left, no item is malformed, and either one page
// has held all of the list, or two readings in a row show the same conversations, times of messages and pins, in the same order, and
// neither repeats any.
//
// A change that leaves no trace in that goes unnoticed: a pin that is set and removed again, or a message within the same second as
// the conversation's last one.
func (l *List) Complete() bool { return l.Doubt() == "" }

// Doubt says why the list may lack a conversation; it is empty if the list is complete.
func (l *List) Doubt() string {
	if l.err != nil {
		return "a call has failed"
	}
	if !l.reading.over || len(l.given) > 0 {
		return "not read to its end"
	}
	return l.reading.doubt
}

// Counts returns what the list has shown so far.
func (l *List) Counts() ListCounts { return l.reading.counts }

// page makes one call for a page, within ctx.
func (c *Client) page(ctx context.Context, r *ListRequest, at cursors) (page, error) {
	sig, err := c.signer.get(ctx)
	if err != nil {
		return page{}, err
	}
	resp, err := c.send(ctx, listPath, sig, r.body(at), r.Sent)
	if err != nil {
		return page{}, err
	}
	defer func() { _ = resp.Body.Close() }() // All of it that is wanted has been read by then.
	var buf bytes.Buffer
	if err := readAnswer(resp.Response, sig, &buf, maxListBody); err != nil {
		return page{}, err
	}
	if err := c.judgeResult(resp, sig, buf.Bytes()); err != nil {
		return page{}, err
	}
	p, err := decodePage(buf.Bytes(), at)
	if err != nil {
		return page{}, notTheAPIs(resp.Response, sig, buf.Len(), err)
	}
	return p, nil
}
