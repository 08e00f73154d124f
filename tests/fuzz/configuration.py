"""What operators write: entities, declarative files, routes and expressions."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kongtx.db.declarative import DeclarativeError, DeclarativeFormat
from kongtx.lib.ids import new_secret, uuid4
from kongtx.plugins.schemas import full_registry
from kongtx.router.errors import ExpressionError
from kongtx.router.expressions.compiler import Trace, compile_test
from kongtx.router.expressions.types import parse_checked
from kongtx.router.facts import Facts
from kongtx.router.router import validate_route
from kongtx.schema import Context, SchemaViolation
from tests.db.test_declarative_wild import documents
from tests.entities.test_updates import LEAST, STORED
from tests.router.expressions import test_compiler
from tests.router.oracle import decide
from tests.router.strategies import http_requests, http_routes, stream_requests, stream_routes
from tests.router.support import FLAVORS, request_for, route, router_of

REGISTRY = full_registry()
FORMAT = DeclarativeFormat(REGISTRY)
CONTEXT = Context(now=1700000000.0, new_id=uuid4, new_secret=new_secret)
NAMES = sorted(REGISTRY)
#: Left out: those whose private keys take a second to check.
QUICK = [name for name in sorted(LEAST) if name not in ("certificates", "keys")]


def schema(data: bytes) -> None:
    """An entity is made, good, and readable, or refused; changing one is the same.

    The first byte says which entity; the rest is JSON as a client sends it.
    """
    name = NAMES[data[0] % len(NAMES)] if data else NAMES[0]
    try:
        sent = json.loads(data[1:])
    except (ValueError, RecursionError):
        return
    if not isinstance(sent, dict):
        return
    entity = REGISTRY[name]
    try:
        made = entity.process_insert(sent, CONTEXT)
    except SchemaViolation as error:
        json.dumps(error.fields)
    else:
        assert entity.validate(made) == {}
        json.dumps(entity.read(made))
    if name in QUICK:
        with contextlib.suppress(SchemaViolation):
            changed = entity.process_update(sent, entity.read(STORED[name]), CONTEXT)
            assert entity.validate(changed) == {}


def declarative(data: bytes) -> None:
    """A file is read, all entities good, or refused with what is wrong."""
    try:
        configuration = FORMAT.parse_text(data, CONTEXT, filename="kong.yml")
    except DeclarativeError as error:
        assert error.fields
        for flattened in (False, True):
            json.dumps(error.to_dict(flattened=flattened))
        return
    for name, rows in configuration.entities.items():
        for row in rows.values():
            assert REGISTRY[name].validate(row) == {}


@given(documents, st.sampled_from(["1.1", "2.1", "3.0"]))
def _documents(document: dict[Any, Any], version: str) -> None:
    with contextlib.suppress(DeclarativeError):
        FORMAT.parse({**document, "_format_version": version}, CONTEXT)


def declarative_documents(data: bytes) -> None:
    """As L{declarative}, with documents built from names that there are."""
    _documents.hypothesis.fuzz_one_input(data)  # type: ignore[attr-defined]


@given(st.data(), st.sampled_from(FLAVORS), st.booleans())
def _routes(data: Any, flavor: str, streams: bool) -> None:
    routes = data.draw((stream_routes if streams else http_routes)(flavor))
    router = router_of(flavor, *routes)
    for _ in range(3):
        request = data.draw(stream_requests() if streams else http_requests())
        match = router.match(request)
        assert (match and match.route["id"]) == decide(flavor, routes, request)


def router_traditional(data: bytes) -> None:
    """Any routes choose what trying each of them would."""
    _routes.hypothesis.fuzz_one_input(data)  # type: ignore[attr-defined]


def router_paths(data: bytes) -> None:
    """Routes of any paths, hosts and headers are taken by routers or refused; any request passes.

    Lines: a path, a host, a header value, and a target.
    """
    text = data.decode("utf-8", "surrogateescape")
    lines = [line for line in text.split("\n") if line][:4]
    if len(lines) < 4:
        return
    try:
        fields = [line.encode().decode() for line in lines[:3]]
    except UnicodeError:
        return
    made = route(paths=fields[:1], hosts=fields[1:2], headers={"x-a": fields[2:3]})
    if REGISTRY["routes"].validate(made):
        return
    target = lines[3].encode("utf-8", "surrogateescape").decode("latin-1")
    request = request_for("GET", "/" + target, [("host", "a.test"), ("x-a", "1")])
    for flavor in FLAVORS:
        if validate_route(flavor, made) is None:
            router_of(flavor, made).match(request)


@given(test_compiler.expressions, test_compiler._requests())
def _meanings(expression: Any, request: Any) -> None:
    test_compiler._check_meaning(expression, request)


def router_expressions(data: bytes) -> None:
    """Any text is an expression that can be asked, or refused with its place."""
    if data[:1] > b"\x80":
        _meanings.hypothesis.fuzz_one_input(data[1:])  # type: ignore[attr-defined]
        return
    text = data.decode("utf-8", "surrogateescape")
    protocols = ("tcp",) if data[:1] == b"\t" else ("http",)
    try:
        node = parse_checked(text, protocols)
    except ExpressionError as error:
        assert str(error)
        assert error.line >= 1
        assert error.column >= 1
        return
    test = compile_test(node, Trace())
    assert test(Facts(test_compiler.REQUEST)) in (True, False)


ENTITIES = [bytes([NAMES.index(name)]) + json.dumps(LEAST[name]).encode() for name in QUICK] + [
    bytes([NAMES.index("plugins")]) + json.dumps({"name": name, "config": {}}).encode()
    for name in ("cors", "jwt", "rate-limiting", "request-transformer", "ip-restriction", "oauth2")
]
FILES = [
    b'_format_version: "3.0"\nservices:\n- name: a\n  url: http://h/\n  routes:\n'
    b"  - paths: [/]\n    plugins:\n    - name: cors\nconsumers:\n- username: u\n"
    b"  keyauth_credentials:\n  - key: k\n",
    b'{"_format_version":"1.1","upstreams":[{"name":"u","targets":[{"target":"h:80"}]}]}',
    b'_format_version: "3.0"\n_transform: false\nx: &a {tags: [b]}\n'
    b"services:\n- <<: *a\n  host: h\n",
]
PATHS = [
    b"~/a/\\d+(?<b>x)$\n*.test\n~*^o\na/1?x=1#",
    b"/a//b/%20\na.test:80\none\n\xff/../b?u=tcp:///",
]
EXPRESSIONS = [
    b'http.path ^= "/a" && (http.host == "a.test" || !(net.src.ip in 10.0.0.0/8))',
    b'any(lower(http.headers.x_one)) ~ r#"^a(?<b>.)"# && http.path.segments.len >= 0x2',
    b'\tnet.dst.port == 80 && tls.sni =^ ".test"',
    b'http.queries.a not in ::1/8 || http.method contains "\\"G"',
]
