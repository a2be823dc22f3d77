"""A finished (or unfinished) run, read back from its folder: its numbers, and its model to recommend with."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from recsys import files
from recsys.catalog import Catalog
from recsys.data.log import Histories, Log
from recsys.errors import RunError
from recsys.models import Model
from recsys.part import build
from recsys.ranking import rank
from recsys.recommender import ClosedForm, Recommender, Trained
from recsys.run_folder import LISTS, MODEL, QUERIES, RUN, RunFolder

Id = int | str


def load(folder: Path | str) -> Run:
    """The run in a folder.

    Raises:
        RunError: there is none, or it is not finished.
    """
    run = Run(Path(folder))
    if run.about["status"] != "finished":
        raise RunError(f"the run in {folder} is {run.about['status']}, not finished; continue it with the same command and --resume")
    return run


class Run:
    """What a run left in its folder.

    Attributes:
        about: the content of run.json: ``spec`` (the resolved configuration), ``fingerprint``, ``data``, ``environment``, ``facts``
            (what each number means), ``selection`` (what validation chose), ``metrics``, ``intervals``, ``seconds``, ``peak_rss_mb``;
            ``popularity_groups``, the share of the last epoch's draws in tenths of the training events, the most popular items first.
    """

    def __init__(self, folder: Path) -> None:
        about = RunFolder(folder).about() if folder.is_dir() else None
        if about is None:
            raise RunError(f"no run in {folder}: it has no {RUN}; runs are folders made by training")
        self.folder, self.about = folder, about

    @property
    def id(self) -> str:
        """The name of the folder."""
        return self.folder.absolute().name

    @property
    def metrics(self) -> dict[str, float]:
        """``valid/...`` (of the selected epoch) and ``test/...`` by name."""
        return dict(self.about.get("metrics", {}))

    @property
    def seconds(self) -> float:
        """Time spent, all phases and all tries."""
        return float(self.about.get("seconds", 0.0))

    @property
    def peak_rss_mb(self) -> float | None:
        """The most memory the process held, in MiB."""
        return self.about.get("peak_rss_mb")

    @cached_property
    def per_query(self) -> pl.DataFrame:
        """The test metrics of every query."""
        return self._table("test.parquet")

    @cached_property
    def lists(self) -> pl.DataFrame:
        """The lists that the test queries got: the columns that identify a query, and ``items``, codes of items, best first."""
        return self._table(LISTS)

    @cached_property
    def queries(self) -> pl.DataFrame | None:
        """What kind of query each test query is (:func:`recsys.slices.described`); None for a run of a version that did not keep it."""
        return self._table(QUERIES) if (self.folder / QUERIES).exists() else None

    @cached_property
    def history(self) -> pl.DataFrame:
        """One row an epoch: phase, epoch, loss, rows, seconds and validation metrics."""
        return pl.read_ndjson(self.folder / "history.jsonl", infer_schema_length=None)

    @cached_property
    def items(self) -> pl.Series:
        """The original id of each item code."""
        return self._table("items.parquet")["item"]

    @cached_property
    def owners(self) -> pl.Series:
        """The original id of each user or session code."""
        return self._table("owners.parquet")["owner"]

    @cached_property
    def recommender(self) -> Recommender:
        """The tested model, ready to score."""
        return self.recommender_on("cpu")

    def recommender_on(self, device: torch.device | str) -> Recommender:
        """The tested model on a device."""
        return model_of(self._stored, self.about["spec"]["model"], self.folder, device)

    @cached_property
    def train(self) -> Log:
        """The log that the tested model was trained on."""
        return Log(**self._stored["train"])

    @cached_property
    def _stored(self) -> dict[str, Any]:
        return read_stored(self.folder)

    def recommend(
        self,
        histories: Sequence[Sequence[Id]] | None = None,
        k: int = 20,
        *,
        users: Sequence[Id] | None = None,
        mask_seen: bool | None = None,
        allow: Sequence[Id] | None = None,
        deny: Sequence[Id] = (),
    ) -> pl.DataFrame:
        """The k best items for each history of item ids (oldest first), or for each known user with what it had in training.

        Items that training does not know are ignored, with a warning; an empty history gets the model's fallback.
        ``mask_seen``: leave out what is in the history; default: as the run was evaluated. ``allow``: the only items that may be
        recommended (what is in stock, say; default: all); ``deny``: items that may not.

        Returns:
            columns ``query`` (position in the input) or ``user``, ``rank`` (from 1), ``item``, ``score``; fewer than k rows for a query
            to which fewer items may be recommended.

        Raises:
            RunError: neither or both of histories and users, a user that training does not know, or no item that may be recommended.
        """
        if (histories is None) == (users is None):
            raise RunError("recommend takes either histories (lists of item ids) or users (ids known from training)")
        if k < 1:
            raise RunError(f"k is {k}; at least 1 item is recommended")
        asked = self._histories(histories) if histories is not None else self._known(users or [])
        if mask_seen is None:
            mask_seen = bool(self.about["facts"]["test"]["mask_seen"])
        candidates = self._candidates(allow, deny)
        found = rank(self.recommender, asked, min(k, len(self.items)), mask_seen=mask_seen, candidates=candidates)
        row, column = (found.items >= 0).nonzero(as_tuple=True)
        name = "query" if users is None else "user"
        query = pl.Series(name, row.numpy()) if users is None else pl.Series(name, users)[row.numpy()]
        item = self.items[found.items[row, column].numpy()].alias("item")
        return pl.DataFrame([query, pl.Series("rank", column.numpy() + 1), item, pl.Series("score", found.scores[row, column].numpy())])

    @torch.no_grad()
    def similar(self, items: Sequence[Id], k: int = 20) -> pl.DataFrame:
        """The k items most like each of some items: by the cosine of the model's item vectors, or for a model without vectors by what it
        scores for a history of that item alone.

        Returns:
            columns ``item`` (as asked), ``rank`` (from 1), ``similar``, ``score``.

        Raises:
            RunError: an item that training does not know.
        """
        if not 1 <= k < len(self.items):
            raise RunError(f"k is {k}; the run knows {len(self.items):,} items, so it is at least 1 and less than that")
        code = codes(self.items, items)
        if unknown := _unknown(items, code):
            raise RunError(f"items unknown to the model: {_some(unknown)}")
        alone = Histories(code.int(), torch.arange(len(code)), torch.arange(len(code)) + 1, torch.full_like(code, -1))
        vectors = self.recommender.vectors(alone)
        if vectors is None:
            scores = self.recommender.scores(alone)
        else:
            table = torch.nn.functional.normalize(vectors[1].double(), dim=1)
            scores = table[code] @ table.T
        best = scores.scatter(1, code[:, None], -torch.inf).topk(k, dim=1)
        return pl.DataFrame(
            {
                "item": pl.Series(list(items)).gather(torch.arange(len(code)).repeat_interleave(k).numpy()),
                "rank": torch.arange(1, k + 1).repeat(len(code)).numpy(),
                "similar": self.items[best.indices.flatten().numpy()],
                "score": best.values.flatten().double().numpy(),
            }
        )

    def _candidates(self, allow: Sequence[Id] | None, deny: Sequence[Id]) -> Tensor | None:
        """bool [N]: the items that may be recommended; None: all."""
        if allow is None and not len(deny):
            return None
        may = torch.full((len(self.items),), allow is None)
        for ids, value in ((allow or (), True), (deny, False)):
            code = codes(self.items, ids)
            if unknown := _unknown(ids, code):
                warnings.warn(f"items unknown to the model are ignored: {_some(unknown)}", stacklevel=3)
            may[code[code >= 0]] = value
        if not bool(may.any()):
            raise RunError("no item may be recommended: none of those allowed is known to the model, or all of them are denied")
        return may

    def _table(self, name: str) -> pl.DataFrame:
        path = self.folder / name
        try:
            return pl.read_parquet(path)
        except FileNotFoundError:
            raise RunError(f"the run {self.id} has no {name} any more; restore it, or train anew") from None
        except (OSError, pl.exceptions.PolarsError):
            raise RunError(f"{path} is damaged and cannot be read; restore it, or train anew") from None

    def _histories(self, histories: Sequence[Sequence[Id]]) -> Histories:
        lengths = torch.tensor([len(history) for history in histories], dtype=torch.long)
        given = [item for history in histories for item in history]
        code = codes(self.items, given)
        if unknown := sorted(set(_unknown(given, code))):
            warnings.warn(f"items unknown to the model are ignored: {_some(unknown)}", stacklevel=3)
        query = torch.arange(len(lengths)).repeat_interleave(lengths)
        kept = torch.bincount(query[code >= 0], minlength=len(lengths))
        stop = kept.cumsum(0)
        return Histories(code[code >= 0].int(), stop - kept, stop, torch.full_like(stop, -1))

    def _known(self, users: Sequence[Id]) -> Histories:
        if self.train.owner_kind != "user":
            raise RunError("this run was trained on sessions, which have no lasting users; give histories instead")
        code = codes(self.owners, users)
        if unknown := _unknown(users, code):
            raise RunError(f"users unknown to the model: {_some(unknown)}; give their histories instead")
        return Histories(self.train.items, self.train.offsets[code], self.train.offsets[code + 1], code)


def _unknown(ids: Sequence[Id], code: Tensor) -> list[str]:
    """Those that have no code, as text."""
    return [str(ids[i]) for i in (code < 0).nonzero()[:, 0].tolist()]


def _some(names: list[str]) -> str:
    """The first few of them, for a message."""
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def codes(ids: pl.Series, wanted: Sequence[Id]) -> Tensor:
    """int64 [len(wanted)]: the position of each in ``ids``, -1 where it is not; text is read as a number where ids are numbers."""
    asked = pl.Series("id", list(wanted), strict=False) if wanted else pl.Series("id", [], dtype=ids.dtype)
    if asked.dtype != ids.dtype:
        asked = asked.cast(ids.dtype, strict=False)
    known = pl.DataFrame({"id": ids, "code": pl.int_range(len(ids), eager=True)})
    found = asked.to_frame().join(known, on="id", how="left", maintain_order="left")["code"]
    return torch.from_numpy(found.fill_null(-1).cast(pl.Int64).to_numpy().copy())


def write_model(folder: Path, recommender: ClosedForm | Model, train: Log) -> None:
    """Tensors and numbers only: the weights, and the training log (who has seen what, how often)."""
    log = {
        "items": train.items,
        "offsets": train.offsets,
        "weight": train.weight,
        "num_items": train.num_items,
        "owner_kind": train.owner_kind,
    }
    kept = {name: value.clone() if isinstance(value, Tensor) else value for name, value in log.items()}  # not the whole memory map
    state = {name: value.detach().cpu() for name, value in recommender.state_dict().items()}
    files.write_tensors(folder / MODEL, {"state": state, "train": kept})


def read_stored(folder: Path) -> dict[str, Any]:
    """What :func:`write_model` wrote: ``state``, and ``train``, the fields of the training log.

    Raises:
        RunError: there is none, or it is damaged.
    """
    try:
        return dict(files.read_tensors(folder / MODEL))
    except FileNotFoundError:
        raise RunError(f"{folder} has no {MODEL}: the run has not come so far; continue it with --resume") from None


def model_of(stored: dict[str, Any], described: dict[str, Any], folder: Path, device: torch.device | str = "cpu") -> Recommender:
    """The recommender of the run in ``folder``, on ``device``; ``described``: the spec of its model.

    Raises:
        RunError: its class cannot be imported any more, or the stored weights do not fit it.
    """
    try:
        model = build(described)
    except (ValueError, TypeError) as error:
        raise RunError(f"the model of {folder} cannot be made: {error}; its class must be importable here and take these options") from None
    model.setup(Catalog(Log(**stored["train"])))
    if isinstance(model, ClosedForm):
        for name, value in stored["state"].items():
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, value)
        return model.to(device)
    try:
        model.load_state_dict(stored["state"])
    except RuntimeError:
        raise RunError(
            f"{folder / MODEL} does not fit {type(model).__name__} as {RUN} configures it; restore both, or train anew"
        ) from None
    return Trained(model.to(device))
