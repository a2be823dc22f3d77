"""What :class:`~recsys.tracking.mlflow.MLflowTracker` needs to know about MLflow stores: import, names, limits, places."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recsys.errors import RunError

KEY_LENGTH = 250  # MLflow's limit, in characters


def import_mlflow() -> Any:
    """MLflow, sending no usage data unless the user asked for it, and giving up on a dead server in seconds, not minutes.

    Standard output stays the caller's. A variable that the user has set stays as it is.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    try:
        import mlflow
    except ImportError:
        raise RunError("tracking with MLflow needs the package mlflow; install recsys-axes[tracking], or track in files") from None
    for noisy in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return mlflow


def address(uri: str | None) -> str:
    """Of the store that is used: ``uri``, else the variable MLFLOW_TRACKING_URI, else ``mlflow.db`` in the working directory."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).absolute()}" if uri.startswith("sqlite:///") else uri


def has_run(client: Any, run_id: str) -> bool:
    """Whether the store has this run."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


def make_experiment(client: Any, name: str, location: str | None) -> str:
    """The id of a new experiment, or of the one that another process made in between."""
    from mlflow.exceptions import MlflowException

    try:
        kind = {"mlflow.experimentKind": "custom_model_development"}  # so that the UI opens on runs and metrics, not on traces
        return str(client.create_experiment(name, artifact_location=location, tags=kind))
    except MlflowException:
        made = client.get_experiment_by_name(name)
        if made is None:
            raise
        return str(made.experiment_id)


def artifact_location(uri: str) -> str | None:
    """``mlruns`` next to a SQLite file, wherever the process that later writes an artifact works; None: the server decides."""
    if not uri.startswith("sqlite:///"):
        return None
    return (Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlruns").as_uri()


def clean_name(text: str) -> str:
    """A name that MLflow allows."""
    text = text.replace("@", "_at_").replace("~", "-")
    return re.sub(r"[^/\w.\- :]", "_", text)[:KEY_LENGTH]


def cut(text: str, length: int) -> str:
    """At most ``length`` characters; a text that was cut ends in an ellipsis."""
    text = str(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def chunks(values: list[tuple[str, str]], size: int) -> Iterator[list[tuple[str, str]]]:
    """Runs of ``size`` values, the last one shorter."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def one_line(what: str, error: BaseException) -> str:
    """What failed and the first line of the reason, cut to a length that can be read."""
    return f"{what}: {cut((str(error).strip().splitlines() or [type(error).__name__])[0], 160)}"
