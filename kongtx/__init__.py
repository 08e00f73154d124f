"""kongtx, a Kong-compatible API gateway on Twisted."""

from kongtx._version import KONG_VERSION, __version__

__all__ = ["KONG_VERSION", "__version__"]
