"""The Admin API's resource tree."""
