"""References to secrets kept in vaults, and the vault that reads environment variables.

Kong: kong/pdk/vault.lua, kong/vaults/env. A reference is a whole value of the form
C{{vault://VAULT/RESOURCE[/KEY][?OPTION=VALUE...][#VERSION]}}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
from zope.interface import Interface, implementer

from kongtx.conf.errors import VaultError

_START = "{vault://"


@attrs.frozen
class Reference:
    """A parsed reference.

    @ivar vault: the name of a strategy (C{env}) or the prefix of a vault entity.
    @ivar key: the member of a JSON object to take, or C{None} for the whole value.
    @ivar options: settings of the vault that the reference overrides.
    """

    vault: str
    resource: str
    key: str | None = None
    options: Mapping[str, str] = MappingProxyType({})
    version: int | None = None


class IVault(Interface):
    """A place where secrets are kept and can be read without waiting."""

    def get(resource: str, options: Mapping[str, str], version: int | None) -> str | None:
        """A secret's value.

        @param options: the vault's settings, those of the reference over those of the vault.
        @param version: 1 for the current value, 2 for the one before; C{None} means 1.
        @return: C{None} when there is no such secret.
        @raise VaultError: when the vault could not be asked.
        """


@implementer(IVault)
class EnvVault:
    """Secrets in environment variables: C{upper(prefix + resource)} with C{-} as C{_}."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def get(self, resource: str, options: Mapping[str, str], version: int | None) -> str | None:
        """See L{IVault.get}. Version 2 is the variable with C{_PREVIOUS} behind its name."""
        name = (options.get("prefix", "") + resource).replace("-", "_").upper()
        if version == 2:
            name += "_PREVIOUS"
        return self._environment.get(name)


def is_reference(text: object) -> bool:
    """Whether a value looks like a reference; its parts may still be wrong."""
    return isinstance(text, str) and text.startswith(_START) and text.endswith("}")


def parse_reference(text: str) -> Reference:
    """Read a reference.

    The last part of the path is the key when there is more than one, unless the path ends in
    a slash.

    @raise VaultError: when it is malformed.
    """
    if not is_reference(text):
        raise VaultError(f"not a reference [{text}]")
    try:
        url = urlsplit(text[1:-1])
        vault = url.netloc.rpartition("@")[2].partition(":")[0]
    except ValueError as error:
        raise VaultError(f"reference is not url ({error}) [{text}]") from error
    if not vault:
        raise VaultError(f"reference url is missing host [{text}]")
    if not url.path:
        raise VaultError(f"reference url is missing path [{text}]")
    if url.path == "/":
        raise VaultError(f"reference url has empty path [{text}]")
    parts = [unquote(part) for part in url.path.split("/") if part]
    if not parts:
        raise VaultError(f"reference url has invalid path [{text}]")
    key = parts.pop() if len(parts) > 1 and not url.path.endswith("/") else None
    if url.fragment and not url.fragment.isdecimal():
        raise VaultError(f"reference url has invalid version [{text}]")
    return Reference(
        vault=vault,
        resource="/".join(parts),
        key=key,
        options=MappingProxyType(dict(parse_qsl(url.query, keep_blank_values=True))),
        version=int(url.fragment) if url.fragment else None,
    )


def resolve(
    text: str,
    vaults: Mapping[str, IVault],
    settings: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> str:
    """The value that a reference stands for.

    @param vaults: by strategy name or entity prefix.
    @param settings: the settings of each vault, by the same names.
    @raise VaultError: when the reference is malformed or there is no value.
    """
    reference = parse_reference(text)
    vault = vaults.get(reference.vault)
    if vault is None:
        raise VaultError(f"could not find vault ({reference.vault})")
    options = {**settings.get(reference.vault, {}), **reference.options}
    value = vault.get(reference.resource, options, reference.version)
    if value is None:
        raise VaultError("could not get value from external vault (no value found)")
    if reference.key is None:
        return value
    return _subfield(value, reference.key)


def settings_of(vault: str, values: Mapping[str, object]) -> dict[str, str]:
    """The settings of a vault among properties, such as C{prefix} for C{vault_env_prefix}."""
    start = f"vault_{vault.replace('-', '_')}_"
    return {
        name.removeprefix(start): value
        for name, value in values.items()
        if name.startswith(start) and isinstance(value, str) and value
    }


def _subfield(value: str, key: str) -> str:
    """A member of a JSON object. The value itself is secret and stays out of the messages."""
    try:
        document: object = json.loads(value)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        reason = "unable to json decode value"
    elif key not in document:
        reason = f"subfield {key} not found in JSON secret"
    elif isinstance(document[key], str):
        return str(document[key])
    else:
        kind = type(document[key]).__name__
        reason = f"unexpected {kind} value in JSON secret for subfield {key}"
    raise VaultError(
        f"could not get value from external vault (could not get subfield value: {reason})"
    )
