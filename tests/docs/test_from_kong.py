"""What the page on moving from Kong says is missing is what is missing."""

from __future__ import annotations

import re
from pathlib import Path

from kongtx.conf.bundled import PLUGINS
from kongtx.conf.checks.unsupported import SUPPORTED

PAGE = (Path(__file__).parents[2] / "docs" / "from-kong.rst").read_text()

#: What comes with Kong 3.9.
KONG_PLUGINS = [
    "acl",
    "acme",
    "ai-prompt-decorator",
    "ai-prompt-guard",
    "ai-prompt-template",
    "ai-proxy",
    "ai-request-transformer",
    "ai-response-transformer",
    "aws-lambda",
    "azure-functions",
    "basic-auth",
    "bot-detection",
    "correlation-id",
    "cors",
    "datadog",
    "file-log",
    "grpc-gateway",
    "grpc-web",
    "hmac-auth",
    "http-log",
    "ip-restriction",
    "jwt",
    "key-auth",
    "ldap-auth",
    "loggly",
    "oauth2",
    "opentelemetry",
    "post-function",
    "pre-function",
    "prometheus",
    "proxy-cache",
    "rate-limiting",
    "redirect",
    "request-size-limiting",
    "request-termination",
    "request-transformer",
    "response-ratelimiting",
    "response-transformer",
    "session",
    "standard-webhooks",
    "statsd",
    "syslog",
    "tcp-log",
    "udp-log",
    "zipkin",
]


def first_column(table: str) -> list[str]:
    """The first cells of a list-table's rows, without its header."""
    return re.findall(r"^   \* - (.+)$", table, re.MULTILINE)[1:]


def missing() -> str:
    return PAGE.split("What is missing\n")[1]


def test_the_plugins_that_are_missing_are_listed() -> None:
    table = missing().split(".. list-table::")[1]
    assert first_column(table) == sorted(set(KONG_PLUGINS) - set(PLUGINS))


def test_the_plugins_beyond_kong_are_named() -> None:
    for name in set(PLUGINS) - set(KONG_PLUGINS):
        assert name in PAGE


def test_what_is_refused_at_start_is_listed() -> None:
    table = missing().split(".. list-table::")[2]
    for name in SUPPORTED:
        assert f"``{name}``" in table or f"(``{name}`` " in table, name
