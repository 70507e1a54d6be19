"""What every task sampler promises, whatever the family and the learner."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from contract import cases
from contract.cases import FAMILIES, family, tensors, undocumented

import metarl_lab as ml
from metarl_lab.catalog import entries
from metarl_lab.rollout import seeded_generator
from metarl_lab.samplers.base import TaskSampler, features
from metarl_lab.tasks.base import Tasks

# Small values, so that a sampler that waits for scores before it chooses has chosen within a few iterations.
TINY: dict[str, Any] = {"start": 6, "pool": 24, "window": 20, "capacity": 10, "hidden": 6, "members": 3, "fit_steps": 3}
SAMPLERS = sorted(entries("samplers"))
N, ITERATIONS = 4, 6


def sampler(name: str) -> TaskSampler:
    """A small sampler."""
    known = entries("samplers")[name].Config.__dataclass_fields__  # type: ignore[attr-defined]
    return ml.make_sampler(name, **{key: value for key, value in TINY.items() if key in known})


def scored(tasks: Tasks, batches: int) -> torch.Tensor:
    """Made-up scores (T, B) that depend on the task."""
    x = features(tasks)
    return torch.stack([torch.sin(3 * x.sum(1)) + 0.3 * b * torch.cos(5 * x.sum(1)) for b in range(batches)], 1)


def act(acting: TaskSampler, family_name: str, iterations: range, batches: int = 2) -> list[Tasks]:
    """What it draws in these iterations, told of made-up scores after each."""
    drawn = []
    for i in iterations:
        drawn.append(acting.sample(family(family_name), N, seeded_generator("cpu", 3, i, 1)))
        acting.observe(drawn[-1], scored(drawn[-1], batches))
    return drawn


def equal(a: list[Tasks], b: list[Tasks]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_field_is_documented_and_frozen(name: str) -> None:
    chosen: Any = entries("samplers")[name]
    assert not undocumented(chosen.Config)
    assert chosen.Config.__dataclass_params__.frozen
    with pytest.raises(ValueError, match="has no option 'nothing'"):
        ml.make_sampler(name, nothing=1)


@pytest.mark.parametrize("family_name", FAMILIES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_tasks_are_the_familys_own_and_training_tasks(name: str, family_name: str) -> None:
    made = family(family_name)
    drawn = act(sampler(name), family_name, range(ITERATIONS))
    like = made.sample_tasks(N, "train", seeded_generator("cpu", 0))
    asked = []
    for tasks in drawn:
        assert type(tasks) is type(like)
        for x, y in zip(tensors(tasks), tensors(like), strict=True):
            assert x.shape == y.shape and x.dtype == y.dtype

    # whatever it draws, it asked the family for training tasks, and hands on nothing else
    class Watched:
        name = made.name

        def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> Tasks:
            asked.append((split, made.sample_tasks(n, split, generator)))
            return asked[-1][1]

    acting, seen = sampler(name), []
    for i in range(ITERATIONS):
        tasks = acting.sample(Watched(), N, seeded_generator("cpu", 3, i, 1))  # type: ignore[arg-type]
        acting.observe(tasks, scored(tasks, 2))
        seen.append(tasks)
    assert {split for split, _ in asked} == {"train"} and equal(drawn, seen)
    offered = {row.numpy().tobytes() for _, tasks in asked for row in features(tasks)}
    assert all(row.numpy().tobytes() in offered for tasks in seen for row in features(tasks))


@pytest.mark.parametrize("batches", [1, 2, 4])
@pytest.mark.parametrize("family_name", FAMILIES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_seed_is_the_same_choice_and_the_global_generator_rests(
    name: str, family_name: str, batches: int
) -> None:
    first = act(sampler(name), family_name, range(ITERATIONS), batches)
    torch.manual_seed(123)
    before = torch.get_rng_state()
    second = act(sampler(name), family_name, range(ITERATIONS), batches)
    assert equal(first, second)
    assert torch.equal(before, torch.get_rng_state()), "choosing drew from torch's global generator"


@pytest.mark.parametrize("family_name", FAMILIES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_the_state_is_all_there_is(name: str, family_name: str) -> None:
    """A sampler put back to a state goes on as the one it was taken from, bit for bit; and to before its first task."""
    whole = act(sampler(name), family_name, range(ITERATIONS))
    for stop in (0, 1, ITERATIONS // 2, ITERATIONS - 1):
        stopped = sampler(name)
        act(stopped, family_name, range(stop))
        state = {key: x.clone() for key, x in stopped.state().items()}
        act(stopped, family_name, range(stop, ITERATIONS))  # must not reach back into what was copied
        other = sampler(name)
        act(other, family_name, range(40, 43))  # has a past of its own, which must be forgotten
        other.load_state(state)
        rest = act(other, family_name, range(stop, ITERATIONS))
        assert equal(whole[stop:], rest), f"resumed after {stop}"


@pytest.mark.parametrize("name", SAMPLERS)
def test_nothing_that_it_is_given_is_changed_and_nothing_that_it_gave_is_kept(name: str) -> None:
    acting = sampler(name)
    act(acting, "bernoulli_bandit", range(3))
    tasks = acting.sample(family("bernoulli_bandit"), N, seeded_generator("cpu", 3, 3, 1))
    scores = scored(tasks, 2)
    copies = [x.clone() for x in (*tensors(tasks), scores)]
    acting.observe(tasks, scores)
    assert all(torch.equal(a, b) for a, b in zip(copies, (*tensors(tasks), scores), strict=True))
    before = {key: x.clone() for key, x in acting.state().items()}
    for x in (*tensors(tasks), scores):
        x.fill_(0)
    assert all(torch.equal(before[key], x) for key, x in acting.state().items())


@pytest.mark.parametrize("learner_name", ["rl2", "maml"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_run_resumed_equals_the_run_uninterrupted(name: str, learner_name: str, tmp_path: Any) -> None:
    made = family("bernoulli_bandit")

    def learner() -> Any:
        return cases.learner(learner_name, made, seed=1)

    quiet: dict[str, Any] = {"seed": 2, "device": "cpu", "progress": False}
    whole = ml.train(learner(), made, ITERATIONS, sampler=sampler(name), **quiet)
    ml.train(learner(), made, 3, sampler=sampler(name), out=tmp_path / "run", **quiet)
    resumed = ml.resume(tmp_path / "run", ITERATIONS, progress=False)
    for a, b in zip(whole.learner.state_dict().values(), resumed.learner.state_dict().values(), strict=True):
        assert torch.equal(a, b)
