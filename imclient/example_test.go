package imclient_test

import (
	"context"
	"fmt"

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

func ExampleExplain() {
	meaning, advice := imclient.Explain(60020)
	fmt.Printf("60020: %s: %s (%s)\n", meaning, advice, imclient.Classify(60020))
	// Output: 60020: the app's plan has run out: renew the plan; it works again five minutes later (halt)
}
