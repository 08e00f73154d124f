"""Which configuration of a plugin a request meets."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from zope.interface.verify import verifyObject

from kongtx.conf.errors import VaultError
from kongtx.plugins.base import Plugin
from kongtx.plugins.errors import PluginError
from kongtx.plugins.iterator import PluginIterator, in_order
from kongtx.proxy.interfaces import (
    IPhaseHandler,
    IPlanStep,
    IPluginIterator,
    IPluginPlan,
    ShortCircuit,
)
from kongtx.schema.fields import array, map_of, record, string
from kongtx.schema.schema import Subschema
from kongtx.testing.node import make_node
from kongtx.testing.request import FakeRequest


def plugin(name: str, priority: int = 1, **methods: Any) -> Plugin:
    facts = {"name": name, "priority": priority, "subschema": Subschema({"config": record({})})}
    return type(name, (Plugin,), {**facts, **methods})()


def row(name: str, config: Any = None, enabled: bool = True, **scope: str | None) -> dict[str, Any]:
    ids = {field: scope.get(field) for field in ("route", "service", "consumer")}
    return {
        "id": ":".join([name, *(str(v) for v in ids.values()), str(config)]),
        "name": name,
        "enabled": enabled,
        "config": config or {},
        **{field: {"id": value} if value else None for field, value in ids.items()},
    }


def iterator(rows: list[dict[str, Any]], *plugins: Plugin) -> PluginIterator:
    return PluginIterator(rows, {each.name: each for each in plugins}, make_node())


def scope_of(handler: Any) -> tuple[str | None, ...]:
    return tuple(
        handler.row[f]["id"] if handler.row[f] else None for f in ("route", "service", "consumer")
    )


#: The order of precedence as the contract lists it: which of route, service, consumer a row names.
PRECEDENCE = [
    (1, 1, 1),
    (1, 0, 1),
    (0, 1, 1),
    (1, 1, 0),
    (0, 0, 1),
    (1, 0, 0),
    (0, 1, 0),
    (0, 0, 0),
]
SCOPES = list(product(("r", "R", None), ("s", "S", None), ("c", "C", None)))


@given(st.sets(st.sampled_from(SCOPES)), st.sampled_from(SCOPES))
def test_the_most_specific_configuration_is_chosen(
    scopes: set[tuple[str | None, str | None, str | None]],
    request: tuple[str | None, str | None, str | None],
) -> None:
    route, service, consumer = request[0] or "r", request[1], request[2]
    rows = [row("a", route=r, service=s, consumer=c) for r, s, c in scopes]
    wanted = None
    for with_route, with_service, with_consumer in PRECEDENCE:
        key = (
            route if with_route else None,
            service if with_service else None,
            consumer if with_consumer else None,
        )
        asked = (with_service and service is None) or (with_consumer and consumer is None)
        if not asked and key in scopes:
            wanted = key
            break
    plan = iterator(rows, plugin("a")).plan_for({"id": route}, {"id": service} if service else None)
    found = None
    if plan.steps:
        step = plan.steps[0]
        found = step.by_consumer.get(consumer or "", step.handler)
    assert (scope_of(found) if found else None) == wanted


def test_it_keeps_its_contracts() -> None:
    one = iterator([row("a")], plugin("a"))
    plan = one.plan_for({"id": "r"}, None)
    assert verifyObject(IPluginIterator, one)
    assert verifyObject(IPluginPlan, plan)
    assert verifyObject(IPlanStep, plan.steps[0])
    assert verifyObject(IPhaseHandler, plan.steps[0].handler)


def test_names_run_by_priority_and_equal_ones_in_reverse_alphabetical_order() -> None:
    plugins = [plugin("b", 5), plugin("a", 5), plugin("z", 1), plugin("m", 9)]
    one = iterator([row(name) for name in "abmz"], *plugins)
    assert [step.handler.name for step in one.plan_for({"id": "r"}, None).steps] == list("mbaz")
    assert [handler.name for handler in one.global_handlers] == list("mbaz")
    assert in_order({each.name: each for each in plugins}) == list("mbaz")


def test_a_disabled_row_neither_runs_nor_shadows() -> None:
    rows = [row("a", route="r", enabled=False), row("a")]
    (step,) = iterator(rows, plugin("a")).plan_for({"id": "r"}, None).steps
    assert scope_of(step.handler) == (None, None, None)


def test_a_plugin_that_never_runs_on_a_route_has_no_step() -> None:
    assert iterator([row("a", route="other")], plugin("a")).plan_for({"id": "r"}, None).steps == []


def test_a_row_of_a_plugin_that_is_not_loaded_is_an_error() -> None:
    with pytest.raises(PluginError, match="b plugin is in use but not enabled "):
        iterator([row("b")], plugin("a"))


def test_what_is_made_of_an_unchanged_row_is_kept() -> None:
    made: list[Mapping[str, Any]] = []

    def prepare(self: Plugin, config: Mapping[str, Any]) -> Mapping[str, Any]:
        made.append(config)
        return config

    plugins = {"a": plugin("a", prepare=prepare)}
    first = PluginIterator([row("a"), row("a", route="r")], plugins, make_node())
    changed = {**row("a", route="r"), "config": {"x": 1}}
    second = PluginIterator([row("a"), changed], plugins, make_node(), first)
    assert made == [{}, {}, {"x": 1}]
    assert second.global_handlers[0] is first.global_handlers[0]


def test_plugins_are_told_of_their_configurations() -> None:
    told: list[Any] = []
    configure = {"configure": lambda self, configs: told.append((self.name, configs))}
    iterator(
        [row("a", {"x": 1}), row("a", {"x": 2}, route="r"), row("a", {"x": 3}, enabled=False)],
        plugin("a", **configure),
        plugin("unused", **configure),
    ).configure()
    assert told == [("a", [{"x": 1}, {"x": 2}]), ("unused", [])]


def test_one_plugin_that_fails_to_configure_does_not_stop_the_others() -> None:
    told: list[str] = []

    def broken(self: Plugin, configs: list[Any]) -> None:
        raise RuntimeError("no")

    one = iterator(
        [], plugin("a", configure=broken), plugin("b", configure=lambda s, c: told.append("b"))
    )
    with capturedLogs() as captured:
        one.configure()
    assert told == ["b"]
    assert captured[0]["plugin"] == "a"


def test_handlers_get_the_prepared_configuration_and_the_requests_kong() -> None:
    seen: list[Any] = []

    def access(self: Plugin, config: Any, kong: Any) -> None:
        seen.append((config, kong.plugin.get_id(), kong.request.get_method()))
        kong.response.exit(403)

    one = plugin("a", prepare=lambda self, config: {"made": config}, access=access)
    (step,) = iterator([row("a", {"x": 1})], one).plan_for({"id": "r"}, None).steps
    request = FakeRequest()
    assert step.handler.log is None
    with pytest.raises(ShortCircuit):
        step.handler.access(request)
    assert seen == [({"made": {"x": 1}}, row("a", {"x": 1})["id"], "GET")]
    assert request.answer.status == 403


SECRETS = {
    "a": array(string(referenceable=True)),
    "b": map_of(string(), string(referenceable=True)),
    "c": string(),
}


def test_vault_references_are_resolved_in_the_fields_that_may_hold_them() -> None:
    node = make_node(resolve_vault=lambda reference: f"<{reference[9:-1]}>")
    text = "{vault://env/z}"
    config = {"a": ["{vault://env/x}", "plain"], "b": {"c": "{vault://env/y}"}, "c": text}
    secret = plugin("a", subschema=Subschema({"config": record(SECRETS)}))
    one = PluginIterator([row("a", config)], {"a": secret}, node)
    assert one.global_handlers[0].config == {
        "a": ["<env/x>", "plain"], "b": {"c": "<env/y>"}, "c": text,
    }  # fmt: skip


def test_a_secret_that_cannot_be_had_is_empty_and_warned_of() -> None:
    def refuse(reference: str) -> str:
        raise VaultError("no such secret")

    secret = plugin("a", subschema=Subschema({"config": record(SECRETS)}))
    rows = [row("a", {"a": ["{vault://env/x}"]})]
    with capturedLogs() as captured:
        one = PluginIterator(rows, {"a": secret}, make_node(resolve_vault=refuse))
    assert one.global_handlers[0].config == {"a": [""]}
    assert [(each["plugin"], each["error"]) for each in captured] == [("a", "no such secret")]


def test_a_change_of_vaults_renews_what_refers_to_them_alone() -> None:
    secrets = iter(["old", "new"])
    node = make_node(resolve_vault=lambda reference: next(secrets))
    plugins = {
        "a": plugin("a", subschema=Subschema({"config": record(SECRETS)})),
        "b": plugin("b"),
    }
    rows = [row("a", {"b": {"x": "{vault://v/x}"}}), row("b")]
    before = PluginIterator(rows, plugins, node)
    after = PluginIterator(rows, plugins, node, before, secrets_changed=True)
    configs = {each.name: each for each in after.global_handlers}
    assert configs["a"].config == {"b": {"x": "new"}}
    assert configs["b"] in before.global_handlers
    assert configs["a"] not in before.global_handlers
