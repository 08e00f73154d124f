"""Health checks: the state machine and the probes."""
