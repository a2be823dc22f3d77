from __future__ import annotations

import torch
from torch import Tensor, nn

from recsys.errors import ConfigError
from recsys.pool import Draw
from recsys.sampling.sampler import Proposal, Sampler
from recsys.step import View


class Mix(Sampler):
    """Several samplers side by side, each pool in its own shape (so that scoring stays one product a pool).

    An item's expected count is the sum over the parts that may offer it to the row, whichever part drew it: one that masks what the owner
    has seen adds nothing to a seen item's count, although it draws it. ``parts``: a name for each, so that a single option
    can be changed (``--sampler.parts.uniform.num=9``).
    """

    def __init__(self, parts: dict[str, Sampler]) -> None:
        super().__init__()
        if not parts:
            raise ValueError("parts is empty; a mix needs at least one sampler, for instance {uniform: Uniform}")
        if wrong := [name for name in parts if not name.isidentifier()]:
            raise ValueError(
                f"parts has the name {wrong[0]!r}; a name is made of letters, digits and _, so that options can be given by it"
            )
        self.parts = nn.ModuleDict(parts)

    def gives(self, have: set[str]) -> set[str]:
        given = set.intersection(*(part.gives(have) for part in self._samplers()))
        countable = all(isinstance(part, Proposal) for part in self._samplers())
        return given if countable else given - {"log_count"}

    def forward(self, view: View) -> Draw:
        rows = len(view.batch)
        draws = [part(view) for part in self._samplers()]
        for part, draw in zip(self._samplers(), draws, strict=True):
            if draw.rows is not None or draw.weight is not None or draw.share is not None:
                raise ConfigError(
                    f"Mix: {type(part).__name__} keeps rows or weighs candidates, which a mixture would lose; put it around the Mix"
                )
        valid, count = None, None
        if any(draw.valid is not None for draw in draws):
            masks = [view.score.positive().new_ones(1, d.width, dtype=torch.bool) if d.valid is None else d.valid for d in draws]
            valid = torch.cat([mask.expand(rows, -1) for mask in masks], 1)
        if view.counts:
            count = torch.cat([self._log_count(view, draw.ids()).expand(rows, -1) for draw in draws], 1)
        return Draw(tuple(pool for draw in draws for pool in draw.pools), valid, count)

    def _log_count(self, view: View, ids: Tensor) -> Tensor:
        parts = [part for part in self._samplers() if isinstance(part, Proposal)]
        alike = len({part.exclude for part in parts}) == 1  # what is valid in one part is then masked in none
        counts = [part.log_count(view, ids) if alike else part.log_valid_count(view, ids) for part in parts]
        return torch.stack([count.expand(max(map(len, counts)), -1) for count in counts]).logsumexp(0)

    def _samplers(self) -> list[Sampler]:
        return [part for part in self.parts.values() if isinstance(part, Sampler)]
