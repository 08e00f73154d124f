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
    return {"name": name, "enabled": enabled, "config": {}, **ids}


def sending(*authorities: str, **scope: str) -> dict[str, Any]:
    config = {"send_ca_dn": True, "ca_certificates": list(authorities)}
    return {**plugin(**scope), "config": config}


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


@pytest.mark.parametrize(
    ("plugins", "told"),
    [
        ([plugin(route="r")], {"a.test": None, None: None}),
        ([sending("1", "2", route="r")], {"a.test": {"1", "2"}, "b.test": None, None: None}),
        ([sending("1", route="r"), sending("2", service="s")], {"a.test": {"1", "2"}}),
        ([sending("1", route="r"), sending("2")], {"a.test": {"1", "2"}, None: {"2"}}),
        ([sending("1", route="r"), plugin()], {"a.test": None, None: None}),
        ([sending("1", route="r"), plugin(route="q")], {"a.test": None, "b.test": None}),
        ([sending("1", route="p"), sending("2", route="r")], {"x.y.test": {"1"}}),
        ([sending("1", route="p"), sending("2", route="z")], {"x.y.test": {"1", "2"}}),
        ([sending("1", route="p"), plugin(route="z")], {"x.y.test": None}),
        ([sending(route="r")], {"a.test": None}),
    ],
)
def test_clients_are_told_of_the_authorities_of_all_plugins_that_may_look(
    plugins: Any, told: dict[str | None, Any]
) -> None:
    routes = [
        route("r", "a.test", service="s"),
        route("q", "a.test", "b.test"),
        route("p", "*.y.test"),
        route("z", "x.y.*", "x.y.test"),
    ]
    names = asked_names(plugins, routes, WANTING)
    assert {name: names.welcome(name) for name in told} == told
