"""The notebooks run from top to bottom, and show what their text says."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.py")), ids=lambda path: path.stem)
def test_notebooks_define_nothing(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)] == []


def test_the_first_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("matplotlib").use("agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", None)
    shown = runpy.run_path(str(NOTEBOOKS / "01-first-experiment.py"))
    assert shown["folder"].is_relative_to(tmp_path)
    quality = {name: run.metrics["test/ndcg@20"] for name, run in shown["runs"].items()}
    assert min(quality["MF, one unseen negative"], quality["MF, hardest of eight"]) > 1.1 * quality["Popular"]
    assert {path.name for path in shown["folder"].glob("*.svg")} == {"learning.svg", "popularity.svg"}
