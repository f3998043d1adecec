package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"convdel/imclient/imtest"
	"convdel/schema"
)

// TestLogAccounts: with log-accounts=false no line names an account, and without it errors do as they are.
func TestLogAccounts(t *testing.T) {
	t.Parallel()
	const accounts = "qzvw" // a part of both, which no number and no ID has
	for _, c := range []struct {
		setting string
		shown   bool
	}{{"true", true}, {"false", false}} {
		t.Run(c.setting, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t)
			sim := startSim(t, imtest.Config{})
			sim.Script(imtest.Fault{Account: "aliceqzvw", Code: 50001, Info: "no user ALICEQZVW has C2Cfriendqzvw"})
			env := required().with(environment{
				"CONVDEL_BROKERS": b.address, "CONVDEL_IM_ENDPOINT": sim.URL, "CONVDEL_ADMIN_ADDR": "", "CONVDEL_LOG_ACCOUNTS": c.setting,
			})
			p := start(t, env, nil, "run", "--create-topics", "--quota", "local", "--log-level", "debug")
			await(t, "the topic is there", func() bool { return strings.Contains(p.stderr.String(), "generation begins") })
			input := `{"From_Account":"aliceqzvw","Type":1,"To_Account":"friendqzvw"}` + "\n"
			if run := invoke(t, env, input, "publish"); run.status != exitDone {
				t.Fatal(run.stderr)
			}
			await(t, "the dead letter", func() bool { return strings.Contains(p.stderr.String(), `"msg":"dead letter"`) })
			p.end()
			log := p.stderr.String()
			if got := strings.Contains(strings.ToLower(log), accounts); got != c.shown || !strings.Contains(log, schema.Topic+"/") {
				t.Errorf("log %s", log)
			}
		})
	}
}

// TestTheBookHidesWhatTheLogDoes: a line has no more accounts on the status page than in a log without accounts, wherever it has them.
func TestTheBookHidesWhatTheLogDoes(t *testing.T) {
	t.Parallel()
	for _, shown := range []bool{false, true} {
		book := newBook(shown)
		log, end := newLogger(io.Discard, slog.LevelInfo, formatJSON, book)
		const said = `Unsolicited response received on idle HTTP channel starting with "{\"To_Account\":\"alice7731\"}"; err=EOF`
		libraries := new(libraryLog)
		libraries.redirect(log)
		libraries.say(t.Context(), said)
		log.With(slog.String("text", said)).Warn("of all lines")
		log.Warn("in a group", slog.Group("g", slog.String("text", said)))
		end()
		text := fmt.Sprint(book.Lines())
		if strings.Contains(text, "alice7731") != shown || strings.Count(text, "err=EOF") != 3 {
			t.Errorf("accounts shown %v: %s", shown, text)
		}
	}
}

// TestAccountsAreHiddenWhereverAnErrorIs in a line.
func TestAccountsAreHiddenWhereverAnErrorIs(t *testing.T) {
	t.Parallel()
	_, err := schema.Decode([]byte(`{"specversion":"1.0","type":"alice7731","source":"s","id":"i"}`), nil)
	if err == nil || !strings.Contains(err.Error(), "alice7731") {
		t.Fatalf("the error is %v", err)
	}
	err = fmt.Errorf("joined: %w", errors.Join(errors.New("other"), err))
	var out bytes.Buffer
	log := slog.New(withoutAccounts{slog.NewTextHandler(&out, nil)})
	log.Error("in the line", slog.Any("error", err))
	log.Error("in a group", slog.Group("g", slog.Any("error", err)))
	log.With(slog.Any("error", err)).WithGroup("h").Error("of all lines", slog.Int("n", 7))
	log.Warn("a library says", slog.String("text", `response starting with "{\"To_Account\":\"alice7731\"}"; err=EOF`))
	log.Warn("a library says", slog.String("text", `response starting with "{\"To_Account\":\"alice7731…`))
	if text := out.String(); strings.Contains(text, "alice7731") || strings.Count(text, "other") != 3 || !strings.Contains(text, "err=EOF") || !strings.Contains(text, "h.n=7") {
		t.Errorf("log %s", text)
	}
}
