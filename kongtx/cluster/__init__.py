"""Cluster events and node identity."""
