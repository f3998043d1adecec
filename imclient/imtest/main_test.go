package imtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/tencentyun/tls-sig-api-v2-golang/tencentyun"
	"go.uber.org/goleak"

	"convdel/imclient/imtest"
	"convdel/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	appID      = 1400000000
	identifier = "administrator"
	secretKey  = "key"
)

func config() imtest.Config {
	return imtest.Config{SDKAppID: appID, Identifier: identifier, SecretKey: secretKey}
}

func sign(t *testing.T, app int, key, account string, lifetime int) string {
	t.Helper()
	sig, err := tencentyun.GenUserSig(app, key, account, lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func signWithBuf(t *testing.T, buf []byte) string {
	t.Helper()
	sig, err := tencentyun.GenUserSigWithBuf(appID, secretKey, identifier, 3600, buf)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// caller makes valid calls, except for what a test changes in them.
type caller struct {
	url    string
	client *http.Client
	query  url.Values
}

func newCaller(t *testing.T, endpoint string, transport *http.Transport) *caller {
	t.Helper()
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{
		url:    endpoint,
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		query: url.Values{
			"sdkappid":    {strconv.Itoa(appID)},
			"identifier":  {identifier},
			"usersig":     {sign(t, appID, secretKey, identifier, 3600)},
			"random":      {"4294967295"},
			"contenttype": {"json"},
		},
	}
}

// start returns a simulator on loopback and a caller of it.
func start(t *testing.T, cfg imtest.Config) (*imtest.Server, *caller) {
	t.Helper()
	sim, err := imtest.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim, newCaller(t, sim.URL, &http.Transport{MaxIdleConnsPerHost: 64})
}

// bubble does the same as start, for synctest bubbles.
func bubble(t *testing.T, cfg imtest.Config) (*imtest.Server, *caller) {
	t.Helper()
	sim, dial := testkit.StartAPI(t, cfg)
	return sim, newCaller(t, testkit.APIURL, &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 64})
}

// answer is the answer to a call.
type answer struct {
	status int
	header http.Header
	body   string
	result struct {
		ActionStatus, ErrorInfo, ResultInfo string
		ErrorCode, ResultCode               int
	}
}

func (c *caller) do(t *testing.T, method, path string, query url.Values, body string) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.url+path+"?"+query.Encode(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(text)}
	_ = json.Unmarshal(text, &a.result) // Some answers are not meant to be JSON.
	return a, err
}

const path = "/v4/recentcontact/delete"

func (c *caller) post(t *testing.T, body string) (answer, error) {
	t.Helper()
	return c.do(t, http.MethodPost, path, c.query, body)
}

// call deletes one conversation of an account and returns the code.
func (c *caller) call(t *testing.T, account string) int {
	t.Helper()
	a, err := c.post(t, `{"From_Account":"`+account+`","Type":1,"To_Account":"b","ClearRamble":1}`)
	if err != nil || a.status != http.StatusOK {
		t.Errorf("%s: %+v, %v", account, a, err)
	}
	return a.result.ErrorCode
}
