"""What a run leaves behind while it goes: parameters, metrics over time, files. In a folder, or in MLflow as well."""

from __future__ import annotations

from recsys.tracking.file import FileTracker
from recsys.tracking.mlflow import MLflowTracker
from recsys.tracking.protocol import Status, Tracker, flatten

__all__ = ["FileTracker", "MLflowTracker", "Status", "Tracker", "flatten"]
