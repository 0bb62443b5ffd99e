//go:build !long

package app_test

// long is whether tests run that take too long for every change.
const long = false
