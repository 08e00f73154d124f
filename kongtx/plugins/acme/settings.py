"""A configuration of the plugin, and what follows from it. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

import attrs

from kongtx.plugins.acme.domains import IPV4, Domains
from kongtx.plugins.acme.storages.interfaces import ACCOUNT

_DIRECTORY = re.compile(r"/directory\Z")


@attrs.frozen
class Settings:
    """What is done, for which names.

    @ivar config: C{config} of the plugin entity.
    """

    config: Mapping[str, Any] = attrs.field(repr=False)
    domains: Domains

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Settings:
        """Those of a configuration."""
        return cls(config, Domains(config["domains"] or ()))

    def __getitem__(self, name: str) -> Any:
        return self.config[name]

    def allows(self, host: str) -> bool:
        """Whether certificates are asked for in a host's name.

        @param host: in lower case.
        """
        if not self.config["enable_ipv4_common_name"] and IPV4.fullmatch(host):
            return False
        return bool(self.config["allow_any_domain"]) or host in self.domains

    @property
    def directory(self) -> str:
        """Where the authority's directory is; older configurations leave its name out."""
        url: str = self.config["api_uri"]
        return url if _DIRECTORY.search(url) or "/dir" in url else f"{url.rstrip('/')}/directory"

    @property
    def account_name(self) -> str:
        """The account's key in the storage."""
        email = base64.b64encode(self.config["account_email"].encode()).decode()
        return f"{ACCOUNT}{self.config['api_uri']}:{email}"
