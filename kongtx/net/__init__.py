"""The native reactor, its transports, the PROXY protocol."""
