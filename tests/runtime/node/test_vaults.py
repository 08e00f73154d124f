"""The vaults that a node asks."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.conf.errors import VaultError
from kongtx.runtime.node.vaults import Vaults

ENVIRONMENT = {"KEY": "plain", "MY_KEY": "mine", "CONF_KEY": "configured"}


def entities(*vaults: dict[str, Any]) -> tuple[Any, Any]:
    rows = {str(number): vault for number, vault in enumerate(vaults)}
    return {"vaults": rows}, {"vaults": set(rows) or {"gone"}}


def test_a_strategy_is_named_itself_or_by_an_entitys_prefix() -> None:
    vaults = Vaults({"env"}, {}, ENVIRONMENT)
    assert vaults.resolve("{vault://env/key}") == "plain"
    vaults.update(*entities({"prefix": "my-env", "name": "env", "config": {"prefix": "my_"}}))
    assert vaults.resolve("{vault://my-env/key}") == "mine"
    assert vaults.resolve("{vault://env/key}") == "plain"
    assert vaults.resolve("{vault://my-env/key?prefix=conf_}") == "configured"
    vaults.update(*entities({"prefix": "my-env", "name": "env", "config": {"prefix": None}}))
    assert vaults.resolve("{vault://my-env/key}") == "plain"
    vaults.update(*entities())
    with pytest.raises(VaultError, match="could not find vault"):
        vaults.resolve("{vault://my-env/key}")


def test_properties_configure_the_strategy() -> None:
    vaults = Vaults({"env"}, {"vault_env_prefix": "conf_"}, ENVIRONMENT)
    assert vaults.resolve("{vault://env/key}") == "configured"


def test_a_strategy_that_is_not_loaded_is_not_asked() -> None:
    vaults = Vaults((), {}, ENVIRONMENT)
    vaults.update(*entities({"prefix": "my-env", "name": "env", "config": {}}))
    for name in ("env", "my-env"):
        with pytest.raises(VaultError, match="could not find vault"):
            vaults.resolve(f"{{vault://{name}/key}}")
