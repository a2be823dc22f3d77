"""Models: what scores items for a user or a history."""

from recsys.models.mf import MF
from recsys.models.model import Model
from recsys.models.popular import Popular

__all__ = ["MF", "Model", "Popular"]
