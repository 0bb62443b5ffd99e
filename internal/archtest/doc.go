// Package archtest keeps the shape of this module: which package may import
// which, where a third-party library has its home, how long files and functions
// get, and what has to be documented.
//
// The import graph is the deployment graph: the edge and the authority are
// different machines that meet only as bytes on a subject, so their packages
// never import each other; the rules of games are pure. What is written in
// docs/architecture.md stands here as tables, and the test of this package fails
// when the code says something else.
//
// A package or a library that no table knows is a violation too: who adds one
// decides its place here.
//
// Guarantees: every rule is tested on sources that break it. Non-guarantees: the
// rules read syntax, not types; they find slips and not bad will.
package archtest
