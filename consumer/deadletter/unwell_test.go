package deadletter_test

import (
	"testing"
	"time"

	"convdel/consumer/deadletter"
	"convdel/internal/testkit"
)

// TestUnwellBroker_Table: a broker of the list is of no use. The table is opened, read and settled by the others.
func TestUnwellBroker_Table(t *testing.T) {
	t.Parallel()
	for _, ailment := range testkit.Ailments() {
		t.Run(string(ailment), func(t *testing.T) {
			t.Parallel()
			onShelf(t, func(s *shelf) {
				t := s.t
				s.put(letter(1), letter(2))
				ward := testkit.NewWard(s.network.DialContext)
				ward.Make("unwell:9092", ailment)
				config := s.cluster()
				config.Brokers, config.Dial = append([]string{"unwell:9092"}, config.Brokers...), ward.DialContext
				began := time.Now()
				table, err := deadletter.Open(t.Context(), config, dlt)
				if err != nil {
					t.Fatal(err)
				}
				defer table.Close()
				plan, err := table.Replay(t.Context(), deadletter.Choice{Topic: source}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); plan.Settled != 2 || took > 30*time.Second {
					t.Errorf("%d letters replayed in %s", plan.Settled, took)
				}
			})
		})
	}
}
