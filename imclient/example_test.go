package imclient_test

import (
	"context"
	"fmt"
	"time"

	"convdel/imclient"
	"convdel/imclient/imtest"
)

func ExampleClient_DeleteConversation() {
	sim, err := imtest.Start(imtest.Config{SDKAppID: 1400000000, Identifier: "administrator", SecretKey: "key"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sim.Close()
	client, err := imclient.New(imclient.Config{
		Endpoint:   sim.URL,
		SDKAppID:   1400000000,
		Identifier: "administrator",
		SecretKey:  imclient.StaticKey("key"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()

	// The account's name decides how the simulator answers.
	for _, account := range []string{"id1", "code-50001", "code-60007", "code-70009", "http-502"} {
		err := client.DeleteConversation(context.Background(), imclient.DeleteRequest{
			From: account, Type: imclient.C2C, To: "id2", ClearRamble: true,
		})
		if err != nil {
			fmt.Printf("%s: %s: %v\n", account, imclient.ClassOf(err), err)
			continue
		}
		fmt.Printf("%s: deleted\n", account)
	}
	// Output:
	// id1: deleted
	// code-50001: permanent: im api: code 50001: simulated failure
	// code-60007: throttled: im api: code 60007: request rate over the limit
	// code-70009: halt: im api: code 70009: usersig does not verify
	// http-502: transient: im api: http status 502
}

func ExampleClient_Conversations() {
	sim, err := imtest.Start(imtest.Config{SDKAppID: 1400000000, Identifier: "administrator", SecretKey: "key", PageSize: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sim.Close()
	at := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	sim.SetConversations("alice",
		imtest.Conversation{Type: imclient.C2C, To: "bob", MsgTime: at},
		imtest.Conversation{Type: imclient.G2C, To: "@TGS#1", MsgTime: at.Add(-time.Hour)},
		imtest.Conversation{Type: imclient.C2C, To: "carol", MsgTime: at.Add(-24 * time.Hour), Pinned: true})
	client, err := imclient.New(imclient.Config{
		Endpoint:   sim.URL,
		SDKAppID:   1400000000,
		Identifier: "administrator",
		SecretKey:  imclient.StaticKey("key"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()

	// All lists of the program share a limiter, since the API allows 200 calls a second. This one lets a call go each 5 ms.
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	permit := func(ctx context.Context) error {
		select {
		case <-pace.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}

	list := client.Conversations(context.Background(), imclient.ListRequest{Account: "alice", Permit: permit})
	for c := range list.All() {
		fmt.Println(c.Type, c.To, c.MsgTime.Format(time.RFC3339))
	}
	if err := list.Err(); err != nil {
		fmt.Printf("%s: %v\n", imclient.ClassOf(err), err)
	}
	if doubt := list.Doubt(); doubt != "" {
		fmt.Println("not complete:", doubt)
	}
	fmt.Printf("%+v\n", list.Counts())
	// Output:
	// 1 carol 2026-11-24T10:00:00Z
	// 1 bob 2026-11-25T10:00:00Z
	// 2 @TGS#1 2026-11-25T09:00:00Z
	// {Calls:4 Given:3 Repeated:0 Unknown:0 Malformed:0}
}

func ExampleExplain() {
	meaning, advice := imclient.Explain(60020)
	fmt.Printf("60020: %s: %s (%s)\n", meaning, advice, imclient.Classify(60020))
	// Output: 60020: the app's plan has run out: renew the plan; it works again five minutes later (halt)
}
