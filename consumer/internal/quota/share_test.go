package quota_test

import (
	"testing"

	"convdel/consumer/internal/quota"
)

func TestShareAddsUp(t *testing.T) {
	t.Parallel()
	for _, total := range []int{1, 3, 7, 64, 199, 200} {
		for replicas := 1; replicas <= 5; replicas++ {
			sum := 0.0
			for r := range replicas {
				var owned []int
				for id := r; id < total; id += replicas {
					owned = append(owned, id)
				}
				if len(owned) > 0 {
					sum += quota.Share(200, owned, total)
				}
			}
			if sum != 200 {
				t.Errorf("%d partitions, %d replicas: shares add up to %v", total, replicas, sum)
			}
		}
	}
	for _, tc := range []struct{ calls, partitions int }{{5, 6}, {10, 64}, {200, 400}, {200, 1000}} {
		sum := 0.0
		for id := range tc.partitions {
			part := quota.Share(tc.calls, []int{id}, tc.partitions)
			if part <= 0 {
				t.Errorf("partition %d of %d has no part of %d calls", id, tc.partitions, tc.calls)
			}
			sum += part
		}
		if sum > float64(tc.calls)+1e-9 || sum < float64(tc.calls)-1e-9 {
			t.Errorf("%d calls over %d replicas with a partition each: shares add up to %v", tc.calls, tc.partitions, sum)
		}
	}
}
