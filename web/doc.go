// Package web holds the pages and the JavaScript client, and serves them.
//
// There is no build step: what lies under static/ is what a browser gets, plain
// ES modules with JSDoc types, style sheets by hand and no request to another
// host. The modules come in layers, and a module imports only from its own layer
// or one further up in this list:
//
//	static/client   the protocol and the rules of the games, free of the DOM:
//	                tickcast.js is the one module to import
//	static/ui       what both pages share: elements, formats, toasts
//	static/player   the player's page (index.html)
//	static/console  the operator's page (console.html)
//
// Player and Console return handlers that are safe for concurrent use. They
// answer GET and HEAD only, with an entity tag, compressed where that pays, and
// with a content security policy under which no inline script or style runs.
// Console files are not reachable through Player.
//
// Non-guarantees: the handlers know no session, token or operator key. The
// console page is public text; what it shows comes from the operator API, which
// asks for the key.
package web
