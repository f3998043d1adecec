package consumer_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	franzplain "github.com/twmb/franz-go/pkg/sasl/plain"

	"convdel/consumer"
)

// changing is a login whose password changes.
type changing struct{ password atomic.Pointer[string] }

func (*changing) Name() string { return "PLAIN" }

func (c *changing) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	return plain.Mechanism{Username: "service", Password: *c.password.Load()}.Start(ctx)
}

func (c *changing) set(password string) { c.password.Store(&password) }

// TestPasswordChanged: the brokers refuse a running replica. It says so, asks less and less often, and goes on by itself once the
// password is right again.
func TestPasswordChanged(t *testing.T) {
	t.Parallel()
	synctestWorld(t, func(w *world, logins *atomic.Int64) {
		t := w.t
		login := new(changing)
		login.set("right")
		r := w.start(func(c *consumer.Config) { c.Cluster.SASL = login })
		w.publish(0, eventValues(0, 10)...)
		w.awaitDrained(time.Minute)
		login.set("wrong-5e1f")
		r.net.Cut()
		w.await(time.Minute, "the cause in the status", func() bool {
			s := r.Status()
			return !s.Live && strings.Contains(s.Absent, "group not joined") && strings.Contains(s.Absent, "check --kafka-username")
		})
		if !strings.Contains(w.log.String(), `level=ERROR msg="group not joined, will retry"`) {
			t.Error("no error in the log")
		}
		time.Sleep(5 * time.Minute)
		before := logins.Load()
		time.Sleep(10 * time.Minute)
		// The brokers of the list are asked every 30 seconds, each of them twice, since they refuse a login by closing the connection.
		if n := logins.Load() - before; n < 10 || n > 130 {
			t.Errorf("%d connections in ten minutes", n)
		}
		login.set("right")
		w.publish(0, eventValues(10, 20)...)
		w.awaitDrained(45 * time.Second)
		if s := r.Status(); !s.Live || s.Absent != "" {
			t.Errorf("as a working member: %+v", s)
		}
		w.wantDeletedOnce(0, 20)
		if strings.Contains(w.log.String(), "wrong-5e1f") {
			t.Error("a password in the log")
		}
	})
}

// synctestWorld is a world whose brokers ask for a login. It counts the connections that replicas make.
func synctestWorld(t *testing.T, test func(w *world, logins *atomic.Int64)) {
	t.Helper()
	inWorld(t, worldOptions{brokers: 3, client: []kgo.Opt{kgo.SASL(franzplain.Auth{User: "admin", Pass: "admin"}.AsMechanism())}, kafka: []kfake.Opt{
		kfake.EnableSASL(), kfake.Superuser("PLAIN", "admin", "admin"), kfake.Superuser("PLAIN", "service", "right"),
	}}, func(w *world) {
		logins := new(atomic.Int64)
		w.kafka.ControlKey(int16(kmsg.SASLHandshake), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.KeepControl()
			logins.Add(1)
			return nil, nil, false
		})
		test(w, logins)
	})
}

// TestRightsTaken: the brokers take a right of a running replica away, and give it back.
func TestRightsTaken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys    []kmsg.Key
		topic   string
		verdict *kerr.Error
		says    string
	}{
		"group":        {[]kmsg.Key{kmsg.JoinGroup, kmsg.Heartbeat, kmsg.OffsetCommit, kmsg.OffsetFetch}, "", kerr.GroupAuthorizationFailed, "group not joined: "},
		"topic":        {[]kmsg.Key{kmsg.Fetch}, testTopic, kerr.TopicAuthorizationFailed, "can't be read: "},
		"dead letters": {[]kmsg.Key{kmsg.Produce}, testDLT, kerr.TopicAuthorizationFailed, "dead letters can't be written: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				t := w.t
				r := w.start()
				w.publish(0, eventValues(0, 10)...)
				w.awaitDrained(time.Minute)
				taken := w.kafka.Fault(kfake.Fault{Keys: test.keys, Topic: test.topic, Err: test.verdict, Count: -1})
				w.publish(0, append(eventValues(10, 20), []byte("garbage"))...)
				w.await(time.Minute, "the cause in the status", func() bool {
					s := r.Status()
					return !s.Live && strings.Contains(s.Absent, test.says) && strings.Contains(s.Absent, "check the ACLs of the user")
				})
				time.Sleep(10 * time.Minute)
				if !strings.Contains(w.log.String(), "level=ERROR") {
					t.Error("no error in the log")
				}
				taken.Remove()
				w.awaitDrained(time.Minute)
				if s := r.Status(); !s.Live || s.Absent != "" {
					t.Errorf("with all rights: %+v", s)
				}
				if n := w.deleted(0, 20); n != 20 {
					t.Errorf("%d of 20 conversations deleted", n)
				}
			})
		})
	}
}

// TestRefusedJoinsAreSpaced: joins that the brokers refuse come half a minute apart in the end, however short the session is, and the status
// names the cause all the time.
func TestRefusedJoinsAreSpaced(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		r := w.start(func(c *consumer.Config) { c.SessionTimeout = 6 * time.Second })
		w.publish(0, eventValues(0, 10)...)
		w.awaitDrained(time.Minute)
		taken := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.GroupAuthorizationFailed, Count: -1})
		w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.UnknownMemberID, Count: 1})
		time.Sleep(2 * time.Minute)
		before := taken.Hits()
		for range 600 {
			time.Sleep(time.Second)
			if s := r.Status(); !strings.Contains(s.Absent, "check the ACLs of the user") {
				t.Fatalf("the status: %+v", s)
			}
		}
		if n := taken.Hits() - before; n > 22 {
			t.Errorf("%d joins in ten minutes", n)
		}
		taken.Remove()
		w.await(time.Minute, "it is back", func() bool { return r.Status().Live })
	})
}
