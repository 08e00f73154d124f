"""HTTP/2 (RFC 9113): one connection core, a server's shell and a client's."""
