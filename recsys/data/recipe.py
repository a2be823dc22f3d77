"""What prepared data are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recsys import compatibility
from recsys.cleaning.step import Step
from recsys.data import clean, store
from recsys.data.source import Source
from recsys.errors import ConfigError
from recsys.part import spec

if TYPE_CHECKING:
    from recsys.splitting.splitter import Splitter


@dataclass(frozen=True)
class Recipe:
    """All that prepared data depend on; the arguments of :func:`prepare`."""

    source: Source
    splitter: Splitter
    clean: Sequence[Step] = ()
    seed: int = 0
    keep_repeats: bool = False

    @property
    def steps(self) -> list[Step]:
        """The steps that make the data set what it is, then those of the experiment."""
        return [*self.source.steps(), *self.clean]

    def check(self) -> None:
        """Refuse what cannot be; no data is read.

        Raises:
            ConfigError: the splitter or a step needs what the log does not have by then, a step is listed too late, or one would lose what
                was shown and not chosen.
        """
        clean.check_order(self.steps)
        for step in self.steps if self.source.shown else ():
            if step.fit == "train" or "weight" not in step.leaves(self.source.gives()):
                does = "counts" if step.fit == "train" else "loses"
                raise ConfigError(
                    f"clean: {clean.title(step)} {does} what was shown and not chosen, which {self.source.origin} keeps as events of "
                    "weight 0; leave one of the two out"
                )
        compatibility.check({"data": self.source, "clean": self.steps, "split": self.splitter})

    def settings(self) -> dict[str, Any]:
        return {
            "source": self.source.fingerprint(),
            "clean": spec(list(self.clean)),
            "splitter": spec(self.splitter),
            "seed": self.seed,
            "keep_repeats": self.keep_repeats,
            "format": store.FORMAT,
        }
