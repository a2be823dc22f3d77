"""One run of an experiment from the first byte read to the last number written, and how it goes on after it was killed."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from recsys import environment, files
from recsys.data.audit import audit
from recsys.data.log import Fold, Prepared
from recsys.errors import RecsysError, RunError
from recsys.evaluation import Evaluated, evaluate
from recsys.learner import Learner, NonFiniteLoss, Trace
from recsys.ledger import Ledger
from recsys.metrics import metric
from recsys.progress import Progress, Silent
from recsys.recommender import ClosedForm, Recommender
from recsys.run import Run, model_of, read_stored, write_model
from recsys.run_folder import LISTS, MODEL, PROGRESS, QUERIES, RunFolder, writable
from recsys.slices import described
from recsys.tracking import Tracker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.experiment import Experiment

FORMAT = 1  # of run.json and progress.pt; raised when their meaning changes


class Job:
    """A run on its way through the phases ``select`` (train on train, choose on validation), ``refit`` (train on train + validation by
    replaying the trace) and ``test``.

    ``state`` is what progress.pt holds: the phase, the learner's state in it, the records of all epochs, and what selection found.
    A phase that has ended is never run again.
    """

    def __init__(
        self, experiment: Experiment, folder: Path, tracker: Tracker | None, progress: Progress | None, cache: Path | None
    ) -> None:
        self.experiment, self.folder, self.tracker, self.cache = experiment, RunFolder(folder), tracker, cache
        self.progress: Progress = progress or Silent()
        self.state: dict[str, Any] = {"format": FORMAT, "phase": "select", "learner": None, "history": [], "elapsed": 0.0}
        self.about: dict[str, Any] = {}
        self._started = time.perf_counter()

    def run(self, *, resume: bool) -> Run:
        writable(self.folder.path)
        with self.folder.locked():
            if self._open(resume):
                return Run(self.folder.path)
            with self._outcome():
                data = self._prepare()
                if self.state["phase"] == "select":
                    self._select(data)
                if self.state["phase"] == "refit":
                    self._refit(data)
                self._test(data)
        return Run(self.folder.path)

    # ------------------------------------------------------------------------------------------------ the phases
    def _prepare(self) -> Prepared:
        self.progress.phase("prepare", 0)
        experiment = self.experiment
        data = experiment.prepare(cache=self.cache)
        before = self.about.get("data")
        if before is not None and before["fingerprint"] != data.fingerprint:
            raise RunError(
                f"the data have changed since {self.folder.path} was begun; a run goes on with the same data only, start a new one"
            )
        audited = audit(data, seed=experiment.split_seed)
        if audited.status == "red":
            red = ", ".join(check.name for check in audited.checks if check.status == "red")
            self.progress.say(f"the leak audit is red ({red}): the numbers do not mean what the split promises; see recsys data audit")
        data = experiment.with_noise(data)  # after the audit, which is of the split
        known = {"fingerprint": data.fingerprint, "split_fingerprint": experiment.split_fingerprint()}
        self.about["data"] = {**known, "report": data.report, "audit": audited.to_json()}
        self.folder.write_about(self.about)
        self.ledger = Ledger(data.fingerprint, None if self.cache is None else self.cache / "ledgers")
        if self.tracker is not None:
            known = {name: self.about["data"][name] for name in ("fingerprint", "split_fingerprint")}
            self.tracker.params({"data_and_split": known, "environment": self.about["environment"]})
        return data

    def _select(self, data: Prepared) -> None:
        part = self.experiment.fit.select_on
        if part == "test":
            self._remark(
                "epochs are chosen by the test set (fit.select_on: test), so this result is optimistic: compare it with none but its like"
            )
        fold = data.select if part == "valid" else data.refit
        recommender = self._train("select", fold, None)
        if isinstance(recommender, Learner):
            recommender.use_best()
            trace, best = recommender.best_trace(), {k: recommender.best[k] for k in ("epoch", "value")}
        else:
            trace, best = [], {"epoch": 1}
        measured = self._measure(recommender, fold, part)
        best |= {"metric": self._selector, "value": measured.summary[self._selector], "epochs_run": self._epochs("select"), "on": part}
        self.about["selection"] = {**best, "trace": trace, "maxima": self._maxima()}
        seconds = sum(record["seconds"] + record.get("validation_seconds", 0.0) for record in self.state["history"])
        self._enter("selected", epochs=best["epochs_run"], seconds=round(seconds, 1), on=part, metric=best["metric"])
        self.state |= {"phase": "refit" if self.experiment.fit.refit else "test", "learner": None, "trace": trace}
        if not self.experiment.fit.refit:
            self._keep_model(recommender, fold)
        self._save()

    def _refit(self, data: Prepared) -> None:
        recommender = self._train("refit", data.refit, self.state["trace"])
        self._keep_model(recommender, data.refit)
        self.state |= {"phase": "test", "learner": None}
        self._save()

    def _test(self, data: Prepared) -> None:
        self.progress.phase("test", 0)
        self._enter("tested")
        fold = self.experiment.tested(data)
        path, device = self.folder.path, self.experiment.fit.torch_device()
        measured = self._measure(model_of(read_stored(path), self.about["spec"]["model"], path, device), fold, "test")
        measured.write_lists(path / LISTS)
        files.replace(path / QUERIES, described(fold.holdouts["test"], fold.train.counts).write_parquet)
        self.about["intervals"] = {f"test/{name}": [x.low, x.high] for name, x in measured.intervals(self.experiment.seed).items()}

    # ------------------------------------------------------------------------------------------------ training and measuring
    def _train(self, phase: str, fold: Fold, replay: Trace | None) -> Learner | ClosedForm:
        held_out = fold.holdouts.get("valid") if phase == "select" else None
        recommender = self.experiment.recommender(replay=replay, held_out=held_out)
        if isinstance(recommender, Learner):
            recommender.setup(fold.train)
            if self.state["learner"] is not None:
                recommender.load_state(self.state["learner"])
                self.state["learner"] = None
            recommender.on_step = self.progress.step
            recommender.on_checkpoint = lambda: self._save(recommender)
        self.progress.phase(phase, recommender.epochs() if isinstance(recommender, Learner) else 1)
        for epoch in recommender.fit(fold.train):
            record: dict[str, Any] = {
                "phase": phase,
                "epoch": epoch.epoch,
                "loss": epoch.loss,
                "rows": epoch.rows,
                "seconds": epoch.seconds,
            }
            if epoch.validate:
                begun = time.perf_counter()
                part = self.experiment.fit.select_on
                measured = self._evaluate(recommender, fold, part)
                epoch.value = measured.summary[self._selector]
                record |= {f"{part}/{name}": value for name, value in measured.summary.items()}
                record["validation_seconds"] = time.perf_counter() - begun
            for sentence in epoch.remarks:
                self._remark(sentence)
            self._record(record, epoch.figures)
            if isinstance(recommender, Learner) and recommender.step.diagnostics is not None:
                self.about["popularity_groups"] = recommender.step.diagnostics.groups
        return recommender

    def _record(self, record: dict[str, Any], figures: dict[str, float]) -> None:
        record |= figures
        self.state["history"].append(record)
        self.folder.append_history(record)
        self.progress.epoch(record)
        if self.tracker is not None:
            prefix = "refit" if record["phase"] == "refit" else "train"
            values = {f"{prefix}/loss": record["loss"], f"{prefix}/rows_per_second": record["rows"] / max(record["seconds"], 1e-9)}
            # under a name of its own: the last epoch's value must not stand where the selected epoch's is looked for
            values |= {f"epoch/{name}": value for name, value in record.items() if name.startswith(("valid/", "test/"))}
            values |= {f"{prefix}/{name}": value for name, value in figures.items()}
            self.tracker.metrics({name: value for name, value in values.items() if value == value}, step=record["epoch"])

    def _evaluate(self, recommender: Recommender, fold: Fold, part: str) -> Evaluated:
        train, evaluation = fold.train, self.experiment.evaluation
        return evaluate(
            recommender, fold.holdouts[part], counts=train.counts, owner_kind=train.owner_kind, evaluation=evaluation, train=train
        )

    def _measure(self, recommender: Recommender, fold: Fold, part: str) -> Evaluated:
        """The numbers of record of a part: kept with what they mean, and with the values of every query."""
        measured = self._evaluate(recommender, fold, part)
        measured.write(self.folder.path / f"{part}.parquet")
        self.about.setdefault("metrics", {}).update({f"{part}/{name}": value for name, value in measured.summary.items()})
        self.about.setdefault("facts", {})[part] = measured.facts
        self.folder.write_about(self.about)
        return measured

    @property
    def _selector(self) -> str:
        return metric(self.experiment.evaluation.select).name

    def _enter(self, kind: str, **details: Any) -> None:
        """Put this run into the ledger of its data."""
        e = self.experiment
        known = {"run": self.about["name"], "started": self.about["started"], "seed": e.seed}
        known |= {"config": self.about["identity"], "method": self.about["method"]}
        try:
            self.about.setdefault("ledger", {})[kind] = self.ledger.add(kind, **known, **details).seal
        except (OSError, RecsysError) as error:
            self._remark(f"this run is not in the ledger of its data: {error}")

    def _remark(self, sentence: str) -> None:
        """Say once a run, and keep, what must be known before its result is believed."""
        if sentence not in self.about.setdefault("remarks", []):
            self.about["remarks"].append(sentence)
            self.progress.say(sentence)

    def _maxima(self) -> dict[str, Any]:
        """The best value of each metric over all validated epochs, each metric by itself, and its epoch. Some publications report these
        (NBPO); they are optimistic, and nothing here is chosen by them."""
        found: dict[str, Any] = {}
        for record in self.state["history"]:
            for name, value in record.items():
                if name.startswith(("valid/", "test/")) and value > found.get(name, {"value": -math.inf})["value"]:
                    found[name] = {"value": value, "epoch": record["epoch"]}
        return found

    def _epochs(self, phase: str) -> int:
        return sum(record["phase"] == phase for record in self.state["history"])

    # ------------------------------------------------------------------------------------------------ beginning, keeping, ending
    def _open(self, resume: bool) -> bool:
        """Begin a run or take one up. True: it is finished already."""
        e, about = self.experiment, self.folder.about()
        if about is None:
            self._track(e.spec())  # first: where the store cannot be reached, no run has begun
            now = datetime.now(UTC).isoformat(timespec="microseconds")
            described = {"spec": e.spec(), "fingerprint": e.fingerprint(), "identity": e.identity(), "method": e.method()}
            described |= {"name": self.folder.path.absolute().name}
            self.about = {"format": FORMAT, "status": "running", "started": now, **described, "environment": environment.facts()}
            self.folder.write_about(self.about)
            self.folder.write_history([])
        else:
            self._take_up(about, resume)
        return bool(self.about["status"] == "finished")

    def _take_up(self, about: dict[str, Any], resume: bool) -> None:
        path = self.folder.path
        if not resume:
            raise RunError(f"{path} holds a run already ({about['status']}); continue it with --resume, or choose another name with --name")
        if about["fingerprint"] != self.experiment.fingerprint():
            raise RunError(
                f"{path} holds a run of another configuration ({about['fingerprint']}, not {self.experiment.fingerprint()}); "
                "give its own, or another name"
            )
        if about["format"] != FORMAT:
            raise RunError(f"{path} was written by another version (format {about['format']}, this one writes {FORMAT}); start a new run")
        self.about = about
        state = self.folder.progress()
        if about["status"] == "finished" and state is None:
            return
        self.state = state or self.state
        self._started -= self.state["elapsed"]
        self.folder.write_history(self.state["history"])
        self._track(self.about["spec"])
        self._note_environment()
        self.about["status"] = "running"
        self.progress.say(f"continuing {path} in phase {self.state['phase']!r} after {self.state['elapsed']:.0f} s")

    def _track(self, spec: dict[str, Any]) -> None:
        if self.tracker is not None:
            begun = time.perf_counter()
            self.tracker.params(spec)
            self._started += time.perf_counter() - begun  # a store made anew takes seconds, which are not the experiment's

    def _note_environment(self) -> None:
        """Say what has changed, and keep both."""
        now, before = environment.facts(), self.about["environment"]
        if changed := environment.changes(before, now):
            self.about.setdefault("earlier_environments", []).append(before)
            self.about["environment"] = now
            self.progress.say(f"not the same as before: {', '.join(changed)}; the result may differ in the last bits")

    def _save(self, learner: Learner | None = None) -> None:
        if learner is not None:
            self.state["learner"] = learner.state()
        self.state["elapsed"] = time.perf_counter() - self._started
        self.folder.write_about(self.about)  # first: a phase that progress.pt calls done has its results in run.json
        self.folder.write_progress(self.state)
        self.state["learner"] = None

    def _keep_model(self, recommender: Learner | ClosedForm, fold: Fold) -> None:
        model = recommender.model if isinstance(recommender, Learner) else recommender
        write_model(self.folder.path, model, fold.train)
        for name, ids in (("item", fold.items), ("owner", fold.owners)):
            frame = pl.DataFrame({name: ids})
            files.replace(self.folder.path / f"{name}s.parquet", frame.write_parquet)

    @contextmanager
    def _outcome(self) -> Iterator[None]:
        """Write how the run ended, whichever way it does."""
        try:
            yield
        except BaseException as error:
            if isinstance(error, NonFiniteLoss):
                files.write_tensors(self.folder.path / "nonfinite.pt", error.dump)
                error.args = (f"{error.args[0]}; the batch is in {self.folder.path / 'nonfinite.pt'}",)
            killed = isinstance(error, KeyboardInterrupt)
            self.about["status"] = "killed" if killed else "failed"
            self.folder.write_about(self.about)
            if self.tracker is not None:
                self.tracker.close("killed" if killed else "failed")
            raise
        self._finish()

    def _finish(self) -> None:
        self.about |= {"status": "finished", "seconds": time.perf_counter() - self._started, "peak_rss_mb": environment.peak_rss_mb()}
        self.folder.write_about(self.about)
        if self.tracker is not None:
            summary = {**self.about["metrics"], "seconds": self.about["seconds"]}
            if self.about["peak_rss_mb"] is not None:
                summary["peak_rss_mb"] = self.about["peak_rss_mb"]
            self.tracker.metrics({name: value for name, value in summary.items() if value == value})
            for path in sorted(self.folder.path.iterdir()):
                if path.is_file() and not path.name.startswith(".") and path.name not in (MODEL, PROGRESS):
                    self.tracker.artifact(path)
            self.tracker.close("finished")
        self.folder.drop_progress()  # last: while it is there, the run is not done
