// Package erase is an example for apps in Go: it erases all conversations of an account with packages imclient and schema and with kafka-go
// alone. docs/erasure.md describes it. The command "convdel erase" does more: other sides, exceptions one by one, a report.
package erase

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/imclient"
	"convdel/schema"
)

// Request is what the app keeps of a request, in its database for instance, before it calls [Eraser.Erase].
type Request struct {
	// ID names the request, Account is the account. Time is when the request was made.
	ID, Account string
	Time        time.Time
}

// Eraser erases accounts.
type Eraser struct {
	API *imclient.Client
	// Brokers are the addresses of Kafka. Topic is that of events, OutcomeTopic that of their outcomes.
	Brokers             []string
	Topic, OutcomeTopic string
	// Pause is the time between two looks.
	Pause time.Duration
	// Permit waits until the API may be called for a list; see [imclient.ListRequest]. All lists of the app share 200 calls a second.
	Permit func(ctx context.Context) error
}

// Errors of an erasure that can't end well in this request.
var (
	// ErrNothing means that nothing was ever found: most likely the account's name is wrong.
	ErrNothing = errors.New("the account has no conversation")
	// ErrLeft means that a part was not deleted, or that a conversation has had a message after the request.
	ErrLeft = errors.New("a conversation is left")
)

// Erase returns nil once each part of the request is deleted, and a complete list, read after that, is empty. It can be called again for the
// same request after a crash: it publishes nothing again that has an outcome.
func (e *Eraser) Erase(ctx context.Context, r Request) error {
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	writer := &kafka.Writer{
		Addr: kafka.TCP(e.Brokers...), Topic: e.Topic, RequiredAcks: kafka.RequireAll, Balancer: kafka.Murmur2Balancer{},
		BatchTimeout: time.Millisecond, Transport: transport,
	}
	defer writer.Close() //nolint:errcheck // each write is acknowledged, or fails
	client := &kafka.Client{Addr: writer.Addr, Transport: transport}
	published := map[string]bool{}
	for {
		ends, err := e.outcomes(ctx, client, r)
		if err != nil {
			return err
		}
		// The list is read after the outcomes. Otherwise it could not prove that what they say is so.
		list := e.API.Conversations(ctx, imclient.ListRequest{Account: r.Account, Permit: e.Permit})
		listed := slices.Collect(list.All()) //nolint:contextcheck // the list has it
		if err := list.Err(); err != nil {
			return err
		}
		parts, err := partsOf(r, listed, ends, published)
		if err != nil {
			return err
		}
		if err := writer.WriteMessages(ctx, parts...); err != nil {
			return err
		}
		switch {
		case pending(published, ends) || !list.Complete():
		case len(listed) > 0 || !allDeleted(ends):
			return ErrLeft
		case len(ends) == 0:
			return ErrNothing
		default:
			return nil
		}
		if err := pause(ctx, e.Pause); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// partsOf returns the parts that are still to be published, and notes them.
func partsOf(r Request, listed []imclient.Conversation, ends map[string]schema.OutcomeKind, published map[string]bool) ([]kafka.Message, error) {
	var parts []kafka.Message
	for _, c := range listed {
		event := schema.Event{
			Conversation: schema.Conversation{From: r.Account, Type: schema.ConversationType(c.Type), To: c.To},
			ClearRamble:  true, Time: r.Time, Source: "/my-app/erase", ErasureID: r.ID,
		}
		event.ID = schema.PartID(r.ID, event.Conversation)
		if c.MsgTime.Unix() > r.Time.Unix() {
			return nil, fmt.Errorf("%w: %s has had a message after the request", ErrLeft, event.Key())
		}
		if ends[event.ID] != "" || published[event.ID] {
			continue
		}
		message, err := messageOf(event)
		if err != nil {
			return nil, err
		}
		parts = append(parts, message)
		published[event.ID] = true
	}
	return parts, nil
}

func pending(published map[string]bool, ends map[string]schema.OutcomeKind) bool {
	for id := range published {
		if ends[id] == "" {
			return true
		}
	}
	return false
}

// messageOf is the record of a part.
func messageOf(event schema.Event) (kafka.Message, error) {
	value, headers, err := event.EncodeCloudEventBinary()
	message := kafka.Message{Key: []byte(event.Key()), Value: value}
	for _, h := range headers {
		message.Headers = append(message.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	return message, err
}

func allDeleted(ends map[string]schema.OutcomeKind) bool {
	for _, kind := range ends {
		if kind != schema.OutcomeDeleted {
			return false
		}
	}
	return true
}

// outcomes returns how the parts of a request have ended, by event ID. Where a part has several outcomes, deleted counts.
func (e *Eraser) outcomes(ctx context.Context, client *kafka.Client, r Request) (map[string]schema.OutcomeKind, error) {
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{e.OutcomeTopic}})
	if err != nil {
		return nil, err
	}
	if err := meta.Topics[0].Error; err != nil {
		return nil, fmt.Errorf("topic %s: %w", e.OutcomeTopic, err)
	}
	ends := map[string]schema.OutcomeKind{}
	for _, p := range meta.Topics[0].Partitions {
		err := e.read(ctx, p.ID, r.Time, func(m kafka.Message) {
			o, err := schema.DecodeOutcome(m.Key, m.Value)
			// An event is a part if the service has found this request and this part's ID in it. So the ID has to fit the conversation.
			if err != nil || o.ErasureID != r.ID || o.Event == nil || o.EventID != schema.PartID(r.ID, o.Event.Conversation) {
				return
			}
			if ends[o.EventID] != schema.OutcomeDeleted {
				ends[o.EventID] = o.Kind
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return ends, nil
}

// read reads a partition of the outcome topic from a time to its present end. An hour more allows for clocks that differ.
func (e *Eraser) read(ctx context.Context, partition int, since time.Time, do func(kafka.Message)) error {
	conn, err := kafka.DialLeader(ctx, "tcp", e.Brokers[0], e.OutcomeTopic, partition)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it was only read
	at, err := conn.ReadOffset(since.Add(-time.Hour))
	if err != nil {
		return err
	}
	end, err := conn.ReadLastOffset()
	if err != nil || at < 0 || at >= end {
		return err
	}
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: e.Brokers, Topic: e.OutcomeTopic, Partition: partition, MaxWait: 100 * time.Millisecond})
	defer reader.Close() //nolint:errcheck // it was only read
	if err := reader.SetOffset(at); err != nil {
		return err
	}
	for {
		m, err := reader.ReadMessage(ctx)
		if err != nil {
			return err
		}
		if do(m); m.Offset >= end-1 {
			return nil
		}
	}
}
