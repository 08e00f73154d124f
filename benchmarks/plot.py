"""A bar chart as SVG text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _ROW, _LEFT, _RIGHT, _TOP = 760, 26, 210, 70, 60


def bars(title: str, rows: Sequence[tuple[str, float]], marks: Sequence[tuple[float, str]]) -> str:
    """Horizontal bars with vertical marks.

    @param rows: labels and values.
    @param marks: values and what they mean.
    """
    most = max([value for _, value in rows] + [value for value, _ in marks]) * 1.05
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    height = _TOP + _ROW * len(rows) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="10" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for value, meaning in marks:
        x = _LEFT + value * scale
        parts.append(
            f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{height - 14}" stroke="#999" '
            f'stroke-dasharray="4 3"/><text x="{x:.1f}" y="{_TOP - 14}" text-anchor="middle" '
            f'fill="#666">{escape(meaning)}</text>'
        )
    for number, (label, value) in enumerate(rows):
        y = _TOP + number * _ROW
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{_LEFT}" y="{y + 3}" width="{value * scale:.1f}" height="{_ROW - 8}" '
            f'fill="#3367a0"/><text x="{_LEFT + value * scale + 5:.1f}" y="{y + 15}">'
            f"{value:.2f}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])
