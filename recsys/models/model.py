"""The base of models trained by gradient steps."""

from __future__ import annotations

from torch import Tensor

from recsys.batch import Batch
from recsys.catalog import Catalog
from recsys.data.log import Histories
from recsys.examples import Examples
from recsys.part import Part
from recsys.scorer import Scorer


def average(vectors: Tensor, trained: Tensor) -> Tensor:
    """[D]: the mean of the trained owners' vectors [U, D], for one of whom nothing is known; of all where none is. trained: bool [U]."""
    return vectors[trained].mean(0) if bool(trained.any()) else vectors.mean(0)


def check_dropout(dropout: float) -> None:
    """Raises ValueError for a dropout that is no share."""
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}; it is at least 0 and below 1")


def check_similarity(similarity: str) -> None:
    """Raises ValueError for a similarity that is none."""
    if similarity not in ("dot", "cosine"):
        raise ValueError(f"similarity is {similarity!r}; allowed are 'dot' and 'cosine'")


class Model(Part):
    """A subclass says which examples it reads, makes its parameters in ``setup``, and writes ``forward`` and ``queries``.

    ``forward(batch)``: a scorer over the batch's R rows, with gradient. ``queries(histories)``: a scorer over Q queries, for
    ranking the catalogue; its target is unused. A query whose owner training has not seen (owner -1) is answered from its history,
    one without history by the model's fallback.
    """

    def examples(self) -> Examples:
        """New, unloaded examples of the kind this model reads."""
        raise NotImplementedError

    def setup(self, catalog: Catalog) -> None:
        raise NotImplementedError

    def forward(self, batch: Batch) -> Scorer:
        raise NotImplementedError

    def queries(self, histories: Histories) -> Scorer:
        raise NotImplementedError
