"""MB-MPO: models that know their own task, and MAML on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.inner_loop import inner_loop
from metarl_lab.learners.maml import MAML, MAMLConfig
from metarl_lab.learners.mb_mpo import MBMPO, MBMPOConfig
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import Spec, map_tensors


class LinearTasks(NamedTuple):
    push: Tensor  # (T, 2) what a unit of action adds to the two numbers of the state
    price: Tensor  # (T,)


@dataclass(frozen=True)
class Linear(TaskFamily):
    """s' = s + A s + push a, reward price (s_1 + a): a model of it is a matrix."""

    name: ClassVar[str] = ""

    @property
    def spec(self) -> Spec:
        plane = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        return Spec(plane, gym.spaces.Box(-1, 1, (1,), np.float32), horizon=20, reset_noise=2)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> LinearTasks:
        draw = torch.rand(n, 3, generator=generator)
        return LinearTasks(draw[:, :2] - 0.5, 2 * draw[:, 2] - 1)

    def reset(self, tasks: LinearTasks, noise: Tensor) -> Tensor:
        return 2 * noise - 1

    def step(self, tasks: LinearTasks, state: Tensor, action: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        action = action.clamp(-1, 1)
        change = state @ torch.tensor([[-0.1, 0.2], [-0.2, -0.1]]) + action * tasks.push.unsqueeze(1)
        reward = tasks.price.unsqueeze(1) * (state[..., 0] + action[..., 0])
        return state + change, reward, torch.zeros_like(reward, dtype=torch.bool)

    def observe(self, tasks: LinearTasks, state: Tensor) -> Tensor:
        return state


FAMILY = Linear()
SMALL: dict[str, Any] = {
    "hidden": (8,), "model_hidden": (16,), "meta_batch": 4, "capacity": 6, "episodes": 4, "real_episodes": 6,
    "imagined_updates": 2, "gradient_steps": 600, "model_rate": 0.01,
}  # fmt: skip


def learner(**options: Any) -> MBMPO:
    torch.manual_seed(0)
    return MBMPO(FAMILY.spec, MBMPOConfig(**SMALL | options))


def tasks_of(n: int, seed: int) -> LinearTasks:
    return FAMILY.sample_tasks(n, "train", seeded_generator("cpu", seed))


def test_each_model_recovers_its_own_task_also_after_one_took_anothers_place() -> None:
    made, chance = learner(), seeded_generator("cpu", 1)
    first, second = tasks_of(4, 2), tasks_of(4, 3)
    errors = []
    for tasks in (first, second):
        made.remember(made.act_out(FAMILY, tasks, chance), chance)
        errors.append(made.fit(chance))
    # rows 0 to 3 were the first four; the second four took rows 4, 5, and then 0, 1
    now = map_tensors(lambda a, b: torch.stack((b[2], b[3], a[2], a[3], b[0], b[1])), first, second)
    models = made.models()
    state = torch.tensor([0.3, -0.4]).expand(6, 2, 2)
    action = torch.tensor([1.0, -1.0]).view(1, 2, 1).expand(6, 2, 1)
    told = made.model.predict(state, action, models.weights)
    after, reward, _ = FAMILY.step(now, state, action, action)
    torch.testing.assert_close(told.observation, after, atol=0.03, rtol=0)
    torch.testing.assert_close(told.reward, reward, atol=0.06, rtol=0)
    assert all(e["model_error"] < 0.01 < e["model_error_before"] for e in errors)
    assert models.start.shape == (6, 12, 2)
    assert torch.equal(models.start[:, 0], made._remembered()["observation"][:, 0])


def test_models_are_fitted_to_what_is_not_held_out_and_keep_their_best_weights() -> None:
    made, chance = learner(gradient_steps=500, look_every=10, patience=2, model_rate=0.1), seeded_generator("cpu", 1)
    made.remember(made.act_out(FAMILY, tasks_of(4, 2), chance), chance)
    rows = made._remembered()
    share = rows["held_out"].float().mean().item()
    assert share == pytest.approx(0.2, abs=0.05)
    before = made.held_out_error()
    values = made.fit(chance)
    after = made.held_out_error()
    assert (after < before).all()
    assert values["model_error"] == pytest.approx(after.mean().item(), abs=1e-6)
    assert values["model_error_before"] == pytest.approx(before.mean().item(), abs=1e-6)
    assert values["model_steps"] < 500  # at so large a step the error soon stops falling


def test_what_is_held_out_moves_no_weight() -> None:
    moments = []
    for spoil in (None, "held_out", "fitted"):
        made, chance = learner(gradient_steps=5), seeded_generator("cpu", 1)
        made.remember(made.act_out(FAMILY, tasks_of(4, 2), chance), chance)
        rows = made._remembered()  # views of what the buffer holds
        if spoil:
            rows["reward"][rows["held_out"] == (spoil == "held_out")] = 1e3
        made.fit(chance)
        moments.append([slots["exp_avg"] for slots in made.model_optimizer.state.values()])
    plain, held_out, fitted = moments
    assert all(torch.equal(a, b) for a, b in zip(plain, held_out, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(plain, fitted, strict=True))


def test_meta_training_is_maml_on_the_models() -> None:
    """The real episodes reach the policy through the models alone, and every model is a task of its own."""
    made, chance = learner(), seeded_generator("cpu", 1)
    tasks = tasks_of(4, 2)
    maml = MAML(FAMILY.spec, MAMLConfig(hidden=(8,), meta_batch=4, episodes=4))
    maml.network.load_state_dict(made.network.state_dict())
    metrics = made.update(FAMILY, tasks, chance)
    again, chance = learner(), seeded_generator("cpu", 1)
    again.remember(again.act_out(FAMILY, tasks, chance), chance)
    again.fit(chance)
    for _ in range(2):
        theirs = maml.update(again.imagined, again.models(), chance)
    for a, b in zip(made.network.parameters(), maml.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert metrics.values["imagined_return"] == pytest.approx(theirs.values["return"])
    assert metrics.values["env_steps"] == 2 * 4 * 6 * 20  # the real ones alone
    assert metrics.scores.shape == (4, 2)


def test_real_trials_are_acted_as_at_test_time() -> None:
    made = learner(inner_steps=2, real_episodes=4)
    tasks = tasks_of(4, 2)
    ours = made.act_out(FAMILY, tasks, seeded_generator("cpu", 1))
    theirs, _ = inner_loop(made, FAMILY, tasks, 2, seeded_generator("cpu", 1))
    assert len(ours) == 3
    assert all(torch.equal(a.action, b.action) for a, b in zip(ours, theirs, strict=True))


def test_a_models_weights_move_its_own_task_alone() -> None:
    made, chance = learner(), seeded_generator("cpu", 1)
    made.remember(made.act_out(FAMILY, tasks_of(4, 2), chance), chance)
    made.fit(chance)
    models, adapted = made.models(), []
    other = models._replace(weights={k: w.clone() for k, w in models.weights.items()})
    other.weights["bias1"][2] += 0.5
    for told in (models, other):
        trial = begin(made, made.imagined, told, 4)
        acted, trial = collect(made, made.imagined, told, trial, seeded_generator("cpu", 5))
        adapted.append(made.absorb(trial.memory, acted).parameters)
    for name, x in adapted[0].items():
        same = [torch.equal(x[t], adapted[1][name][t]) for t in range(4)]
        assert same == [True, True, False, True], name


def test_it_learns_from_few_real_steps() -> None:
    """Point navigation, 2400 real steps: a trial's third batch returns well above its first and random play."""
    family = ml.make_family("point_navigation", horizon=20)
    options = {"hidden": (16,), "model_hidden": (32,), "meta_batch": 5, "capacity": 10, "gradient_steps": 300}
    made = ml.make_learner("mb_mpo", family, seed=0, episodes=10, outer="ppo", learning_rate=3e-3, **options)
    trained = ml.train(made, family, iterations=6, seed=0, device="cpu", progress=False)
    assert trained.env_steps <= 2400
    curve = ml.evaluate(made, family, n_tasks=40, episodes=10, batches=3)
    random = ml.evaluate(ml.make_reference("random", family), family, n_tasks=40, episodes=10)
    print(curve.mean, random.mean)
    assert curve.mean[2] > curve.mean[0] + 1 and curve.mean[2] > random.mean[0] + 1


@pytest.mark.parametrize(
    ("wrong", "match"),
    [({"meta_batch": 21}, "meta_batch=21 is more than capacity=20"), ({"held_out": 1.0}, "held_out=1.0 leaves nothing"),
     ({"real_episodes": 0}, "real_episodes=0")],
)  # fmt: skip
def test_what_cannot_be_is_refused(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ml.make_learner("mb_mpo", ml.make_family("point_navigation"), **wrong)
