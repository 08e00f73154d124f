"""A running node: its sockets, prefix, logs and timers; its processes and what they run below."""
