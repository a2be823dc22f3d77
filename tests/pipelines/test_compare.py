"""Comparison of stored runs: hand-worked corrections, and joins on the queries that are shared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from pipelines.compare import compared, comparison_table, holm, notes
from recsys.errors import RunError


def run(name: str, users: list[int], recall: list[float], *, data: str = "d", mask: bool = True, **more: list[float]) -> Any:
    about = {"data": {"fingerprint": data}, "facts": {"test": {"mask_seen": mask}}}
    frame = pl.DataFrame({"user": users, "recall@20": recall, **{key.replace("_at_", "@"): value for key, value in more.items()}})
    return SimpleNamespace(id=name, about=about, per_query=frame, seconds=65.0, folder=Path(name))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3 * .01; 2 * .03; max(1 * .04, .06)
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_runs_are_compared_on_shared_queries_whatever_their_order() -> None:
    a = run("a", [1, 2, 3, 4], [0.0, 1.0, 0.0, 1.0])
    b = run("b", [4, 3, 2, 9], [1.0, 1.0, 1.0, 0.0])
    rows = compared([a, b])
    assert [row.run for row in rows] == ["a", "b"]
    assert rows[0].mean.queries == 3 and rows[0].mean.mean == pytest.approx(2 / 3)  # users 2, 3, 4: 1, 0, 1
    assert rows[1].mean.mean == 1.0
    assert rows[1].difference is not None and rows[1].difference.mean == pytest.approx(1 / 3)


def test_a_run_against_itself_is_not_distinguishable() -> None:
    a, b = run("a", [1, 2], [0.5, 1.0]), run("b", [1, 2], [0.5, 1.0])
    rows = compared([a, b])
    assert rows[1].p == 1.0 and rows[1].difference is not None and rows[1].difference.mean == 0
    assert "Not distinguishable from a: b (recall@20)." in notes([a, b], rows)
    table = comparison_table([a, b], rows)
    assert [column.header for column in table.columns] == ["run", "mean", "against a", "p", "time"]
    assert list(table.columns[0].cells) == ["[bold]recall@20[/bold]", "a", "b"]
    assert list(table.columns[2].cells) == ["", "baseline", "+0.0000\n+0.0000 to +0.0000"]
    assert list(table.columns[3].cells) == ["", "", "1.000"] and list(table.columns[4].cells) == ["", "1 min 5 s", "1 min 5 s"]


def test_metrics_by_default_and_by_name() -> None:
    a, b = (run(name, [1, 2], [0.5, 1.0], ndcg_at_20=[0.1, 0.2], mrr_at_20=[0.1, 0.2]) for name in "ab")
    assert list(dict.fromkeys(row.metric for row in compared([a, b]))) == ["recall@20", "ndcg@20"]
    assert list(dict.fromkeys(row.metric for row in compared([a, b], ["mrr@20"]))) == ["mrr@20"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (run("b", [1], [1.0], data="e"), "different data or splits (fingerprints d and e)"),
        (run("b", [1], [1.0], mask=False), "treat seen items differently (mask_seen True and False)"),
        (run("b", [7], [1.0]), "share no test query"),
    ],
)
def test_what_does_not_compare_is_refused(other: Any, message: str) -> None:
    with pytest.raises(RunError) as caught:
        compared([run("a", [1], [1.0]), other])
    assert message in str(caught.value)
