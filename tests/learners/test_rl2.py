"""RL2: what it trains on is what it saw, and credit flows where it should."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.learners.rl2 import RL2, RL2Config
from metarl_lab.nets.base import Sequences, sequences
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import Spec


class Clock(NamedTuple):
    at: Tensor


@dataclass(frozen=True)
class Countdown(TaskFamily):
    """Copy e of task t terminates after 1 + (t + e) mod 3 steps of 4; the last step pays 10 + its number."""

    name: ClassVar[str] = "countdown"

    @property
    def spec(self) -> Spec:
        return Spec(gym.spaces.Box(-1, 1, (1,), np.float32), gym.spaces.Discrete(2), 4, episodes=3, terminates=True)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> Any:
        return (torch.arange(n),)

    def _length(self, tasks: Any, at: Tensor) -> Tensor:
        return 1 + (tasks[0][:, None] + torch.arange(at.shape[1])) % 3

    def reset(self, tasks: Any, noise: Tensor) -> Clock:
        return Clock(torch.zeros(noise.shape[:2]))

    def step(self, tasks: Any, state: Clock, action: Tensor, noise: Tensor) -> tuple[Clock, Tensor, Tensor]:
        done = state.at + 1 >= self._length(tasks, state.at)
        return Clock(state.at + 1), torch.where(done, 11 + state.at, state.at / 4), done

    def observe(self, tasks: Any, state: Clock) -> Tensor:
        return state.at[..., None] / 4


def play(episodes: int = 3) -> tuple[RL2, Any, Any]:
    torch.manual_seed(1)
    family = Countdown()
    learner = RL2(family.spec, RL2Config(hidden=8, meta_batch=5, minibatches=1))
    generator = torch.Generator().manual_seed(0)
    tasks = family.sample_tasks(5, "train", generator)
    acted, trial = collect(learner, family, tasks, begin(learner, family, tasks, 2), generator, episodes)
    return learner, acted, trial


def test_training_passes_through_the_hidden_states_that_acted() -> None:
    """Also where copies finish at different steps: finished ones keep their state until the next episode."""
    learner, acted, trial = play()
    batch = sequences(learner.spec, acted)
    hidden, _ = learner.net.core.unroll(batch.x, learner.net.core.initial(10))
    last_live = batch.live.sum(0) - 1  # (B,)
    final = hidden[last_live, torch.arange(10)]
    torch.testing.assert_close(final, trial.memory.hidden.flatten(0, 1), rtol=1e-5, atol=1e-6)


def test_the_terminal_reward_is_seen_at_the_first_step_of_the_next_episode() -> None:
    learner, acted, _ = play()
    batch = sequences(learner.spec, acted)
    reward_seen, start = batch.x[..., -2], batch.x[..., -1]
    lengths = acted.mask.sum(-1).flatten(0, 1)  # (B, K)
    for b in range(10):
        first_of_second = int(lengths[b, 0])
        assert start[first_of_second, b] == 1
        assert reward_seen[first_of_second, b] == 10 + lengths[b, 0]  # the reward that ended episode one
    assert start[: 3 * 4][batch.live].sum() == 3 * 10  # one start flag an episode, none lost
    assert (reward_seen[0] == 0).all() and (start[0] == 1).all()


def test_a_trial_continues_over_calls_of_collect() -> None:
    """Three episodes in one call, or in three calls: the same last transition is seen, the trial is one."""
    learner, acted, trial = play(episodes=1)
    family = Countdown()
    tasks = family.sample_tasks(5, "train", torch.Generator())
    more, _ = collect(learner, family, tasks, trial, torch.Generator().manual_seed(5), 1)
    batch = sequences(learner.spec, more)
    assert torch.equal(batch.x[0, :, -2], 10 + acted.mask.sum(-1).flatten().float())


def test_credit_crosses_episodes_and_stops_at_the_end_of_the_trial() -> None:
    learner, acted, _ = play()
    batch = sequences(learner.spec, acted)
    value = torch.zeros_like(batch.reward)
    learner.config = RL2Config(hidden=8, meta_batch=5, minibatches=1, lam=1.0, discount=1.0)
    _, target = learner._advantages(batch, value)
    # with lambda and discount 1 and no values, every live step is credited with all rewards that follow in its trial
    expected = batch.reward.flip(0).cumsum(0).flip(0)
    torch.testing.assert_close(target[batch.live], expected[batch.live])


def test_masked_steps_do_not_touch_the_loss() -> None:
    learner, acted, _ = play()
    batch = sequences(learner.spec, acted)
    log_prob, value, state = learner._score(batch)
    advantage, target = learner._advantages(batch, value)
    loss, _ = learner._loss((batch, log_prob, advantage, target, state))
    dead = ~batch.live
    x = torch.where(dead[..., None], 1e3, batch.x)
    moved = Sequences(x, torch.where(dead, 1, batch.action), torch.where(dead, 1e3, batch.reward), batch.live)
    again, _ = learner._loss((moved, torch.where(dead, 5.0, log_prob), advantage, target, state))
    assert loss.item() == again.item()


def test_it_learns_a_two_armed_bandit() -> None:
    """A verdict, not a figure: after 40 small iterations clearly above chance, 5, and below exact Bayes, 6.0218."""
    family = ml.make_family("bernoulli_bandit", arms=2, horizon=10)
    learner = ml.make_learner("rl2", family, seed=0, hidden=32, meta_batch=300, entropy=0.0)
    ml.train(learner, family, iterations=40, seed=0, device="cpu", progress=False)
    curve = ml.evaluate(learner, family, n_tasks=4000)
    assert curve.low[0] > 5.4
    assert curve.low[0] < 6.0218


def test_schedules_start_in_the_second_half_and_arrive() -> None:
    spec = Countdown().spec
    config = RL2Config(meta_batch=8, decay_iterations=10, discount=0.9, late_discount=1.0, lam=0.2, late_lam=0.8)
    learner = RL2(spec, config)
    seen = []
    for updates in (0, 5, 10, 20):
        learner.updates.fill_(updates)
        seen.append(learner._horizon())
    np.testing.assert_allclose(seen, [(0.9, 0.2), (0.9, 0.2), (1.0, 0.8), (1.0, 0.8)])
    assert RL2(spec, RL2Config(meta_batch=8, decay_iterations=10))._horizon() == (0.99, 0.3)
