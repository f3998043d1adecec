// Package browser opens the status page in headless Chromium, as an operator does: on a desk and on a phone, in the light and in the dark,
// while the service works, while it is paused and without Kafka. It is a module of its own, so that the browser's libraries stay out of
// convdel's.
//
// The pictures in docs are made from fixed reports: go test -run Pictures -update.
package browser
