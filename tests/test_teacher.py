"""A finished run as a teacher: it says what it would recommend, and is refused where it knows something else than the student."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import recsys
from recsys.catalog import Catalog
from recsys.errors import RunError
from recsys.models import EASE, MF
from recsys.teacher import Teacher
from recsys.testing import worlds

LOG = worlds.users()


@pytest.mark.parametrize("kept", [0, 1 << 26])
@pytest.mark.parametrize("model", [MF(dim=8, init_std=1.0, bias=True), MF(dim=8, init_std=1.0, similarity="cosine"), EASE(penalty=5.0)])
def test_its_scores_and_lists_are_those_of_the_run(model, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With vectors and without, kept and not: for users in any order, some twice, and candidates of their own or shared."""
    monkeypatch.setattr("recsys.teacher.KEPT", kept)
    teacher = Teacher(worlds.finished_run(LOG, model, tmp_path))
    catalog = Catalog(LOG)
    teacher.setup(catalog)
    everything = recsys.load(tmp_path).recommender.scores(LOG.histories())
    owner = torch.tensor([7, 3, 29, 7, 0])
    ids = torch.randint(LOG.num_items, (5, 11), generator=torch.Generator().manual_seed(1))
    assert torch.allclose(teacher.scores(owner, ids), everything[owner].gather(1, ids), atol=1e-5)
    assert torch.allclose(teacher.scores(owner, ids[:1]), everything[owner][:, ids[0]], atol=1e-5)
    assert not teacher.scores(owner, ids).requires_grad
    top = teacher.top(owner, 5)
    unseen = everything[owner].masked_fill(catalog.seen(owner, torch.arange(LOG.num_items)[None]), -torch.inf)
    assert torch.equal(top, unseen.topk(5).indices)
    assert (teacher.top(owner, 60)[:, -1] == -1).all()  # past the end of a list


def test_it_knows_exactly_what_the_student_knows(tmp_path: Path):
    run = worlds.finished_run(LOG, folder=tmp_path)
    Teacher(run).setup(Catalog(worlds.users()))
    for other in (worlds.users(events=401), worlds.users(seed=2), worlds.users(num_items=61), worlds.users(num_users=31)):
        with pytest.raises(RunError, match=r"was fitted on another training log than this one.*both with fit.refit: false"):
            Teacher(run).setup(Catalog(other))


def test_repeated_events_are_events_too(tmp_path: Path):
    from dataclasses import replace

    again = replace(LOG, items=torch.cat([LOG.items, LOG.items[-1:]]), offsets=LOG.offsets + (torch.arange(31) == 30))
    with pytest.raises(RunError, match="another training log"):
        Teacher(worlds.finished_run(LOG, folder=tmp_path)).setup(Catalog(again))


def test_what_is_no_finished_run_of_users_is_refused(tmp_path: Path):
    catalog = Catalog(LOG)
    with pytest.raises(ValueError, match="run is empty"):
        Teacher("")
    with pytest.raises(RunError, match="no run in"):
        Teacher(str(tmp_path / "nowhere")).setup(catalog)
    sessions = worlds.finished_run(worlds.sessions(), worlds.LastItem(), tmp_path / "sessions")
    with pytest.raises(RunError, match="learnt from sessions; a teacher is asked about users"):
        Teacher(sessions).setup(catalog)
    run = Path(worlds.finished_run(LOG, folder=tmp_path / "killed"))
    (run / "run.json").write_text(json.dumps(json.loads((run / "run.json").read_text()) | {"status": "killed"}))
    with pytest.raises(RunError, match="is killed, not finished"):
        Teacher(str(run)).setup(catalog)
