"""C{kong.vault}: secrets by reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar

from kongtx.conf import vault

if TYPE_CHECKING:
    from kongtx.pdk.kong import Kong

T = TypeVar("T")


class Vault:
    """Secrets in the vaults of the node; asked anew each time, nothing is kept."""

    __slots__ = ("_kong",)

    def __init__(self, kong: Kong) -> None:
        self._kong = kong

    @staticmethod
    def is_reference(text: object) -> bool:
        """Whether a text has the form of a reference, as in C{{vault://env/my-secret}}."""
        return vault.is_reference(text)

    @staticmethod
    def parse_reference(text: str) -> vault.Reference:
        """The parts of a reference: C{vault}, C{resource}, C{key}, C{options}, C{version}.

        @raise kongtx.conf.errors.VaultError: it is malformed.
        """
        return vault.parse_reference(text)

    def get(self, reference: str) -> str:
        """The secret that a reference stands for.

        @raise kongtx.conf.errors.VaultError: there is none, or the reference is malformed.
        """
        return self._kong.node.resolve_vault(reference)

    def update(self, options: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Resolve the references in a mapping, and in mappings within, in place.

        @return: the same mapping.
        @raise kongtx.conf.errors.VaultError: a secret cannot be had.
        """
        for name, value in options.items():
            if isinstance(value, MutableMapping):
                self.update(value)
            elif vault.is_reference(value):
                options[name] = self.get(value)
        return options

    def flush(self) -> None:
        """Forget what is known of secrets: nothing is, as each is asked for anew."""

    def warmup(self, options: Mapping[str, Any]) -> None:
        """Ask for every secret that a mapping refers to, so that vaults that keep some have them.

        @raise kongtx.conf.errors.VaultError: a secret cannot be had.
        """
        self._resolved(options)

    def try_(self, call: Callable[[dict[str, Any]], T], options: MutableMapping[str, Any]) -> T:
        """Call a function with options, and once more if it fails and a secret has changed.

        For secrets that are rotated: what a connection was refused with may be of yesterday.

        @param call: gets a copy of the options in which references are resolved.
        @param options: with references where secrets should be.
        @return: what the call returns.
        @raise Exception: that of the second call, or of the first if nothing has changed.
        """
        first = self._resolved(options)
        try:
            return call(first)
        except Exception:
            second = self._resolved(options)
            if second == first:
                raise
            return call(second)

    def _resolved(self, options: Mapping[str, Any]) -> dict[str, Any]:
        copied = {
            name: self._resolved(value) if isinstance(value, Mapping) else value
            for name, value in options.items()
        }
        self.update(copied)
        return copied
