"""Small things used widely. Pure."""
