"""What a worker runs: the parts of a node put together, and kept in step with the store."""
