from __future__ import annotations

import json
from pathlib import Path

from recsys.tracking import FileTracker, MLflowTracker, Tracker, flatten


def test_a_part_takes_its_own_key_for_its_class_and_the_keys_below_for_its_arguments():
    config = {
        "seed": 3,
        "model": {"class_path": "recsys.models.MF", "init_args": {"dim": 64, "init_std": 0.1}},
        "sampler": {"class_path": "my.TopK", "init_args": {"k": 5, "base": {"class_path": "my.Uniform", "init_args": {"num": 9}}}},
        "loss": {"class_path": "my.BPR"},
    }
    assert flatten(config) == {
        "seed": "3",
        "model": "recsys.models.MF",
        "model.dim": "64",
        "model.init_std": "0.1",
        "sampler": "my.TopK",
        "sampler.k": "5",
        "sampler.base": "my.Uniform",
        "sampler.base.num": "9",
        "loss": "my.BPR",
    }


def test_text_stays_and_other_values_are_json():
    values = {"a": "x y", "b": None, "c": True, "d": [1, 2], "e": {}, "f": [], "g": 1e-10, "h": ["p", "q"]}
    flat = flatten(values)
    assert flat["a"] == "x y"
    assert {key: json.loads(text) for key, text in flat.items() if key != "a"} == {k: v for k, v in values.items() if k != "a"}


def test_a_list_with_parts_has_its_positions_as_keys():
    flat = flatten({"metrics": [{"class_path": "m.Recall", "init_args": {"k": 20}}, {"class_path": "m.NDCG"}]})
    assert flat == {"metrics.0": "m.Recall", "metrics.0.k": "20", "metrics.1": "m.NDCG"}


def test_an_ordinary_mapping_may_have_a_key_called_class_path():
    assert flatten({"x": {"class_path": "a.B", "other": 1}}) == {"x.class_path": "a.B", "x.other": "1"}


def test_flattening_nothing_gives_nothing():
    assert flatten({}) == {}


def test_both_trackers_follow_the_protocol(tmp_path: Path):
    assert isinstance(FileTracker(tmp_path / "run"), Tracker)
    assert isinstance(MLflowTracker(experiment="e", run_name="r"), Tracker)
    assert list(tmp_path.iterdir()) == []  # making one writes nothing
