"""Routes looked at from outside: why one is chosen, and which are mistakes. Pure."""
