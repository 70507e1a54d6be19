"""RL2: what it trains on is what it saw, and credit flows where it should."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
import torch
from contract import cases
from contract import test_contract_agents as agents
from contract import test_contract_learners as learners
from torch import Tensor

import metarl_lab as ml
from metarl_lab.learners.rl2 import RL2, RL2Config, Rows
from metarl_lab.nets.base import Sequences, segments, sequences
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import Episodes, Spec


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


CORES = [
    pytest.param({"core": core, "truncate": truncate, "context": context}, id=f"{core}-{truncate}-{context}")
    for core, truncate, context in (
        ("gru", 0, 0), ("gru", 3, 0), ("lstm", 0, 0), ("lstm", 3, 0),
        ("transformer", 0, 0), ("transformer", 3, 0), ("transformer", 0, 3), ("transformer", 4, 3),
    )
]  # fmt: skip
SOME = [CORES[i] for i in (1, 2, 5, 6)]  # each core, each way to cut
FAMILIES = {
    "countdown": Countdown(),
    "cartpole": ml.make_family("cartpole", horizon=30),
    "point_navigation": ml.make_family("point_navigation", horizon=8),  # continuous, never terminates
}


def make(family: TaskFamily, **config: Any) -> RL2:
    torch.manual_seed(1)
    learner = RL2(family.spec, RL2Config(**{"hidden": 8, "meta_batch": 5, "minibatches": 1, **config}))
    with torch.no_grad():
        learner.net.policy.weight.mul_(100)  # a policy that hears what the core says
    return learner


def play(episodes: int = 3, family: TaskFamily | None = None, **config: Any) -> tuple[RL2, Any, Any]:
    family = family or FAMILIES["countdown"]
    learner = make(family, **config)
    generator = torch.Generator().manual_seed(0)
    tasks = family.sample_tasks(5, "train", generator)
    acted, trial = collect(learner, family, tasks, begin(learner, family, tasks, 2), generator, episodes)
    return learner, acted, trial


class Recorder:
    """Acts as a learner does and keeps the states it acted from, one per call, each (T, E, ...)."""

    shares_memory = False

    def __init__(self, learner: RL2) -> None:
        self.learner, self.noise_size = learner, learner.noise_size
        self.begin, self.absorb = learner.begin, learner.absorb
        self.before: list[tuple[Tensor, ...]] = []

    def act(self, memory: Any, seen: Any, noise: Tensor) -> Any:
        self.before.append((memory.hidden, *memory.rest))
        return self.learner.act(memory, seen, noise)


@pytest.mark.parametrize("config", CORES)
@pytest.mark.parametrize("family_name", FAMILIES)
def test_training_passes_through_the_states_that_acted(family_name: str, config: dict[str, Any]) -> None:
    """At every cut, and at the end; also where copies finish at different steps and wait for the next episode."""
    family = FAMILIES[family_name]
    learner = make(family, **config)
    recorder, generator = Recorder(learner), torch.Generator().manual_seed(0)
    tasks = family.sample_tasks(5, "train", generator)
    acted, trial = collect(recorder, family, tasks, begin(recorder, family, tasks, 2), generator, 3)
    batch = sequences(learner.spec, acted)
    length, lengths = len(batch.x), batch.live.sum(0)  # (B,)
    steps = config["truncate"] or length
    _, _, stored = learner._score(batch)
    # the state before live step t of trial b, found among those recorded (K H, B, ...), then the one after the last
    order = torch.argsort((~acted.mask.movedim((2, 3), (0, 1)).flatten(0, 1).flatten(1, 2)).int(), dim=0, stable=True)
    checked = 0
    for i, final in enumerate((trial.memory.hidden, *trial.memory.rest)):
        recorded = torch.stack([y[i].flatten(0, 1) for y in recorder.before])
        by_segment = stored[i][0].unflatten(0, (-1, 10))
        for s in range(len(by_segment)):
            for b in torch.nonzero(s * steps < lengths).flatten().tolist():
                was = recorded[order[s * steps, b], b]
                torch.testing.assert_close(by_segment[s, b], was, rtol=1e-5, atol=1e-5)
                checked += 1
        for b, n in enumerate(lengths.tolist()):
            _, after = learner.net.core.unroll(batch.x[:n, b : b + 1], learner.net.core.initial(1))
            torch.testing.assert_close(after[i][0], final.flatten(0, 1)[b], rtol=1e-5, atol=1e-5)
    assert checked >= 10


@pytest.mark.parametrize("config", SOME)
@pytest.mark.parametrize("family_name", FAMILIES)
def test_cutting_a_trial_changes_its_gradient_and_nothing_else(family_name: str, config: dict[str, Any]) -> None:
    """One step on one batch: the loss at the weights that acted is that of whole trials. Advantages are the trial's."""
    family, found = FAMILIES[family_name], []
    for truncate in (0, 3, 1000):
        learner = make(family, **{**config, "truncate": truncate, "epochs": 1, "entropy": 0.1})
        generator = torch.Generator().manual_seed(0)
        metrics = learner.update(family, family.sample_tasks(5, "train", generator), generator)
        assert metrics.values["kl"] < 1e-9, "the policy that is trained is not the one that acted"
        found.append((metrics.values, learner.net.core.state_dict()))
    (whole, weights), *cut, (one_piece, same) = found
    for values, _ in cut:
        for key in ("value_loss", "entropy", "return"):
            assert values[key] == pytest.approx(whole[key], rel=1e-5), key
    assert one_piece == pytest.approx(whole, rel=1e-5, abs=1e-7)
    assert any(not torch.allclose(a, cut[0][1][k]) for k, a in weights.items()), "no gradient stopped at the cut"
    for k, a in weights.items():
        torch.testing.assert_close(a, same[k], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("config", CORES)
def test_gradients_stop_at_the_cut_and_at_the_end_of_the_trial(config: dict[str, Any]) -> None:
    """The loss of one trial's last steps, by the input of every step of every trial."""
    learner, acted, _ = play(family=FAMILIES["point_navigation"], episodes=2, **config)
    batch = sequences(learner.spec, acted)
    _, _, stored = learner._score(batch)
    steps, length = config["truncate"] or len(batch.x), len(batch.x)
    x = batch.x.clone().requires_grad_()
    out, _ = learner.net.core.unroll(segments(x, steps), tuple(y[0] for y in stored))
    out = out.unflatten(1, (-1, 10)).transpose(0, 1).flatten(0, 1)[:length]
    (to_input,) = torch.autograd.grad(out[-1, 4].square().sum(), x)
    reached = (to_input != 0).any(-1)
    assert not reached[:, [b for b in range(10) if b != 4]].any(), "credit crossed from trial to trial"
    first = (length - 1) // steps * steps
    assert not reached[:first, 4].any()
    window = 2 * getattr(learner.net.core, "context", length) - 1  # two blocks of ``context`` steps each
    assert reached[max(first, length - window, 0) :, 4].all(), "credit does not cross episodes"


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


@pytest.mark.parametrize("config", CORES)
def test_masked_steps_do_not_touch_the_loss(config: dict[str, Any]) -> None:
    learner, acted, _ = play(**{**config, "truncate": 0})
    batch = sequences(learner.spec, acted)
    log_prob, value, state = learner._score(batch)
    advantage, target = learner._advantages(batch, value)
    loss, _ = learner._loss(Rows(batch, log_prob, advantage, target, state), entropy_weight=0.1)
    dead = ~batch.live
    x = torch.where(dead[..., None], 1e3, batch.x)
    moved = Sequences(x, torch.where(dead, 1, batch.action), torch.where(dead, 1e3, batch.reward), batch.live)
    rows = Rows(moved, torch.where(dead, 5.0, log_prob), advantage, target, state)
    again, _ = learner._loss(rows, entropy_weight=0.1)
    assert loss.item() == again.item()


@dataclass(frozen=True)
class Guided(Countdown):
    """A countdown that pays nothing, and guides by its clock."""

    name: ClassVar[str] = "guided"

    def step(self, tasks: Any, state: Clock, action: Tensor, noise: Tensor) -> tuple[Clock, Tensor, Tensor]:
        state, reward, done = super().step(tasks, state, action, noise)
        return state, torch.zeros_like(reward), done

    def training_reward(self, tasks: Any, episodes: Episodes) -> Tensor:
        return 1 + episodes.observation[..., 0]  # also where the step is not live


def test_training_maximises_the_training_reward_and_the_core_sees_the_true_one() -> None:
    family, generator = Guided(), torch.Generator().manual_seed(0)
    learner = make(family)
    tasks = family.sample_tasks(5, "train", generator)
    acted, _ = collect(learner, family, tasks, begin(learner, family, tasks, 2), generator, 3)
    batch = sequences(learner.spec, acted, family.training_reward(tasks, acted))
    assert (batch.x[..., -2] == 0).all() and (batch.reward[~batch.live] == 0).all()
    assert torch.equal(batch.reward[batch.live], 1 + batch.x[..., 0][batch.live])
    assert learner.update(family, tasks, generator).values["return"] == 0
    assert learner.value_scale > 0.1  # the spread of guided returns; of the true ones it is the floor, 0.001


def test_a_longer_trial_than_the_window_can_be_played() -> None:
    learner, acted, trial = play(episodes=9, core="transformer", context=4)
    assert acted.reward.shape[2] == 9 and trial.memory.hidden.shape[-2] == 4
    assert (trial.memory.rest[-1] == acted.mask.sum((2, 3))).all()  # the live steps that each copy saw


PROMISES = {
    f.__name__: f
    for f in (
        learners.test_the_same_seed_is_the_same_update_and_the_global_generator_rests,
        learners.test_a_stored_state_gives_the_same_next_updates,
        learners.test_optimisers_hold_the_very_parameters_that_act,
        agents.test_memory_has_its_axes,
        agents.test_nothing_is_changed_in_place,
        agents.test_a_tasks_rewards_move_only_its_own_row_of_memory,
        agents.test_adding_tasks_changes_nothing_for_those_there,
    )
}


@pytest.mark.parametrize("config", SOME)
@pytest.mark.parametrize("promise", PROMISES)
def test_every_core_keeps_the_contract(promise: str, config: dict[str, Any], monkeypatch: Any) -> None:
    for key, value in config.items():
        monkeypatch.setitem(cases.TINY, key, value)
    kind = {"kind": "learners"} if PROMISES[promise].__module__.endswith("agents") else {}
    PROMISES[promise](**kind, name="rl2", family_name="cartpole")


@pytest.mark.parametrize("config", SOME)
def test_every_core_resumes_bit_for_bit(config: dict[str, Any], monkeypatch: Any, tmp_path: Path) -> None:
    for key, value in config.items():
        monkeypatch.setitem(cases.TINY, key, value)
    learners.test_a_run_resumes_bit_for_bit("rl2", "cartpole", tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"core": "rnn"}, "choose gru, lstm or transformer"), ({"truncate": -1}, "0 for whole trials"),
     ({"core": "transformer", "hidden": 12}, "multiple of 2 heads")],
)  # fmt: skip
def test_what_cannot_be_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(FAMILIES["countdown"], **wrong)


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
    late = {"late_discount": 1.0, "late_lam": 0.8, "late_entropy": 0.0}
    learner = RL2(spec, RL2Config(meta_batch=8, decay_iterations=10, discount=0.9, lam=0.2, entropy=0.4, **late))
    seen = []
    for updates in (0, 5, 8, 20):
        learner.updates.fill_(updates)
        seen.append(learner._schedule())
    np.testing.assert_allclose(seen, [(0.9, 0.2, 0.4), (0.9, 0.2, 0.4), (0.96, 0.56, 0.16), (1.0, 0.8, 0.0)])
    steady = RL2(spec, RL2Config(meta_batch=8, decay_iterations=10))
    steady.updates.fill_(10)
    assert steady._schedule() == (0.99, 0.3, 0.003)
