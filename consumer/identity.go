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
	// identityEvery is how often the topic's ID is looked at. For so long a topic that was made anew may be taken for
	// the one before it; what that misses is read afterwards.
	identityEvery = 5 * time.Second
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

// replaced asks whether the topic is another one than when the session began. If so, nothing more of the session is to
// be committed: its offsets are the old topic's.
func (s *session) replaced(ctx context.Context) (bool, error) {
	if s.identity == (recordlog.ID{}) {
		return false, nil
	}
	now, err := s.source.ID(ctx)
	if err != nil || now == (recordlog.ID{}) || now == s.identity {
		return false, err
	}
	for _, p := range s.partitions {
		p.gone.Store(true)
	}
	return true, nil
}

// watchIdentity calls stop once the topic has been replaced. By its offsets alone a new topic that is as long as
// the old one can't be told from it, and the beginning of it would never be read.
func (s *session) watchIdentity(ctx context.Context, stop context.CancelFunc) {
	for pause(ctx, identityEvery) == nil {
		replaced, err := s.replaced(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.LogAttrs(ctx, slog.LevelDebug, "topic's ID not read, will retry", slog.Any("error", err))
		}
		if replaced {
			s.log.LogAttrs(ctx, slog.LevelWarn, "topic made anew: leaving the generation to read the new one from its start",
				slog.String("topic", s.cfg.Topic))
			stop()
			return
		}
	}
}
