"""TLS contexts, SNI, certificates and client certificates."""
