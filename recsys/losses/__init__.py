"""Losses: one value for every row; averaging happens in one place, the step."""

from recsys.losses.bce import BCE
from recsys.losses.bpo import BPO
from recsys.losses.bpr import BPR
from recsys.losses.ccl import CCL
from recsys.losses.loss import Loss
from recsys.losses.nbpo import NBPO
from recsys.losses.nbpo_o import NBPOo
from recsys.losses.nbpo_s import NBPOs
from recsys.losses.rel_mf import RelMF
from recsys.losses.softmax import Softmax
from recsys.losses.wmf import WMF

__all__ = ["BCE", "BPO", "BPR", "CCL", "NBPO", "WMF", "Loss", "NBPOo", "NBPOs", "RelMF", "Softmax"]
