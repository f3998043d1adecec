package service

import (
	"context"
	"time"

	"convdel/consumer"
	"convdel/imclient"
	"convdel/schema"
)

// listFlags ask for no empty conversations: these have no message that a delete could take.
const listFlags = imclient.DefaultListFlags &^ (1 << 1)

// codeNoAccount is the code of an answer that the API has no such account.
const codeNoAccount = 50001

// lister reads accounts' lists with the API's client. It is a [consumer.Lists].
type lister struct{ client *imclient.Client }

// Read reads one list.
func (l *lister) Read(ctx context.Context, r consumer.ListRequest) consumer.ListAnswer {
	list := l.client.Conversations(ctx, imclient.ListRequest{Account: r.Account, Flags: listFlags, Permit: r.Permit, Sent: r.Sent})
	for c := range list.All() { //nolint:contextcheck // the list has the context
		if !r.Show(schema.Conversation{From: r.Account, Type: schema.ConversationType(c.Type), To: c.To}, c.MsgTime) {
			break
		}
	}
	if err := list.Err(); err != nil {
		failed := listAnswerOf(err)
		return consumer.ListAnswer{Failed: &failed}
	}
	return consumer.ListAnswer{Doubt: list.Doubt()}
}

// listAnswerOf translates the error of a list. The account alone can make a list fail for good: the rest of the request is the service's own.
func listAnswerOf(err error) consumer.Answer {
	answer := answerOf(err)
	if answer.Verdict == consumer.Permanent && answer.Code != codeNoAccount {
		answer.Verdict = consumer.Transient
	}
	return answer
}

// listingNeeds makes room for the connections of lists beside those of deletes.
func listingNeeds(im imclient.Config, check time.Duration) imclient.Config {
	if check > 0 && im.MaxConcurrent > 0 {
		im.MaxConcurrent += consumer.MaxLists
	}
	return im
}
