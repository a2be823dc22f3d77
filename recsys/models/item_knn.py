from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from recsys.data.log import Histories, Log
from recsys.item_item import ItemItem, averaging, cosines, largest, matrix, products, row_of, with_data


class ItemKNN(ItemItem):
    """Item-item neighbourhoods: score(j) = sum of s_ij over the items i of the history that are among the ``k`` neighbours of j.

    Sarwar et al. 2001 and, for sets, Deshpande and Karypis 2004. With n_i the number of owners of item i and n_ij that of both:

        cosine   s_ij = n_ij / sqrt(n_i n_j)
        jaccard  s_ij = n_ij / (n_i + n_j - n_ij)
        dot      s_ij = n_ij

    The neighbours are those of the item that is scored (equal similarities: the lower code), so that each item can be recommended.

    Args:
        shrinkage: s_ij times n_ij / (n_ij + shrinkage), against similarities that rest on few owners (Bell and Koren 2007).
        normalize: the similarities of an item's neighbours are divided by their sum. A score is then the share of the neighbourhood that
            was read: items in small neighbourhoods rise.
        centre: the history is taken as what differs from the mean of all owners, mu_i = n_i / U: score(j) = mu_j + sum of s_ij (x_i - mu_i)
            over all neighbours i of j, x_i 1 if the history has it, else 0. With an empty history the more popular items come first.
        weighting: "idf": an owner with h items counts log(N / h)^2 instead of 1 in dot products and norms (cosine, dot). tf-idf and BM25 of
            zeros and ones differ from it by a factor of each item alone, which a cosine divides out.
    """

    def __init__(
        self,
        *,
        k: int = 100,
        similarity: Literal["cosine", "jaccard", "dot"] = "cosine",
        shrinkage: float = 0.0,
        normalize: bool = False,
        centre: bool = False,
        weighting: Literal["none", "idf"] = "none",
    ) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k is {k}; at least 1 neighbour")
        if similarity not in ("cosine", "jaccard", "dot"):
            raise ValueError(f"similarity is {similarity!r}; allowed are 'cosine', 'jaccard' and 'dot'")
        if not 0 <= shrinkage < math.inf:
            raise ValueError(f"shrinkage is {shrinkage}; it is at least 0 and finite")
        if weighting not in ("none", "idf"):
            raise ValueError(f"weighting is {weighting!r}; allowed are 'none' and 'idf'")
        if weighting == "idf" and similarity == "jaccard":
            raise ValueError("weighting is 'idf' and similarity 'jaccard', which counts owners; take cosine or dot, or weighting 'none'")
        self.k, self.shrinkage, self.normalize, self.centre = k, shrinkage, normalize, centre
        self.similarity: Literal["cosine", "jaccard", "dot"] = similarity
        self.weighting: Literal["none", "idf"] = weighting
        self.register_buffer("base", torch.zeros(0))

    base: Tensor

    def solve(self, train: Log) -> None:
        x = matrix(train)
        of_item = sparse.csr_array(x.T)
        weighted = of_item
        if self.weighting == "idf":
            weight = np.log(x.shape[1] / np.diff(x.indptr).clip(1)) ** 2
            weighted = with_data(of_item, weight[of_item.indices].astype(np.float32))
        size = weighted.sum(axis=1)
        near = []
        for first, both in products(weighted, x):
            similar = self._similar(both, size[first + row_of(both)], size[both.indices])
            if self.shrinkage:
                count = of_item[first : first + both.shape[0]] @ x if self.weighting == "idf" else both
                similar = sparse.csr_array(similar.multiply(with_data(count, count.data / (count.data + self.shrinkage))))
            near.append(largest(similar, self.k))
        by_item = sparse.csr_array(sparse.vstack(near))
        by_item = averaging(by_item) if self.normalize else by_item
        self.keep(by_item.T)
        mean = np.diff(of_item.indptr) / max(1, train.num_owners) * self.centre
        self.base = torch.from_numpy((mean - by_item @ mean).astype(np.float32))

    def scores(self, histories: Histories) -> Tensor:
        return super().scores(histories) + self.base.cpu()

    def _similar(self, both: sparse.csr_array, size: np.ndarray, other: np.ndarray) -> sparse.csr_array:
        """Similarities of the pairs in ``both``, whose items have these sizes [nnz]."""
        if self.similarity == "dot":
            return both
        if self.similarity == "jaccard":
            return with_data(both, both.data / (size + other - both.data))
        return cosines(both, size, other)
