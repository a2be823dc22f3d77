"""What the pages that this package writes have in common: one HTML file each, that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def page(title: str, *body: str) -> str:
    """A whole HTML document; ``body`` is HTML, ``title`` is text."""
    head = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    head += f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_CSS}</style></head>'
    return f"{head}<body><main>{''.join(body)}</main></body></html>\n"


def section(title: str, *inner: str) -> str:
    """A heading and what is below it, HTML."""
    return f"<section><h2>{title}</h2>{''.join(inner)}</section>"


def grid(*inner: str) -> str:
    """Figures side by side."""
    return f'<div class="grid">{"".join(inner)}</div>'


def figure(drawn: str, caption: str, *, wide: bool = False) -> str:
    """A drawing (SVG) with a caption, text."""
    return f"<figure{' class=wide' if wide else ''}>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, text: int, css: str = "") -> str:
    """``text``: how many columns, from the left, hold words; the others hold numbers. Cells are HTML."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}{'' if at < text else ' class=n'}>{cell}</{tag}>" for at, cell in enumerate(cells))

    top = f"<thead><tr>{line(head, 'th')}</tr></thead>" if any(head) else ""
    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll"><table class="{css}">{top}<tbody>{body}</tbody></table></div>'


def percent(part: float) -> str:
    """Two digits that count, and never 0 % for what is not nothing."""
    value = 100 * part
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.2g} %" if value >= 0.001 else "< 0.001 %"


_CSS = """
:root { color-scheme: light dark; --ink: #1c2430; --faint: #8a94a3; --accent: #2468b4; --second: #c2711a; --ground: #ffffff;
  --card: #f5f7fa; --line: #dde2e9; --red: #b3261e; --amber: #8a5a00; --green: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --faint: #8490a0; --accent: #6aaeff; --second: #f0a658; --ground: #12161c;
  --card: #1b212a; --line: #313a46; --red: #ff8a80; --amber: #ffc45c; --green: #6fd694; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 24px 48px; }
h3 { font-size: 15px; margin: 22px 0 6px; } h1 { font-size: 27px; margin: 0; line-height: 1.2; } h2 { font-size: 19px; margin: 38px 0 8px; }
header p { margin: 6px 0 18px; } p { max-width: 78ch; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(220px, 45%), 1fr)); gap: 10px; }
.tiles > div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; }
.tiles b { display: block; font-size: 21px; font-weight: 600; font-variant-numeric: tabular-nums; } .tiles span { font-size: 13px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(380px, 100%), 1fr)); gap: 18px; }
figure { margin: 0 0 10px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px; }
figure svg { display: block; width: 100%; height: auto; max-width: 560px; } figure.wide svg { max-width: none; }
figure svg text { font-family: inherit !important; }
figcaption { font-size: 13.5px; margin-top: 6px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; } th { font-weight: 600; }
.n { text-align: right; white-space: nowrap; } table.facts { width: auto; min-width: 55%; }
td small, th small { display: block; color: var(--faint); font-size: 12px; font-weight: 400; }
a { color: var(--accent); }
.status { font-weight: 600; white-space: nowrap; }
.red { color: var(--red); } .amber { color: var(--amber); } .green { color: var(--green); }
.status::before { content: "● "; } .status.not::before { content: "○ "; } .files { font-size: 14px; }
@media print { :root { color-scheme: light; --ink: #000000; --faint: #777777; --accent: #2468b4; --second: #c2711a; --ground: #ffffff;
  --card: #ffffff; --line: #cccccc; --red: #b3261e; --amber: #8a5a00; --green: #1b6e3c; }
  body { font-size: 12px; } main { max-width: none; padding: 0; } h2 { break-after: avoid; margin-top: 22px; }
  figure, tr, .tiles > div { break-inside: avoid; } .grid { grid-template-columns: 1fr 1fr; }
  .tiles { grid-template-columns: repeat(4, 1fr); }
  .tiles b { font-size: 16px; } table { font-size: 10px; } th, td { padding-right: 8px; } .scroll { overflow: visible; } }
"""
