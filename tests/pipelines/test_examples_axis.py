"""Which rows a model learns from, chosen in a config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines import cli, config
from recsys.examples import LabelledPairs
from recsys.losses import RelMF
from recsys.propensity import Independent

CONFIG = """
data: {Simulated: {users: 60, items: 30, clicks: 900}}
split: GlobalTime
model: {MF: {dim: 4}}
examples: LabelledPairs
sampler: Nothing
loss: {RelMF: {propensity: {Independent: {power: 1.0}}, clip: 0.2}}
batches: {Balanced: {size: 64, steps: 5}}
fit: {epochs: 2}
evaluation: {metrics: [recall@5], select: recall@5}
"""


def test_labelled_pairs_are_chosen_trained_on_and_kept(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "rel.yaml").write_text(CONFIG)
    experiment = config.load(workplace / "rel.yaml")
    assert isinstance(experiment.examples, LabelledPairs) and isinstance(experiment.loss, RelMF)
    assert isinstance(experiment.loss.propensity, Independent) and experiment.loss.propensity.power == 1.0
    assert config.loads(config.dump(experiment)).fingerprint() == experiment.fingerprint()
    assert cli.main(["train", "rel.yaml", "--name", "rel", "--tracking", "none", "--loss.propensity.power=0.5"]) == 0
    about = json.loads((workplace / "runs" / "rel" / "run.json").read_text())
    assert about["spec"]["examples"]["class_path"] == "recsys.examples.LabelledPairs"
    assert about["spec"]["loss"]["init_args"]["propensity"]["init_args"] == {"power": 0.5}
    history = [json.loads(line) for line in (workplace / "runs" / "rel" / "history.jsonl").read_text().splitlines()]
    assert {record["rows"] for record in history} == {5 * 64}
    assert 0 <= about["metrics"]["test/recall@5"] <= 1
    capsys.readouterr()
    assert cli.main(["evaluate", "rel"]) == 0


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["--examples=LabeledPairs"], "examples: no Examples is called 'LabeledPairs'"),
        (["--examples=null"], "batches: Balanced needs 'labels'"),
        (["--examples=NextItem"], "examples: MF reads Pairs, and NextItem does not give 'pairs'"),
        (["--sampler=Unseen"], "loss: RelMF needs 'alone' (it would ignore drawn candidates; the sampler Nothing draws none)"),
        (["--model=Popular"], "examples: Popular is solved in closed form and takes no examples"),
        (["--loss.propensity.power=-1"], "power is -1"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    workplace: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], said: str
) -> None:
    (workplace / "rel.yaml").write_text(CONFIG)
    assert cli.main(["train", "rel.yaml", "--name", "no", "--tracking", "none", *overrides]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("recsys: error: ")]
    assert len(errors) >= 1 and said in errors[0]


def test_help_lists_the_examples(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--examples.help"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("LabelledPairs", "Pairs", "NextItem", "PairsWithHistory")) and "  Examples " not in said
    assert cli.main(["train", "rel.yaml", "--loss.propensity.help"]) == 0
    assert "ItemPowerLaw" in capsys.readouterr().out
