"""What C{kongtx manhole} writes where there is no terminal."""

from __future__ import annotations

import pytest

from kongtx.cli.verbs.manhole import PlainText

SHOWN = b"\x1bc\x1b[4h\x1b[2J>>> 1 + 1\x1bE2\r\r\n\x1b[K\x1b[5D>>> "


def test_signs_for_terminals_are_left_out() -> None:
    assert PlainText().of(SHOWN) == b">>> 1 + 1\n2\n>>> "


@pytest.mark.parametrize("at", range(len(SHOWN)))
def test_a_sign_may_come_in_pieces(at: int) -> None:
    text = PlainText()
    assert text.of(SHOWN[:at]) + text.of(SHOWN[at:]) == b">>> 1 + 1\n2\n>>> "
