"""C{kongtx routes}: why requests get the routes they get, and what is wrong with routes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.parse import urljoin
from urllib.request import Request, urlopen

import attrs
import click

from kongtx.cli.declarative import read_file, registry
from kongtx.cli.errors import CommandError
from kongtx.cli.nodes import effective_configuration
from kongtx.cli.options import Group, conf_option, pass_output, prefix_option
from kongtx.cli.output import Output

_Function = TypeVar("_Function", bound=Callable[..., Any])
_TIMEOUT_SECONDS = 30


@attrs.frozen
class RouteSet:
    """Routes, and what is needed to build a router of them."""

    flavor: str
    routes: Sequence[Mapping[str, Any]]
    services: Mapping[str, Mapping[str, Any]]


@click.group("routes", cls=Group)
def command() -> None:
    """Ask which route a request gets and why, and look for mistakes in routes."""


def _source_options(function: _Function) -> _Function:
    function = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)
    function = click.option("--admin", metavar="URL", help="Take the routes from this Admin API.")(
        function
    )
    function = click.option(
        "--file",
        metavar="FILE",
        type=click.Path(),
        help="Take the routes from this declarative file; without --admin and --file, from the "
        "configured one.",
    )(function)
    return conf_option(prefix_option(function))


@command.command("explain")
@click.argument("method")
@click.argument("url")
@click.option(
    "-H",
    "--header",
    "headers",
    metavar="LINE",
    multiple=True,
    help="A header, as in 'Name: value'.",
)
@click.option("--source", metavar="ADDRESS", default="127.0.0.1", help="The client's address.")
@_source_options
@pass_output
def explain(
    output: Output,
    method: str,
    url: str,
    headers: tuple[str, ...],
    source: str,
    file: str | None,
    admin: str | None,
    as_json: bool,
    conf: str | None,
    prefix: str | None,
) -> None:
    """Tell which route a request gets, which others came close, and the rule that decided."""
    from kongtx.router import build_router  # noqa: PLC0415 - other commands do without it
    from kongtx.router.inspection.explain import as_text, explain_url  # noqa: PLC0415

    given = _route_set(output, file, admin, conf, prefix)
    router = build_router(given.flavor, given.routes, given.services)
    explanation = explain_url(router, method, url, [_pair(line) for line in headers], source)
    click.echo(json.dumps(explanation, indent=2) if as_json else as_text(explanation))


@command.command("lint")
@_source_options
@pass_output
@click.pass_context
def lint(
    context: click.Context,
    output: Output,
    file: str | None,
    admin: str | None,
    as_json: bool,
    conf: str | None,
    prefix: str | None,
) -> None:
    """Find routes that never match, that others shadow, or that only their age or id tells apart.

    Exits with 1 when there are any.
    """
    from kongtx.router.inspection.lint import as_text, lint_json  # noqa: PLC0415 - as above

    given = _route_set(output, file, admin, conf, prefix)
    findings = lint_json(given.flavor, given.routes, given.services)
    if as_json:
        click.echo(json.dumps(findings, indent=2))
    else:
        click.echo(as_text(findings) if findings else "nothing found")
    context.exit(1 if findings else 0)


def _pair(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise CommandError(f"'{line}' is no header: expected 'Name: value'")
    return name.strip(), value.strip()


def _route_set(
    output: Output, file: str | None, admin: str | None, conf: str | None, prefix: str | None
) -> RouteSet:
    if admin is not None:
        return from_admin(admin)
    configuration = effective_configuration(output, conf, prefix)
    path = file or configuration.declarative_config
    if path is None:
        raise CommandError("no declarative_config is configured: name --file FILE or --admin URL")
    entities = read_file(output, path, registry(configuration)).entities
    return RouteSet(
        configuration.router_flavor,
        list(entities.get("routes", {}).values()),
        entities.get("services", {}),
    )


def from_admin(url: str) -> RouteSet:
    """Read all routes and services from an Admin API, which may be Kong's.

    @raise CommandError: when it does not answer as one.
    """
    root = url if url.endswith("/") else f"{url}/"
    node = _get(root)
    try:
        flavor = node["configuration"]["router_flavor"]
        services = {service["id"]: service for service in _get_all(root, "services")}
        return RouteSet(flavor, _get_all(root, "routes"), services)
    except (KeyError, TypeError) as error:
        raise CommandError(f"{url} does not answer as an Admin API does: no {error}") from None


def _get_all(root: str, collection: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    following: str | None = f"{collection}?size=1000"
    while following:
        page = _get(urljoin(root, following.removeprefix("/")))
        found += page["data"]
        following = page["next"]
    return found


def _get(url: str) -> Any:
    if not url.startswith(("http://", "https://")):
        raise CommandError(f"'{url}' is no URL of an Admin API: expected http:// or https://")
    request = Request(url, headers={"Accept": "application/json"})
    try:
        with urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            return json.load(answer)
    except (URLError, OSError, ValueError) as error:
        raise CommandError(f"cannot read {url}: {error}") from None
