"""An experiment: data x cleaning x split x noise x model x examples x batches x sampler x loss x seed, stated once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recsys import compatibility
from recsys.batching import Batches, Shuffled
from recsys.cleaning import Step
from recsys.data import Prepared, Recipe, Source, prepare
from recsys.data.log import Fold, Holdout
from recsys.errors import ConfigError
from recsys.evaluation import Evaluation
from recsys.examples import Examples
from recsys.fit import Fit
from recsys.learner import Learner, Trace
from recsys.losses import BPR, Loss
from recsys.models import Model
from recsys.noise import Noise
from recsys.part import fingerprint, spec
from recsys.progress import Progress
from recsys.recommender import ClosedForm
from recsys.run import Run
from recsys.sampling import Sampler, Unseen
from recsys.splitting import Splitter
from recsys.tracking import Tracker


class Experiment:
    """One point of the grid. Data, split and model must be given, everything else has a default; the constructor is the configuration.

    Args:
        data: where the events come from.
        clean: which events are removed before and after the split, in this order. Default: none.
        split: which events train, validate and test.
        noise: errors put into the training events after the split, to see what a method makes of them. Default: none.
        model: a model trained by steps, or a closed form (which takes no examples, sampler, loss or batches).
        examples: the rows to learn from. Default: those that the model reads (observed pairs, sequences).
        sampler: the negatives. Default: one uniform unseen negative.
        loss: default: BPR.
        batches: default: shuffled, 2048 examples a batch.
        fit: the training plan.
        evaluation: how every number is obtained.
        seed: of every random choice in training: initial weights, batches, draws, dropout.
        split_seed: of the random choices of splitter and noise, apart from ``seed``, so that several seeds can be compared on one
            split.

    Raises:
        ConfigError: parts of the wrong kind, or parts given to a closed form.
    """

    def __init__(
        self,
        *,
        data: Source,
        clean: Sequence[Step] = (),
        split: Splitter,
        noise: Noise | None = None,
        model: Model | ClosedForm,
        examples: Examples | None = None,
        sampler: Sampler | None = None,
        loss: Loss | None = None,
        batches: Batches | None = None,
        fit: Fit | None = None,
        evaluation: Evaluation | None = None,
        seed: int = 0,
        split_seed: int = 0,
    ) -> None:
        trained = isinstance(model, Model)
        if trained:
            sampler, loss, batches = sampler or Unseen(), loss or BPR(), batches or Shuffled()
        self.data, self.clean, self.split, self.noise = data, clean, split, noise
        self.model, self.examples, self.sampler, self.loss, self.batches = model, examples, sampler, loss, batches
        self.fit, self.evaluation, self.seed, self.split_seed = fit or Fit(), evaluation or Evaluation(), seed, split_seed
        kinds: dict[str, tuple[type, ...]] = {
            "data": (Source,),
            "split": (Splitter,),
            **({} if noise is None else {"noise": (Noise,)}),
            "model": (Model, ClosedForm),
            **({} if trained and examples is None else {"examples": (Examples,)}),
            "sampler": (Sampler,),
            "loss": (Loss,),
            "batches": (Batches,),
            "fit": (Fit,),
            "evaluation": (Evaluation,),
            "seed": (int,),
            "split_seed": (int,),
        }
        for name, allowed in kinds.items():
            value = getattr(self, name)
            if name in ("examples", "sampler", "loss", "batches") and not trained:
                if value is not None:
                    raise ConfigError(
                        f"{name}: {type(model).__name__} is solved in closed form and takes no {name}; "
                        f"leave it out (on the command line: --{name}=null)"
                    )
            elif not isinstance(value, allowed):
                wanted = " or ".join(kind.__name__ for kind in allowed)
                raise ConfigError(f"{name}: {value!r} is a {type(value).__name__}, not a {wanted}")
        for at, step in enumerate(clean):
            if not isinstance(step, Step):
                raise ConfigError(f"clean.{at}: {step!r} is a {type(step).__name__}, not a Step")

    def check(self) -> None:
        """Refuse parts that do not fit together; no data is read.

        Raises:
            ConfigError: with the names of both parts and the reason.
        """
        recipe = self.recipe()
        recipe.check()
        parts: dict[str, object] = {"data": self.data, "clean": recipe.steps, "split": self.split}
        parts |= {"noise": self.noise, "model": self.model}
        if isinstance(self.model, Model):
            self._check_examples(self.model)
            parts["examples"] = self.model.examples() if self.examples is None else self.examples  # no `or`: examples have a length
            parts |= {"batches": self.batches, "sampler": self.sampler, "loss": self.loss}
            parts["penalty"] = self.fit.penalty
        parts["evaluation"] = self.evaluation
        compatibility.check(parts)
        self.fit.torch_device()

    def _check_examples(self, model: Model) -> None:
        """Other examples than the model's own must give it the same inputs; that all rows are positives is the loss's concern."""
        own = model.examples()
        if self.examples is not None and (lacks := own.gives(set()) - self.examples.gives(set()) - {"positives"}):
            kinds = f"{type(model).__name__} reads {type(own).__name__}, and {type(self.examples).__name__}"
            raise ConfigError(f"examples: {kinds} does not give {', '.join(map(repr, sorted(lacks)))}; leave it out, or take another model")

    def recipe(self) -> Recipe:
        """What the prepared data depend on."""
        return Recipe(self.data, self.split, self.clean, self.split_seed)

    def spec(self) -> dict[str, Any]:
        """The resolved configuration as plain JSON: every option of every part, defaults included."""
        return {name: spec(value) for name, value in vars(self).items() if value is not None}

    def fingerprint(self) -> str:
        """A short hash of :meth:`spec`: equal configurations have equal fingerprints."""
        return fingerprint(self.spec())

    def identity(self) -> str:
        """The fingerprint of the configuration whatever its seeds, and without what changes no number."""
        described = self.spec()
        del described["seed"], described["split_seed"]
        del described["fit"]["init_args"]["checkpoint_seconds"], described["evaluation"]["init_args"]["block"]
        return fingerprint(described)

    def split_fingerprint(self) -> str:
        """Of splitter, cleaning and split seed."""
        return fingerprint({"split": self.split, "clean": list(self.clean), "seed": self.split_seed})

    def method(self) -> str:
        """The classes of model, sampler and loss, in words."""
        return ", ".join(compatibility.title(part) for part in (self.model, self.sampler, self.loss) if part is not None)

    def prepare(self, *, cache: Path | None = None, verify: bool = False) -> Prepared:
        """The data that a run trains and tests on (see :func:`recsys.data.prepare`), before noise."""
        return prepare(self.data, self.split, clean=self.clean, seed=self.split_seed, cache=cache, verify=verify)

    def with_noise(self, data: Prepared) -> Prepared:
        """What a run makes of the prepared data: the same, with the experiment's noise in the training events."""
        return data if self.noise is None else self.noise.inject(data, seed=self.split_seed)

    def tested(self, data: Prepared) -> Fold:
        """The fold that the tested model learns from."""
        return data.refit if self.fit.refit or self.fit.select_on == "test" else data.select

    def recommender(self, *, replay: Trace | None = None, held_out: Holdout | None = None) -> Learner | ClosedForm:
        """Fresh parts to be fitted on a training log; those of the experiment stay as they were configured.

        Args:
            replay: what earlier training did, to be done again (:class:`recsys.learner.Learner`).
            held_out: the validation part, for diagnostics.
        """
        model, examples, batches, sampler, loss, fit = copy.deepcopy(
            (self.model, self.examples, self.batches, self.sampler, self.loss, self.fit)
        )
        if isinstance(model, ClosedForm):
            return model
        assert batches is not None and sampler is not None and loss is not None, "an experiment fills them in for a model"
        parts: dict[str, Any] = {"model": model, "examples": examples, "batches": batches, "sampler": sampler, "loss": loss}
        return Learner(**parts, fit=fit, seed=self.seed, replay=replay, held_out=held_out)

    def run(
        self,
        folder: Path | str,
        *,
        tracker: Tracker | None = None,
        progress: Progress | None = None,
        resume: bool = False,
        cache: Path | None = None,
    ) -> Run:
        """Prepare the data, train, select on validation, refit, test, and leave everything in ``folder``.

        Args:
            tracker: records the run elsewhere too (MLflow).
            progress: told what happens.
            resume: go on with what is in the folder; a finished run is returned as it is.
            cache: where prepared data are kept.

        Raises:
            ConfigError, DataError: before any training.
            RunError: the folder cannot be used, or training met a loss that is not finite.
        """
        from recsys.job import Job

        self.check()
        return Job(self, Path(folder), tracker, progress, cache).run(resume=resume)
