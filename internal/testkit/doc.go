// Package testkit is shared by the tests of several packages: waiting, reading topics, a network that can be cut, a Redis
// that can be lost, the API's simulator in a bubble. Only tests import it; the linter holds that.
//
// All waiting in it works both in a testing/synctest bubble and outside of one.
package testkit
