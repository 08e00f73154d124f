"""The life of a request: phases, forwarding, upstream pools, error pages."""
