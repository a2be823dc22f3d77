"""Tables on a terminal, and the same numbers in a pipe."""

from __future__ import annotations

import math
import sys

from rich import box
from rich.console import Console
from rich.table import Table

from recsys.statistics import Difference, Interval


def console() -> Console:
    """Standard output; wide enough for a table when it is no terminal."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160, highlight=False, soft_wrap=False)


def plain_table(title: str, *columns: str) -> Table:
    """An empty table, the first column for names and the others for numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(columns):
        table.add_column(name, justify="left" if at == 0 else "right", overflow="fold")
    return table


def number(value: float | None) -> str:
    """Four digits after the point for shares, fewer for larger numbers."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


def with_interval(found: Interval) -> str:
    """``0.1420`` and, below it, ``0.1391 to 0.1449``."""
    return f"{number(found.mean)}\n{number(found.low)} to {number(found.high)}"


def difference(found: Difference) -> str:
    """``+0.0120`` and, below it, ``+0.0093 to +0.0148``."""
    return f"{found.mean:+.4f}\n{found.low:+.4f} to {found.high:+.4f}"


def p_value(p: float) -> str:
    """``<0.001`` or ``0.031``."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float) -> str:
    """``0.8 s``, ``42 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if not math.isfinite(seconds):
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
