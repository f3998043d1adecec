package recordlog

import (
	"fmt"
	"testing"
)

// BenchmarkRead reads batches of 500 events without a broker. It reports records a second and allocations for each record.
func BenchmarkRead(b *testing.B) {
	const records = 500
	values := make([]string, records)
	for i := range values {
		values[i] = fmt.Sprintf(`{"specversion":"1.0","id":"%08x","source":"/app","type":"conversation.delete.requested","data":{"From_Account":"user%d","Type":1,"To_Account":"friend%d"}}`,
			uint32(i)*2654435761, i*7919%10007, i)
	}
	for _, p := range packings() {
		b.Run(p.name, func(b *testing.B) {
			batch := of(0, values...).codec(p.codec, p.pack).bytes()
			l := new(Log)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				if err := answered(l, 0, batch).Each(0, func(*Record) error {
					n++
					return nil
				}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
