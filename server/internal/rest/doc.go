// Package rest is how the edge answers HTTP requests: JSON, errors with stable codes,
// and pages.
//
// It holds no state; everything may be called concurrently.
package rest
