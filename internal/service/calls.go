package service

import (
	"context"
	"errors"
	"net/http"
	"time"

	"convdel/consumer"
	"convdel/imclient"
	"convdel/internal/tracing"
)

// deleter makes the consumer's calls with the API's client. It is a [consumer.API].
type deleter struct {
	client *imclient.Client
	// traced says that calls have spans.
	traced bool
}

// Delete makes one call.
func (c *deleter) Delete(ctx context.Context, call consumer.Call) consumer.Answer {
	err := c.client.DeleteConversation(ctx, imclient.DeleteRequest{
		From: call.From, Type: int(call.Type), To: call.To, ClearRamble: call.ClearRamble, Sent: call.Sent,
	})
	if c.traced {
		tracing.Answered(ctx, statusOf(err))
	}
	return answerOf(err)
}

// statusOf is the status of the HTTP answer, 0 if there was none.
func statusOf(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if api, ok := errors.AsType[*imclient.APIError](err); ok {
		return api.HTTPStatus
	}
	if network, ok := errors.AsType[*imclient.NetworkError](err); ok {
		return network.HTTPStatus
	}
	return 0
}

// codeDenied is the code of an answer that refuses the administrator's permission. The usual reason is a wrong
// administrator's account.
const codeDenied = 50003

// lockedFor is how long the API asks for no calls after CodeSignatureLocked (product/269/1671).
const lockedFor = time.Minute

// answerOf translates a call's error for the consumer.
func answerOf(err error) consumer.Answer {
	if err == nil {
		return consumer.Answer{Verdict: consumer.Deleted}
	}
	answer := consumer.Answer{Verdict: verdictOf(imclient.ClassOf(err)), Reason: reasonOf(err), Err: err}
	if api, ok := errors.AsType[*imclient.APIError](err); ok {
		answer.Code = api.Code
		answer.Denied = api.Code == codeDenied
		answer.Quiet = api.RetryAfter
		if api.Code == imclient.CodeSignatureLocked {
			answer.Quiet = lockedFor
		}
		if api.Renewed {
			answer.Verdict = consumer.Again
		}
	}
	if network, ok := errors.AsType[*imclient.NetworkError](err); ok && network.Throttled {
		answer.Quiet = network.RetryAfter
		answer.Unavailable = network.HTTPStatus == http.StatusServiceUnavailable
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
