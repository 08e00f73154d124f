import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.names import dns

from kongtx.dns.message import (
    BadMessage,
    Data,
    Response,
    decode_response,
    encode_query,
    follow,
)
from kongtx.dns.records import AAAA, CNAME, SRV, A


def _reply(*answers, ident=7, name=b"a.test", rtype=A, code=0, trunc=0):
    message = dns.Message(ident, answer=1, rCode=code, trunc=trunc)
    message.addQuery(name, rtype, dns.IN)
    message.answers = list(answers)
    return message.toStr()


def _rr(name, payload, ttl=60):
    return dns.RRHeader(name, payload.TYPE, dns.IN, ttl, payload)


def test_a_query_asks_one_question_with_recursion_and_edns():
    message = dns.Message()
    message.fromStr(encode_query(0xBEEF, "a.test", SRV))

    assert (message.id, message.answer, message.recDes) == (0xBEEF, 0, 1)
    assert [(q.name.name, q.type, q.cls) for q in message.queries] == [(b"a.test", SRV, dns.IN)]
    assert [(rr.type, rr.cls) for rr in message.additional] == [(41, 1232)]


def test_edns_can_be_left_out():
    message = dns.Message()
    message.fromStr(encode_query(1, "a.test", A, edns=False))

    assert message.additional == []


def test_every_kind_of_record_is_read():
    data = _reply(
        _rr(b"A.test", dns.Record_A("1.2.3.4")),
        _rr(b"a.test", dns.Record_AAAA("2001:db8::1"), ttl=5),
        _rr(b"a.test", dns.Record_CNAME(b"B.test")),
        _rr(b"a.test", dns.Record_SRV(1, 2, 3, b"C.test")),
        _rr(b"a.test", dns.Record_TXT(b"ignored")),
    )

    assert decode_response(data, 7, "a.test", A) == Response(
        0,
        False,
        (
            Data("a.test", A, 60, "1.2.3.4"),
            Data("a.test", AAAA, 5, "2001:db8::1"),
            Data("a.test", CNAME, 60, "b.test"),
            Data("a.test", SRV, 60, "c.test", port=3, priority=1, weight=2),
        ),
    )


def test_codes_and_truncation_are_told():
    assert decode_response(_reply(code=3), 7, "a.test", A) == Response(3)
    assert decode_response(_reply(trunc=1), 7, "a.test", A).truncated


@pytest.mark.parametrize(
    "data",
    [
        _reply(ident=8),
        _reply(name=b"b.test"),
        _reply(rtype=AAAA),
        _reply(_rr(b"a.test", dns.Record_A("1.2.3.4")))[:-2],
        encode_query(7, "a.test", A),
        b"",
        b"\0\7",
    ],
    ids=["id", "name", "type", "cut", "a query", "empty", "short"],
)
def test_what_is_no_answer_to_the_question_is_refused(data):
    with pytest.raises(BadMessage):
        decode_response(data, 7, "a.test", A)


def test_a_format_error_needs_no_question():
    bare = dns.Message(7, answer=1, rCode=1)

    assert decode_response(bare.toStr(), 7, "a.test", A) == Response(1)


def test_success_without_the_question_is_refused():
    with pytest.raises(BadMessage):
        decode_response(dns.Message(7, answer=1).toStr(), 7, "a.test", A)


@given(st.binary(max_size=200))
def test_random_bytes_are_a_response_or_a_bad_message(data):
    with contextlib.suppress(BadMessage):
        assert isinstance(decode_response(data, 7, "a.test", A), Response)


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_damaged_reply_never_raises_anything_else(position, value):
    data = bytearray(
        _reply(_rr(b"a.test", dns.Record_CNAME(b"b.test")), _rr(b"b.test", dns.Record_A("1.2.3.4")))
    )
    data[position % len(data)] = value
    with contextlib.suppress(BadMessage):
        decode_response(bytes(data), 7, "a.test", A)


def test_a_chain_is_followed_in_any_order_with_the_least_ttl():
    answers = (
        Data("c.test", A, 60, "1.1.1.1"),
        Data("b.test", CNAME, 5, "c.test"),
        Data("a.test", CNAME, 90, "b.test"),
        Data("c.test", A, 60, "1.1.1.2"),
    )

    assert follow(answers, "a.test", A) == ((answers[0], answers[3]), "c.test", 5)


def test_records_of_other_names_are_ignored():
    answers = (Data("bank.test", A, 60, "6.6.6.6"),)

    assert follow(answers, "a.test", A) == ((), "a.test", None)


def test_an_unfinished_chain_tells_where_it_ends():
    answers = (Data("a.test", CNAME, 5, "b.test"),)

    assert follow(answers, "a.test", A) == ((), "b.test", 5)


def test_a_circle_ends():
    answers = (Data("a.test", CNAME, 5, "b.test"), Data("b.test", CNAME, 5, "a.test"))

    found, _, _ = follow(answers, "a.test", A)

    assert found == ()
