"""Real applications behind a gateway that runs as a user starts it, used by real clients.

The judgement everywhere: what an application answers directly it answers through the gateway, aside
from what a gateway adds.
"""
