"""Sources of events, one class a file format or a named data set."""

from recsys.data.source import Source
from recsys.data.sources.adjacency import AdjacencyLists, Gowalla
from recsys.data.sources.frame import Frame
from recsys.data.sources.movielens import MovieLens
from recsys.data.sources.sequences import Beauty, Sequences, ToysGames
from recsys.data.sources.session_tables import Diginetica, SessionTables
from recsys.data.sources.simulated import Simulated
from recsys.data.sources.table import Table

__all__ = [
    "AdjacencyLists",
    "Beauty",
    "Diginetica",
    "Frame",
    "Gowalla",
    "MovieLens",
    "Sequences",
    "SessionTables",
    "Simulated",
    "Source",
    "Table",
    "ToysGames",
]
