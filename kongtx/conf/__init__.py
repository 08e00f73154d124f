"""Configuration: the table of properties, the loader, listen syntax. Pure."""
