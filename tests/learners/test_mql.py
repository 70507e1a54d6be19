"""MQL: contexts in training are those that acted, what each copy's heads learn from, and values known exactly."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.learners.mql import MQL, MQLMemory
from metarl_lab.nets.base import encode_seen
from metarl_lab.nets.trial_context import trial_rows
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.runs.agents import save_agent
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import Seen, Spec, map_tensors


class Good(NamedTuple):
    number: Tensor  # (T,)


@dataclass(frozen=True)
class Levers(TaskFamily):
    """One state and three levers. Lever a pays ``pay[a]``, and ``bonus`` if it is the task's; ``ending`` terminates.

    ``box``: the action is a number on -1 .. 3 instead; it pays less ``bonus`` times its distance from the task's.
    """

    name: ClassVar[str] = "levers"
    pay: tuple[float, ...] = (0.0, 0.0, 0.0)
    bonus: float = 1.0
    ending: int = -1
    shift: float = 0.0  # of the training reward
    box: bool = False
    counted: bool = False  # the observation is the step

    @property
    def spec(self) -> Spec:
        seen, moves = gym.spaces.Box(0, 1e6, (1,), np.float32), gym.spaces.Box(-1, 3, (1,), np.float32)
        actions = moves if self.box else gym.spaces.Discrete(3)
        return Spec(seen, actions, 4, episodes=3, terminates=self.ending >= 0)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> Any:
        return Good(torch.randint(3, (n,), generator=generator))

    def reset(self, tasks: Any, noise: Tensor) -> Any:
        return (torch.zeros(noise.shape[:2]),)

    def step(self, tasks: Any, state: Any, action: Tensor, noise: Tensor) -> tuple[Any, Tensor, Tensor]:
        good = tasks.number.unsqueeze(1)
        if self.box:
            reward = -self.bonus * (action.squeeze(-1) - good).abs()
            return (state[0] + 1,), reward, torch.zeros_like(reward, dtype=torch.bool)
        reward = torch.tensor(self.pay)[action] + self.bonus * (action == good)
        return (state[0] + 1,), reward, action == self.ending

    def observe(self, tasks: Any, state: Any) -> Tensor:
        return self.counted * state[0].unsqueeze(-1)

    def training_reward(self, tasks: Any, episodes: Any) -> Tensor:
        return episodes.reward + self.shift * episodes.mask


SMALL = {"hidden": (16,), "units": 12, "meta_batch": 6, "capacity": 6, "batch_tasks": 6, "gradient_steps": 4,
    "kept": 40, "old_batch": 30}  # fmt: skip


def learner(family: TaskFamily, trained: bool = False, **options: Any) -> MQL:
    made: MQL = ml.make_learner("mql", family, seed=1, **SMALL | options)  # type: ignore[assignment]
    if trained:
        made.update(family, tasks_of(family, 6), seeded_generator("cpu", 4))
    return made


def tasks_of(family: TaskFamily, n: int) -> Any:
    return family.sample_tasks(n, "train", seeded_generator("cpu", 1))


def acted(made: MQL, family: TaskFamily, n: int = 5, copies: int = 2, noisy: bool = True) -> tuple[Any, Any]:
    tasks = tasks_of(family, n)
    trial = begin(made, family, tasks, copies)
    if noisy:  # else an untrained policy may pull one lever only, and terminate at once
        trial = trial._replace(memory=trial.memory._replace(greedy=torch.zeros_like(trial.memory.greedy)))
    return collect(made, family, tasks, trial, seeded_generator("cpu", 2), 3)


def tensors(tree: Any) -> list[Tensor]:
    found: list[Tensor] = []
    map_tensors(lambda x: (found.append(x), x)[1], tree)  # type: ignore[func-returns-value]
    return found


def same(a: Any, b: Any) -> bool:
    return all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))


class Watching:
    """Notes the state of each step as it is acted."""

    shares_memory = False

    def __init__(self, made: MQL) -> None:
        self.made, self.noise_size, self.contexts = made, made.noise_size, []  # type: ignore[var-annotated]

    def begin(self, n: int, copies: int) -> MQLMemory:
        return self.made.begin(n, copies)._replace(greedy=torch.zeros(n, copies, dtype=torch.bool))

    def act(self, memory: MQLMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, MQLMemory]:
        action, after = self.made.act(memory, seen, noise)
        self.contexts.append(torch.cat((seen.observation, after.hidden), -1))
        return action, after

    def absorb(self, memory: MQLMemory, episodes: Any) -> MQLMemory:
        return memory


@pytest.mark.parametrize(
    "family", [Levers(counted=True), Levers(ending=1, counted=True), Levers(box=True, counted=True)]
)
def test_training_passes_through_the_states_that_acted(family: Levers) -> None:
    """Also of a second batch, from the state in which the first one left the trial; and what follows is one step on."""
    made = learner(family, exploration=0.9)
    watching, tasks = Watching(made), tasks_of(family, 5)
    trial, entry = begin(watching, family, tasks, 2), None
    for batch in range(2):
        watching.contexts.clear()
        episodes, after = collect(watching, family, tasks, trial, seeded_generator("cpu", 2, batch + 1), 3)
        rows = trial_rows(family.spec, episodes, episodes.reward)
        flat = {k: x.flatten(0, 1) for k, x in rows.items()}
        state, then = (x.unflatten(0, (5, 2)) for x in made.context(flat, entry))
        seen = torch.stack(watching.contexts, 2)  # (T, E, K H, ...)
        mask, live = episodes.mask.flatten(2), rows["live"]
        assert mask.all() == (family.ending < 0) and torch.equal(mask.sum(2), live.sum(2))
        for t in range(5):
            for e in range(2):
                torch.testing.assert_close(seen[t, e][mask[t, e]], state[t, e][live[t, e]], rtol=1e-5, atol=1e-6)
                # within an episode the state that followed is the next one; the last one's is no step of the trial
                inner = torch.ones_like(episodes.mask[t, e])
                inner[..., -1] = False
                inner &= ~episodes.terminated[t, e]
                at = inner.flatten()[mask[t, e]].nonzero().squeeze(1)
                torch.testing.assert_close(then[t, e][at], state[t, e][at + 1], rtol=1e-5, atol=1e-6)
        last = live.sum(2).flatten() - 1
        final = Seen(episodes.final_observation[:, :, -1], after.action, after.reward, torch.zeros(5, 2).bool(), 3)
        expected, _ = made.context.core.step(encode_seen(family.spec, final).flatten(0, 1),
            (after.memory.hidden.flatten(0, 1),))  # fmt: skip
        torch.testing.assert_close(then.flatten(0, 1)[torch.arange(10), last][:, 1:], expected, rtol=1e-5, atol=1e-6)
        assert torch.equal(after.memory.entry, trial.memory.entry)
        trial = after._replace(memory=made.absorb(after.memory, episodes))
        assert torch.equal(trial.memory.entry, after.memory.hidden)
        entry = trial.memory.entry.flatten(0, 1)


@pytest.mark.parametrize("family", [Levers(counted=True), Levers(ending=1, counted=True)])
def test_a_later_batch_adapts_on_the_states_that_acted_it(family: Levers, monkeypatch: pytest.MonkeyPatch) -> None:
    made = learner(family, exploration=0.9, old_steps=0)
    watching, tasks, given = Watching(made), tasks_of(family, 5), []
    trial, adapted = begin(watching, family, tasks, 2), made.net.adapted
    monkeypatch.setattr(made.net, "adapted", lambda start, batches, *rest: given.append(batches) or adapted(start,
        batches, *rest))  # fmt: skip
    for batch in range(2):
        watching.contexts.clear()
        episodes, trial = collect(watching, family, tasks, trial, seeded_generator("cpu", 2, batch + 1), 3)
        trial = trial._replace(memory=made.absorb(trial.memory, episodes))
        seen, mask = torch.stack(watching.contexts, 2).flatten(0, 1), episodes.mask.flatten(2).flatten(0, 1)
        learned = given[-1][0]
        for n in range(10):
            live = learned.weight[n] > 0
            torch.testing.assert_close(learned.state[n][live], seen[n][mask[n]], rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(learned.weight[n][live], torch.full((int(live.sum()),), 1 / int(live.sum())))


def test_what_is_kept_is_encoded_by_the_context_that_will_act() -> None:
    family = Levers(counted=True)
    made = learner(family, trained=True, kept=100)
    state, action, target, live = made.solved(made.replay.sample(6, seeded_generator("cpu", 3)))
    there = torch.cat((state, action.unsqueeze(-1), target.unsqueeze(-1)), -1)[live]
    kept = torch.cat((made.kept.state, made.kept.action.unsqueeze(-1), made.kept.target.unsqueeze(-1)), -1)
    assert (kept.unsqueeze(1) - there).abs().amax(-1).amin(1).max() < 1e-5


@pytest.mark.parametrize("family", [Levers(), Levers(box=True)])
def test_no_steps_leave_the_meta_trained_heads_and_steps_move_each_copys_own(family: Levers) -> None:
    made = learner(family, trained=True)
    episodes, trial = acted(made, family)
    config = made.config
    made.config = replace(config, new_steps=0, old_steps=0)
    still = made.absorb(trial.memory, episodes)
    assert still.heads is None and torch.equal(still.hidden, trial.memory.hidden)
    for kind in ({"new_steps": 3, "old_steps": 0}, {"new_steps": 0, "old_steps": 3}, {"new_steps": 2, "old_steps": 3}):
        made.config = replace(config, **kind)
        before = [x.clone() for x in made.state_dict().values()]
        memory = made.absorb(trial.memory, episodes)
        assert all(x.shape[:2] == (5, 2) and not x.requires_grad for x in tensors(memory))
        # one copy's rewards: its own heads alone
        reward = episodes.reward.clone()
        reward[3, 1, :, :2] += 1
        changed = made.absorb(trial.memory, episodes._replace(reward=reward))
        elsewhere = torch.ones(5, 2, dtype=torch.bool)
        elsewhere[3, 1] = False
        pairs = list(zip(tensors(memory.heads), tensors(changed.heads), strict=True))
        assert all(torch.equal(a[elsewhere], b[elsewhere]) for a, b in pairs)
        # 0 new steps: the reward still says which old data is like it
        assert any(not torch.equal(a[3, 1], b[3, 1]) for a, b in pairs)
        assert all(torch.equal(a, b) for a, b in zip(before, made.state_dict().values(), strict=True))
        # a copy alone
        one = map_tensors(lambda x: x[3:4, 1:2], trial.memory)
        alone = made.absorb(one, episodes._replace(**{k: x[3:4, 1:2] for k, x in episodes._asdict().items()
            if k != "before"}, before=tuple(x[3:4, 1:2] for x in episodes.before)))  # fmt: skip
        for a, b in zip(tensors(alone.heads), tensors(memory.heads), strict=True):
            torch.testing.assert_close(a[0, 0], b[3, 1], rtol=1e-3, atol=2e-4)


def test_it_acts_by_its_own_heads_once_it_has_them() -> None:
    family = Levers(box=True)
    made = learner(family, trained=True, new_steps=20, adapt_rate=0.03, old_steps=0)
    episodes, trial = acted(made, family)
    memory = made.absorb(trial.memory, episodes)
    seen = Seen(torch.zeros(5, 2, 1), trial.action, trial.reward, torch.ones(5, 2, dtype=torch.bool), 0)
    noise, greedy = torch.full((5, 2, 1), 0.3), torch.ones(5, 2, dtype=torch.bool)
    shared = made.act(trial.memory._replace(greedy=greedy), seen, noise)[0]
    own = made.act(memory._replace(greedy=greedy), seen, noise)[0]
    assert not torch.allclose(shared, own, atol=1e-3)
    swapped = memory._replace(greedy=greedy, heads=map_tensors(lambda w: w.flip(0), memory.heads))
    assert not torch.allclose(made.act(swapped, seen, noise)[0], own, atol=1e-4)
    # two batches: adaptation goes on from where it is
    twice = made.absorb(memory, episodes)
    assert not same(twice.heads, memory.heads)


def test_old_data_unlike_the_new_tasks_weighs_less_and_holds_the_weights_nearer() -> None:
    """Trials of two kinds, told apart by the reward in the context: the task's own kind gets the weight."""
    family = Levers(bonus=3.0)
    made = learner(family, trained=True, kept=400, ridge=1e-4)
    family_rows = acted(made, family, n=40, copies=1)[0]
    low = family_rows._replace(reward=torch.zeros_like(family_rows.reward))
    high = family_rows._replace(reward=torch.full_like(family_rows.reward, 3.0))

    def solved(episodes: Any) -> Any:
        return made.solved({k: x[:, 0] for k, x in trial_rows(family.spec, episodes, episodes.reward).items()})

    both = [torch.cat(pair) for pair in zip(solved(low), solved(high), strict=True)]
    made.kept.fill(*both, seeded_generator("cpu", 5))
    fresh = solved(high)
    beta, near = made.likeness(fresh[0], fresh[3])
    context = made.kept.state
    from_high = (context.unsqueeze(1) - solved(high)[0].flatten(0, 1)).abs().sum(-1).amin(1) < 1e-6
    from_low = (context.unsqueeze(1) - solved(low)[0].flatten(0, 1)).abs().sum(-1).amin(1) < 1e-6
    assert beta[:, from_high & ~from_low].mean() > 5 * beta[:, from_low & ~from_high].mean()
    # the whole of the old data as the new: no task is unlike it
    mixed = made.likeness(torch.cat([x.flatten(0, 1) for x in both[:1]]).unsqueeze(0), both[3].flatten().unsqueeze(0))
    assert float(mixed[1]) < 0.1 < float(near.mean()) and float(near.max()) < 1
    made.config = replace(made.config, propensity=False)
    assert (made.likeness(fresh[0], fresh[3])[0] == 1).all()


def test_where_another_reward_was_maximised_new_data_fits_no_q_functions() -> None:
    family = Levers(shift=-7.0, box=True)
    made = learner(family, trained=True)
    assert bool(made.kept.guided) and not bool(learner(Levers(box=True), trained=True).kept.guided)
    assert made.kept.target.mean() < -6
    episodes, trial = acted(made, family)
    made.config = replace(made.config, old_steps=0)
    assert made.absorb(trial.memory, episodes).heads is None
    made.config = replace(made.config, old_steps=2)
    assert made.absorb(trial.memory, episodes).heads is not None


def test_a_stored_agent_adapts_as_the_one_that_trained(tmp_path: Path) -> None:
    """With the transitions that it keeps: the replay buffer is left behind."""
    family = ml.make_family("point_navigation", horizon=5)
    made: Any = ml.make_learner("mql", family, seed=1, **SMALL)
    made.update(family, family.sample_tasks(6, "train", seeded_generator("cpu", 1)), seeded_generator("cpu", 2))
    score = {"mean": 0.0, "low": 0.0, "high": 0.0, "measured": "nothing"}
    card = {"command": "none", "seeds": [0], "device": "cpu", "wall_seconds": 1.0, "env_steps": 1, "score": score}
    save_agent(tmp_path / "agent", made, family, card)
    loaded, _, _ = ml.load(tmp_path / "agent")
    assert loaded.replay.size == 0 and made.replay.size == 6  # type: ignore[attr-defined]
    curves = [ml.evaluate(agent, family, n_tasks=5, batches=3) for agent in (made, loaded)]
    assert np.array_equal(curves[0].per_task, curves[1].per_task)
    made.config = replace(made.config, new_steps=0, old_steps=0)
    without = ml.evaluate(made, family, n_tasks=5, batches=3)
    assert np.array_equal(without.per_task[:, 0], curves[0].per_task[:, 0])
    assert not np.array_equal(without.per_task[:, 1:], curves[0].per_task[:, 1:])


def test_before_meta_training_it_adapts_on_new_data_alone() -> None:
    family = Levers(box=True)
    made = learner(family)
    episodes, trial = acted(made, family)
    assert made.absorb(trial.memory, episodes).heads is not None
    made.config = replace(made.config, new_steps=0)
    assert made.absorb(trial.memory, episodes).heads is None


def test_values_of_one_state_are_exact_through_truncation_and_end_at_termination() -> None:
    """Q(a) = pay(a) + discount (1 - ends(a)) max Q, in episodes of 4 steps; lever 1 ends.

    Without bootstrapping through truncation Q(0) would be 0.5 at the last step, and 1.5 or less at the first.
    """
    family = Levers(pay=(0.5, 1.0, 0.2), bonus=0.0, ending=1)
    made = learner(family, discount=0.8, exploration=0.6, gradient_steps=100, target_rate=0.1, learning_rate=5e-3,
        meta_batch=16, capacity=64, batch_tasks=16)  # fmt: skip
    for step, rate in enumerate((5e-3,) * 4 + (5e-4,) * 2):
        made.critic_optimizer.param_groups[0]["lr"] = rate
        made.update(family, tasks_of(family, 16), seeded_generator("cpu", step, 2))
    episodes, _ = acted(made, family, n=50)
    rows = {k: x.flatten(0, 1) for k, x in trial_rows(family.spec, episodes, episodes.reward).items()}
    state, _ = made.context(rows)
    live = rows["live"]
    for action, exact in ((0, 0.5 / 0.2), (1, 1.0), (2, 0.2 + 0.8 * 0.5 / 0.2)):
        q = made.net.q(made.net.heads(), state[live].unsqueeze(0), torch.full((1, int(live.sum())), action))
        assert q.mean().item() == pytest.approx(exact, abs=0.15), action


@pytest.mark.parametrize("box", [False, True])
def test_it_learns_to_use_its_context(box: bool) -> None:
    """A policy without a memory earns 4/3 of 4 (levers), -8/3 (box); the first try of a trial is a guess."""
    family = Levers(box=box)
    made = learner(family, hidden=(32, 32), units=24, meta_batch=16, capacity=160, batch_tasks=16, gradient_steps=40,
        learning_rate=5e-3, discount=0.5, exploration=0.3, target_rate=0.05)  # fmt: skip
    ml.train(made, family, iterations=16, seed=0, device="cpu", progress=False)
    curve = ml.evaluate(made, family, n_tasks=200, episodes=1, batches=3)
    bar = -1.6 if box else 3.5
    assert curve.mean[2] > bar, curve


def test_mistakes_are_refused() -> None:
    for name in ("kept", "ridge", "policy_delay", "adapt_rate"):
        with pytest.raises(ValueError, match=name):
            learner(Levers(), **{name: 0})
