package service

import (
	"context"
	"errors"
	"time"

	"convdel/consumer"
	"convdel/imclient"
)

// caller makes the consumer's calls through the API's client. It is a [consumer.API].
type caller struct{ client *imclient.Client }

// Delete makes one call.
func (c *caller) Delete(ctx context.Context, call consumer.Call) consumer.Answer {
	return answerOf(c.client.DeleteConversation(ctx, imclient.DeleteRequest{
		From: call.From, Type: int(call.Type), To: call.To, ClearRamble: call.ClearRamble, Sent: call.Sent,
	}))
}

// codeDenied is the code of the page of the call by which the administrator's permission is missing. It usually means
// a wrong administrator's account.
const codeDenied = 50003

// lockedFor is how long the API wants no calls after CodeSignatureLocked (product/269/1671).
const lockedFor = time.Minute

// answerOf says what a call's error means for the events behind it.
func answerOf(err error) consumer.Answer {
	if err == nil {
		return consumer.Answer{Verdict: consumer.Deleted}
	}
	answer := consumer.Answer{Verdict: verdictOf(imclient.ClassOf(err)), Err: err}
	if api, ok := errors.AsType[*imclient.APIError](err); ok {
		answer.Code = api.Code
		answer.Denied = api.Code == codeDenied
		if api.Code == imclient.CodeSignatureLocked {
			answer.Quiet = lockedFor
		}
		if api.Renewed {
			answer.Verdict = consumer.Again
		}
	}
	return answer
}

func verdictOf(class imclient.Class) consumer.Verdict {
	switch class {
	case imclient.Permanent:
		return consumer.Permanent
	case imclient.Throttled:
		return consumer.Throttled
	case imclient.Halt:
		return consumer.Halt
	case imclient.Transient:
	}
	return consumer.Transient
}
