# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first experiment
#
# A simulated shop log: nothing is downloaded, and the truth behind it is known. Run it as a script, or open it as a notebook with
# jupytext. It needs the extra `plot` (`pip install "recsys-axes[plot]"`) and takes well under a minute.

# %%
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import polars as pl

import recsys
from recsys.data.sources import Simulated
from recsys.fit import Fit
from recsys.losses import BPR
from recsys.models import MF, Popular
from recsys.optimizers import LazyAdam
from recsys.sampling import TopK, Unseen
from recsys.splitting import GlobalTime
from recsys.statistics import paired_difference

folder = Path(mkdtemp(prefix="first-experiment-"))

# %% [markdown]
# ## The experiment
#
# Data, split, model, sampler and loss are given one by one; each may be exchanged without touching the others.

# %%
data, split = Simulated(users=1_500, items=600, clicks=60_000), GlobalTime(test=0.1, validation=0.1)
fit = Fit(epochs=6, optimizer=LazyAdam(lr=0.005))

popular = recsys.Experiment(data=data, split=split, model=Popular()).run(folder / "popular")
uniform = recsys.Experiment(data=data, split=split, model=MF(dim=32), sampler=Unseen(1), loss=BPR(), fit=fit).run(folder / "uniform")
hard = recsys.Experiment(data=data, split=split, model=MF(dim=32), sampler=TopK(Unseen(8), k=1), loss=BPR(), fit=fit).run(folder / "hard")
runs = {"Popular": popular, "MF, one unseen negative": uniform, "MF, hardest of eight": hard}

names = ["test/recall@20", "test/ndcg@20"]
pl.DataFrame([{"run": name, **{m: run.metrics[m] for m in names}, "seconds": run.seconds} for name, run in runs.items()])

# %% [markdown]
# ## Do harder negatives help?
#
# Both runs answered the same queries, so the values are compared query by query.

# %%
paired_difference(hard.per_query["ndcg@20"], uniform.per_query["ndcg@20"])

# %% [markdown]
# ## How fast do the two learn?

# %%
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name in ("MF, one unseen negative", "MF, hardest of eight"):
    selection = runs[name].history.filter(pl.col("valid/ndcg@20").is_not_null())
    axes.plot(selection["epoch"], selection["valid/ndcg@20"], marker="o", label=name, color=f"C{list(runs).index(name)}")
axes.set(xlabel="epoch", ylabel="validation ndcg@20", title="Validation quality by epoch")
axes.legend()
figure.savefig(folder / "learning.svg")

# %% [markdown]
# ## Do they recommend more than the best sellers?
#
# How often the recommended items were bought in training, for each query on average.

# %%
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, run in runs.items():
    axes.hist(run.per_query["average_popularity@20"], bins=40, histtype="step", label=name)
axes.set(xlabel="mean training count of the 20 items", ylabel="queries", title="Popularity of what is recommended")
axes.legend()
figure.savefig(folder / "popularity.svg")

# %% [markdown]
# ## Recommend
#
# A run is loaded by its folder. `users` are answered with what they had in training.

# %%
some = data.events().select("user").unique().sort("user").head(3).collect()["user"].to_list()
recsys.load(folder / "hard").recommend(users=some, k=5)
