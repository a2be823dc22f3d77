"""Conformance suites that ship with the library: what every part of a role must keep, ours or a plug-in's.

from recsys.testing import check_sampler

def test_my_sampler():
    check_sampler(MySampler(num=4))
"""

from recsys.testing.batches import check_batches
from recsys.testing.cleaning import check_step
from recsys.testing.examples import check_examples
from recsys.testing.losses import check_loss
from recsys.testing.metrics import check_metric
from recsys.testing.models import check_model
from recsys.testing.samplers import check_sampler
from recsys.testing.splitters import check_splitter

__all__ = ["check_batches", "check_examples", "check_loss", "check_metric", "check_model", "check_sampler", "check_splitter", "check_step"]
