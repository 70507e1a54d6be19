"""What every learner promises while it meta-trains."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from contract.cases import LEARNERS, N, copied, family, learner, unchanged, undocumented

import metarl_lab as ml
from metarl_lab.catalog import entries
from metarl_lab.learners.base import MetaLearner
from metarl_lab.rollout import seeded_generator
from metarl_lab.runs.checkpoint import gather, restore
from metarl_lab.runs.description import options
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import Metrics

PAIRS = [pytest.param(p.values[1], p.values[2], id=p.id) for p in LEARNERS]
pytestmark = pytest.mark.parametrize(("name", "family_name"), PAIRS)


def update(training: MetaLearner, made: TaskFamily, step: int) -> Metrics:
    tasks = made.sample_tasks(N, "train", seeded_generator("cpu", step, 1))
    return training.update(made, tasks, seeded_generator("cpu", step, 2))


def state(training: MetaLearner) -> dict[str, torch.Tensor]:
    return gather(training, ml.make_sampler("uniform"))


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_the_same_seed_is_the_same_update_and_the_global_generator_rests(name: str, family_name: str) -> None:
    made = family(family_name)
    first, second = learner(name, made), learner(name, made)
    assert same(state(first), state(second)) and not same(state(first), state(learner(name, made, seed=1)))
    a = update(first, made, 1)
    torch.manual_seed(321)
    before = torch.get_rng_state()
    b = update(second, made, 1)
    assert torch.equal(before, torch.get_rng_state()), "update drew from torch's global generator"
    assert same(state(first), state(second)) and a.values == b.values and torch.equal(a.scores, b.scores)


def test_metrics_are_what_train_and_the_samplers_need(name: str, family_name: str) -> None:
    made = family(family_name)
    training = learner(name, made)
    tasks = made.sample_tasks(N, "train", seeded_generator("cpu", 1))
    before = copied(tasks)
    metrics = training.update(made, tasks, seeded_generator("cpu", 2))
    assert unchanged(before, tasks)
    assert metrics.scores.ndim == 2 and len(metrics.scores) == N
    assert metrics.scores.isfinite().all() and not metrics.scores.requires_grad
    assert {"return", "env_steps"} <= metrics.values.keys()
    assert all(isinstance(v, int | float) for v in metrics.values.values())
    last, whole_trial = (
        pytest.approx(float(x.mean()), rel=1e-4, abs=1e-5) for x in (metrics.scores[:, -1], metrics.scores)
    )
    assert metrics.values["env_steps"] > 0 and metrics.values["return"] in (last, whole_trial)


def test_a_stored_state_gives_the_same_next_updates(name: str, family_name: str) -> None:
    made = family(family_name)
    training, fresh = learner(name, made), learner(name, made, seed=9)
    update(training, made, 1)
    update(training, made, 2)
    stored = state(training)
    restore(fresh, ml.make_sampler("uniform"), stored)
    assert same(state(fresh), stored)
    for step in (3, 4):
        a, b = update(training, made, step), update(fresh, made, step)
        assert same(state(training), state(fresh)) and a.values == b.values
    # and back in place, as after an interrupt
    restore(training, ml.make_sampler("uniform"), stored)
    assert same(state(training), stored)
    update(training, made, 3)
    update(training, made, 4)
    assert same(state(training), state(fresh))


def test_optimisers_hold_the_very_parameters_that_act(name: str, family_name: str) -> None:
    """Not those of a copy: a loss that trains a copy looks fine and teaches nothing."""
    training = learner(name, family(family_name))
    held = {
        id(p) for x in vars(training).values() if isinstance(x, torch.optim.Optimizer)
        for group in x.param_groups for p in group["params"]
    }  # fmt: skip
    assert not held or held == {id(p) for p in training.parameters()}


def test_a_run_resumes_bit_for_bit(name: str, family_name: str, tmp_path: Path) -> None:
    made = family(family_name)
    settings = {"seed": 3, "device": "cpu", "progress": False}
    whole = ml.train(learner(name, made), made, 3, **settings)  # type: ignore[arg-type]
    ml.train(learner(name, made), made, 2, out=tmp_path / "run", **settings)  # type: ignore[arg-type]
    resumed = ml.resume(tmp_path / "run", 3, progress=False)
    assert same(state(whole.learner), state(resumed.learner))
    assert [r["return"] for r in whole.rows] == [r["return"] for r in resumed.rows]


def test_fields_are_documented_and_survive_json(name: str, family_name: str) -> None:
    kind = entries("learners")[name]
    config = kind.Config  # type: ignore[attr-defined]
    assert undocumented(config) == []
    made = learner(name, family(family_name)).config
    assert config(**options(json.loads(json.dumps(dataclasses.asdict(made))))) == made
    assert "meta_batch" in {f.name for f in dataclasses.fields(config)}
    assert kind.source and kind.__doc__  # type: ignore[attr-defined]
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.meta_batch = 1
