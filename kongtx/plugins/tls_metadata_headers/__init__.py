"""The tls-metadata-headers plugin."""

from kongtx.plugins.tls_metadata_headers.handler import TLSMetadataHeaders

plugin = TLSMetadataHeaders()
