package consumer

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"log/slog"
	"strings"
	"time"

	"convdel/consumer/internal/recordlog"
)

const (
	// topicEvery is how often the topic is looked at. For so long one that was made anew may be taken for the one before
	// it; what that misses is read afterwards.
	topicEvery = 5 * time.Second
	// A commit's metadata begins with the identity of the log that its offset is one of: this, 20 bytes in unpadded
	// base64, and a space.
	stampPrefix = "convdel-topic1:"
	stampBytes  = len(stampPrefix) + 27 + 1
)

// stamp puts the identity before a list of finished offsets; an unknown one not.
func stamp(id recordlog.ID, done string) string {
	if id == (recordlog.ID{}) {
		return done
	}
	raw := binary.BigEndian.AppendUint32(nil, id.Cluster)
	return stampPrefix + base64.RawStdEncoding.EncodeToString(append(raw, id.Topic[:]...)) + " " + done
}

// unstamp takes them apart again. Without a stamp, which older versions and other tools write, the identity is unknown.
func unstamp(metadata string) (id recordlog.ID, done string) {
	text, stamped := strings.CutPrefix(metadata, stampPrefix)
	if !stamped {
		return recordlog.ID{}, metadata
	}
	text, done, _ = strings.Cut(text, " ")
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(raw) != 4+len(id.Topic) {
		return recordlog.ID{}, ""
	}
	id.Cluster = binary.BigEndian.Uint32(raw)
	copy(id.Topic[:], raw[4:])
	return id, done
}

// origin says which log a committed offset is one of.
type origin int

const (
	// thisLog is the one that the session reads, as far as known.
	thisLog origin = iota
	// formerTopic is that of a topic of the same name that is no more: its offsets mean nothing here.
	formerTopic
	// otherCluster is that of another cluster, from where a mirror has brought the offset along. Mirrors translate
	// offsets, not what they do not know.
	otherCluster
)

func originOf(committed, now recordlog.ID) origin {
	switch {
	case committed == (recordlog.ID{}) || now == (recordlog.ID{}) || committed == now:
		return thisLog
	case committed.Cluster == now.Cluster:
		return formerTopic
	default:
		return otherCluster
	}
}

// look asks about the topic, and whether it is another one than when the session began. If so, nothing more of the session
// is to be committed: its offsets are the old topic's.
func (s *session) look(ctx context.Context) (topic recordlog.Topic, replaced bool, err error) {
	topic, err = s.source.Describe(ctx)
	if err != nil || topic.ID == (recordlog.ID{}) || s.identity == (recordlog.ID{}) || topic.ID == s.identity {
		return topic, false, err
	}
	for _, p := range s.partitions {
		p.gone.Store(true)
	}
	return topic, true, nil
}

// watchTopic calls stop once the topic has been replaced. By its offsets alone a new topic that is as long as
// the old one can't be told from it, and the beginning of it would never be read. If it has got more partitions, the
// share of the quota follows.
func (s *session) watchTopic(ctx context.Context, stop context.CancelFunc) {
	for pause(ctx, topicEvery) == nil {
		topic, replaced, err := s.look(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.LogAttrs(ctx, slog.LevelDebug, "topic not looked at, will retry", slog.Any("error", err))
		case err == nil && !replaced:
			s.reshare(ctx, topic.Partitions)
		}
		if replaced {
			s.log.LogAttrs(ctx, slog.LevelWarn, "topic made anew: leaving the generation to read the new one from its start",
				slog.String("topic", s.cfg.Topic))
			stop()
			return
		}
	}
}
