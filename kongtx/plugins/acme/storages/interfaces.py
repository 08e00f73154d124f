"""Where accounts, proofs and certificates are kept: as the plugin's C{storage} says."""

from __future__ import annotations

from zope.interface import Interface

# Kong's names, so that both read each other's storage.
ACCOUNT = "kong_acme:account:"
BACKOFF = "kong_acme:fail_backoff:"
CERTIFICATE = "kong_acme:cert_key:"
LAST_RUN = "kong_acme:renew_last_run"
LOCK = "kong_acme:update_lock:"
RENEWAL = "kong_acme:renew_config:"
#: What authorities ask for that validate names: by token over HTTP, by name over TLS.
HTTP_PROOF = "kong_acme:http-01:"
TLS_PROOF = "kong_acme:tls-alpn-01:"


class IStorage(Interface):
    """Texts by key, some of them for a time; seen by all workers of a node, or of many nodes."""

    async def get(key: str) -> str | None:
        """The value of a key."""

    async def put(key: str, value: str, ttl: float | None = None) -> None:
        """Keep a value.

        @param ttl: seconds after which it vanishes.
        """

    async def add(key: str, value: str, ttl: float) -> bool:
        """Keep a value unless there is one.

        @return: whether it was kept.
        """

    async def delete(key: str) -> None:
        """Forget a key; nothing happens if it is not there."""

    async def keys(prefix: str) -> list[str]:
        """The keys that begin with some text."""
