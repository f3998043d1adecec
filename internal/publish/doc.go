// Package publish writes records of events to a topic, and says where each of them is.
package publish
