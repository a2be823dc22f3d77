"""Losses: one value for every row; averaging happens in one place, the step."""

from recsys.losses.bce import BCE
from recsys.losses.bpo import BPO
from recsys.losses.bpr import BPR
from recsys.losses.bpr_max import BPRMax
from recsys.losses.ccl import CCL
from recsys.losses.debiased_contrastive import DebiasedContrastive
from recsys.losses.gbce import GBCE
from recsys.losses.hinge import Hinge
from recsys.losses.loss import Loss
from recsys.losses.nbpo import NBPO
from recsys.losses.nbpo_o import NBPOo
from recsys.losses.nbpo_s import NBPOs
from recsys.losses.rel_mf import RelMF
from recsys.losses.self_adversarial import SelfAdversarial
from recsys.losses.softmax import Softmax
from recsys.losses.top1_max import Top1Max
from recsys.losses.warp import WARP
from recsys.losses.wmf import WMF

__all__ = [
    "BCE",
    "BPO",
    "BPR",
    "CCL",
    "GBCE",
    "NBPO",
    "WARP",
    "WMF",
    "BPRMax",
    "DebiasedContrastive",
    "Hinge",
    "Loss",
    "NBPOo",
    "NBPOs",
    "RelMF",
    "SelfAdversarial",
    "Softmax",
    "Top1Max",
]
