//go:build tools

// Package deck pins the decK that the tests use, and all it is made of.
package deck

import _ "github.com/kong/deck/cmd"
