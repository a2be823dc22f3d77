"""Splits into training, validation and test; each class states what it guarantees."""

from recsys.splitting.global_time import GlobalTime
from recsys.splitting.last_n import LastN
from recsys.splitting.predefined import Predefined
from recsys.splitting.splitter import Splitter
from recsys.splitting.user_fraction import UserFraction

__all__ = ["GlobalTime", "LastN", "Predefined", "Splitter", "UserFraction"]
