package recordlog

import "github.com/twmb/franz-go/pkg/kmsg"

// abortedBy is a broker's list of one transaction that was rolled back.
func abortedBy(producer, first int64) []kmsg.FetchResponseTopicPartitionAbortedTransaction {
	one := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
	one.ProducerID, one.FirstOffset = producer, first
	return []kmsg.FetchResponseTopicPartitionAbortedTransaction{one}
}
