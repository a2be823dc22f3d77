"""Sources of events, one class a file format or a named data set."""

from recsys.data.source import Source
from recsys.data.sources.adjacency import AdjacencyLists, AmazonBook, Gowalla, Yelp2018
from recsys.data.sources.amazon_reviews import AmazonReviews
from recsys.data.sources.coat import Coat
from recsys.data.sources.frame import Frame
from recsys.data.sources.movielens import MovieLens
from recsys.data.sources.nbpo_lists import AmazonElectronics, JsonLists
from recsys.data.sources.otto import Otto
from recsys.data.sources.recbole import RecBole
from recsys.data.sources.sequences import Beauty, Sequences, SportsOutdoors, ToysGames, Yelp2019
from recsys.data.sources.session_tables import Diginetica, DigineticaViews, SessionTables
from recsys.data.sources.simulated import Simulated
from recsys.data.sources.table import Table
from recsys.data.sources.yoochoose import Yoochoose

__all__ = [
    "AdjacencyLists",
    "AmazonBook",
    "AmazonElectronics",
    "AmazonReviews",
    "Beauty",
    "Coat",
    "Diginetica",
    "DigineticaViews",
    "Frame",
    "Gowalla",
    "JsonLists",
    "MovieLens",
    "Otto",
    "RecBole",
    "Sequences",
    "SessionTables",
    "Simulated",
    "Source",
    "SportsOutdoors",
    "Table",
    "ToysGames",
    "Yelp2018",
    "Yelp2019",
    "Yoochoose",
]
