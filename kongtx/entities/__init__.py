"""The core entities' schemas. Pure."""
