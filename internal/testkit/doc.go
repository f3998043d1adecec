// Package testkit is what the tests of several packages share: waiting, reading topics, a network that can be cut, a
// Redis that can be lost, the API's simulator in a bubble. Only tests import it; the linter sees to that.
//
// Whatever waits in it works in a testing/synctest bubble and outside of one.
package testkit
