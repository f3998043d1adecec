package check

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"convdel/consumer/cluster"
	"convdel/consumer/inspect"
)

// Failure says in words why a question to Kafka has failed, and what to do.
func Failure(err error) (detail, fix string) {
	var refused *cluster.RefusedError
	switch {
	case errors.As(cluster.Refusal(err), &refused):
		detail = refused.Err.Error()
		if refused.Broker != "" {
			detail = refused.Broker + ": " + detail
		}
		return detail, refused.Advice()
	case errors.Is(err, inspect.ErrTooOld):
		return err.Error(), "upgrade the brokers: the service needs Kafka 2.3 or newer"
	case errors.Is(err, context.DeadlineExceeded):
		return strings.Replace(err.Error(), context.DeadlineExceeded.Error(), "no answer in time", 1), "look at the brokers and the network; --timeout gives them longer"
	}
	return err.Error(), "check --brokers, names (DNS), firewalls, and that Kafka runs"
}

// KafkaRow rules on the brokers. tls and login are how connections are made.
func KafkaRow(found *inspect.Cluster, err error, tls bool, login string) Row {
	if err != nil {
		detail, fix := Failure(err)
		if errors.Is(err, context.DeadlineExceeded) {
			// A port for TLS and one without may wait for each other, and so may another program.
			detail = "none of --brokers can be used: " + detail
			fix = "see that --brokers are ports of Kafka's, with --kafka-tls as they need it, and that they work; --timeout gives them longer"
		}
		return Failed(Kafka, detail, fix)
	}
	var r ruling
	answering := 0
	for _, b := range found.Listed {
		if b.Err == nil {
			answering++
			continue
		}
		detail, fix := Failure(b.Err)
		r.odd(fix, "of --brokers, one can't be used: %s", detail)
	}
	for _, b := range found.Known {
		if b.Err != nil {
			detail, _ := Failure(b.Err)
			r.wrong("let this machine reach each broker at the address that it advertises, or correct its advertised.listeners",
				"the cluster has a broker at %s, which can't be used: %s", b.Address, detail)
		}
	}
	if answering == len(found.Listed) {
		r.fact("all of --brokers answer")
	} else {
		r.fact("%d of the %d in --brokers answer", answering, len(found.Listed))
	}
	r.fact("the cluster has %s", countOf(int64(len(found.Known)), "broker", "brokers"))
	how := "without TLS"
	if tls {
		how = "over TLS"
	}
	if login == "" {
		how += ", without a login"
	} else {
		how += ", logged in as " + login
	}
	r.fact("%s", how)
	return r.row(Kafka)
}

// User names the principal of ACLs in advice. An empty name is one that the brokers know by something else than a login.
func User(name string) string {
	if name == "" {
		return "this client"
	}
	return "User:" + name
}

// allow is the advice for a missing right.
func allow(user, operation, kind, name string) string {
	if user == User("") {
		return fmt.Sprintf("give %s the right %s on %s %s (kafka-acls.sh, docs/access.md)", user, operation, kind, name)
	}
	return fmt.Sprintf("kafka-acls.sh --bootstrap-server … --add --allow-principal %s --operation %s --%s %s", user, operation, kind, name)
}
