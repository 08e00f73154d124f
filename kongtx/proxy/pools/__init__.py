"""Connections to upstream peers, kept and shared between requests."""
