"""Losses: one value for every row; averaging happens in one place, the step."""

from recsys.losses.adaptive_margin import AdaptiveMargin
from recsys.losses.alignment import Alignment
from recsys.losses.asymmetric import Asymmetric
from recsys.losses.bce import BCE
from recsys.losses.bpo import BPO
from recsys.losses.bpr import BPR
from recsys.losses.bpr_max import BPRMax
from recsys.losses.ccl import CCL
from recsys.losses.cml import CML
from recsys.losses.debiased_contrastive import DebiasedContrastive
from recsys.losses.entropy_maximization import EntropyMaximization
from recsys.losses.gbce import GBCE
from recsys.losses.hinge import Hinge
from recsys.losses.loss import Loss
from recsys.losses.margin_mse import MarginMSE
from recsys.losses.nbpo import NBPO
from recsys.losses.nbpo_o import NBPOo
from recsys.losses.nbpo_s import NBPOs
from recsys.losses.product_of_experts import ProductOfExperts
from recsys.losses.rel_mf import RelMF
from recsys.losses.self_adversarial import SelfAdversarial
from recsys.losses.softmax import Softmax
from recsys.losses.top1_max import Top1Max
from recsys.losses.warp import WARP
from recsys.losses.weighted_mse import WeightedMSE
from recsys.losses.wmf import WMF

__all__ = [
    "BCE",
    "BPO",
    "BPR",
    "CCL",
    "CML",
    "GBCE",
    "NBPO",
    "WARP",
    "WMF",
    "AdaptiveMargin",
    "Alignment",
    "Asymmetric",
    "BPRMax",
    "DebiasedContrastive",
    "EntropyMaximization",
    "Hinge",
    "Loss",
    "MarginMSE",
    "NBPOo",
    "NBPOs",
    "ProductOfExperts",
    "RelMF",
    "SelfAdversarial",
    "Softmax",
    "Top1Max",
    "WeightedMSE",
]
