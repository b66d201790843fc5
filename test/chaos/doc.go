// Package chaos does to a cluster everything that test/cluster can break, at random and several things at once, while monitors check
// what must hold at every moment. docs/reliability.md says what is broken and what is checked.
//
// A run is a sequence of rounds. In a round, faults begin and end; when the last one has ended, everything must work again within a
// bound. What happens in a round, and when, is a pure function of the seed and the number of the round ([NewRound]), so that a seed
// replays a run, and a round can be repeated alone.
//
//   - schedule.go is what happens when: pure.
//   - faults_*.go carry it out.
//   - ledger.go holds the Services of the API against their past: pure.
//   - monitor_*.go watch the wire and the API.
//   - settled.go is what must hold once everything is healed.
//
// A monitor counts only what was on the wire or in the API. It holds that against what the product promises, never against what a
// process would have had to do within a time in which the machine may not have run it, except for the bounds in bounds.go.
package chaos
