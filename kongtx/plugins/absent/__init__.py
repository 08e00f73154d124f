"""Plugins of Kong that kongtx does not have: their schemas, for documents that configure them."""
