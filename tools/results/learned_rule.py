"""A learned update rule against rules written by hand, on families that it never met.

    python tools/results/learned_rule.py              # data/results/learned_rule.csv, about four CPU minutes
    python tools/results/learned_rule.py seed0 seed1  # some of its parts: anchors, reinforce, actor_critic, seed0 ...

Rules are trained across three tabular families in turn, several seeds. The step sizes of the hand-written rules are
chosen on the same families (tasks of the train split), by the mean return over an agent's whole life; then all meet
held-out tasks of those families and of families that no rule and no step size has seen. Every agent starts from zero
and takes one step per batch of 8 episodes. One row for each rule, training seed, family and batch; low and high are a
95% interval over tasks (Student).
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.ops.distributions import Categorical
from metarl_lab.ops.linear_agents import (
    LinearAgents,
    agent_batch,
    agent_step,
    minus_mean_of_copies,
    outputs,
)
from metarl_lab.ops.returns import discounted_returns, gae
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import seeded_generator
from metarl_lab.types import Episodes, Seen, Spec

TABLE = Path(__file__).resolve().parents[2] / "data" / "results" / "learned_rule.csv"
SEEDS, ITERATIONS = (0, 1, 2, 3, 4), 84
LEARNER: dict[str, Any] = {"decay_iterations": ITERATIONS, "span": 20.0}
BATCHES, EPISODES, TASKS = 31, 8, 100  # of a life: 30 steps of an agent
TRAINED = {
    "collecting_small": ml.make_family("collecting_gridworld"),
    "collecting_sparse": ml.make_family("collecting_gridworld", kind="small_sparse"),
    "tabular_mdp": ml.make_family("tabular_mdp"),
}
UNSEEN = {
    "chain": ml.make_family("chain", shortest=5, longest=15, horizon=15),
    "chain_noise": ml.make_family("chain", shortest=5, longest=15, horizon=15, noise=1.0),
    "chain_bait": ml.make_family("chain", shortest=5, longest=15, horizon=15, bait=0.5),
    "gridworld": ml.make_family("gridworld"),
    "bernoulli_bandit": ml.make_family("bernoulli_bandit", arms=5, horizon=10),
}


class Critic(NamedTuple):
    """A table of logits (T, O, A) and one of values (T, O, 1)."""

    policy: Tensor
    value: Tensor


class Reinforce:
    """logits += size x mean over episodes of sum_t grad log pi (G_t - the other episodes' mean G_t)."""

    name, shares_memory, noise_size = "reinforce", True, 1
    grid = {"size": (0.5, 1.0, 2.0, 4.0, 8.0)}

    def __init__(self, spec: Spec, size: float) -> None:
        self.spec, self.size = spec, size

    def begin(self, n_tasks: int, copies: int) -> LinearAgents:
        return LinearAgents(*(torch.zeros(n_tasks, self.spec.observation_size, a) for a in (self.spec.action_size, 1)))

    def act(self, memory: Any, seen: Seen, noise: Tensor) -> tuple[Tensor, Any]:
        return Categorical(seen.observation @ memory.policy).sample(noise), memory

    def absorb(self, memory: LinearAgents, episodes: Episodes) -> LinearAgents:
        batch = agent_batch(episodes)
        said = outputs(memory, batch)
        advantage = minus_mean_of_copies(
            discounted_returns(batch.reward.movedim(-1, 0), 1.0).movedim(0, -1), batch.live
        )
        return agent_step(memory, batch, said, advantage, said.log_y, self.size, 0.0)


class ActorCritic(Reinforce):
    """The same step with GAE(discount, lam) of a table of values, which moves ``value_size`` of the way to the mean
    lambda-return of each state that was visited."""

    name = "actor_critic"
    grid = {"size": (2.0, 4.0, 8.0), "value_size": (0.5,), "lam": (0.8, 0.95), "discount": (0.95, 1.0)}

    def __init__(self, spec: Spec, size: float, value_size: float, lam: float, discount: float) -> None:
        super().__init__(spec, size)
        self.value_size, self.lam, self.discount = value_size, lam, discount

    def absorb(self, memory: Any, episodes: Episodes) -> Any:
        batch = agent_batch(episodes)
        value = (batch.observation @ memory.prediction).view_as(batch.reward)
        after_last = batch.final @ memory.prediction  # (T, N, 1)
        last = batch.live & ~torch.nn.functional.pad(batch.live[..., 1:], (0, 1))
        following = torch.where(last, after_last, torch.nn.functional.pad(value[..., 1:], (0, 1)))
        first = [x.movedim(-1, 0) for x in (batch.reward, value, following, last | ~batch.live, batch.terminated)]
        advantage = gae(*first, self.discount, self.lam).movedim(0, -1) * batch.live  # type: ignore[arg-type]
        said = outputs(memory, batch)
        policy = agent_step(memory, batch, said, advantage, said.log_y, self.size, 0.0).policy
        visits = (batch.observation * batch.live.flatten(1).unsqueeze(-1)).mT  # (T, O, M)
        error = visits @ advantage.flatten(1).unsqueeze(-1) / visits.sum(-1, keepdim=True).clamp_min(1)
        return LinearAgents(policy, memory.prediction + self.value_size * error)


def life(agent: Any, family: Any, split: str = "test", tasks: int = TASKS, seed: int = 1) -> ml.Curve:
    """Return per episode, batch by batch of agents' lives."""
    return ml.evaluate(agent, family, split, n_tasks=tasks, episodes=EPISODES, batches=BATCHES, seed=seed)


def tuned(kind: type[Reinforce]) -> dict[str, float]:
    """The settings whose lives are best on the training families: mean over them of (return - random) / (oracle -
    random), over the whole life."""
    best: tuple[float, dict[str, float]] = (-float("inf"), {})
    for values in itertools.product(*kind.grid.values()):
        settings, scores = dict(zip(kind.grid, values, strict=True)), []
        for family in TRAINED.values():
            curve = life(kind(family.spec, **settings), family, "train", tasks=32, seed=2)
            tasks = family.sample_tasks(32, "train", seeded_generator("cpu", 2, 0))
            top = float(family.oracle(tasks).mean())
            scores.append((curve.mean.mean() - curve.mean[0]) / (top - curve.mean[0]))
        score = sum(scores) / len(scores)
        best = max(best, (score, settings), key=lambda x: x[0])
        print(f"{kind.name} {settings}: " + " ".join(f"{x:.3f}" for x in scores) + f" mean {score:.3f}", flush=True)
    return best[1]


def trained(seed: int) -> tuple[Any, int]:
    """A rule after ITERATIONS of meta-training, the families in turn, and the env steps that it took."""
    learners = {}
    for name, family in TRAINED.items():
        first = next(iter(learners.values()), None)
        learners[name] = first.on(family) if first else ml.make_learner("learned_rule", family, seed=seed, **LEARNER)
    steps = 0
    for i, (name, learner) in zip(range(ITERATIONS), itertools.cycle(learners.items()), strict=False):
        generator = seeded_generator("cpu", seed, i, 1)
        tasks = TRAINED[name].sample_tasks(learner.config.meta_batch, "train", generator)
        metrics = learner.update(TRAINED[name], tasks, generator)
        steps += int(metrics.values["env_steps"])
        if i % 30 < len(learners):
            print(f"seed {seed} iteration {i} {name}: {metrics.values}", flush=True)
    return next(iter(learners.values())), steps


def rows_of(rule: str, seed: int, agent_on: Any, train_steps: int) -> list[dict[str, Any]]:
    """Lives on every family. agent_on(family) -> the agent."""
    rows = []
    for name, family in {**TRAINED, **UNSEEN}.items():
        curve = life(agent_on(family), family)
        met = "trained" if name in TRAINED else "unseen"
        for batch in range(BATCHES):
            numbers = {k: float(getattr(curve, k)[batch]) for k in ("mean", "low", "high")}
            steps = float(curve.env_steps[batch])
            rows.append({"rule": rule, "seed": seed, "family": name, "met": met, "batch": batch, "env_steps": steps,
                         **numbers, "train_env_steps": train_steps})  # fmt: skip
        print(f"{rule} seed {seed} {name}: " + " ".join(f"{x:.2f}" for x in curve.mean[::5]), flush=True)
    return rows


def anchors() -> list[dict[str, Any]]:
    """The oracle's expected return and that of random actions, one row each a family (batch 0)."""
    rows = []
    for name, family in {**TRAINED, **UNSEEN}.items():
        tasks = family.sample_tasks(TASKS, "test", seeded_generator("cpu", 1, 0))
        random = ml.evaluate(ml.make_reference("random", family), family, n_tasks=TASKS, episodes=EPISODES)
        curves = {"random": random.per_task[:, 0], "oracle": family.oracle(tasks).double().numpy()}
        for rule, values in curves.items():
            mean, low, high = (float(x) for x in mean_interval(values))
            rows.append({"rule": rule, "seed": 0, "family": name, "met": "trained" if name in TRAINED else "unseen",
                         "batch": 0, "env_steps": 0.0, "mean": mean, "low": low, "high": high,
                         "train_env_steps": 0})  # fmt: skip
    return rows


def written(kind: type[Reinforce]) -> list[dict[str, Any]]:
    """A rule written by hand, with the settings chosen on the training families."""
    settings = tuned(kind)
    chosen = " ".join(f"{k}={v:g}" for k, v in settings.items())
    print(f"{kind.name}: chosen {chosen}", flush=True)
    rows = rows_of(kind.name, 0, lambda family: kind(family.spec, **settings), 0)
    return [{**row, "settings": chosen} for row in rows]


def learned(seed: int) -> list[dict[str, Any]]:
    """A learned rule."""
    learner, steps = trained(seed)
    return rows_of("learned_rule", seed, learner.on, steps)


PARTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "anchors": anchors,
    "reinforce": partial(written, Reinforce),
    "actor_critic": partial(written, ActorCritic),
    **{f"seed{seed}": partial(learned, seed) for seed in SEEDS},
}


def main() -> None:
    """Make the parts that are asked for, and put them in the place of their old rows."""
    torch.set_num_threads(1)
    for part in sys.argv[1:] or PARTS:
        if part not in PARTS:
            sys.exit(f"{part!r} is not a part; choose from {', '.join(PARTS)}")
        start = time.process_time()
        rows = pd.DataFrame([{"part": part, **row} for row in PARTS[part]()])
        if TABLE.exists():
            old = pd.read_csv(TABLE)
            rows = pd.concat([old[old.part != part], rows])
        rows.sort_values(["part", "family", "rule", "batch"]).to_csv(TABLE, index=False, float_format="%.4f")
        print(f"{part}: {time.process_time() - start:.0f} CPU seconds", flush=True)


if __name__ == "__main__":
    main()
