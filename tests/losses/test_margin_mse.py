"""Distillation of margins: a student recovers its teacher's scores, and a run has its teacher."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch

import recsys
from recsys.data.sources import Frame
from recsys.errors import RunError
from recsys.losses import BPR, MarginMSE
from recsys.models import MF
from recsys.optimizers import Adam
from recsys.part import build, spec
from recsys.sampling import All, Uniform
from recsys.splitting import LastN
from recsys.testing import worlds


def test_by_hand(tmp_path: Path):
    log = worlds.users()
    loss = MarginMSE(worlds.finished_run(log, MF(dim=4, init_std=1.0), tmp_path))
    step = worlds.step_of(Uniform(3), loss, log=log)
    step(worlds.first_batch(step), 1, 0)
    scored, batch = step.scored, step.scored.batch
    teacher = recsys.load(tmp_path).recommender.scores(log.histories())[batch.owner]
    known = teacher.gather(1, batch.target[:, None]) - teacher.gather(1, scored.draw.ids())
    wanted = (scored.positive[:, None] - scored.negative - known).square().mean(1)
    assert torch.allclose(step.loss(scored), wanted, atol=1e-5)
    assert wanted.min() > 0


def test_a_student_of_its_teachers_kind_learns_its_rankings(tmp_path: Path):
    """Scores are recovered up to a number for each user, which no ranking sees."""
    log = worlds.users(num_users=20, num_items=30, events=200)
    step = worlds.step_of(All(), MarginMSE(worlds.finished_run(log, MF(dim=3, init_std=1.0), tmp_path)), MF(dim=3, init_std=0.1), log=log)
    optimizer = torch.optim.Adam(step.parameters(), lr=0.05)
    batch = step.examples.batch(torch.arange(len(log)))
    for at in range(600):
        value = step(batch, 1, at)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert value.item() < 1e-3
    with torch.no_grad():
        student = step.model.queries(log.histories())(None)
    teacher = recsys.load(tmp_path).recommender.scores(log.histories())
    gap = student - teacher
    assert (gap - gap.mean(1, keepdim=True)).abs().max() < 0.1 < teacher.std()


def experiment(loss, **fit) -> recsys.Experiment:
    stream = torch.Generator().manual_seed(3)
    user, item = torch.randint(25, (500,), generator=stream), (torch.rand(500, generator=stream) ** 2 * 40).long()
    events = pl.DataFrame({"user": user.numpy(), "item": item.numpy(), "order": range(500)}).unique(["user", "item"], maintain_order=True)
    plan = recsys.Fit(epochs=2, optimizer=Adam(lr=0.05), device="cpu", **fit)
    return recsys.Experiment(
        data=Frame(events, user="user", order="order"), split=LastN(), model=MF(dim=4), sampler=Uniform(4), loss=loss, fit=plan
    )


def test_a_run_with_a_teacher(tmp_path: Path):
    """Trained on the same data without refit; a student that is refitted, or taught by one that was, is refused."""
    experiment(BPR(), refit=False).run(tmp_path / "teacher")
    loss = MarginMSE(str(tmp_path / "teacher"))
    assert (
        spec(build(spec(loss))) == spec(loss) == {"class_path": "recsys.losses.MarginMSE", "init_args": {"run": str(tmp_path / "teacher")}}
    )
    run = experiment(loss, refit=False).run(tmp_path / "student")
    assert 0 <= run.metrics["test/recall@20"] <= 1
    assert not any("loss" in name for name in torch.load(run.folder / "model.pt", weights_only=True)["state"])
    with pytest.raises(RunError, match=r"fit.refit: false"):
        experiment(loss).run(tmp_path / "refitted-student")
    experiment(BPR()).run(tmp_path / "refitted-teacher")
    with pytest.raises(RunError, match=r"fit.refit: false"):
        experiment(MarginMSE(str(tmp_path / "refitted-teacher")), refit=False).run(tmp_path / "taught-too-much")
