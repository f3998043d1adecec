// Package imtest is a simulator of the Tencent IM REST API, as far as package imclient uses it: deletes of conversations and
// lists of them, with the checks that the real API makes, a quota for each of the two, latency, scripted faults, and a record
// of all calls. It is used like net/http/httptest:
//
//	sim, err := imtest.Start(imtest.Config{SDKAppID: 1400000000, Identifier: "administrator", SecretKey: "key"})
//	...
//	defer sim.Close()
//	client, err := imclient.New(imclient.Config{Endpoint: sim.URL, ...})
//
// A [Server] is an [http.Handler] and serves any [net.Listener]. It also runs in a testing/synctest bubble on an in-memory
// network, since all of its waiting uses timers.
//
// # What it checks
//
// The first failure decides the answer, in this order: the path (60009), the method (60002), sdkappid (60012 missing, 60006
// not a number, 70020 another app's), identifier and usersig (60004 missing), random and contenttype (60002), the UserSig
// for real (70003 does not parse, 70014 and 70013 made for another app or account, 70009 wrong key, 70001 expired), that
// the identifier is the administrator's (60010), the quota (60007), and the body (60003 not JSON, 60015 an account that is
// not a string, 50002 otherwise). The codes are those of the vendor's list (product/269/1671), and of the page of the call
// for 50001 to 50005. A list needs each field of its page, with 0 or more in the cursors and flags. For groups both spellings are accepted: the older page's To_Account and the newer page's ToGroupid.
// If both are there, they must agree.
//
// # The sliding second
//
// The quota of each kind of call holds for any second, both ends included: of any Quota+1 arrivals that are let through,
// the last is more than one second after the first. Every arrival counts, whatever its answer, except
// those refused by the quota itself. [Server.PeakPerSecond] measures the same kind of second and
// counts every arrival.
//
// # Conversations
//
// An account has the conversations that [Server.SetConversations] and [Server.AddConversations] have given it. If its name is has-250, or
// has-250-anything, it begins with 250 of its own: a quarter of them groups', one in fifty pinned. A delete removes the conversation. A list
// shows the account's most recent conversations, up to [Config.ListLimit], in pages of [Config.PageSize]. Its cursors count conversations. So
// if a message arrives between two pages, or a conversation goes, the next page repeats a conversation, or leaves one out.
//
// # Faults
//
// [Server.Script] adds faults by account, by time and by number. The name of From_Account can also ask for a fault. The
// demo, and a simulator that runs on its own, are controlled in this way, without a script. Anything may follow the name
// after another '-':
//
//	code-50001      always that code
//	result-50004    always that code, spelled ResultCode and ResultInfo alone
//	http-502        always that HTTP status, with a page in HTML
//	flaky-2         50004 for the first 2 calls for a conversation, and lists, then well
//	slow-300        after 300 ms more
//	drip-300        an answer that takes 300 ms to come, byte by byte
//	hang            no answer, until the caller gives up or the server is closed
//	reset           the connection is reset
//	garbage         HTTP 200 and a body that is no JSON
//
// Scripted faults come first, in the order in which they were added. The first fault that matches is used.
//
// # Limits
//
// Every account exists. A delete of a conversation that does not exist succeeds. There are no messages, only the time of
// a conversation's last one. The other side's list has its own entries. It speaks HTTP/1.1 without TLS.
package imtest
