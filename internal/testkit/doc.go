// Package testkit holds the few words that tests of every package speak.
//
// It waits for what happens in other goroutines and processes by asking again
// until a deadline; a test never sleeps for a time that is hoped to be enough.
// It imports the standard library only.
package testkit
