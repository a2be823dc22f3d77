"""Worlds whose truth is known, noise of known place, the feedback loop, and log files of any size.

========================  ==========================================================================================================
:func:`simulate`          a shop with users, sessions and times; relevance, exposure and slips are known (the default data set)
:func:`feedback`          Y = O * R: clicks on what is exposed (popularity, self-selection) and relevant; :func:`draw` from given truths
:func:`semi_synthetic`    the same with relevance and exposure learnt from a real rating log (Rel-MF)
:func:`impressions`       ranked pages with position bias; every impression is logged with its slot
:func:`ratings`           ratings of all pairs, observed by self-selection with known propensities
:func:`paths`             sessions whose exact next-item distribution is known; :class:`Optimal` predicts by it
:func:`add_positives`     false positives in training data; :func:`drop_positives`: missing ones
:func:`feedback_loop`     rounds of training, recommending and clicking
:func:`write_log`         JSON lines or CSV of any size
========================  ==========================================================================================================

Each world takes a seed and gives the same draw for the same arguments.
"""

from recsys.data.simulate.bernoulli import Feedback, draw, feedback
from recsys.data.simulate.from_ratings import semi_synthetic
from recsys.data.simulate.logs import write_log
from recsys.data.simulate.loop import Loop, feedback_loop, fitted, gini
from recsys.data.simulate.noise import add_positives, add_positives_to_events, drop_positives, drop_positives_from_events
from recsys.data.simulate.position_bias import Impressions, impressions
from recsys.data.simulate.self_selection import Ratings, ratings
from recsys.data.simulate.session_paths import Optimal, Paths, paths
from recsys.data.simulate.shop import VERSION, World, simulate

__all__ = [
    "VERSION",
    "Feedback",
    "Impressions",
    "Loop",
    "Optimal",
    "Paths",
    "Ratings",
    "World",
    "add_positives",
    "add_positives_to_events",
    "draw",
    "drop_positives",
    "drop_positives_from_events",
    "feedback",
    "feedback_loop",
    "fitted",
    "gini",
    "impressions",
    "paths",
    "ratings",
    "semi_synthetic",
    "simulate",
    "write_log",
]
