"""Writes ``lists.json``: the rankings that every library was asked to measure. Run once, by hand; needs nothing but Python.

60 queries over 40 items that training knows (codes 0 to 39) and 10 that it does not (40 to 49). Lists hold up to 20 items, some fewer,
three none; 0 to 25 items are relevant, some of them unknown; some neighbouring scores are equal.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

KNOWN, UNKNOWN, DEPTH, QUERIES = 40, 10, 20, 60

LENGTHS = {2: 0, 11: 0, 23: 0, 5: 1, 8: 3, 13: 4, 17: 5, 19: 7, 29: 9, 31: 10, 37: 12, 41: 15, 47: 19}
RELEVANT = {0: 1, 1: 1, 2: 3, 3: 25, 4: 21, 6: 0, 7: 20, 9: 5, 10: 10, 16: 1, 22: 1, 26: 1, 33: 0, 43: 24, 50: 12, 59: 1}


def query(number: int, draw: random.Random) -> dict[str, list[int] | list[float]]:
    length = LENGTHS.get(number, DEPTH)
    size = RELEVANT.get(number, draw.randint(1, 16))
    unknown = min(size, draw.choice([0, 0, 0, 1, 2])) if number not in (0, 3, 7, 16) else 0
    if number == 22:
        unknown = 1  # nothing that could be recommended is relevant
    relevant = draw.sample(range(KNOWN), size - unknown) + draw.sample(range(KNOWN, KNOWN + UNKNOWN), unknown)
    score = {item: float(draw.randint(0, 40) - item) + (20.0 if item in relevant else 0.0) for item in range(KNOWN)}
    if number == 33:
        score[KNOWN - 1] = 50.0  # an item that no other list holds
    if number in (0, 1):  # the one relevant item is ranked 2nd, and last
        first = sorted(score, key=lambda i: (-score[i], i))
        rank = 1 if number == 0 else DEPTH - 1
        relevant = [first[rank]]
    if number == 7:  # the list starts with all that is relevant
        score = {item: value + (100.0 if item in relevant else 0.0) for item, value in score.items()}
    ranked = sorted(score, key=lambda i: (-score[i], i))[:length]
    return {"list": ranked, "scores": [score[i] for i in ranked], "relevant": sorted(relevant)}


def main() -> None:
    draw = random.Random(17)
    queries = [query(number, draw) for number in range(QUERIES)]
    lines = ",\n".join(json.dumps(q) for q in queries)
    text = f'{{"known": {KNOWN}, "unknown": {UNKNOWN}, "depth": {DEPTH}, "queries": [\n{lines}\n]}}\n'
    Path(__file__).with_name("lists.json").write_text(text)


if __name__ == "__main__":
    main()
