"""The proxy-cache plugin."""

from kongtx.plugins.proxy_cache.handler import ProxyCache

plugin = ProxyCache()
