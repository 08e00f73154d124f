//go:build tools

// Package grpcurl pins the grpcurl that the tests use, and all it is made of.
package grpcurl

import _ "github.com/fullstorydev/grpcurl/cmd/grpcurl"
