"""From YAML and overrides to objects, with stand-in parts: every message, and what an override keeps and leaves."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import yaml_text
from pipelines.component_help import component_help
from pipelines.config import ConfigErrors, Resolved, option_at, resolve
from recsys.errors import ConfigError
from recsys.part import spec

BASE = """
data: {CSV: {path: shop.csv}}
model: {MF: {dim: 8}}
sampler: {Best: {k: 3, base: {Trick: {num: 9}}}}
"""


def _plugin() -> ModuleType:
    name = "plugin_axes"
    if name not in sys.modules:
        found = importlib.util.spec_from_file_location(name, Path(__file__).with_name("plugin_axes.py"))
        assert found is not None and found.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(found)
        found.loader.exec_module(sys.modules[name])
    return sys.modules[name]


axes = _plugin()


def build(text: str = BASE, *overrides: str) -> Resolved:
    pairs = [tuple(o.split("=", 1)) for o in overrides]
    return resolve(yaml_text.parse(text), pairs, axes.Toy)  # type: ignore[arg-type]


def problems(text: str = BASE, *overrides: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        build(text, *overrides)
    assert isinstance(caught.value, ConfigError)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    "model",
    [
        "{MF: {dim: 64}}",
        "{plugin_axes.MF: {dim: 64}}",
        "{class_path: MF, init_args: {dim: 64}}",
        "{class_path: plugin_axes.MF, init_args: {dim: 64, bias: false, scale: null, kind: dot}}",
        "MF",
        "plugin_axes.MF",
        "{MF: }",
        "{class_path: MF}",
    ],
)
def test_a_class_may_be_written_in_several_ways(model: str) -> None:
    built = build(f"data: {{CSV: {{path: a}}}}\nmodel: {model}").experiment.model
    assert spec(built) == {"class_path": "plugin_axes.MF", "init_args": {"dim": 64, "bias": False, "scale": None, "kind": "dot"}}


def test_a_role_with_one_class_takes_its_options_directly() -> None:
    assert build(BASE + "plan: {epochs: 3}").experiment.plan.epochs == 3
    assert build(BASE + "plan: {Plan: {epochs: 3, lr: 1}}").experiment.plan.epochs == 3
    assert build(BASE, "plan.epochs=4").experiment.plan.epochs == 4


def test_values_take_the_type_of_the_option() -> None:
    plan = "plan: {lr: 1e-3, clip: '1e1', schedule: {Steps: {at: [1, 2]}}}"
    text = f"data: {{CSV: {{path: a.csv, columns: {{user: u}}}}}}\nmodel: {{MF: {{scale: 2}}}}\n{plan}"
    built = build(text).experiment
    assert (built.plan.lr, built.plan.clip, built.model.scale) == (0.001, 10.0, 2.0)
    assert all(isinstance(v, float) for v in (built.plan.lr, built.plan.clip, built.model.scale))
    assert built.data.path == Path("a.csv") and built.data.columns == {"user": "u"}
    assert list(built.plan.schedule.at) == [1, 2]


def test_a_mapping_of_parts_and_a_fixed_tuple() -> None:
    mixed = build(BASE, "sampler={Mixed: {parts: {a: Trick, b: {Trick: {num: 5}}}, share: [1, 2.5]}}").experiment.sampler
    assert {k: v.num for k, v in mixed.parts.items()} == {"a": 1, "b": 5}
    assert mixed.share == (1.0, 2.5) and isinstance(mixed.share, tuple)


def test_an_override_changes_one_option_and_keeps_the_rest() -> None:
    built = build(
        BASE, "model.dim=32", "sampler.base.num=4", "plan.schedule=Steps", "plan.schedule.at=[3]", "metrics=[recall@10]", "seed=1"
    ).experiment
    assert (built.model.dim, built.sampler.k, built.sampler.base.num, built.seed, built.metrics) == (32, 3, 4, 1, ["recall@10"])
    assert list(built.plan.schedule.at) == [3]


def test_an_override_reaches_a_named_part_of_a_mapping() -> None:
    text = BASE.replace("{Best: {k: 3, base: {Trick: {num: 9}}}}", "{Mixed: {parts: {uniform: {Trick: {num: 2, power: 0.5}}}}}")
    parts = build(text, "sampler.parts.uniform.num=9", "sampler.parts.hard=Best", "sampler.parts.hard.k=2", "sampler.parts.hard.base=Trick")
    assert spec(parts.experiment.sampler)["init_args"]["parts"] == {
        "uniform": {"class_path": "plugin_axes.Trick", "init_args": {"num": 9, "power": 0.5}},
        "hard": {
            "class_path": "plugin_axes.Best",
            "init_args": {"k": 2, "base": {"class_path": "plugin_axes.Trick", "init_args": {"num": 1, "power": 0.0}}},
        },
    }
    assert problems(text, "sampler.parts.unifrom.num=9") == [
        "sampler.parts.unifrom: there is no 'unifrom', only: uniform; add one with --sampler.parts.unifrom=CLASS. Did you mean 'uniform'?"
    ]


def test_another_class_starts_from_its_defaults_and_says_what_is_left_behind() -> None:
    found = build(BASE, "sampler=Trick")
    assert (found.experiment.sampler.num, found.experiment.sampler.power) == (1, 0.0)
    assert found.notes == ["sampler: Trick replaces Best and starts from its own defaults (k, base of the file not used)"]


@pytest.mark.parametrize("order", [["sampler=Trick", "sampler.num=4"], ["sampler.num=4", "sampler=Trick"]])
def test_the_order_of_overrides_does_not_matter(order: list[str]) -> None:
    assert build(BASE, *order).experiment.sampler.num == 4


def test_the_same_class_keeps_the_options_of_the_file() -> None:
    found = build(BASE, "model=plugin_axes.MF")
    assert found.experiment.model.dim == 8 and not found.notes


def test_the_last_of_two_equal_overrides_counts() -> None:
    assert build(BASE, "model.dim=2", "model.dim=3").experiment.model.dim == 3


def test_an_explicit_option_that_no_longer_applies_is_refused() -> None:
    assert problems(BASE, "sampler=Trick", "sampler.k=4") == ["sampler.k: Trick has no option 'k'; it has: num, power"]
    assert problems(BASE, "sampler=Trick", "sampler.base.num=4") == ["sampler.base: Trick has no option 'base'; it has: num, power"]


def test_a_wrapper_given_without_its_inside_says_so() -> None:
    assert problems(BASE, "sampler=Hard") == [
        "sampler.k: Hard needs 'k', and nothing is given; allowed: int",
        "sampler.base: Hard needs 'base', and nothing is given; allowed: one of Best, Hard, Mixed, Trick",
    ]
    assert problems(BASE, "sampler=Hard", "sampler.k=1", "sampler.base.num=2")[0] == (
        "sampler.base: no class is given, so it has no options; add --sampler.base=CLASS with one of Best, Hard, Mixed, Trick"
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.dmi=3", "model.dmi: MF has no option 'dmi'; it has: dim, bias, scale, kind. Did you mean 'dim'?"),
        ("sampler.base.nun=3", "sampler.base.nun: Trick has no option 'nun'; it has: num, power. Did you mean 'num'?"),
        ("model.dim=many", "model.dim: 'many' (str) is not allowed; allowed: int"),
        ("model.dim=1.5", "model.dim: 1.5 (float) is not allowed; allowed: int"),
        ("model.dim=true", "model.dim: True (bool) is not allowed; allowed: int"),
        ("model.dim=null", "model.dim: null is not allowed; allowed: int"),
        ("model.dim=0", "model.dim: MF: dim=0: at least 1"),
        ("model.bias=1", "model.bias: 1 (int) is not allowed; allowed: bool"),
        ("model.scale=big", "model.scale: 'big' (str) is not allowed; allowed: float or null"),
        ("model.kind=dto", "model.kind: 'dto' (str) is not allowed; allowed: 'dot' or 'cosine'. Did you mean 'dot'?"),
        ("model.dim.deep=1", "model.dim: has no options of its own; it takes int: --model.dim=VALUE"),
        ("metrics=recall@20", "metrics: 'recall@20' (str) is not allowed; allowed: list[str] or null; write [recall@20]"),
        ("metrics=[3]", "metrics.0: 3 (int) is not allowed; allowed: str; put it in quotes if text is meant"),
        (
            "model=MFF",
            "model: no Model is called 'MFF'; allowed: MF, Popular, or the import path of a Model of your own. Did you mean 'MF'?",
        ),
        (
            "loss=Trick",
            "loss: Trick is a Draws (plugin_axes.Trick), not a Loss; allowed: BPR, Softmax, or the import path of a Loss of your own",
        ),
        (
            "loss=plugin_axes.Trick",
            "loss: plugin_axes.Trick is a Draws, not a Loss; allowed: BPR, Softmax, or the import path of a Loss of your own",
        ),
        (
            "loss=collections.Counter",
            "loss: collections.Counter is not a Loss; allowed: BPR, Softmax, or the import path of a Loss of your own",
        ),
        (
            "loss=plugin_axes.Sotfmax",
            "loss: no class at 'plugin_axes.Sotfmax': module 'plugin_axes' has no attribute 'Sotfmax'; allowed: BPR, Softmax, "
            "or the import path of a Loss of your own. Did you mean 'Softmax'?",
        ),
        (
            "loss=nowhere.Loss",
            "loss: no class at 'nowhere.Loss': there is no module 'nowhere' here or installed; allowed: BPR, Softmax, "
            "or the import path of a Loss of your own",
        ),
        ("loss=[BPR]", "loss: ['BPR'] (list) is not allowed; allowed: Loss or null (one of BPR, Softmax)"),
        (
            "sampler={k: 3}",
            "sampler: which Draws? options are given (k) but no class; write {CLASS: {...}} with one of Best, Hard, Mixed, Trick",
        ),
        ("model={MF: 3}", "model: the options of MF must be a mapping, not 3 (int); write {MF: {option: value}}"),
        (
            "model={class_path: MF, init_arg: {dim: 3}}",
            "model: 'init_arg' stands beside class_path; options of the class go under init_args. Did you mean 'init_args'?",
        ),
        ("model={class_path: 3}", "model: class_path must be the name or import path of a class, not 3 (int)"),
        ("model={class_path: MF, init_args: [3]}", "model: init_args must be a mapping, not [3] (list)"),
        ("sampler={Mixed: {parts: {}, share: [1]}}", "sampler.share: [1] (list) has 1 values; 2 are needed: tuple[float, float]"),
        ("model.dim=[1", "model.dim: '[1': line 1, column 3: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        (
            "modle.dim=3",
            "modle: Toy has no option 'modle'; it has: data, model, sampler, loss, plan, metrics, label, seed. Did you mean 'model'?",
        ),
    ],
)
def test_each_mistake_is_one_line_with_path_given_allowed(override: str, message: str) -> None:
    assert problems(BASE, override) == [message]


def test_all_problems_are_listed() -> None:
    text = "modle: MF\ndata: {CSV: {pth: a.csv}}\nloss: MF\nplan: {epochs: 1.5}"
    assert [line.split(":")[0] for line in problems(text, "seed=x")] == [
        "modle",
        "data.pth",
        "data.path",
        "loss",
        "plan.epochs",
        "seed",
        "model",
    ]


def test_text_that_looks_like_a_number_is_text_where_text_is_asked_for() -> None:
    assert build(BASE, "label=2014").experiment.label == "2014"
    assert build(BASE, "label=1e3").experiment.label == "1e3"
    assert build(BASE, "label=true").experiment.label == "true"
    assert build(BASE, "label=null").experiment.label is None
    assert problems(BASE + "label: 2014") == ["label: 2014 (int) is not allowed; allowed: str or null; put it in quotes if text is meant"]


def test_a_class_of_the_users_own_file_is_found_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_axis.py").write_text(
        "from plugin_axes import Loss\nclass Mine(Loss):\n    def __init__(self, *, a: int = 1):\n        super().__init__(); self.a = a\n"
    )
    (tmp_path / "own_broken.py").write_text("\n1 / 0\n")
    (tmp_path / "own_forgetful.py").write_text(
        "from plugin_axes import Loss\nclass Mine(Loss):\n    def __init__(self, *, a: int = 1):\n        super().__init__()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert build(BASE, "loss=own_axis.Mine", "loss.a=3").experiment.loss.a == 3
    assert sys.path[-1] == str(tmp_path), "the current folder comes last, so that it shadows nothing"
    assert problems(BASE, "loss=own_axis.Mine", "loss.b=3") == ["loss.b: Mine has no option 'b'; it has: a"]
    assert problems(BASE, "loss=own_broken.Mine") == [
        f"loss: importing 'own_broken' failed: ZeroDivisionError: division by zero ({tmp_path / 'own_broken.py'}:2); "
        "mend it, or give something else"
    ]
    (kept,) = problems(BASE, "loss=own_forgetful.Mine")
    assert kept.startswith("loss: Mine does not keep its argument 'a' as an attribute")


@pytest.mark.parametrize(
    "text",
    [
        BASE,
        BASE + "plan: {lr: 1e-5, schedule: Steps}\nlabel: '1e-3'\nmetrics: [recall@10, 'on']",
        "data: {CSV: {path: '007', separator: ''}}\nmodel: Popular",
    ],
)
def test_the_resolved_config_reproduces_the_experiment(text: str) -> None:
    experiment = build(text).experiment
    resolved = yaml_text.write(spec(experiment)["init_args"])
    again = build(resolved).experiment
    assert spec(again) == spec(experiment)
    assert yaml_text.write(spec(again)["init_args"]) == resolved


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z_@.]{1,8}", fullmatch=True), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(plain)
def test_yaml_text_reads_back_what_it_wrote(value: Any) -> None:
    assert yaml_text.parse(yaml_text.write(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.5", 1.5),
        ("-.5e2", -50.0),
        ("+3", 3),
        (".inf", float("inf")),
        ("-.INF", -float("inf")),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("12:30", "12:30"),
        ("2014-09-30", "2014-09-30"),
        ("~", None),
        ("007", "007"),
        ("1_000", "1_000"),
        ("", None),
    ],
)
def test_yaml_scalars_follow_version_1_2(text: str, value: object) -> None:
    found = yaml_text.parse(text)
    assert found == value and type(found) is type(value)


def test_yaml_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    for text, message in [
        ("a: [1", "line 1, column 6: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\nb: 2\na: 3", "line 3: 'a' is given twice; remove one of the two"),
        ("", "is empty; an experiment is a mapping with data, split and model"),
        ("- a", "holds a list; an experiment is a mapping with data, split and model"),
        (
            "a: !!python/name:os.system",
            "not valid YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:python/name:os.system'",
        ),
    ]:
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            yaml_text.read(path)
        assert message in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="no such config file"):
        yaml_text.read(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        yaml_text.read(tmp_path)


def test_canonical_text_is_read_alike_by_a_plain_yaml_reader() -> None:
    experiment = build(BASE, "plan.lr=0.00001").experiment
    resolved = yaml_text.write(spec(experiment)["init_args"])
    assert yaml.safe_load(resolved) == spec(experiment)["init_args"]


def test_help_lists_classes_and_options() -> None:
    tree = yaml_text.parse(BASE)
    listed = component_help(tree, "sampler.base", root=axes.Toy)
    assert listed.splitlines()[0] == "--sampler.base=CLASS (Draws)" and "Trick" in listed and "Mixed" in listed
    assert "--model.kind: 'dot' or 'cosine' = dot" in component_help(tree, "model", "MF", root=axes.Toy)
    assert "--plan.clip: float or null = null" in component_help({}, "plan", root=axes.Toy)
    assert "--sampler.k: int, required" in component_help({}, "sampler", "Best", root=axes.Toy)
    assert component_help(tree, "model.dim", root=axes.Toy) == "--model.dim: int = 64"
    assert option_at(tree, "sampler.base.num", axes.Toy).name == "num"
