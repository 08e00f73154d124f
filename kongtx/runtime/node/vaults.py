"""The vaults of a node: the strategies that it has, and the vault entities that configure them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from kongtx.conf.vault import EnvVault, IVault, resolve, settings_of


class Vaults:
    """Resolves references; nothing is kept, so that a vault's change counts at once.

    @param strategies: names of those that the node may use (C{vaults}).
    @param properties: the C{vault_*} properties.
    @param environment: the variables of this process.
    """

    def __init__(
        self,
        strategies: Collection[str],
        properties: Mapping[str, object],
        environment: Mapping[str, str],
    ) -> None:
        known: dict[str, IVault] = {"env": EnvVault(environment)}
        self._strategies = {name: vault for name, vault in known.items() if name in strategies}
        self._settings = {name: settings_of(name, properties) for name in self._strategies}
        self._vaults: Mapping[str, IVault] = self._strategies
        self._options: Mapping[str, Mapping[str, str]] = self._settings

    def update(
        self, rows: Mapping[str, Mapping[str, Mapping[str, Any]]], touched: Mapping[str, set[str]]
    ) -> None:
        """Take over the vault entities, where they may have changed.

        @param rows: entities by schema and id.
        @param touched: the ids of those that may have changed, by schema.
        """
        if not touched["vaults"]:
            return
        vaults, options = dict(self._strategies), dict(self._settings)
        for row in rows["vaults"].values():
            strategy = self._strategies.get(row["name"])
            if strategy is not None:
                vaults[row["prefix"]] = strategy
                options[row["prefix"]] = {
                    name: str(value) for name, value in row["config"].items() if value is not None
                }
        self._vaults, self._options = vaults, options

    def resolve(self, reference: str) -> str:
        """The secret that a reference stands for.

        @raise kongtx.conf.errors.VaultError: there is none, or the reference is malformed.
        """
        return resolve(reference, self._vaults, self._options)
