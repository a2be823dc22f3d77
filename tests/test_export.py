"""An exported model recommends what the run does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import recsys
from recsys.data.log import Histories
from recsys.errors import RunError
from recsys.export import export
from recsys.models import EASE, MF, BERT4Rec, GRU4Rec, Model, SASRec
from recsys.ranking import rank
from recsys.testing import worlds

onnxruntime = pytest.importorskip("onnxruntime")
SESSIONS, USERS = worlds.sessions(40, num_items=60), worlds.users()
PAD = 7


def answers(folder: Path, **inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    items, scores = session.run(["items", "scores"], inputs)
    return items, scores


def same(found: tuple[np.ndarray, np.ndarray], wanted: tuple[np.ndarray, np.ndarray]) -> None:
    """Equal scores, and equal items wherever the next score is further than 1e-5 away."""
    np.testing.assert_allclose(found[1], wanted[1], atol=1e-5)
    gap = np.abs(np.diff(wanted[1], axis=1)) > 1e-5
    sure = np.pad(gap, ((0, 0), (1, 0)), constant_values=True) & np.pad(gap, ((0, 0), (0, 1)))
    assert sure.mean() > 0.5 and (found[0] == wanted[0])[sure].all()


@pytest.mark.parametrize(
    "model",
    [
        SASRec(dim=8, longest=6),
        SASRec(dim=8, heads=2, longest=6, positions="end", norm="post", activation="gelu", shared=False),
        SASRec(dim=8, longest=6, similarity="cosine"),
        GRU4Rec(dim=8, longest=6, bias=True),
        BERT4Rec(dim=8, longest=6, init_std=0.5),
    ],
    ids=["pre", "post", "cosine", "gru", "bert"],
)
def test_a_sequence_model_answers_histories_of_any_length_and_number(model: Model, tmp_path: Path) -> None:
    run = recsys.load(worlds.finished_run(SESSIONS, model))
    folder = export(run, tmp_path / "made", k=5)
    for lists in ([[3], [5, 9, 1, 0, 2, 2], [], [4, 4]], [[1, 2, 3]]):
        width = max(map(len, lists))
        history = np.array([x + [PAD] * (width - len(x)) for x in lists], dtype=np.int64)
        exclude = np.full((len(lists), 1), -1, dtype=np.int64)
        found = answers(folder, history=history, length=np.array([len(x) for x in lists]), exclude=exclude)
        wanted = rank(run.recommender, Histories.of(lists), 5, mask_seen=False)
        biased = isinstance(model, (BERT4Rec, GRU4Rec))  # what has nothing to go by is ranked by bias
        known = [row for row, x in enumerate(lists) if x or biased]
        same((found[0][known], found[1][known]), (wanted.items.numpy()[known], wanted.scores.numpy()[known]))
        assert all(not found[1][row].any() for row in range(len(lists)) if row not in known)


def test_users_are_answered_without_what_they_have_seen(tmp_path: Path) -> None:
    run = recsys.load(worlds.finished_run(USERS, MF(dim=8, bias=True, init_std=1.0)))
    folder = export(run, tmp_path / "made", k=4)
    users = [7, 0, 29]
    seen = [USERS.items[USERS.offsets[u] : USERS.offsets[u + 1]].tolist() for u in users]
    width = max(map(len, seen))
    exclude = np.array([x + [-1] * (width - len(x)) for x in seen], dtype=np.int64)
    wanted = rank(run.recommender, USERS.histories().take(torch.tensor(users)), 4, mask_seen=True)
    same(answers(folder, user=np.array(users), exclude=exclude), (wanted.items.numpy(), wanted.scores.numpy()))
    assert pl.read_parquet(folder / "items.parquet")["item"].to_list() == run.items.to_list()
    assert pl.read_parquet(folder / "users.parquet")["user"].to_list() == run.owners.to_list()


def test_an_index_finds_most_of_what_is_best_and_says_how_much(tmp_path: Path) -> None:
    index = pytest.importorskip("usearch.index")
    log = worlds.users(num_users=200, num_items=900, events=6000)
    run = recsys.load(worlds.finished_run(log, MF(dim=8, init_std=1.0)))
    folder = export(run, tmp_path / "made", k=10, index=True)
    told = json.loads((folder / "about.json").read_text())["index"]
    made = index.Index.restore(str(folder / "items.usearch"))
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    inputs = {"user": np.arange(200), "exclude": np.full((200, 1), -1)}
    items, _, query = session.run(["items", "scores", "query"], inputs)
    found = made.search(query, 10).keys
    share = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(items.tolist(), found.tolist(), strict=True)])
    assert told["queries"] == 200 and told["recall@10 of the exact ranking"] == pytest.approx(share) and share > 0.95


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="EASE gives no vectors of users"):
        export(recsys.load(worlds.finished_run(USERS, EASE())), tmp_path / "made")
    run = recsys.load(worlds.finished_run(USERS))
    with pytest.raises(RunError, match="k is 61; the run knows 60 items"):
        export(run, tmp_path / "made", k=61)
    assert not (tmp_path / "made").exists()
    (tmp_path / "made").mkdir()
    with pytest.raises(RunError, match="exists already"):
        export(run, tmp_path / "made")
