"""HTTP parsing and serialising, headers, limits, and channels."""
