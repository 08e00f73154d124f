"""What development mode tells of failures, and nothing else does."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.python.failure import Failure

from kongtx.plugins.base import Plugin
from kongtx.proxy.pages import HTML, JSON, PLAIN, XML
from kongtx.proxy.tracebacks import show
from kongtx.schema import Subschema, record
from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, declared


def failed() -> Failure:
    try:
        raise ValueError('<"why">')
    except ValueError:
        return Failure()


def test_the_form_is_the_one_that_the_client_accepts() -> None:
    kind, body = show(failed(), JSON, b"1d")
    told = json.loads(body)
    assert (kind, told["message"], told["request_id"]) == (
        JSON, "An unexpected error occurred", "1d",
    )  # fmt: skip
    assert told["traceback"][-1] == 'builtins.ValueError: <"why">'
    kind, body = show(failed(), HTML, b"1d")
    assert kind == HTML
    assert b"ValueError: &lt;&quot;why&quot;&gt;" in body
    for other in (PLAIN, XML):
        kind, body = show(failed(), other, b"1d")
        assert kind == PLAIN
        assert body.startswith(b"An unexpected error occurred\nrequest_id: 1d\n\nTraceback")


class Failing(Plugin):
    """Fails in the phase that the request names."""

    name = "failing"
    priority = 1
    subschema = Subschema({"config": record({})})

    def access(self, config: Any, kong: Any) -> Any:
        how = kong.request.get_query_arg("how")
        if how == "now":
            raise RuntimeError("the reason")
        return self.later() if how == "later" else None

    async def later(self) -> None:
        raise RuntimeError("the reason")


class FailingWhole(Failing):
    """Fails with the whole response in hand, by a wrong call of the PDK."""

    name = "failing-whole"

    def response(self, config: Any, kong: Any) -> None:
        kong.service.set_retries(1)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("how", ["now", "later", "whole"])
@pytest.mark.parametrize("dev", ["on", "off"])
async def test_tracebacks_are_for_developers_alone(
    make_gateway: Make, upstream: Upstream, how: str, dev: str
) -> None:
    plugins = [{"name": "failing-whole" if how == "whole" else "failing"}]
    gateway = await make_gateway(
        declared(upstream, *plugins), plugins=[Failing, FailingWhole], dev=dev
    )
    answer = await gateway.client.get(f"/?how={how}")
    assert (answer.status, answer.json["message"]) == (500, "An unexpected error occurred")
    assert answer.json["request_id"] == answer.header("x-kong-request-id")
    if dev == "on":
        told = "\n".join(answer.json["traceback"])
        assert (
            "cannot be called in the response phase" if how == "whole" else "the reason"
        ) in told
        assert "test_tracebacks.py" in told
    else:
        assert sorted(answer.json) == ["message", "request_id"]
