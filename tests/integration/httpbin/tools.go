//go:build tools

// Package httpbin pins the go-httpbin that the tests use, and all it is made of.
package httpbin

import _ "github.com/mccutchen/go-httpbin/v2/cmd/go-httpbin"
