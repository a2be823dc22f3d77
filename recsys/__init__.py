"""Recommender experiments with free axes: data x split x model x batches x sampler x loss x seed.

import recsys
from recsys.data.sources import Frame
from recsys.models import MF
from recsys.sampling import TopK, Uniform
from recsys.splitting import LastN

experiment = recsys.Experiment(
    data=Frame(events, user="customer", item="sku", time="when"),
    split=LastN(),
    model=MF(dim=64),
    sampler=TopK(Uniform(16), k=1),
)
run = experiment.run("runs/first")
print(run.metrics["test/recall@20"])
print(recsys.load("runs/first").recommend([["sku-17", "sku-4"]], k=10))
"""

from recsys.errors import ConfigError, DataError, RecsysError, RunError
from recsys.evaluation import Evaluation, evaluate
from recsys.experiment import Experiment
from recsys.fit import Fit
from recsys.run import Run, load

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "DataError",
    "Evaluation",
    "Experiment",
    "Fit",
    "RecsysError",
    "Run",
    "RunError",
    "evaluate",
    "load",
]
