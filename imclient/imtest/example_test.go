package imtest_test

import (
	"context"
	"fmt"
	"time"

	"convdel/imclient"
	"convdel/imclient/imtest"
)

func ExampleServer_Script() {
	sim, err := imtest.Start(imtest.Config{SDKAppID: appID, Identifier: identifier, SecretKey: secretKey, Quota: 200})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sim.Close()
	client, err := imclient.New(imclient.Config{
		Endpoint: sim.URL, SDKAppID: appID, Identifier: identifier, SecretKey: imclient.StaticKey(secretKey),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()

	// The first two calls for this account meet a gateway that is down. The third call is slow.
	sim.Script(imtest.Fault{Account: "id1", Times: 2, HTTPStatus: 502})
	sim.Script(imtest.Fault{Account: "id1", Times: 1, Delay: time.Millisecond})
	for range 3 {
		err := client.DeleteConversation(context.Background(), imclient.DeleteRequest{From: "id1", Type: imclient.C2C, To: "id2"})
		fmt.Println(err)
	}
	for _, a := range sim.Arrivals() {
		fmt.Println(a.From, a.To, a.HTTPStatus, a.Code)
	}
	fmt.Println("deleted", sim.Deleted("id1", imclient.C2C, "id2"), "time")
	// Output:
	// im api: http status 502
	// im api: http status 502
	// <nil>
	// id1 id2 502 0
	// id1 id2 502 0
	// id1 id2 200 0
	// deleted 1 time
}
