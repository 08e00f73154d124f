"""The syntax of listen properties."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.conf.syntax.listen import KeepAlive, Listen, ListenSyntaxError, Subsystem, parse_listen

HTTP_FORM = (
    "must be of form: [off] | <ip>:<port> [ssl] [http2] [proxy_protocol] [deferred] [bind] "
    "[reuseport] [backlog=%d+] [ipv6only=on] [ipv6only=off] [so_keepalive=on] "
    "[so_keepalive=off] [so_keepalive=%w*:%w*:%d*], [... next entry ...]"
)
STREAM_FORM = (
    "must be of form: [off] | <ip>:<port> [udp] [ssl] [proxy_protocol] [bind] [reuseport] "
    "[backlog=%d+] [ipv6only=on] [ipv6only=off] [so_keepalive=on] [so_keepalive=off] "
    "[so_keepalive=%w*:%w*:%d*], [... next entry ...]"
)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("0.0.0.0:8000", Listen("0.0.0.0", 8000)),
        ("127.000.000.001:8000", Listen("127.0.0.1", 8000)),
        ("127.0.0.1:0", Listen("127.0.0.1", 0)),
        ("[::1]:8000", Listen("0000:0000:0000:0000:0000:0000:0000:0001", 8000)),
        ("[::]:80 ipv6only=on", Listen(":".join(["0000"] * 8), 80, ipv6only=True)),
        ("[::]:80 ipv6only=off", Listen(":".join(["0000"] * 8), 80, ipv6only=False)),
        ("gateway.example:80", Listen("gateway.example", 80)),
        ("localhost:80 ssl", Listen("localhost", 80, ssl=True)),
        ("ssl 1.2.3.4:1", Listen("1.2.3.4", 1, ssl=True)),
        (
            "0.0.0.0:8443   http2 ssl  reuseport backlog=16384",
            Listen("0.0.0.0", 8443, ssl=True, http2=True, reuseport=True, backlog=16384),
        ),
        (
            "1.2.3.4:1 proxy_protocol deferred bind",
            Listen("1.2.3.4", 1, proxy_protocol=True, deferred=True, bind=True),
        ),
        ("1.2.3.4:1 so_keepalive=on", Listen("1.2.3.4", 1, so_keepalive=KeepAlive(True))),
        ("1.2.3.4:1 so_keepalive=off", Listen("1.2.3.4", 1, so_keepalive=KeepAlive(False))),
        (
            "1.2.3.4:1 so_keepalive=30m::10",
            Listen("1.2.3.4", 1, so_keepalive=KeepAlive(True, 1800, None, 10)),
        ),
    ],
)
def test_an_entry_is_an_address_with_flags(entry: str, expected: Listen) -> None:
    assert parse_listen([entry]) == (expected,)


def test_several_entries_keep_their_order() -> None:
    assert parse_listen(["1.1.1.1:1", "2.2.2.2:2 ssl"]) == (
        Listen("1.1.1.1", 1),
        Listen("2.2.2.2", 2, ssl=True),
    )


@pytest.mark.parametrize("entries", [["off"], [" off "], ["off", "0.0.0.0:8000"]])
def test_off_in_front_listens_nowhere(entries: list[str]) -> None:
    assert parse_listen(entries) == ()


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [""],
        ["127.0.0.1"],
        ["8000"],
        [":8000"],
        ["127.0.0.1:8000 nonsense"],
        ["127.0.0.1:8000 udp"],
        ["127.0.0.1:65536"],
        ["256.0.0.1:80"],
        ["127.0.0.1:8000 off"],
        ["[::1]"],
        ["::1:8000"],
        ["[::zz]:80"],
        ["127.0.0.1:8000 backlog="],
        ["127.0.0.1:8000 backlog=x"],
        ["127.0.0.1:8000 ipv6only=yes"],
        ["127.0.0.1:8000 ipv6only=on ipv6only=off"],
        ["127.0.0.1:8000 127.0.0.1:8001"],
        ["127.0.0.1:8000 so_keepalive=1x::"],
        ["127.0.0.1:8000 so_keepalive=::"],
        ["127.0.0.1:8000 so_keepalive=0:0:0"],
        ["127.0.0.1:8000 so_keepalive=9999999999::"],
        ["127.0.0.1:8000 backlog=2147483648"],
        ["ssl"],
        ["0.0.0.0:8000", "off"],
    ],
)
def test_anything_else_is_answered_with_the_form(entries: list[str]) -> None:
    with pytest.raises(ListenSyntaxError) as caught:
        parse_listen(entries)
    assert str(caught.value) == HTTP_FORM


@pytest.mark.parametrize("flag", ["http2", "deferred"])
def test_stream_listeners_have_flags_of_their_own(flag: str) -> None:
    assert parse_listen(["1.2.3.4:1 udp"], "stream") == (Listen("1.2.3.4", 1, udp=True),)
    with pytest.raises(ListenSyntaxError) as caught:
        parse_listen([f"1.2.3.4:1 {flag}"], "stream")
    assert str(caught.value) == STREAM_FORM


def test_kong_calls_the_entry_without_http2_its_listener() -> None:
    (listen,) = parse_listen(["[::1]:8443 http2 ssl reuseport backlog=16384"])
    assert listen.listener == (
        "[0000:0000:0000:0000:0000:0000:0000:0001]:8443 ssl reuseport backlog=16384"
    )


KEEP_ALIVE = st.one_of(
    st.just(KeepAlive(False)),
    st.builds(
        KeepAlive,
        st.just(True),
        *[st.none() | st.integers(1, 10**6) for _ in range(3)],
    ),
)
HOSTS = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda ip: ipaddress.IPv6Address(int(ip)).exploded),
    st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{1,8})?", fullmatch=True),
)
OPTIONAL_BOOL = st.none() | st.booleans()


@st.composite
def listens(draw: st.DrawFn) -> tuple[Subsystem, Listen]:
    subsystem = draw(st.sampled_from(("http", "stream")))
    names = ["ssl", "proxy_protocol", "reuseport", "bind"]
    names += ["http2", "deferred"] if subsystem == "http" else ["udp"]
    return subsystem, Listen(
        draw(HOSTS),
        draw(st.integers(0, 65535)),
        backlog=draw(st.none() | st.integers(0, 10**9)),
        ipv6only=draw(OPTIONAL_BOOL),
        so_keepalive=draw(st.none() | KEEP_ALIVE),
        **{name: draw(st.booleans()) for name in names},
    )


@given(listens())
def test_what_a_listener_prints_reads_the_same(case: tuple[Subsystem, Listen]) -> None:
    subsystem, listen = case
    assert parse_listen([str(listen)], subsystem) == (listen,)


@given(st.lists(st.text()))
def test_any_text_is_listeners_or_the_form_error(entries: list[str]) -> None:
    try:
        listeners = parse_listen(entries)
    except ListenSyntaxError:
        return
    assert len(listeners) in (0, len(entries))
