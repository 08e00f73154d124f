"""What the gateway logs."""

from tests.tls.conftest import errors

__all__ = ["errors"]
