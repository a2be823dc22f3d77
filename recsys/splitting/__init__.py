"""Splits into training, validation and test; each class states what it guarantees."""

from recsys.splitting.global_time import GlobalTime
from recsys.splitting.k_fold_users import KFoldUsers
from recsys.splitting.last_n import LastN
from recsys.splitting.new_users import NewUsers
from recsys.splitting.predefined import Predefined
from recsys.splitting.session_time import SessionTime
from recsys.splitting.splitter import Blockwise, Splitter
from recsys.splitting.user_fraction import UserFraction

__all__ = ["Blockwise", "GlobalTime", "KFoldUsers", "LastN", "NewUsers", "Predefined", "SessionTime", "Splitter", "UserFraction"]
