// Package sim proves the service by simulation. It holds tests only.
//
// From a seed it draws a bad day: load, garbage, latencies, outages, replicas that are killed, brokers that go away. The
// real service lives through the day in virtual time, over the real protocol, with an embedded broker cluster and the API's
// simulator. A ledger is then drawn up from what the broker and the API have seen, and compared with the service's
// promises. docs/proof.md says what is drawn and what is checked.
//
//	make sim SEEDS=500        that many days, from seed 1 (FROM=n: another) on
//	make sim SEED=17          one day, with its timeline
//	make sim-check            broken services, each of which must be caught
package sim
