// Package sim proves the service by simulation: it holds tests only.
//
// From one seed it draws a bad day: load, garbage, latencies, outages, replicas that are killed, brokers that go away.
// Then the day is lived through in virtual time by the real service over the real protocol, with an embedded broker
// cluster and the API's simulator, and a ledger of what the broker and the API have seen is held against what the
// service promises. docs/proof.md says what is drawn and what is checked.
//
//	make sim SEEDS=500        that many days, from seed 1 (FROM=n: another) on
//	make sim SEED=17          one day, with its timeline
//	make sim-check            broken services, each of which must be caught
package sim
