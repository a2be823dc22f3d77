from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from recsys.environment import available_memory, facts, git_state, peak_rss_mb


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_git_state_is_the_commit_and_whether_tracked_files_differ(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == (None, None)
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) == (None, None)  # nothing committed yet
    (tmp_path / "a.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert git_state(tmp_path) == (head, False)
    (tmp_path / "run.log").write_text("output of a run")
    assert git_state(tmp_path) == (head, False)
    (tmp_path / "a.py").write_text("2")
    assert git_state(tmp_path) == (head, True)


def test_a_folder_that_is_not_there_has_no_git_state(tmp_path: Path):
    assert git_state(tmp_path / "nowhere") == (None, None)


def test_facts_are_plain_json_and_name_the_versions_in_use(tmp_path: Path):
    import numpy
    import torch

    found = facts(tmp_path)
    assert json.loads(json.dumps(found)) == found
    assert found["versions"]["numpy"] == numpy.__version__
    assert found["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["python"] == sys.version.split()[0]
    assert found["threads"] == torch.get_num_threads()
    assert found["cpus"] >= 1


def test_facts_import_nothing_heavy():
    code = (
        "import sys; before = set(sys.modules); from importlib import util; "
        "spec = util.spec_from_file_location('e', sys.argv[1]); m = util.module_from_spec(spec); spec.loader.exec_module(m); "
        "assert m.facts()['threads'] is None; print(*sorted({'torch', 'polars', 'numpy', 'numba'} & set(sys.modules)))"
    )
    from recsys import environment

    done = subprocess.run([sys.executable, "-c", code, str(environment.__file__)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_peak_memory_grows_by_what_is_allocated_and_never_falls():
    before = peak_rss_mb()
    assert before is not None and before > 10
    code = (
        "from recsys.environment import peak_rss_mb; a = peak_rss_mb(); b = bytearray(300 * 2**20); "
        "b[::4096] = b'x' * len(b[::4096]); c = peak_rss_mb(); del b; print(c - a, peak_rss_mb() - c)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown, after = map(float, done.stdout.split())
    assert 290 < grown < 400
    assert after > -1  # the kernel counts in steps of some pages per CPU


def test_available_memory_is_a_number_of_this_machine() -> None:
    free = available_memory()
    assert free is None or 2**20 < free < 2**50
