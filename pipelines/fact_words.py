"""The facts about a log in words, for the terminal and for the page."""

from __future__ import annotations

from pipelines.tables import number

_WORDS = {
    "density": "share of all owner-item pairs that occur",
    "repeats": "share of events that repeat a pair",
    "length_median": "events an owner, median",
    "length_mean": "events an owner, mean",
    "length_max": "events an owner, largest",
    "top_1_percent": "share of events on the top 1 % of items",
    "top_20_percent": "share of events on the top 20 % of items",
    "gini": "Gini index of the items' events",
    "items_once": "share of items with one event",
    "items_below_5": "share of items with fewer than 5 events",
    "duplicates": "exact duplicates of another event",
    "consecutive_repeats": "events on the item just before",
    "same_moment": "share of events at the time of another one of the owner",
    "days": "days from first to last",
    "empty_days": "calendar days without an event (UTC)",
    "longest_gap": "most days in a row without an event",
    "weight_min": "weight, least",
    "weight_mean": "weight, mean",
    "weight_max": "weight, largest",
    "owner": "owner of an event",
    "kinds": "events by kind",
    "parts": "events by part",
    "quarantined": "rows set aside (not among the events)",
}


def worded(name: str) -> str:
    """What a fact of :func:`recsys.data.describe` means."""
    return _WORDS.get(name, name)


def shown(value: object) -> str:
    """A number with its thousands, a small share with two digits, a mapping in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(inner)}" for key, inner in value.items())
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.2g}" if 0 < abs(value) < 0.001 else number(value)
    return str(value)
