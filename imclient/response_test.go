package imclient

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tencentyun/tls-sig-api-v2-golang/tencentyun"
)

func TestSignatureIsUsable(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &signature{issued: now, expires: now.Add(time.Hour)}
	for after, want := range map[time.Duration]bool{
		0: true, 59 * time.Minute: true, time.Hour: false, 1000 * time.Hour: false,
		// The clock was set back, by a little and by a lot.
		-30 * time.Second: true, -time.Hour: false,
	} {
		if got := s.usable(now.Add(after)); got != want {
			t.Errorf("usable %v after it was issued: %v", after, got)
		}
	}
	s.revoked = true
	if s.usable(now) || (*signature)(nil).usable(now) {
		t.Error("a revoked signature, or none, is usable")
	}
}

func TestDecodeResult(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body string
		ok   bool
		code int
		info string
		fail bool
	}{
		{body: `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}`, ok: true},
		{body: ` {"ActionStatus":"OK","ErrorCode":0} ` + "\r\n", ok: true},
		{body: `{"ActionStatus":"OK"}`, fail: true}, // in doubt, nothing was deleted
		{body: `{"ErrorCode":0}`, ok: true},
		{body: `{"ResultCode":0}`, ok: true},
		{body: `{"ActionStatus":"OK","ErrorCode":0,"More":[1,{"a":null}]}`, ok: true},
		{body: `{"ActionStatus":"FAIL","ErrorCode":50001,"ErrorInfo":"no"}`, code: 50001, info: "no"},
		{body: `{"ActionStatus":"FAIL","ResultCode":50004,"ResultInfo":"later"}`, code: 50004, info: "later"},
		{body: `{"ErrorCode":0,"ErrorInfo":"","ResultCode":50005,"ResultInfo":"slow"}`, code: 50005, info: "slow"},
		{body: `{"ErrorCode":50002,"ErrorInfo":"bad","ResultCode":0,"ResultInfo":"fine"}`, code: 50002, info: "bad"},
		{body: `{"ErrorCode":50002,"ErrorInfo":"one","ResultCode":50004,"ResultInfo":"two"}`, code: 50002, info: "one"},
		{body: `{"ErrorCode":0,"ErrorInfo":"one","ResultCode":50004}`, code: 50004, info: "one"},
		{body: `{"ErrorCode":50004,"ResultInfo":"two"}`, code: 50004, info: "two"},
		// The code decides, whatever the status beside it says.
		{body: `{"ActionStatus":"OK","ErrorCode":70001,"ErrorInfo":"x"}`, code: 70001, info: "x"},
		// If there is a status, it must be OK for a success.
		{body: `{"ActionStatus":"FAIL","ErrorCode":0,"ErrorInfo":"x"}`, info: "x"},
		{body: `{"ActionStatus":"","ErrorCode":0}`},
		{body: `{"ActionStatus":"ok","ErrorCode":0}`},
		{body: `{}`, fail: true},
		{body: `null`, fail: true},
		{body: `[]`, fail: true},
		{body: `"OK"`, fail: true},
		{body: ``, fail: true},
		{body: `{"ActionStatus":null,"ErrorCode":null}`, fail: true},
		{body: `{"status":"ok","code":0}`, fail: true},
		{body: `{"ActionStatus":"OK","ErrorCode":0}{}`, fail: true},
		{body: `{"ActionStatus":"OK","ErrorCode":0`, fail: true},
		{body: `{"ActionStatus":"OK","ErrorCode":"0"}`, fail: true},
		{body: `{"ActionStatus":"OK","ErrorCode":0.5}`, fail: true},
		{body: `{"ActionStatus":"OK","ErrorCode":1e99}`, fail: true},
		{body: `{"ActionStatus":1,"ErrorCode":0}`, fail: true},
		{body: `<html>OK</html>`, fail: true},
		// Two readers could take these for different answers.
		{body: `{"ErrorCode":50001,"ErrorCode":0}`, fail: true},
		{body: `{"ErrorCode":0,"ErrorCode":50001}`, fail: true},
		{body: `{"ErrorCode":0,"ErrorCode":0}`, fail: true},
		{body: `{"ErrorCode":50001,"ErrorCode":50004}`, fail: true},
		{body: `{"ErrorCode":50001,"Err\u006frCode":0}`, fail: true},
		{body: `{"ErrorCode":0,"errorcode":50001}`, fail: true},
		{body: `{"errorcode":50001,"ErrorCode":0}`, fail: true},
		{body: `{"errorcode":0}`, fail: true},
		{body: `{"ERRORCODE":50001}`, fail: true},
		{body: `{"ErrorCode":0,"resultcode":50005}`, fail: true},
		{body: `{"ErrorCode":0,"actionstatus":"FAIL"}`, fail: true},
		{body: `{"ErrorCode":0,"ActionStatuſ":"FAIL"}`, fail: true},
		{body: `{"ErrorCode":0,"errorInfo":"x"}`, fail: true},
		{body: `{"ActionStatus":"FAIL","ActionStatus":"OK","ErrorCode":0}`, fail: true},
		{body: `{"ActionStatus":"OK","ErrorCode":0,"ActionStatus":"OK"}`, fail: true},
		{body: `{"ErrorCode":50002,"ErrorInfo":"a","ErrorInfo":"b"}`, fail: true},
		{body: `{"ErrorCode":0,"Other":1,"Other":2}`, fail: true},
		{body: `{"ErrorCode":0,"Other":1,"OTHER":2}`, fail: true},
		{body: `{"ErrorCode":0,"a":{"b":1,"b":2}}`, fail: true},
		{body: `{"ErrorCode":0,"a":[[{"b":{"c":1,"c":1}}]]}`, fail: true},
		{body: `{"ErrorCode":0,"a":{"ErrorCode":50001}}`, fail: true},
		{body: `{"ErrorCode":0,"a":[{"resultCode":"no"}]}`, fail: true},
		{body: `{"ErrorCode":0,"a":[{"ErrorCode":0,"ErrorInfo":""},{"ErrorCode":0}]}`, ok: true},
		{body: `{"ErrorCode":0,"ErrorDisplay":"","a":{"b":1},"c":[{"b":1},{"b":2},[],{},null,true,1e3,"x"]}`, ok: true},
		{body: `{"ErrorCode":0.0}`, fail: true},
		{body: `{"ErrorCode":-0}`, fail: true},
		{body: `{"ErrorCode":0e0}`, fail: true},
		{body: `{"ErrorCode":1e0}`, fail: true},
		{body: `{"ErrorCode":00}`, fail: true},
		{body: `{"ErrorCode":null,"ResultCode":0}`, fail: true},
		{body: `{"ErrorCode":0,"ResultCode":null}`, fail: true},
		{body: `{"ErrorCode":0,"ResultCode":"50001"}`, fail: true},
		{body: `{"ErrorCode":[0]}`, fail: true},
		{body: `{"ErrorCode":{}}`, fail: true},
		{body: `{"ErrorCode":false}`, fail: true},
		{body: `{"ErrorCode":18446744073709551616}`, fail: true},
		{body: `{"ActionStatus":null,"ErrorCode":0}`, fail: true},
		{body: `{"ActionStatus":["OK"],"ErrorCode":0}`, fail: true},
		{body: `{"ErrorCode":0,"ErrorInfo":7}`, fail: true},
		{body: `{"ErrorCode":0,"ErrorInfo":null}`, ok: true},
		{body: `{"ErrorCode":-1,"ErrorInfo":"x"}`, code: -1, info: "x"},
		{body: `{"ErrorCode":0} {"ErrorCode":50001}`, fail: true},
		{body: `{"ErrorCode":0},`, fail: true},
		{body: "{\"ErrorCode\":0}\x00", fail: true},
		{body: `[{"ErrorCode":0}]`, fail: true},
		{body: "\ufeff{\"ErrorCode\":0}", fail: true},
		{body: "{\"ErrorCode\":0,\"a\":\"\xff\"}", fail: true},
		{body: "{\"ErrorCode\":0,\"Error\xffCode\":50001}", fail: true},
		// A failure may have a text in another encoding: its code is as clear as any.
		{body: "{\"ErrorCode\":50001,\"ErrorInfo\":\"\xff\"}", code: 50001, info: "\ufffd"},
	} {
		ok, code, info, err := decodeResult([]byte(tt.body))
		if ok != tt.ok || code != tt.code || info != tt.info || (err != nil) != tt.fail {
			t.Errorf("%s: got %v, %d, %q, %v", tt.body, ok, code, info, err)
		}
	}
}

// FuzzDecodeResult: only JSON that says so is a success, and an error comes without a code.
func FuzzDecodeResult(f *testing.F) {
	for _, seed := range []string{
		`{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}`,
		`{"ActionStatus":"FAIL","ErrorCode":0,"ResultCode":50005,"ResultInfo":"slow"}`,
		`{"actionstatus":"OK","ErrorCode":null}`, `{}`, `null`, `[`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ok, code, info, err := decodeResult(body)
		if err != nil {
			if ok || code != 0 || info != "" {
				t.Errorf("%v, %d, %q next to the error %v", ok, code, info, err)
			}
			return
		}
		var fields map[string]any
		if json.Unmarshal(body, &fields) != nil || len(fields) == 0 {
			t.Errorf("%q was taken for an answer", body)
		}
		if ok && code != 0 {
			t.Errorf("success with code %d", code)
		}
	})
}

// TestScrubManySignatures: signatures differ in which characters have to be escaped, and where.
func TestScrubManySignatures(t *testing.T) {
	t.Parallel()
	for lifetime := range 300 {
		sig, err := tencentyun.GenUserSig(1400000000, "key", "administrator", 86400+lifetime)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range formsOf(sig) {
			for _, piece := range []string{form, form[:len(form)/2], form[len(form)/3:], form[len(form)-minFragment:], form[7:30]} {
				got := scrub("request "+piece+" refused", sig)
				if !strings.HasPrefix(got, "request ") || !strings.HasSuffix(got, " refused") || !strings.Contains(got, mask) {
					t.Errorf("%q became %q", piece, got)
				}
				for i := 0; i+minFragment <= len(got); i++ {
					if sharedPrefix(got[i:], form) > 0 {
						t.Fatalf("%q became %q", piece, got)
					}
				}
			}
		}
	}
}

// FuzzScrub: whatever text surrounds a signature, no piece of the signature gets through, and the result can be shown.
func FuzzScrub(f *testing.F) {
	const secret = "eJwtzE0LgkAUheG-YHOsKG*Hd8bRpKUrAivaFLSTZrKrOAw6fRH99zZM1_c7nPch2-JI3W1*zZ4mzI_IpBuNtq3xeKZ6cJ5m_-MuI_"
	f.Add("usersig=", 0, len(secret), "&random=1")
	f.Add("GET /?UserSig%3D", 10, 40, "\n")
	f.Add("", 5, 17, "")
	f.Fuzz(func(t *testing.T, before string, from, to int, after string) {
		from, to = min(max(from, 0), len(secret)), min(max(to, 0), len(secret))
		if to-from < minFragment {
			return
		}
		piece := secret[from:to]
		got := scrub(before+piece+after, secret)
		if len(got) > maxInfo {
			t.Errorf("%d bytes", len(got))
		}
		for i := 0; i+minFragment <= len(got); i++ {
			if sharedPrefix(got[i:], secret) > 0 {
				t.Fatalf("%q shows a piece of the signature", got)
			}
		}
		for _, r := range got {
			if printable(r) != r {
				t.Errorf("%q has %q in it", got, r)
			}
		}
	})
}

func TestScrub(t *testing.T) {
	t.Parallel()
	const secret = "eJwtzE0LgkAUheG-YHOsKG*Hd8bRpKUrAivaFLSTZrKrOAw6fRH99zZM1_c7nPch2-JI3W1*zZ4mzI_IpBuNtq3xeKZ6cJ5m_-MuI_"
	for in, want := range map[string]string{
		"":                                                   "",
		"To_Account 用户 invalid":                              "To_Account 用户 invalid",
		"line\r\nforged\x1b[31m":                             "line  forged [31m",
		"a\xffb":                                             "a?b",
		"?usersig=abc&random=1":                              "?usersig=***&random=1",
		"?userSig=abc&random=1":                              "?userSig=***&random=1",
		`{"usersig": "abc","x":1}`:                           `{"usersig": "***","x":1}`,
		`{\"TLS.sig\":\"abc=\",\"x\":1}`:                     `{\"TLS.sig\":\"***\",\"x\":1}`,
		"%26usersig%3Dabc%26random%3D1 x":                    "%26usersig%3D*** x",
		"usersig " + secret + " bad":                         "usersig *** bad",
		"got " + secret[20:60] + "...":                       "got ***...",
		"hex 0123456789abcdef0123456789ab":                   "hex 0123456789abcdef0123456789ab",
		"id 123e4567-e89b-12d3-a456-426614174000":            "id 123e4567-e89b-12d3-a456-426614174000",
		"mac uFrJeEFE7N1Wd5V7uXkAWB9pzpyqwmmW2iMAzwQ8fPo= .": "mac *** .",
	} {
		if got := scrub(in, secret); got != want {
			t.Errorf("scrub(%q) = %q, want %q", in, got, want)
		}
	}
	if got := scrub("short key hunter2", "hunter2"); got != "short key ***" {
		t.Errorf("short secret: %q", got)
	}
	long := strings.Repeat("é ", 500)
	if got := scrub(long, ""); len(got) > maxInfo || len(got) < maxInfo-4 {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}
