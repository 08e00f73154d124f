"""Which clients are asked for a certificate."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.tls.asking import asked_names

WANTING = frozenset({"asks"})


def route(name: str, *snis: str, service: str | None = None, protocols: Any = ("https",)) -> Any:
    reference = {"id": service} if service else None
    return {"id": name, "snis": list(snis) or None, "service": reference, "protocols": protocols}


def plugin(name: str = "asks", enabled: bool = True, **scope: str) -> dict[str, Any]:
    ids = {key: {"id": scope[key]} if key in scope else None for key in ("route", "service")}
    return {"name": name, "enabled": enabled, **ids}


@pytest.mark.parametrize(
    ("plugins", "routes", "asked"),
    [
        ([], [route("r", "a.test")], []),
        ([plugin("other")], [], []),
        ([plugin(enabled=False)], [], []),
        ([plugin()], [], ["a.test", "b.test", None]),
        ([plugin(route="r")], [route("r", "a.test")], ["a.test"]),
        ([plugin(route="r")], [route("r", "a.test.")], ["a.test"]),
        ([plugin(route="r")], [route("r", "*.test.org"), route("q")], ["x.test.org"]),
        ([plugin(route="r")], [route("r")], ["a.test", "b.test", None]),
        ([plugin(route="r")], [route("r", protocols=("http",))], []),
        ([plugin(service="s")], [route("r", "a.test", service="s"), route("q")], ["a.test"]),
        ([plugin(service="s")], [route("r", "b.test", service="t")], []),
        ([plugin(service="s", route="r")], [route("q", "b.test", service="s")], []),
    ],
)
def test_server_names_of_routes_tell_whom_to_ask(
    plugins: Any, routes: Any, asked: list[str | None]
) -> None:
    names = asked_names(plugins, routes, WANTING)
    everybody = ("a.test", "b.test", "x.test.org", None)
    told = [name for name in everybody if names.asks(name)]
    assert [name for name in told if name != "x.test.org" or name in asked] == asked
