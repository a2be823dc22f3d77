"""Charts as inline SVG that takes its colours from the page, so that it is legible on light and on dark ground."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

import numpy as np
import polars as pl

from recsys.errors import ConfigError

# Colours that matplotlib writes, and what the page puts in their place.
INK, FAINT, ACCENT, SECOND = "#010101", "#020202", "#030303", "#040404"
_VARIABLES = {INK: "var(--ink)", FAINT: "var(--faint)", ACCENT: "var(--accent)", SECOND: "var(--second)"}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_BARS = 160  # of a chart over time

_STYLE = {
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.use_mathtext": False,
}


def library() -> Any:
    """matplotlib.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError:
        raise ConfigError('the page draws with matplotlib, which is not installed; pip install "recsys-axes[plot]"') from None
    return matplotlib


def svg(name: str, draw: Callable[[Any], None], *, height: float = 2.9, width: float = 5.2) -> str:
    """One chart; ``draw(axes)`` fills it."""
    matplotlib = library()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = matplotlib.figure.Figure(figsize=(width, height), layout="constrained")  # no pyplot: nothing global, no display
        draw(figure.subplots())
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="(?:figure|axes|patch|line2d|text|xtick|ytick|matplotlib\.axis|PolyCollection|FillBetween\w*)_\d+"', "", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{name}" ', text, count=1)


def popularity(curve: pl.DataFrame) -> str:
    """Events by rank, both logarithmic."""

    def draw(axes: Any) -> None:
        axes.loglog(curve["rank"], curve["events"], color=ACCENT, lw=2)
        axes.fill_between(curve["rank"], curve["events"], 0.8, color=ACCENT, alpha=0.12, lw=0)
        axes.set(xlabel="rank of the item", ylabel="events of the item", ylim=(0.8, None))
        _plain_logs(axes.xaxis, axes.yaxis)
        axes.grid(alpha=0.35, lw=0.6)

    return svg("events of each item by its rank", draw)


def concentration(curve: pl.DataFrame, items: int) -> str:
    """Share of events on the most popular items, against the share of items."""

    def draw(axes: Any) -> None:
        share = np.append(0.0, curve["rank"].to_numpy() / items)
        axes.plot(100 * share, 100 * np.append(0.0, curve["share"].to_numpy()), color=ACCENT, lw=2)
        axes.plot([0, 100], [0, 100], color=FAINT, lw=1, ls="--")
        axes.annotate("all alike", (60, 60), (63, 53), color=INK, size=9)
        axes.set(xlabel="most popular items, % of all", ylabel="their events, % of all", xlim=(0, 100), ylim=(0, 102))
        axes.grid(alpha=0.35, lw=0.6)

    return svg("share of events on the most popular items", draw)


def lengths(bins: pl.DataFrame, owner: str) -> str:
    """Owners by their number of events, in bins that double."""
    bins = bins.filter(pl.col("owners").cum_sum() > 0)
    names = [f"{a:,}" if a == b else f"{a:,}–{b:,}" for a, b in bins.select("from", "to").iter_rows()]
    return _columns(f"{owner}s by number of events", names, bins["owners"], f"events of a {owner}", f"{owner}s")


def over_time(days: pl.DataFrame) -> str:
    """Events in stretches of equal length, at most 160 of them."""
    step = max(1, -(-len(days) // _BARS))
    first = days["date"][0]
    stretch = np.add.reduceat(days["events"].to_numpy(), np.arange(0, len(days), step))
    begin = [datetime(first.year, first.month, first.day) + timedelta(days=step * at) for at in range(len(stretch))]

    def draw(axes: Any) -> None:
        axes.bar(begin, stretch, width=step * 0.94, align="edge", color=ACCENT, lw=0)
        axes.set(ylabel="events a day" if step == 1 else f"events in {step} days")
        _plain_numbers(axes.yaxis)
        axes.grid(axis="y", alpha=0.35, lw=0.6)
        dates: Any = import_module("matplotlib.dates")
        locator = dates.AutoDateLocator(maxticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))

    return svg("events over time", draw, width=10.6, height=2.6)


def week(hours: pl.DataFrame) -> str:
    """Events by weekday and hour: the darker, the more."""
    grid = hours.sort("weekday", "hour")["events"].to_numpy().reshape(7, 24)
    top = max(1, int(grid.max()))

    def draw(axes: Any) -> None:
        from matplotlib.patches import Rectangle

        for (day, hour), count in np.ndenumerate(grid):
            axes.add_patch(Rectangle((hour + 0.04, day + 0.05), 0.92, 0.9, color=ACCENT, alpha=0.04 + 0.96 * count / top, lw=0))
        axes.set(xlim=(0, 24), ylim=(7, 0), xlabel="hour (UTC)", xticks=range(0, 25, 3))
        axes.set_yticks(np.arange(7) + 0.5, _DAYS)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)

    return svg("events by weekday and hour", draw, width=10.6, height=2.4)


def weights(table: pl.DataFrame) -> str:
    """Events by weight or by bin of weights."""
    names = [f"{a:g}" if a == b else f"{a:.3g} to {b:.3g}" for a, b in table.select("from", "to").iter_rows()]
    return _columns("events by weight", names, table["events"], "weight", "events")


def named(table: pl.DataFrame, column: str) -> str:
    """Events by kind or part."""
    return _columns(f"events by {column}", table[column].to_list(), table["events"], column, "events")


def waterfall(cleaning: pl.DataFrame, owner: str) -> str:
    """What is left of events, owners and items after each cleaning step, % of what there was at first."""
    names = ["at first", *cleaning["step"].to_list()]

    def draw(axes: Any) -> None:
        for at, (what, colour, alpha) in enumerate((("events", ACCENT, 1.0), ("owners", ACCENT, 0.45), ("items", SECOND, 0.9))):
            start = cleaning[f"{what}_before"][0]
            left = np.append(1.0, cleaning[f"{what}_after"].to_numpy() / max(1, start)) * 100
            place = np.arange(len(names)) + (at - 1) * 0.27
            axes.barh(place, left, 0.25, color=colour, alpha=alpha, label=f"{owner}s" if what == "owners" else what, lw=0)
            for y, x in zip(place, left, strict=True):
                axes.text(x + 1, y, f"{x:.3g} %", va="center", size=8)
        axes.set_yticks(np.arange(len(names)), [name if len(name) <= 44 else name[:41] + "..." for name in names])
        axes.set(xlim=(0, 112), ylim=(len(names) - 0.5, -0.5), xlabel="% of what there was at first")
        axes.grid(axis="x", alpha=0.35, lw=0.6)
        axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))

    return svg("what each cleaning step left", draw, width=10.6, height=1.0 + 0.75 * len(names))


def _columns(name: str, labels: list[str], values: pl.Series, xlabel: str, ylabel: str) -> str:
    labels = [label if len(label) <= 20 else label[:17] + "..." for label in labels]

    def draw(axes: Any) -> None:
        axes.bar(range(len(labels)), values, 0.82, color=ACCENT, lw=0)
        crowded = max(map(len, labels)) * len(labels) > 48
        every = max(1, -(-len(labels) // 16))
        shown = range(0, len(labels), every)
        axes.set_xticks(shown, [labels[at] for at in shown], rotation=35 if crowded else 0, ha="right" if crowded else "center")
        if crowded:
            for text in axes.get_xticklabels():
                text.set_rotation_mode("anchor")
        axes.tick_params(axis="x", length=0)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        _plain_numbers(axes.yaxis)
        axes.grid(axis="y", alpha=0.35, lw=0.6)
        axes.set_axisbelow(True)

    return svg(name, draw)


def _short(value: float, _: int = 0) -> str:
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _plain_numbers(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_formatter(FuncFormatter(_short))
    axis.set_major_locator(MaxNLocator(5, integer=True))


def _plain_logs(*both: Any) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for axis in both:
        axis.set_major_formatter(FuncFormatter(_short))
        axis.set_minor_formatter(NullFormatter())
