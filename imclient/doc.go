// Package imclient calls the Tencent IM REST API. It makes two kinds of calls: the deletion of a conversation
// (v4/recentcontact/delete), and a page of an account's list of conversations (v4/recentcontact/get_list), see
// [Client.Conversations].
//
// It signs each call with a UserSig that it makes, caches and renews. It sends exactly one HTTP request per call. It sorts
// all results of a call into four classes, see [Class]:
//
//	client, err := imclient.New(imclient.Config{
//		Endpoint:   "https://console.tim.qq.com",
//		SDKAppID:   1400000000,
//		Identifier: "administrator",
//		SecretKey:  imclient.KeyFile("/run/secrets/im"),
//	})
//	...
//	err = client.DeleteConversation(ctx, imclient.DeleteRequest{From: "id1", Type: imclient.C2C, To: "id2"})
//	switch {
//	case err == nil: // deleted
//	case imclient.ClassOf(err) == imclient.Permanent: // no use in trying again
//	}
//
// # Limits
//
// It does not retry, does not wait for a quota and does not follow redirects. The API counts calls, so the code that keeps
// the quota must decide about each of them. The API counts each kind of call apart, 200 a second of either. The package
// knows neither events nor queues.
//
// # Errors
//
//   - [*APIError]: the API has answered with a failure. Its class follows from the code, see [Classify].
//   - [*NetworkError]: there was no valid answer. The conversation may or may not have been deleted;
//     deleting it again does no harm.
//   - [*KeyError]: no signature could be made, so no call was made.
//   - [*RequestError]: the API has no form for the request, so no call was made.
//   - [*ConfigError]: from [New] only.
//
// # Secrets
//
// A UserSig is as good as a password during its lifetime, and it travels in the URL. No error and no log line of this
// package holds a UserSig or the secret key. Errors of net/http are rewritten, see [NetworkError]. Text that a server has
// sent is searched for the signature.
// Bytes that no call has asked for never reach net/http, which would print them. http to another host is refused unless
// [Config].Insecure is set.
//
// # Connections
//
// Connections use HTTP/1.1 with keep-alive. There is one for each call under way, and as many idle ones are kept as there
// may be calls at once. HTTP/2 is deliberately not used: it has one connection for everything, so a lost packet or a dead
// connection holds up all calls instead of one, and bodies of a hundred bytes gain nothing from it. Proxies (http, https, socks5)
// come from the environment (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY), which is read once when the client is made. A variable
// that does not parse is a [ConfigError]. The oldest TLS version is 1.2.
//
// The facts about the API come from its documentation: the pages of the calls themselves (product 269, "delete a conversation";
// product/1047/43087, the list), the error codes (product/269/1671) and UserSig (product/269/32688).
//
// Package imtest, below this one, is a simulator of the API for tests.
package imclient
