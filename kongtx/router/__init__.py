"""Which route a request matches. Pure."""
