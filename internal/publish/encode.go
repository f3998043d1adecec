package publish

import (
	"crypto/rand"
	"time"

	"convdel/schema"
)

// Source is the CloudEvents source of events without a source.
const Source = "convdel/publish"

// Encode encodes an event. It adds an id, a source and a time to a CloudEvent that lacks them.
func Encode(event schema.Event, wrap schema.Wrapping) (Record, error) {
	r := Record{Key: []byte(event.Key())}
	if wrap != schema.Bare {
		if event.ID == "" {
			event.ID = rand.Text()
		}
		if event.Source == "" {
			event.Source = Source
		}
		if event.Time.IsZero() {
			event.Time = time.Now()
		}
	}
	r.Event = event
	var err error
	switch wrap {
	case schema.Structured:
		r.Value, err = event.EncodeCloudEvent()
		r.Headers = []schema.Header{{Key: schema.ContentTypeHeader, Value: []byte(schema.ContentTypeStructured)}}
	case schema.Binary:
		r.Value, r.Headers, err = event.EncodeCloudEventBinary()
	case schema.Bare:
		r.Value, err = event.Encode()
	}
	return r, err
}
