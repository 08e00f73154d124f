"""The request-transformer plugin."""

from kongtx.plugins.request_transformer.handler import RequestTransformer

plugin = RequestTransformer()
