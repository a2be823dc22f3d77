"""Between two versions of a model: what their weights, mixed, recommend, and which queries a version wins and loses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recsys.data.log import Holdout, Log
from recsys.errors import RunError
from recsys.evaluation import Evaluated, Evaluation, evaluate
from recsys.run import Run, model_of, read_stored


@dataclass(frozen=True)
class Mixed:
    """At ``share`` of the second version's weights: the metrics, and for the first of them the shares of queries with a hit by the first
    version and none now (``lost``: negative flips, Yan et al. 2021, arXiv 2011.09161), and the other way round (``gained``)."""

    share: float
    summary: dict[str, float]
    lost: float
    gained: float


def interpolate(
    first: Run, second: Run, shares: Sequence[float], *, train: Log, holdout: Holdout, evaluation: Evaluation
) -> Iterator[Mixed]:
    """(1 - s) first + s second for each share s, weight by weight (Wortsman et al. 2022, arXiv 2109.01903, and Izmailov et al. 2018): the
    mean of two models of one origin is often better than both, and loses fewer queries. Two trained from different starts have no reason
    to have a mean that is any good: this shows it.

    Args:
        train: the log that the versions were trained on (counts of items).

    Raises:
        RunError: the two are not versions of one model: other classes, widths or items.
    """
    one, two = read_stored(first.folder), read_stored(second.folder)
    _check(first, second, one["state"], two["state"])
    if not first.items.equals(second.items):
        raise RunError(f"{first.id} and {second.id} know different items; mix versions that were trained on the same items")
    metric = evaluation.measures()[0].name
    base: Evaluated | None = None
    for share in [0.0, *(s for s in shares if s != 0)]:
        state = {name: _mix(value, two["state"][name], share) for name, value in one["state"].items()}
        model = model_of({"state": state, "train": one["train"]}, first.about["spec"]["model"], Path(first.folder))
        found = evaluate(model, holdout, counts=train.counts, owner_kind=train.owner_kind, evaluation=evaluation, train=train)
        base = base or found
        before, now = base.per_query[metric].to_numpy(), found.per_query[metric].to_numpy()
        lost, gained = ((before > 0) & (now == 0)).mean(), ((before == 0) & (now > 0)).mean()
        yield Mixed(share, found.summary, float(lost), float(gained))


def _check(first: Run, second: Run, one: dict[str, Any], two: dict[str, Any]) -> None:
    shapes = [{name: tuple(x.shape) if isinstance(x, Tensor) else None for name, x in state.items()} for state in (one, two)]
    if first.about["spec"]["model"]["class_path"] != second.about["spec"]["model"]["class_path"] or shapes[0] != shapes[1]:
        differ = sorted(name for name in shapes[0].keys() | shapes[1].keys() if shapes[0].get(name) != shapes[1].get(name))
        what = f"their weights differ in {', '.join(differ[:3])}" if differ else "their models are of different classes"
        raise RunError(f"{first.id} and {second.id} are not two versions of one model: {what}")


def _mix(one: Any, two: Any, share: float) -> Any:
    return torch.lerp(one.float(), two.float(), share).to(one.dtype) if isinstance(one, Tensor) and one.is_floating_point() else one
