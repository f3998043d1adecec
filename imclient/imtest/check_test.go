package imtest_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"convdel/imclient/imtest"
)

func TestSuccessIsThePagesExample(t *testing.T) {
	t.Parallel()
	sim, c := start(t, config())
	before := time.Now()
	a, err := c.post(t, `{"From_Account":"id1","Type":1,"To_Account":"id2","ClearRamble":1}`)
	if err != nil || a.status != 200 || a.body != `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}` {
		t.Fatalf("got %+v, %v", a, err)
	}
	arrivals := sim.Arrivals()
	if len(arrivals) != 1 {
		t.Fatalf("arrivals %+v", arrivals)
	}
	got := arrivals[0]
	if got.At.Before(before) || got.Answered.Before(got.At) || time.Since(got.Answered) < 0 {
		t.Errorf("times %+v", got)
	}
	got.At, got.Answered = time.Time{}, time.Time{}
	want := imtest.Arrival{From: "id1", To: "id2", Type: 1, ClearRamble: true, HTTPStatus: 200, Random: 4294967295}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestQueryIsChecked(t *testing.T) {
	t.Parallel()
	sim, c := start(t, config())
	const body = `{"From_Account":"a","Type":1,"To_Account":"b"}`
	sig := c.query.Get("usersig")
	for name, tt := range map[string]struct {
		set  map[string]string
		code int
	}{
		"right":                  {nil, 0},
		"no sdkappid":            {map[string]string{"sdkappid": ""}, 60012},
		"sdkappid not a number":  {map[string]string{"sdkappid": "x"}, 60006},
		"sdkappid of another":    {map[string]string{"sdkappid": "1400000001"}, 70020},
		"no identifier":          {map[string]string{"identifier": ""}, 60004},
		"no usersig":             {map[string]string{"usersig": ""}, 60004},
		"no random":              {map[string]string{"random": ""}, 60002},
		"random negative":        {map[string]string{"random": "-1"}, 60002},
		"random of 33 bits":      {map[string]string{"random": "4294967296"}, 60002},
		"random 0":               {map[string]string{"random": "0"}, 0},
		"contenttype xml":        {map[string]string{"contenttype": "xml"}, 60002},
		"usersig nonsense":       {map[string]string{"usersig": "nonsense"}, 70003},
		"usersig cut off":        {map[string]string{"usersig": sig[:len(sig)/2]}, 70003},
		"usersig too long":       {map[string]string{"usersig": strings.Repeat("x", 20<<10)}, 70003},
		"usersig altered":        {map[string]string{"usersig": sig[:60] + "AAAA" + sig[64:]}, 70003},
		"wrong key":              {map[string]string{"usersig": sign(t, appID, "other", identifier, 3600)}, 70009},
		"signed for another":     {map[string]string{"usersig": sign(t, appID, secretKey, "somebody", 3600)}, 70013},
		"signed for another app": {map[string]string{"usersig": sign(t, 1400000001, secretKey, identifier, 3600)}, 70014},
		"expired":                {map[string]string{"usersig": sign(t, appID, secretKey, identifier, -10)}, 70001},
		"identifier of another":  {map[string]string{"identifier": "somebody"}, 70013},
		"no administrator": {
			map[string]string{"identifier": "somebody", "usersig": sign(t, appID, secretKey, "somebody", 3600)}, 60010,
		},
	} {
		query := maps.Clone(c.query)
		for key, value := range tt.set {
			query.Set(key, value)
		}
		for range 2 { // The second check uses the cache.
			a, err := c.do(t, http.MethodPost, path, query, body)
			if err != nil || a.status != 200 || a.result.ErrorCode != tt.code {
				t.Errorf("%s: got %+v, %v, want code %d", name, a, err, tt.code)
			}
			if ok := a.result.ActionStatus == "OK"; ok != (tt.code == 0) || ok != (a.result.ErrorInfo == "") {
				t.Errorf("%s: %+v", name, a)
			}
		}
	}
	if n := sim.Deleted("a", 1, "b"); n != 4 {
		t.Errorf("deleted %d times by the 4 right calls", n)
	}
	for _, tt := range []struct {
		method, path string
		code         int
	}{
		{http.MethodGet, path, 60002},
		{http.MethodPut, path, 60002},
		{http.MethodPost, path + "/", 60009},
		{http.MethodPost, "/", 60009},
		{http.MethodPost, "/v4/recentcontact/get", 60009},
	} {
		a, err := c.do(t, tt.method, tt.path, c.query, body)
		if err != nil || a.result.ErrorCode != tt.code {
			t.Errorf("%s %s: got %+v, %v, want code %d", tt.method, tt.path, a, err, tt.code)
		}
	}
}

func TestSignatureWithUserBuf(t *testing.T) {
	t.Parallel()
	// The page's private tickets carry a buffer that is signed, too. The vendor's own code has made this one.
	_, c := start(t, config())
	sig := signWithBuf(t, []byte("room 1"))
	c.query.Set("usersig", sig)
	if code := c.call(t, "a"); code != 0 {
		t.Errorf("code %d", code)
	}
}

func TestBodyIsChecked(t *testing.T) {
	t.Parallel()
	sim, c := start(t, config())
	for body, code := range map[string]int{
		`{"From_Account":"a","Type":1,"To_Account":"b"}`:                                 0,
		`{"From_Account":"a","Type":1,"To_Account":"b","ClearRamble":0,"Extra":[1]}`:     0,
		`{"From_Account":"a","Type":2,"To_Account":"g"}`:                                 0, // The older page.
		`{"From_Account":"a","Type":2,"ToGroupid":"g"}`:                                  0, // The newer page.
		`{"From_Account":"a","Type":2,"To_Account":"g","ToGroupid":"g","ClearRamble":1}`: 0,
		`{"From_Account":"a","Type":2,"To_Account":"g","ToGroupid":"h"}`:                 50002,
		`{"From_Account":"a","Type":1,"ToGroupid":"g"}`:                                  50002,
		`{"Type":1,"To_Account":"b"}`:                                                    50002,
		`{"From_Account":"","Type":1,"To_Account":"b"}`:                                  50002,
		`{"From_Account":"a","Type":1}`:                                                  50002,
		`{"From_Account":"a","Type":3,"To_Account":"b"}`:                                 50002,
		`{"From_Account":"a","To_Account":"b"}`:                                          50002,
		`{"From_Account":"a","Type":"1","To_Account":"b"}`:                               50002,
		`{"From_Account":"a","Type":1,"To_Account":"b","ClearRamble":2}`:                 50002,
		`{"From_Account":"a","Type":1,"To_Account":"b","ClearRamble":true}`:              50002,
		`{"From_Account":1,"Type":1,"To_Account":"b"}`:                                   60015,
		`{"From_Account":"a","Type":1,"To_Account":["b"]}`:                               60015,
		`{"From_Account":"a","Type":1,"To_Account":"b"`:                                  60003,
		``:   60003,
		`[]`: 60003,
		`{"From_Account":"` + strings.Repeat("a", 70<<10) + `","Type":1,"To_Account":"b"}`: 60002,
	} {
		a, err := c.post(t, body)
		if err != nil || a.status != 200 || a.result.ErrorCode != code {
			t.Errorf("%.80s: got %+v, %v, want code %d", body, a, err, code)
		}
	}
	if c2c, g2c := sim.Deleted("a", 1, "b"), sim.Deleted("a", 2, "g"); c2c != 2 || g2c != 3 {
		t.Errorf("deleted %d and %d times, want 2 and 3", c2c, g2c)
	}
}

func TestExpiryAndClockSkew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, c := bubble(t, config())
		check := func(want int) {
			t.Helper()
			if code := c.call(t, "a"); code != want {
				t.Errorf("after %v: code %d, want %d", time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)), code, want)
			}
		}
		check(0)
		time.Sleep(time.Hour)
		check(0)
		time.Sleep(time.Second)
		check(70001)
		sim.SetClockSkew(-time.Minute)
		check(0)
		sim.SetClockSkew(0)
		check(70001)
	})
}

func TestDateHeaderShowsTheSkew(t *testing.T) {
	t.Parallel()
	sim := imtest.New(config())
	t.Cleanup(sim.Close)
	sim.SetClockSkew(48 * time.Hour)
	recorder := httptest.NewRecorder()
	sim.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, path, strings.NewReader("{}")))
	date, err := http.ParseTime(recorder.Header().Get("Date"))
	if skew := time.Until(date); err != nil || skew < 47*time.Hour || skew > 49*time.Hour {
		t.Errorf("Date %v, %v", date, err)
	}
}

func TestKeyCanChange(t *testing.T) {
	t.Parallel()
	sim, c := start(t, config())
	if code := c.call(t, "a"); code != 0 {
		t.Errorf("code %d", code)
	}
	sim.SetSecretKey("other")
	if code := c.call(t, "a"); code != 70009 {
		t.Errorf("old key: code %d", code)
	}
	c.query = maps.Clone(c.query)
	c.query.Set("usersig", sign(t, appID, "other", identifier, 3600))
	if code := c.call(t, "a"); code != 0 {
		t.Errorf("new key: code %d", code)
	}
}
