"""Comparison of stored runs: hand-worked corrections, and joins on the queries that are shared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.compare import choose_metrics, compared, comparison_table, cost, notes
from recsys.comparison import Comparison, Entrant
from recsys.errors import RunError
from recsys.ledger import Ledger


def run(name: str, users: list[int], recall: list[float], *, data: str = "d", mask: bool = True, **more: Any) -> Any:
    test = {"mask_seen": mask, "candidates": more.pop("candidates", 10)}
    about = {"data": {"fingerprint": data}, "facts": {"test": test}, "name": name, "started": "now", **more.pop("about", {})}
    columns = {key.replace("_at_", "@"): value for key, value in more.items() if key != "queries"}
    frame = pl.DataFrame({"user": users, "recall@20": recall, **columns})
    return SimpleNamespace(
        id=name, about=about, per_query=frame, seconds=65.0, peak_rss_mb=100.0, folder=Path(name), queries=more.get("queries")
    )


def of(*runs: Any, metrics: list[str] | None = None, **options: Any) -> Comparison:
    entrants = [Entrant(run.id, (run,)) for run in runs]
    return compared(entrants, choose_metrics(entrants, metrics), **options)


def test_runs_are_compared_on_shared_queries_whatever_their_order() -> None:
    a = run("a", [1, 2, 3, 4], [0.0, 1.0, 0.0, 1.0])
    b = run("b", [4, 3, 2, 9], [1.0, 1.0, 1.0, 0.0])
    found = of(a, b)
    first, second = found.rows
    assert (first.entrant, second.entrant) == ("a", "b") and found.queries == 3
    assert first.mean.queries == 3 and first.mean.mean == pytest.approx(2 / 3)  # users 2, 3, 4: 1, 0, 1
    assert second.mean.mean == 1.0 and second.difference is not None and second.difference.mean == pytest.approx(1 / 3)
    assert (second.lost, second.gained) == (0.0, pytest.approx(1 / 3))
    assert second.effect is not None and second.effect.better == pytest.approx(1 / 3) and second.effect.worse == 0.0


def test_a_run_against_itself_is_not_distinguishable() -> None:
    found = of(run("a", [1, 2], [0.5, 1.0]), run("b", [1, 2], [0.5, 1.0]))
    row = found.row("b", "recall@20")
    assert row.p == 1.0 and row.difference is not None and row.difference.mean == 0
    assert "Not distinguishable in recall@20: a, b." in notes(found)
    table = comparison_table(found)
    assert [column.header for column in table.columns] == ["run", "mean", "against a", "p", "time"]
    assert list(table.columns[0].cells) == ["[bold]recall@20[/bold]", "a", "b"]
    assert list(table.columns[2].cells) == ["", "baseline", "+0.0000\n+0.0000 to +0.0000"]
    assert list(table.columns[3].cells) == ["", "", "1.000"] and list(table.columns[4].cells) == ["", "1 min 5 s", "1 min 5 s"]


def test_metrics_by_default_and_by_name() -> None:
    a, b = (run(name, [1, 2], [0.5, 1.0], ndcg_at_20=[0.1, 0.2], mrr_at_20=[0.1, 0.2]) for name in "ab")
    assert of(a, b).metrics == ("recall@20", "ndcg@20")
    assert of(a, b, metrics=["mrr@20"]).metrics == ("mrr@20",)
    with pytest.raises(RunError, match=r"--metrics mrr@2: not measured .* Did you mean"):
        of(a, b, metrics=["mrr@2"])


def test_several_seeds_of_a_method_are_one_row() -> None:
    """Means 0.25 and 0.75 over two seeds: the interval that allows for seeds is wider than that over queries."""
    rng = np.random.default_rng(0)
    users = list(range(400))
    a = [run(f"a{s}", users, (rng.random(400) < share).astype(float).tolist()) for s, share in enumerate((0.25, 0.35))]
    b = [run(f"b{s}", users, (rng.random(400) < share).astype(float).tolist()) for s, share in enumerate((0.55, 0.65))]
    found = compared([Entrant("a", tuple(a)), Entrant("b", tuple(b))], ["recall@20"])
    row = found.row("b", "recall@20")
    assert row.seeds == pytest.approx([pl.Series(x.per_query["recall@20"]).mean() for x in b])
    assert row.mean.mean == pytest.approx(sum(row.seeds) / 2) and row.both is not None and row.difference is not None
    assert row.both.high - row.both.low > 1.5 * (row.mean.high - row.mean.low)
    assert row.difference.mean == pytest.approx(row.mean.mean - found.row("a", "recall@20").mean.mean)
    table = comparison_table(found)
    assert [column.header for column in table.columns][:2] == ["run", "seeds"] and list(table.columns[1].cells) == ["", "2", "2"]
    assert "allows for other queries and other seeds" in notes(found)[0]
    one = compared([Entrant("a", tuple(a)), Entrant("b", (b[0],))], ["recall@20"])
    assert one.row("b", "recall@20").both is None and one.row("b", "recall@20").lost is None


def test_slices_by_popularity_history_and_a_column_of_ones_own() -> None:
    queries = pl.DataFrame({"user": [1, 2, 3, 4], "history": [1, 1, 9, 9], "depth": [0.1, 0.9, 0.1, None]})
    a = run("a", [1, 2, 3, 4], [0.0, 1.0, 0.0, 1.0], queries=queries)
    b = run("b", [1, 2, 3, 4], [1.0, 1.0, 0.0, 1.0], queries=queries)
    country = pl.DataFrame({"user": [1, 2, 3], "country": ["x", "y", "x"]})
    found = of(a, b, groups=country)
    got = {(part.kind, part.value): (part.mean.queries, part.mean.mean) for part in found.slices if part.entrant == "b"}
    assert got == {
        ("popularity", "head"): (2, 0.5),
        ("popularity", "tail"): (1, 1.0),
        ("popularity", "unknown"): (1, 1.0),
        ("history", "1"): (2, 1.0),
        ("history", "9"): (2, 0.5),
        ("country", "not given"): (1, 1.0),
        ("country", "x"): (2, 0.5),
        ("country", "y"): (1, 1.0),
    }
    (head,) = [part for part in found.slices if (part.kind, part.value, part.entrant) == ("popularity", "head", "b")]
    assert head.difference is not None and head.difference.mean == 0.5
    with pytest.raises(RunError, match="groups need a column of user and one to group by; they have session"):
        of(a, b, groups=pl.DataFrame({"session": [1]}))
    with pytest.raises(RunError, match="several rows for one user"):
        of(a, b, groups=pl.concat([country, country]))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (run("b", [1], [1.0], data="e"), "different data or splits (fingerprints d and e)"),
        (run("b", [1], [1.0], mask=False), "treat seen items differently (mask_seen True and False)"),
        (run("b", [1], [1.0], candidates=9), "differ in candidates (10 and 9)"),
        (run("b", [7], [1.0]), "share no test query"),
    ],
)
def test_what_does_not_compare_is_refused(other: Any, message: str) -> None:
    with pytest.raises(RunError) as caught:
        of(run("a", [1], [1.0]), other)
    assert message in str(caught.value)


def test_a_difference_that_is_accepted_is_said() -> None:
    found = of(run("a", [1, 2], [1.0, 0.0]), run("b", [1, 2], [1.0, 1.0], candidates=9), despite=["candidates"])
    assert "These numbers do not mean the same: candidates differs: 10 for a, 9 for b." in notes(found)
    with pytest.raises(RunError, match="--despite candidate: no such fact of a test; those that must agree are queries, mask_seen"):
        of(run("a", [1, 2], [1.0, 0.0]), run("b", [1, 2], [1.0, 1.0]), despite=["candidate"])


def test_a_tuned_method_beside_an_untuned_one_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path))
    ledger = Ledger("d")
    for number in range(6):
        ledger.add("selected", run=f"a{number}", started="then", method="A", config=str(number), epochs=2, seconds=30.0)
    ledger.add("selected", run="b", started="then", method="B", config="x", epochs=2, seconds=30.0)
    a, b = (run(name, [1, 2], [1.0, 0.0], about={"method": name.upper()}) for name in "ab")
    (line,) = [line for line in notes(of(a, b)) if line.startswith("Not tuned alike")]
    assert "6 configurations of the method of a were tried on validation, and 1 of that of b" in line
    assert cost(Entrant("a", (a,)), ledger.entries()) == "6 configurations, 6 trainings, 3 min 0 s"
    assert not any(line.startswith("Not tuned alike") for line in notes(of(b, run("c", [1, 2], [1.0, 0.0]))))


def test_what_is_optimistic_or_decided_by_ties_is_said() -> None:
    chosen = run("a", [1, 2], [1.0, 0.0], about={"selection": {"on": "test"}})
    tied = run("b", [1, 2], [1.0, 1.0])
    tied.about["facts"]["test"]["tie_share"] = {"@20": 0.25}
    said = notes(of(chosen, tied))
    assert "Optimistic, for its epoch was chosen by the test set: a." in said
    assert "A tie decided the last rank (lower item code first) in lists of some methods: 25 % of b." in said
