package desk_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"convdel/imclient"
	"convdel/internal/erasure/desk"
)

// TestEraseReadsListsInTime: a list whose pages never end, each with other cursors, does not hold up the command beyond its time.
func TestEraseReadsListsInTime(t *testing.T) {
	t.Parallel()
	pages := atomic.Int64{}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := pages.Add(1)
		_, _ = fmt.Fprintf(w, `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","CompleteFlag":0,"TimeStamp":%d,"StartIndex":%d,"SessionItem":[]}`, n, n)
	}))
	defer api.Close()
	client, err := imclient.New(imclient.Config{Endpoint: api.URL, SDKAppID: 1400000000, Identifier: "administrator", SecretKey: imclient.StaticKey("a-key")})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	for _, account := range []string{"alice", "bob"} {
		until := time.Now().Add(100 * time.Millisecond)
		clerk := desk.New(desk.Config{
			Account: "alice", Rate: 200, Flags: imclient.DefaultListFlags, Deadline: until, ReadUntil: until, Trouble: func(desk.Task, error) {},
		}, nil, client, nil)
		before := pages.Load()
		list, err := clerk.List(t.Context(), account)
		if n := pages.Load() - before; err != nil || !list.Failed || list.Doubt != "the time is up" || n == 0 || n > 100 {
			t.Errorf("%s: %+v, %v after %d pages", account, list, err, n)
		}
		if list, err = clerk.List(t.Context(), account); err != nil || !list.Failed || list.Calls != 0 {
			t.Errorf("%s, later: %+v, %v", account, list, err)
		}
	}
}
