"""What a metric sees, and how it is named.

Conventions of every metric here, so that a number has one meaning:

==================  ==================================================================================================
candidates          the whole catalogue minus what the masking policy removes; or, where the evaluation says so, the items that the
                    held-out log shows to the query, whose numbers are no others' like. Never a sample: a metric of sampled candidates
                    has another name, ``ndcg@10~uniform99`` (:class:`recsys.metrics.Sampled`)
relevance           binary; an item relevant twice to a query counts once
unknown items       relevant items that the model cannot recommend stay in the denominator, as misses
short lists         a list with fewer than k items is not stretched: the missing ranks are misses
nothing relevant    the value is nan: the query is left out of the mean, and counted
precision           float64; sums over ranks run from rank 1 down, so that a value does not depend on longer lists
mean                over queries, pooled; never a mean of batch means
==================  ==================================================================================================
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from recsys.errors import ConfigError

if TYPE_CHECKING:
    from recsys.metrics.sampled import Sampled


@dataclass(frozen=True)
class Ranking:
    """Recommended lists of Q queries, best first, and which of their items were right.

    ``items`` int64 [Q, K], -1 where fewer than K items could be recommended; ``scores`` float64 [Q, K], -inf there; ``hits`` bool
    [Q, K]; ``relevant`` int64 [Q]: how many items are relevant to the query, those that cannot be recommended included; ``counts``
    int64 [N]: the training events of each item. ``owners``, for metrics that ask (:attr:`Metric.reads_owners`), None for others: the
    distinct owners of item ``i`` in the training log are ``owners[0][owners[1][i]:owners[1][i + 1]]``. All on the CPU.
    """

    items: Tensor
    scores: Tensor
    hits: Tensor
    relevant: Tensor
    counts: Tensor
    owners: tuple[Tensor, Tensor] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = self.items.shape
        if len(shape) != 2 or self.scores.shape != shape or self.hits.shape != shape or self.relevant.shape != shape[:1]:
            raise ValueError(
                f"a ranking needs items, scores and hits [Q, K] and relevant [Q], got {tuple(shape)}, {tuple(self.scores.shape)}, "
                f"{tuple(self.hits.shape)} and {tuple(self.relevant.shape)}"
            )


class AtK:
    """A metric of the first ``k`` ranks. Its name is the class name in lower case, and k: ``hit_rate@20``."""

    higher_is_better: ClassVar[bool | None] = True
    """None where neither direction is better; such a metric may not select a model."""

    best: ClassVar[float | None] = 1.0
    """The value of a list of k hits for a query with k relevant items, the largest possible one; None where there is no such bound."""

    def __init__(self, k: int) -> None:
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise ValueError(f"{type(self).__name__} needs a number of ranks k of at least 1, got {k!r}")
        self.k = k

    @property
    def name(self) -> str:
        return f"{_snake(type(self).__name__)}@{self.k}"

    @property
    def definition(self) -> str:
        """The first paragraph of the docstring, on one line: what is stored beside a value."""
        return " ".join((inspect.getdoc(type(self)) or "").partition("\n\n")[0].split())

    def __repr__(self) -> str:
        return f"{type(self).__name__}(k={self.k})"


class Metric(AtK):
    """One value a query. A subclass writes :meth:`measure`."""

    reads_owners: ClassVar[bool] = False
    """Whether it looks at who has which item in training: then rankings say so (:attr:`Ranking.owners`)."""

    def measure(self, ranking: Ranking) -> Tensor:
        """float64 [Q]: the value of each query, nan where it is undefined. A row may depend on its own query alone."""
        raise NotImplementedError

    def cut(self, values: Tensor) -> Tensor:
        """The first k columns of a [Q, K] tensor; an error when K < k, since the rest is not known to be empty."""
        if values.shape[1] < self.k:
            raise ValueError(f"{self.name} needs lists of {self.k} ranks, got {values.shape[1]}; rank {self.k} items or more (-1 pads)")
        return values[:, : self.k]


class ListMetric(AtK):
    """One value for all recommended lists together, from how often each item was recommended."""

    def measure(self, exposure: Tensor, candidates: Tensor) -> float:
        """``exposure`` int64 [N]: in how many lists the item is among the first k; ``candidates`` bool [N]: the catalogue that the
        model may recommend. Returns nan where undefined."""
        raise NotImplementedError


AnyMetric = Metric | ListMetric


def running(values: Tensor) -> Tensor:
    """Sums of a [Q, K] tensor over ranks 1..r, float64 [Q, K], accumulated from rank 1 on."""
    return values.double().cumsum(1)


def discounts(k: int) -> Tensor:
    """float64 [k]: 1 / log2(rank + 1) for ranks 1..k."""
    return torch.arange(2, k + 2, dtype=torch.double).log2().reciprocal()


def defined(values: Tensor, relevant: Tensor) -> Tensor:
    """``values`` with nan where a query has nothing relevant."""
    return values.masked_fill(relevant == 0, torch.nan)


def metric(text: str) -> AnyMetric | Sampled:
    """The metric that a text names: ``recall@20``, ``HitRate@10`` (case and underscores do not matter), or ``my_module.MyMetric@20``.

    A metric of sampled candidates (:class:`recsys.metrics.Sampled`) is ``ndcg@10~uniform99``, ``ndcg@10~popularity99``, and with a seed
    other than 0 ``ndcg@10~uniform99-seed7``.

    Raises:
        ConfigError: no ``@k``, k is no positive integer, or there is no such metric.
    """
    plain, sampled, scheme = str(text).strip().partition("~")
    kind, at, k = plain.rpartition("@")
    if not at or not re.fullmatch(r"[1-9][0-9]*", k.strip()):
        raise ConfigError(f"metric {text!r} is not of the form name@k with k a positive integer; write for instance 'recall@20'")
    if sampled:
        return _sampled(text, metric(plain), scheme)
    if "." in kind:
        return _imported(kind.strip(), int(k))
    known = {_plain(c.__name__): c for c in _exported()}
    if _plain(kind) not in known:
        names = sorted(_snake(c.__name__) for c in known.values())
        near = difflib.get_close_matches(kind.strip().lower(), names, n=1)
        hint = f"did you mean {f'{near[0]}@{k}'!r}? " if near else ""
        raise ConfigError(f"no metric {text!r}; {hint}known: {', '.join(names)}, or an import path such as my_module.MyMetric@20")
    return known[_plain(kind)](int(k))


def _sampled(text: str, of: AnyMetric | Sampled, scheme: str) -> Sampled:
    from recsys.metrics.sampled import Sampled

    found = re.fullmatch(r"([a-z]+)([1-9][0-9]*)(?:-seed([0-9]+))?", scheme)
    if found is None:
        raise ConfigError(f"metric {text!r}: after ~ come law, number and perhaps seed of sampled candidates, such as uniform99-seed7")
    law, num, seed = found.groups()
    try:
        return Sampled(of, num=int(num), law=law, seed=int(seed or 0))  # type: ignore[arg-type]
    except ValueError as error:
        raise ConfigError(f"metric {text!r}: {error}") from None


def _exported() -> list[type[AnyMetric]]:
    package = importlib.import_module("recsys.metrics")
    found = (getattr(package, name) for name in package.__all__)
    return [c for c in found if inspect.isclass(c) and issubclass(c, Metric | ListMetric) and c not in (Metric, ListMetric)]


def _imported(path: str, k: int) -> AnyMetric:
    from recsys.part import locate

    try:
        found = locate(path)
    except ValueError as error:
        raise ConfigError(f"metric {f'{path}@{k}'!r}: {error}; give the import path of a subclass of recsys.metrics.Metric") from None
    if not issubclass(found, Metric | ListMetric):
        raise ConfigError(f"metric {f'{path}@{k}'!r}: {found.__name__} is no metric; derive it from recsys.metrics.Metric or ListMetric")
    return found(k)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()
