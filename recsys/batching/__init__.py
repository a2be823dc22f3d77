"""Which examples make a batch, and in which order."""

from recsys.batching.balanced import Balanced
from recsys.batching.batches import Batches
from recsys.batching.bucketed import Bucketed
from recsys.batching.by_user import ByUser
from recsys.batching.clustered import Clustered
from recsys.batching.even_rows import EvenRows
from recsys.batching.in_order import InOrder
from recsys.batching.shuffled import Shuffled
from recsys.batching.subsampled import Subsampled

__all__ = ["Balanced", "Batches", "Bucketed", "ByUser", "Clustered", "EvenRows", "InOrder", "Shuffled", "Subsampled"]
