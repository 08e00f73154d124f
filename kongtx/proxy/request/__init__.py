"""The way of one request: its context, the phases it goes through, the upstream, the answer."""
