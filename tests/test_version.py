"""The versions that kongtx reports."""

import re

import kongtx


def test_the_contract_is_kong_3_9() -> None:
    assert re.fullmatch(r"3\.9\.\d+", kongtx.KONG_VERSION)
