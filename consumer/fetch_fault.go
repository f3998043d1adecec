package consumer

import (
	"errors"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/recordlog"
)

// The reasons why a fetch fails, besides those of a batch that can't be read.
const (
	faultNetwork = "network"
	faultBroker  = "broker"
	faultOffset  = "offset_out_of_range"
	faultEpoch   = "leader_epoch"
)

func fetchFaults() []string {
	return []string{
		faultNetwork, faultBroker, faultOffset, faultEpoch,
		recordlog.ReasonCRC, recordlog.ReasonCompression, recordlog.ReasonMalformed, recordlog.ReasonTooLarge,
	}
}

// fetchFault names why a fetch failed, for metrics.
func fetchFault(err error) string {
	var bad *recordlog.BatchError
	var verdict kafka.Error
	switch {
	case errors.As(err, &bad):
		return bad.Reason
	case errors.Is(err, recordlog.ErrOffsetGone):
		return faultOffset
	case errors.Is(err, kafka.FencedLeaderEpoch), errors.Is(err, kafka.UnknownLeaderEpoch):
		return faultEpoch
	case errors.As(err, &verdict):
		return faultBroker
	default:
		return faultNetwork
	}
}
