// Package imclient calls the Tencent IM REST API: so far one call, the deletion of a conversation
// (v4/recentcontact/delete).
//
// It signs each call with a UserSig that it makes, caches and renews, sends exactly one HTTP
// request per call, and sorts every way in which a call can end into four classes, see [Class]:
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
// # What it does not
//
// It does not retry, does not wait for a quota and does not follow redirects: the API counts calls,
// so whoever owns the quota must decide about each of them. It knows neither events nor queues.
//
// # Errors
//
//   - [*APIError]: the API has answered, and not with success. The code decides, see [Classify].
//   - [*NetworkError]: there was no answer that could be understood. The conversation may or may not
//     have been deleted; deleting it again does no harm.
//   - [*KeyError]: no signature could be made, so no call was made.
//   - [*RequestError]: the request cannot be put into words that the API knows; no call was made.
//   - [*ConfigError]: from [New] only.
//
// # Secrets
//
// A UserSig is as good as a password for its lifetime, and it travels in the URL. No error and no
// log line of this package holds one, nor the secret key: errors of net/http are not passed on but
// rewritten, see [NetworkError], and text that a server has sent is searched for the signature.
//
// # Connections
//
// HTTP/1.1 with keep-alive, one connection per call under way, as many idle ones kept as there may
// be calls at once. HTTP/2 is deliberately not used: with one connection for everything, one lost
// packet or one dead connection holds up all calls instead of one, and there is nothing to gain for
// bodies of a hundred bytes. Proxies are taken from the environment (HTTPS_PROXY, HTTP_PROXY,
// NO_PROXY), read once when the client is made. TLS 1.2 is the least.
//
// The facts about the API are those of its documentation: the page of the call itself (product
// 269, "delete a conversation"), the error codes (product/269/1671) and UserSig (product/269/32688).
//
// Package imtest, below this one, is a simulator of the API for tests.
package imclient
