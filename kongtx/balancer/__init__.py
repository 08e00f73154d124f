"""Upstreams, targets and the algorithms that choose a peer."""
