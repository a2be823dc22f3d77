"""Tracking in MLflow: a local SQLite file by default, any MLflow server by its address. Needs the extra ``tracking``."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recsys import files
from recsys.errors import RunError
from recsys.tracking.file import FileTracker, read
from recsys.tracking.mlflow_store import (
    address,
    artifact_location,
    chunks,
    clean_name,
    cut,
    has_run,
    import_mlflow,
    make_experiment,
    one_line,
)
from recsys.tracking.protocol import Status, check_status, flatten

PARAM_LENGTH, TAG_LENGTH = 6000, 8000  # MLflow's limits, in characters
PARAMS_PER_CALL, METRICS_PER_CALL = 100, 1000
LINK = "mlflow.json"
FIRST_WAIT, LONGEST_WAIT = 60.0, 1800.0  # seconds between attempts to reach a store that failed


class MLflowTracker:
    """Records a run in MLflow, and in a folder beside it when one is given.

    MLflow is imported and the run is opened by :meth:`open`, or by the first other call. Numbers are held back and sent together,
    since a call to the store takes milliseconds. Once the run is open, no failure of the store ends it: what could not be sent is
    kept, a warning says so, and it is sent again later, at the latest by :meth:`close`; if that fails too, ``folder`` has it
    and :meth:`replay` can send it another day.

    MLflow allows letters, digits and ``_ - . : /`` and space in names: ``recall@20`` is recorded as ``recall_at_20``, ``~`` as
    ``-``, other characters as ``_``.

    A run is continued rather than begun when ``run_id`` is given, or when ``folder`` holds the record of a run in the same store.
    A parameter that changed between the two stays as it was, with the new value in the tag ``changed.<name>``.

    Args:
        experiment: name of the MLflow experiment, made when missing.
        run_name: name of the run in the MLflow UI.
        uri: the store. None: the variable MLFLOW_TRACKING_URI, else ``sqlite:///<working directory>/mlflow.db`` with the artifacts
            in ``mlruns`` next to that file.
        tags: text by name, set at opening.
        run_id: an MLflow run to continue. After opening, the id of this run.
        folder: where to keep a :class:`FileTracker` record as well, and the run's MLflow id.
        flush_seconds: how long numbers may be held back.

    Raises:
        ValueError: ``flush_seconds`` is negative, or ``experiment`` or ``run_name`` is empty.
        RunError: at opening, when MLflow is not installed, the store cannot be used or the run is not in it.
    """

    def __init__(
        self,
        *,
        experiment: str,
        run_name: str,
        uri: str | None = None,
        tags: Mapping[str, str] | None = None,
        run_id: str | None = None,
        folder: Path | str | None = None,
        flush_seconds: float = 5.0,
    ) -> None:
        if not experiment or not run_name:
            raise ValueError(f"a run in MLflow has an experiment and a name; given {experiment!r} and {run_name!r}")
        if flush_seconds < 0:
            raise ValueError(f"flush_seconds must be 0 or more, not {flush_seconds}")
        self.experiment, self.run_name, self.uri, self.run_id = experiment, run_name, uri, run_id
        self.tags = dict(tags or {})
        self.folder = None if folder is None else Path(folder)
        self.flush_seconds = flush_seconds
        self._twin = None if self.folder is None else FileTracker(self.folder, tags=self.tags)
        self._client: Any = None
        self._known_params: dict[str, str] = {}
        self._known_steps: dict[str, set[int]] | None = None  # None: a new run, of which the store knows nothing we did not send
        self._seen: set[tuple[str, int]] = set()
        self._pending: list[tuple[str, float, int, int]] = []  # name, value, milliseconds since 1970, step
        self._actions: list[Callable[[], None]] = []  # parameters, tags and artifacts that wait for the store, in order
        self._sent_at = 0.0
        self._wait = 0.0
        self._closed = False

    # The protocol

    def params(self, values: Mapping[str, Any]) -> None:
        self.open()
        if self._twin is not None:
            self._twin.params(values)
        self._params(values)

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        self.open()
        if self._twin is not None:
            self._twin.metrics(values, step)
        self._metrics(values, step, time.time())

    def artifact(self, path: Path) -> None:
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"no file or folder {path} to record as an artifact of the run")
        self.open()
        if self._twin is not None:
            self._twin.artifact(path)
        self._artifact(path)

    def close(self, status: Status = "finished") -> None:
        check_status(status)
        if self._closed:
            return
        self.open()
        if self._twin is not None:
            self._twin.close(status)
        self._actions.append(lambda: self._client.set_terminated(self.run_id, status.upper()))
        self._closed = True
        error = self._drain()
        if error is not None:
            left = len(self._pending) + len(self._actions)
            kept = "they are lost" if self.folder is None else f"{self.folder} has them: send them with MLflowTracker.replay"
            warnings.warn(one_line(f"{left} records did not reach MLflow at {self.uri}; {kept}", error), RuntimeWarning, stacklevel=2)

    # Beyond the protocol

    @property
    def store(self) -> str:
        """The address of the store that is used: ``uri``, or what stands for it."""
        return address(self.uri)

    def open(self) -> str:
        """Begins or continues the run, and returns its MLflow id. Further calls return the id again."""
        if self._closed:
            raise RunError(f"run {self.run_name!r} is closed; make a new MLflowTracker with its run_id to continue it")
        if self._client is None:
            self.uri = self.store  # a later change of the working directory or the environment does not move the run
            mlflow = import_mlflow()
            try:
                client = mlflow.MlflowClient(self.uri)
                linked = self._linked()
                if self.run_id is None and linked is not None and has_run(client, linked):
                    self.run_id = linked
                if self.run_id is None:
                    self._begin(client)
                else:
                    self._continue(client)
            except RunError:
                raise
            except Exception as error:  # a store, a driver or a network may raise anything; nothing has been computed yet
                raise RunError(one_line(f"cannot open MLflow at {self.uri}; start it, or keep the record in a file", error)) from error
            self._client = client
            self._sent_at = time.monotonic()
            if self.folder is not None:
                self._write_link(self.folder)
                self.replay(self.folder, close=False)
        assert self.run_id is not None
        return self.run_id

    def replay(self, folder: Path | str, *, close: bool = True) -> None:
        """Sends what a :class:`FileTracker` recorded in ``folder``, with its times; what the store has already is not sent again.

        With ``close`` the run is closed if the record was.
        """
        self.open()
        status: Status | None = None
        for record in read(folder):
            if record["kind"] == "params":
                self._params(record["values"])
            elif record["kind"] == "metrics":
                self._metrics(record["values"], record["step"], record["time"])
            elif record["kind"] == "artifact" and (Path(folder) / record["path"]).exists():
                self._artifact(Path(folder) / record["path"])
            status = record["status"] if record["kind"] == "close" else None
        if close and status is not None:
            self.close(status)
        else:
            self.flush(now=True)

    def flush(self, *, now: bool = False) -> None:
        """Sends what is held back, if it is time to, or at once with ``now``. A failure is a warning; what is left is kept."""
        if not now and time.monotonic() - self._sent_at < max(self.flush_seconds, self._wait):
            return
        error = self._drain()
        self._wait = 0.0 if error is None else min(2 * self._wait, LONGEST_WAIT) or FIRST_WAIT
        if error is not None:
            what = one_line(f"MLflow at {self.uri} failed", error)
            warnings.warn(f"{what}; the run goes on, next attempt in {self._wait:.0f} s", RuntimeWarning, stacklevel=3)

    # Sending

    def _drain(self) -> Exception | None:
        """Sends all that waits, in order, up to the first failure, which is returned."""
        self._sent_at = time.monotonic()
        try:
            while self._pending:
                self._send(self._pending[:METRICS_PER_CALL])
                del self._pending[:METRICS_PER_CALL]
            while self._actions:
                self._actions[0]()
                del self._actions[0]
        except Exception as error:  # whatever a store, a driver or a network may raise, hours of training must not end for it
            return error
        return None

    def _params(self, values: Mapping[str, Any]) -> None:
        flat = {clean_name(key): cut(value, PARAM_LENGTH) for key, value in flatten(values).items()}
        new = {key: value for key, value in flat.items() if key not in self._known_params}
        changed = {clean_name(f"changed.{k}"): cut(v, TAG_LENGTH) for k, v in flat.items() if self._known_params.get(k, v) != v}
        self._known_params.update(new)
        for some in chunks(list(new.items()), PARAMS_PER_CALL):
            self._actions.append(lambda some=some: self._log_batch(params=some))  # type: ignore[misc]
        for some in chunks(list(changed.items()), PARAMS_PER_CALL):
            self._actions.append(lambda some=some: self._log_batch(tags=some))  # type: ignore[misc]
        self.flush(now=not self._wait)

    def _metrics(self, values: Mapping[str, float], step: int | None, when: float) -> None:
        for name, value in values.items():
            name, at = clean_name(name), step or 0
            if (name, at) not in self._seen:
                self._seen.add((name, at))
                self._pending.append((name, float(value), int(when * 1000), at))
        self.flush(now=len(self._pending) >= METRICS_PER_CALL and not self._wait)

    def _artifact(self, path: Path) -> None:
        if path.is_dir():
            self._actions.append(lambda: self._client.log_artifacts(self.run_id, str(path), path.name))
        else:
            self._actions.append(lambda: self._client.log_artifact(self.run_id, str(path)))
        self.flush(now=not self._wait)

    def _send(self, rows: Sequence[tuple[str, float, int, int]]) -> None:
        """A store drops a row that is equal in name, value, time and step, so a second attempt after a lost answer is harmless."""
        if self._known_steps is not None:
            for name in {row[0] for row in rows} - self._known_steps.keys():
                self._known_steps[name] = {point.step for point in self._client.get_metric_history(self.run_id, name)}
            rows = [row for row in rows if row[3] not in self._known_steps[row[0]]]
        if rows:
            self._log_batch(metrics=rows)

    def _log_batch(
        self,
        *,
        metrics: Sequence[tuple[str, float, int, int]] = (),
        params: Sequence[tuple[str, str]] = (),
        tags: Sequence[tuple[str, str]] = (),
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        self._client.log_batch(
            self.run_id, metrics=[Metric(*m) for m in metrics], params=[Param(*p) for p in params], tags=[RunTag(*t) for t in tags]
        )

    # Opening

    def _begin(self, client: Any) -> None:
        found = client.get_experiment_by_name(self.experiment)
        if found is None:
            identifier = make_experiment(client, self.experiment, artifact_location(self.uri or ""))
        elif found.lifecycle_stage != "active":
            raise RunError(f"the MLflow experiment {self.experiment!r} at {self.uri} was deleted; restore it or choose another name")
        else:
            identifier = found.experiment_id
        tags = {clean_name(key): cut(value, TAG_LENGTH) for key, value in self.tags.items()}
        self.run_id = client.create_run(identifier, run_name=self.run_name, tags=tags).info.run_id

    def _continue(self, client: Any) -> None:
        run = client.get_run(self.run_id)
        self._known_params = dict(run.data.params)
        self._known_steps = {}
        client.update_run(self.run_id, status="RUNNING")
        for key, value in self.tags.items():
            client.set_tag(self.run_id, clean_name(key), cut(value, TAG_LENGTH))

    def _linked(self) -> str | None:
        """The run that the folder's record belongs to, if it is in this store."""
        path = None if self.folder is None else self.folder / LINK
        if path is None or not path.exists():
            return None
        link = json.loads(path.read_text(encoding="utf-8"))
        return str(link["run_id"]) if link["uri"] == self.uri else None

    def _write_link(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files.write_json(folder / LINK, {"uri": self.uri, "run_id": self.run_id})
        except OSError as error:
            raise RunError(f"cannot write the run's record in {folder}: {error.strerror}; choose another output folder") from None
