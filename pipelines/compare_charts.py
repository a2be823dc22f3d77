"""The charts of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.charts import ACCENT, FAINT, INK, SECOND, svg
from recsys.comparison import Comparison


def forest(found: Comparison, metric: str) -> str:
    """Every method's mean with its interval, the best above; dots on a line beside them are methods that cannot be told apart."""
    groups = found.groups[metric]
    rows = [found.row(found.entrants[at].name, metric) for at in groups.order]
    place = {at: y for y, at in enumerate(groups.order)}
    bars = [group for group in groups.groups if len(group) > 1]

    def draw(axes: Any) -> None:
        for y, row in enumerate(rows):
            within = row.both or row.mean
            colour = SECOND if row.entrant == found.baseline.name else ACCENT
            axes.plot([within.low, within.high], [y, y], color=colour, lw=2, solid_capstyle="butt")
            if len(row.seeds) > 1:
                axes.plot(list(row.seeds), [y] * len(row.seeds), ls="", marker="|", ms=9, color=FAINT)
            axes.plot([within.mean], [y], "o", ms=6, color=colour)
        low = min((row.both or row.mean).low for row in rows)
        high = max((row.both or row.mean).high for row in rows)
        for number, group in enumerate(bars):
            at = high + (high - low) * (0.05 + 0.035 * number)
            members = sorted(place[m] for m in group)
            axes.plot([at, at], [members[0], members[-1]], color=INK, lw=1)
            axes.plot([at] * len(members), members, "o", ms=4, color=INK)
        axes.set_yticks(range(len(rows)), [_short(row.entrant) for row in rows])
        axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel=metric)
        axes.grid(axis="x", alpha=0.35, lw=0.6)
        axes.tick_params(axis="y", length=0)

    return svg(f"{metric} of each method with its interval", draw, width=10.6, height=1.0 + 0.34 * len(rows))


def plane(name: str, points: Sequence[tuple[str, float, float]], xlabel: str, ylabel: str, *, logarithmic: bool = False) -> str:
    """Methods as points with their names: (name, x, y)."""

    def draw(axes: Any) -> None:
        xs, ys = [x for _, x, _ in points], [y for _, _, y in points]
        if logarithmic:
            axes.set_xscale("log")
            from matplotlib.ticker import NullFormatter

            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.plot(xs, ys, "o", ms=6, color=ACCENT)
        axes.margins(x=0.24, y=0.14)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.grid(alpha=0.35, lw=0.6)
        _label(axes, points)

    return svg(name, draw, height=3.9, width=5.2)


def _label(axes: Any, points: Sequence[tuple[str, float, float]]) -> None:
    """Names beside points, each on the side where fewest points and names are."""
    axes.figure.canvas.draw()
    spot = [axes.transData.transform((x, y)) for _, x, y in points]
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in spot]
    for (name, x, y), (px, py) in zip(points, spot, strict=True):
        text, best = _short(name), None
        width, height = 5.6 * len(text), 11
        for dx, dy, across in (
            (8, -4, "left"),
            (-8, -4, "right"),
            (0, 9, "center"),
            (0, -17, "center"),
            (8, 8, "left"),
            (-8, -16, "right"),
        ):
            left = px + dx - (0 if across == "left" else width if across == "right" else width / 2)
            box = (left, py + dy, left + width, py + dy + height)
            hidden = sum(_overlap(box, other) for other in taken)
            if best is None or hidden < best[0]:
                best = (hidden, dx, dy, across, box)
        assert best is not None
        taken.append(best[4])
        scale = 72 / axes.figure.dpi
        axes.annotate(text, (x, y), xytext=(best[1] * scale, best[2] * scale), textcoords="offset points", ha=best[3], size=8, color=INK)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _short(name: str) -> str:
    return name if len(name) <= 28 else name[:25] + "..."
