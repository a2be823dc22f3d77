"""A trained model as an ONNX file, for services without torch."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recsys import files
from recsys.errors import RunError
from recsys.models import SequenceModel
from recsys.ranking import rank
from recsys.recommender import Trained
from recsys.run import Run
from recsys.scorer import DotScorer

OPSET = 18
MEASURED = 1000
"""Queries that an index is measured with."""


def export(run: Run, folder: Path | str, *, k: int = 20, index: bool = False) -> Path:
    """Writes ``model.onnx``, ``items.parquet`` (and ``users.parquet``) and ``about.json`` into a new folder.

    The graph answers Q queries with ``items`` int64 [Q, k], codes that are rows of ``items.parquet``, best first, ``scores`` float32
    [Q, k], and ``query`` float32 [Q, D], whose dot products with the item vectors are the scores. A model of sequences takes ``history``
    int64 [Q, L], the codes of the last L items, oldest first and padded at the end by any code, and ``length`` int64 [Q], how many of them
    count; L is at most the model's ``longest``. A model with vectors of users takes ``user`` int64 [Q], rows of ``users.parquet``. Both
    take ``exclude`` int64 [Q, M], codes never to recommend, padded with -1 (M at least 1): what the query's owner has seen, if repeats are
    not wanted. An item that is excluded has the score -inf.

    ``index``: write ``items.usearch`` too, a graph for approximate search of the items with the largest dot products (usearch, HNSW; Malkov
    and Yashunin 2018), and into ``about.json`` which share of the exact k best it finds, for at most 1,000 owners of the training log.

    Raises:
        RunError: the model has no vectors, k is not possible, the folder exists, or the packages for it are missing.
    """
    folder = Path(folder)
    if folder.exists():
        raise RunError(f"{folder} exists already; export to a new folder")
    if missing := [name for name in ("onnx", "onnxscript", *(["usearch"] if index else [])) if find_spec(name) is None]:
        raise RunError(f"export needs {' and '.join(missing)}, which is not installed; run: pip install 'recsys-axes[export]'")
    if not 1 <= k <= len(run.items):
        raise RunError(f"k is {k}; the run knows {len(run.items):,} items, so it is at least 1 and at most that")
    graph, example, dynamic = _graph(run, k)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as made:
        target = Path(made) / "export"
        target.mkdir()
        _write(graph.eval(), example, dynamic, target / "model.onnx")
        run.items.alias("item").to_frame().write_parquet(target / "items.parquet")
        if "user" in example:
            run.owners.alias("user").to_frame().write_parquet(target / "users.parquet")
        about = {
            "run": run.id,
            "model": run.about["spec"]["model"],
            "inputs": list(example),
            "k": k,
            "longest": getattr(graph, "longest", None),
        }
        if index:
            about["index"] = _index(run, k, target / "items.usearch")
        files.write_json(target / "about.json", about)
        shutil.move(target, folder)
    return folder


def _write(graph: nn.Module, example: dict[str, Tensor], sizes: dict[str, dict[int, str]], path: Path) -> None:
    """``sizes``: the sizes of inputs that vary, by name."""
    names: dict[str, Any] = {"input_names": list(example), "output_names": ["items", "scores", "query"], "opset_version": OPSET}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        if any(isinstance(part, nn.RNNBase) for part in graph.modules()):  # the new exporter (torch 2.13) fixes their sizes
            varying = {**sizes, "items": {0: "queries"}, "scores": {0: "queries"}, "query": {0: "queries"}}
            torch.onnx.export(graph, tuple(example.values()), str(path), dynamic_axes=varying, dynamo=False, **names)
        else:
            known = {size: torch.export.Dim(size) for axes in sizes.values() for size in axes.values()}
            shapes = tuple({axis: known[size] for axis, size in sizes[name].items()} for name in example)
            options: dict[str, Any] = {"dynamo": True, "external_data": False, "verbose": False}
            torch.onnx.export(graph, tuple(example.values()), str(path), dynamic_shapes=shapes, **options, **names)


def _graph(run: Run, k: int) -> tuple[nn.Module, dict[str, Tensor], dict[str, dict[int, str]]]:
    """The module to export, an example of its inputs, and the names of their sizes that vary."""
    exclude, excluded = torch.tensor([[0, -1], [-1, -1]]), {0: "queries", 1: "excluded"}
    recommender = run.recommender
    if isinstance(recommender, Trained) and isinstance(recommender.model, SequenceModel):
        graph = _FromHistory(recommender.model, k)
        history = torch.zeros(2, min(3, graph.longest), dtype=torch.long)
        places = {1: "places"} if graph.longest > 1 else {}
        example = {"history": history, "length": torch.tensor([history.shape[1], 1]), "exclude": exclude}
        return graph, example, {"history": {0: "queries", **places}, "length": {0: "queries"}, "exclude": excluded}
    vectors = recommender.vectors(run.train.histories()) if run.train.owner_kind == "user" else None
    if vectors is None:
        name = run.about["spec"]["model"]["class_path"].rpartition(".")[2]
        raise RunError(f"{name} gives no vectors of users, and it is no model of sequences; serve it by recsys recommend")
    user = torch.tensor([0, run.train.num_owners - 1])
    return _FromUser(*vectors, k), {"user": user, "exclude": exclude}, {"user": {0: "queries"}, "exclude": excluded}


class _FromHistory(nn.Module):
    def __init__(self, model: SequenceModel, k: int) -> None:
        super().__init__()
        self.model, self.k, self.longest = model, k, model.longest

    def forward(self, history: Tensor, length: Tensor, exclude: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        score: DotScorer = self.model.padded(history, length)
        query, items = score.vectors()
        return *_best(query @ items.T, exclude, self.k), query


class _FromUser(nn.Module):
    def __init__(self, users: Tensor, items: Tensor, k: int) -> None:
        super().__init__()
        self.register_buffer("users", users.detach().clone())
        self.register_buffer("items", items.detach().clone())
        self.k = k

    users: Tensor
    items: Tensor

    def forward(self, user: Tensor, exclude: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query = self.users.index_select(0, user)
        return *_best(query @ self.items.T, exclude, self.k), query


def _best(scores: Tensor, exclude: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best columns of [Q, N] and their scores; -1 in ``exclude`` is written to a column beyond the last."""
    column = torch.where(exclude < 0, scores.shape[1], exclude)
    wide = torch.cat([scores, scores[:, :1]], 1).scatter(1, column, -torch.inf)
    top = wide[:, :-1].topk(k, dim=1)
    return top.indices, top.values


def _index(run: Run, k: int, path: Path) -> dict[str, Any]:
    """Writes the index; what it finds of the exact answers."""
    from usearch.index import Index

    asked = run.train.histories()
    asked = asked.take(torch.arange(0, len(asked), max(1, -(-len(asked) // MEASURED))))
    vectors = run.recommender.vectors(asked)
    assert vectors is not None, "a model that is exported has vectors"
    query, items = (part.detach().float().contiguous().numpy() for part in vectors)
    made = Index(ndim=items.shape[1], metric="ip", dtype="f32", connectivity=32, expansion_add=128, expansion_search=256)
    threads = torch.get_num_threads()
    made.add(np.arange(len(items)), items, threads=threads)
    made.save(str(path))
    exact = rank(run.recommender, asked, k, mask_seen=False).items.numpy()
    found = made.search(query, k, threads=threads).keys.reshape(len(query), -1)
    share = float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(exact, found, strict=True)]))
    return {"kind": "usearch, inner product", f"recall@{k} of the exact ranking": share, "queries": len(query)}
