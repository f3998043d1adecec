package offsets

import "slices"

// NoEpoch stands for a leader epoch that is not known, as in Kafka's protocol.
const NoEpoch int32 = -1

// LastRead is how far a log was read. A leader can be asked at which offset its log of Epoch ends. If the answer is lower
// than End, the log was cut below the last record read.
type LastRead struct {
	// Epoch is that of the leader that has appended the last record read; [NoEpoch] if unknown.
	Epoch int32
	// End is the offset behind that record; -1 if unknown.
	End int64
}

// NothingRead says that nothing is known to have been read.
func NothingRead() LastRead { return LastRead{Epoch: NoEpoch, End: -1} }

// Handover is the state in which a partition's previous owner has left it.
type Handover struct {
	// Watermark is the committed offset. Finished are the finished offsets above it, ascending.
	Watermark int64
	Finished  []Range
	LastRead  LastRead
}

// At is a handover that consists of an offset only.
func At(offset int64) Handover { return Handover{Watermark: offset, LastRead: NothingRead()} }

// Cut returns the part of a handover that is still true of a log that was cut. found says where the log of the handover's
// epoch ends by the leader's answer, logStart is the log's first offset. Offsets behind the cut belong to other records,
// now or later.
func (h Handover) Cut(found LastRead, logStart int64) Handover {
	end := max(found.End, logStart)
	left := Handover{Watermark: min(h.Watermark, end), LastRead: found}
	for _, r := range h.Finished {
		if r.First >= end {
			break
		}
		left.Finished = append(left.Finished, Range{First: r.First, Last: min(r.Last, end-1)})
	}
	return left
}

// epochs are the epochs of the leaders that have appended the records read. Elections are rare, so only the offsets at
// which an epoch begins are kept.
type epochs struct{ steps []epochStep }

// epochStep says that the records from first on are of an epoch, until the next step.
type epochStep struct {
	first int64
	epoch int32
}

// note says that the records from first on are of an epoch.
func (e *epochs) note(first int64, epoch int32) {
	if n := len(e.steps); n > 0 && e.steps[n-1].epoch == epoch && e.steps[n-1].first <= first {
		return
	}
	for len(e.steps) > 0 && e.steps[len(e.steps)-1].first >= first {
		e.steps = e.steps[:len(e.steps)-1]
	}
	e.steps = append(e.steps, epochStep{first: first, epoch: epoch})
}

// before is the epoch of the record before an offset; [NoEpoch] if unknown.
func (e *epochs) before(offset int64) int32 {
	for _, s := range slices.Backward(e.steps) {
		if s.first < offset {
			return s.epoch
		}
	}
	return NoEpoch
}

// forget drops the steps that are not needed for offsets from this one on.
func (e *epochs) forget(offset int64) {
	for len(e.steps) > 1 && e.steps[1].first < offset {
		e.steps = e.steps[1:]
	}
}
