"""The event bus between the workers of a node."""
