"""The response-transformer plugin."""

from kongtx.plugins.response_transformer.handler import ResponseTransformer

plugin = ResponseTransformer()
