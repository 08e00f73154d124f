"""redirect: requests are answered with another place to go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

from kongtx.http.paths import escape_path
from kongtx.pdk.kong import Kong
from kongtx.plugins.base import Plugin
from kongtx.plugins.redirect.schema import subschema


@attrs.frozen
class Place:
    """Where to send clients.

    @ivar location: the whole URL; or, to keep the path that was asked for, what stands before it.
    @ivar fragment: what follows a path that is kept.
    """

    status: int
    location: bytes
    keeps_path: bool
    fragment: bytes = b""

    def location_for(self, path: bytes, query: bytes) -> bytes:
        """The value of Location for a request."""
        if not self.keeps_path:
            return self.location
        return b"".join(
            (self.location, escape_path(path), b"?" if query else b"", query, self.fragment)
        )


class Redirect(Plugin):
    """Answers with a Location."""

    name = "redirect"
    priority = 779
    subschema = subschema()

    def prepare(self, config: Mapping[str, Any]) -> Place:
        """See L{Place}."""
        location, keeps = config["location"], bool(config["keep_incoming_path"])
        if not keeps:
            return Place(config["status_code"], location.encode(), keeps)
        url = urlsplit(location)
        fragment = f"#{url.fragment}" if url.fragment else ""
        return Place(
            config["status_code"], f"{url.scheme}://{url.netloc}".encode(), keeps, fragment.encode()
        )

    def access(self, place: Place, kong: Kong) -> None:
        """Answer."""
        raw = kong.raw
        location = place.location_for(raw.path, raw.query)
        raw.exit(place.status, b"redirecting", [(b"Location", location)])
