"""The ratios to a base as a drawing: one bar for each scenario and target."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from benchmarks.measure import Results
from benchmarks.scenarios import GOALS, Scenario

_BASE = "pocketbase"
_LABEL, _WIDTH, _ROW, _GAP, _TOP = 300, 560, 16, 12, 40
_COLOURS = ("#2a6f97", "#61a5c2", "#f4a259", "#8cb369", "#bc4b51", "#5b5f97", "#a3a3a3")


def svg(results: Results) -> str | None:
    """Return the drawing; ``None`` when there is nothing to compare with."""
    names = [name for name in results.outcomes if name != _BASE]
    rows = list(_rows(results, names))
    if not rows:
        return None
    longest = max(ratio for _, ratios, _ in rows for ratio in ratios.values())
    scale = _WIDTH / max(longest, 1.0)
    parts = [_text(0, 16, f"Requests per second, as a multiple of {_BASE}'s", bold=True)]
    y = _TOP
    for label, ratios, goal in rows:
        parts.append(_text(0, y + _ROW - 4, label))
        begin = y
        for name, ratio in ratios.items():
            colour = _COLOURS[names.index(name) % len(_COLOURS)]
            width = ratio * scale
            parts.append(
                f'<rect x="{_LABEL}" y="{y}" width="{width:.1f}" height="{_ROW - 3}" '
                f'fill="{colour}"/>'
            )
            parts.append(_text(_LABEL + width + 4, y + _ROW - 5, f"{ratio:.2f} {name}", small=True))
            y += _ROW
        if goal is not None:
            x = _LABEL + goal * scale
            parts.append(_line(x, begin - 3, y, "#bc4b51"))
        y += _GAP
    parts.append(_line(_LABEL + scale, _TOP - 6, y - _GAP, "#000000"))
    parts.append(_text(_LABEL, y + 8, "black line: equal; red line: the goal", small=True))
    size = f'width="{_LABEL + _WIDTH + 180}" height="{y + 20}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
    return "\n".join(
        [head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""]
    )


def _rows(
    results: Results, names: list[str]
) -> Iterator[tuple[str, dict[str, float], float | None]]:
    for scenario in Scenario:
        base = results.outcome(_BASE, scenario)
        if base is None:
            continue
        found = {name: results.outcome(name, scenario) for name in names}
        ratios = {name: each.rate / base.rate for name, each in found.items() if each}
        goals = (g.least for g in GOALS if (g.scenario, g.base) == (scenario, _BASE))
        if ratios:
            yield scenario.value, ratios, next(goals, None)


def _text(x: float, y: float, text: str, *, bold: bool = False, small: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y}" font-size="{10 if small else 13}"{weight}>{escape(text)}</text>'
    )


def _line(x: float, top: float, bottom: float, colour: str) -> str:
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" stroke="{colour}"/>'
