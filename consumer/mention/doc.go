// Package mention finds an account in a record that is no event.
//
// An event names its accounts. A record that is no event may still be about an account: its JSON is cut off, a field has
// the wrong type or name, or the whole is encoded in another way. Who must know everything about an account needs to see
// such records, too. So this package looks everywhere and rather finds too much: a person judges what it finds. Nothing may
// be deleted, settled or repeated because of it.
package mention
