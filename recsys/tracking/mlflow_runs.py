"""Runs that lie in an MLflow store, brought back as folders."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from recsys.data.download import cache_root
from recsys.errors import RunError
from recsys.run_folder import RUN
from recsys.tracking.mlflow_store import address, import_mlflow, one_line


def is_run_id(text: str) -> bool:
    """Whether a text has the form of an MLflow run id."""
    return re.fullmatch(r"[0-9a-f]{32}", text) is not None


def search(query: str, uri: str | None = None) -> list[str]:
    """Ids of the finished runs that an MLflow filter finds, in all experiments, the newest last.

    Names of metrics are as MLflow has them: "metrics.`test/recall_at_20` > 0.1 and tags.model = 'SASRec'".

    Raises:
        RunError: the store cannot be asked, or the filter is none.
    """
    client = _client(uri)
    try:
        experiments = [found.experiment_id for found in client.search_experiments()]
        runs = client.search_runs(experiments, filter_string=query, order_by=["attributes.start_time ASC"])
    except Exception as error:  # a store, a driver, a parser or a network may raise anything
        raise RunError(one_line(f"MLflow does not answer the query {query!r}", error)) from None
    return [run.info.run_id for run in runs if run.info.status == "FINISHED"]


def fetch(run_id: str, uri: str | None = None, into: Path | None = None) -> Path:
    """The folder of a run, from its artifacts: everything but the model. Fetched once.

    Args:
        uri: the store. Default: MLFLOW_TRACKING_URI, else the local ``mlflow.db``.
        into: where fetched runs are kept. Default: ``$RECSYS_CACHE/mlflow``, else ``~/.cache/recsys/mlflow``.

    Raises:
        RunError: there is no such run, or it has no record of ours.
    """
    place = (into or cache_root() / "mlflow") / run_id
    if not place.exists():
        client = _client(uri)
        partial = place.with_name(f".{run_id}.{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            client.download_artifacts(run_id, "", str(partial))
        except Exception as error:  # as above
            shutil.rmtree(partial, ignore_errors=True)
            raise RunError(one_line(f"MLflow has no run {run_id} whose artifacts can be fetched", error)) from None
        about = next(partial.rglob(RUN), None)
        if about is None:
            shutil.rmtree(partial, ignore_errors=True)
            raise RunError(f"the MLflow run {run_id} has no {RUN} among its artifacts; only finished runs of recsys can be compared")
        name = str(json.loads(about.read_text()).get("name", run_id))
        about.parent.rename(partial / name) if about.parent != partial else _into(partial, name)
        partial.rename(place)
    return next(folder for folder in sorted(place.iterdir()) if (folder / RUN).is_file())


def _into(folder: Path, name: str) -> None:
    """Move what is in a folder one level down."""
    inside = list(folder.iterdir())
    below = folder / ".inner"
    below.mkdir()
    for path in inside:
        path.rename(below / path.name)
    below.rename(folder / name)


def _client(uri: str | None) -> Any:
    return import_mlflow().MlflowClient(address(uri))
