"""What every task family promises."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from contract.cases import COPIES, FAMILIES, N, copied, family, tensors, unchanged, undocumented

import metarl_lab as ml
from metarl_lab.catalog import entries
from metarl_lab.rollout import begin, collect, nothing_seen, seeded_generator
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import SPLITS

pytestmark = pytest.mark.parametrize("name", FAMILIES)
# No closed form; the families' own tests hold a planner or a controller that knows the task against others.
WITHOUT_ORACLE = {"pendulum", "weakening_leg"}


def first_step(made: TaskFamily, shift: int | None = None) -> tuple:
    """Tasks, state, action, noise and the results of a first step; the action of task ``shift`` moved when given."""
    spec, chance = made.spec, seeded_generator("cpu", 7)
    tasks = made.sample_tasks(N, "train", seeded_generator("cpu", 3))
    state = made.reset(tasks, torch.rand(N, COPIES, spec.reset_noise, generator=chance))
    action, _ = nothing_seen(spec, N, COPIES, torch.device("cpu"))
    action = action * 0 + (1 if spec.discrete else 0.05)
    if shift is not None:
        action[shift] = 0 if spec.discrete else -0.05
    noise = torch.rand(N, COPIES, spec.step_noise, generator=chance)
    return tasks, state, action, noise, made.step(tasks, state, action, noise)


def test_fields_are_documented_and_survive_json(name: str) -> None:
    made, kind = family(name), entries("tasks")[name]
    assert undocumented(kind) == []
    assert kind.source and kind.__doc__ and made.name == name  # type: ignore[attr-defined]
    assert ml.make_family(name, **json.loads(json.dumps(made.config))) == made
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.horizon = 3  # type: ignore[attr-defined]


def drawn_rows(name: str, n: int, split: str, seed: int) -> torch.Tensor:
    """All parameters of n tasks, one row a task."""
    drawn = tensors(family(name).sample_tasks(n, split, seeded_generator("cpu", seed)))
    return torch.cat([x.double().reshape(n, -1) for x in drawn], 1)


def keys(rows: torch.Tensor) -> set[bytes]:
    return {row.tobytes() for row in rows.numpy()}


def test_the_three_splits_share_no_task(name: str) -> None:
    """One seed for all, so that a family that ignores the split is caught. A finite family is one prior, twice."""
    n = 2000 if family(name).finite else 300
    train, test, ood = (keys(drawn_rows(name, n, split, 1)) for split in SPLITS)
    assert not ood & (train | test)
    assert family(name).finite or not train & test
    with pytest.raises(ValueError, match="'validation' is not known"):
        family(name).sample_tasks(1, "validation", seeded_generator("cpu", 1))


def test_a_finite_family_is_one_prior_over_few_tasks_and_no_other_claims_it(name: str) -> None:
    n = 20_000
    train, test = (drawn_rows(name, n, split, 1) for split in ("train", "test"))
    assert (len(keys(train)) < n / 2) == family(name).finite, "finite is for a prior whose draws must repeat"
    if family(name).finite:
        error = ((train.var(0) + test.var(0)) / n).sqrt()
        assert ((train.mean(0) - test.mean(0)).abs() <= 4.5 * error).all(), "train and test must be one prior"
        assert not torch.equal(train, test), "train and test must be independent draws"


def test_tasks_come_from_the_generator_alone(name: str) -> None:
    before = torch.get_rng_state()
    a, b, c = (family(name).sample_tasks(N, "test", seeded_generator("cpu", s)) for s in (1, 1, 2))
    assert unchanged(copied(a), b) and not unchanged(copied(a), c)
    assert torch.equal(before, torch.get_rng_state())


def test_shapes_types_and_ranges(name: str) -> None:
    made = family(name)
    spec = made.spec
    tasks, state, _, _, (after, reward, terminated) = first_step(made)
    assert all(x.shape[0] == N for x in tensors(tasks))
    assert all(x.shape[:2] == (N, COPIES) for x in tensors(state) + tensors(after))
    assert [x.dtype for x in tensors(state)] == [x.dtype for x in tensors(after)]
    assert reward.shape == terminated.shape == (N, COPIES)
    assert reward.dtype == torch.float32 and terminated.dtype == torch.bool and reward.isfinite().all()
    for s in (state, after):
        seen = made.observe(tasks, s)
        assert seen.shape == (N, COPIES, spec.observation_size) and seen.dtype == torch.float32
        low, high = torch.as_tensor(spec.observation_space.low), torch.as_tensor(spec.observation_space.high)
        assert ((seen >= low) & (seen <= high)).all()


def test_nothing_is_changed_in_place_and_a_step_is_a_function(name: str) -> None:
    made = family(name)
    tasks, state, action, noise, first = first_step(made)
    before = copied((tasks, state, action, noise))
    result = copied(first)
    assert unchanged(result, made.step(tasks, state, action, noise))
    made.observe(tasks, state)
    made.oracle(tasks)
    assert unchanged(before, (tasks, state, action, noise)) and unchanged(result, first)


def test_a_tasks_action_moves_only_that_task(name: str) -> None:
    *_, first = first_step(family(name))
    *_, second = first_step(family(name), shift=3)
    others = [t for t in range(N) if t != 3]
    assert all(torch.equal(a[others], b[others]) for a, b in zip(tensors(first), tensors(second), strict=True))


def test_terminates_is_what_the_spec_says(name: str) -> None:
    made = dataclasses.replace(family(name), horizon=30)  # type: ignore[type-var]
    tasks = made.sample_tasks(200, "train", seeded_generator("cpu", 5))
    agent = ml.make_reference("random", made)
    acted, _ = collect(agent, made, tasks, begin(agent, made, tasks), seeded_generator("cpu", 6))
    assert bool(acted.terminated.any()) == made.spec.terminates
    assert acted.reward.isfinite().all()


def test_the_oracle_beats_random_and_earns_what_it_claims(name: str) -> None:
    made = family(name)
    settings = {"n_tasks": 400, "split": "test", "seed": 2}
    random = ml.evaluate(ml.make_reference("random", made), made, **settings).per_task[:, 0]  # type: ignore[arg-type]
    exact = made.oracle(made.sample_tasks(400, "test", seeded_generator("cpu", 2, 0)))
    if name in WITHOUT_ORACLE:
        assert exact is None, f"{name} has an oracle now: take it off the list"
        return
    assert exact is not None, "a family without an oracle: say so in WITHOUT_ORACLE, with the reason"
    assert exact.shape == (400,)
    claimed = exact.double().numpy()
    gap = claimed - random
    assert gap.mean() > 4 * gap.std() / np.sqrt(400)
    played = ml.evaluate(ml.make_reference("oracle", made), made, **settings).per_task[:, 0]  # type: ignore[arg-type]
    error = played - claimed
    assert abs(error.mean()) <= 4 * error.std() / np.sqrt(400) + 1e-4


def test_splits_drawn_with_one_seed_are_not_neighbours(name: str) -> None:
    """Different tasks, not the same ones moved by a rounding error; of a finite family, independent draws."""
    chosen = family(name)
    drawn = {}
    for split in ("train", "test", "ood"):
        tasks = chosen.sample_tasks(400, split, torch.Generator().manual_seed(0))
        rows = tensors(tasks)[0].double().reshape(400, -1)
        drawn[split] = rows - rows.mean(0)  # coordinates of unlike means correlate, however the tasks are drawn
    for one, other in (("train", "test"), ("train", "ood"), ("test", "ood")):
        pair = torch.stack((drawn[one].flatten(), drawn[other].flatten()))
        if not (chosen.finite and (pair.var(1) == 0).any()):  # an ood split of a single task correlates with nothing
            assert torch.corrcoef(pair)[0, 1].abs() < 0.2
