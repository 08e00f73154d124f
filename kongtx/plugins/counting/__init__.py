"""Counting in windows of time, for plugins that limit: on the node, in the database, in Redis."""
