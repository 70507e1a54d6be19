"""Remake the stored agents in data/checkpoints and their scores in data/results/agents.csv.

    python tools/data.py                                     # what there is, with its cost
    python tools/data.py rl2-bernoulli_bandit-5x10 [...]     # train every seed, evaluate, store
    python tools/data.py all

A recipe is one `metarl train` command for each seed. A run that was cut short is resumed. The agent that is stored is
that of the first seed, chosen before any score was seen; the score on its card is over all seeds.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import metarl_lab as ml
from metarl_lab.commands.cli import plan
from metarl_lab.learners.base import MetaLearner
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.runs.agents import save_agent
from metarl_lab.runs.checkpoint import list_checkpoints
from metarl_lab.tasks.base import TaskFamily

ROOT = Path(__file__).resolve().parent.parent
SCORES = ROOT / "data" / "results" / "agents.csv"


@dataclass(frozen=True)
class Recipe:
    """How a stored agent is made: ``metarl train`` arguments, seeds, and how it is scored."""

    train: str
    """Arguments after `metarl train`, without --seed and --out."""
    seeds: tuple[int, ...]
    minutes: int
    """Wall minutes per seed on one core of a 2020s server CPU, measured once."""
    n_tasks: int = 50_000
    episodes: int = 1
    batches: int = 1
    published_goals: bool = False
    """Score on the family's published tasks instead of drawn ones."""


# The MAML authors' protocol and network; both learners act 40 episodes of 20 tasks per iteration.
_NAVIGATION = "--family point_navigation --iterations 100 --learner.hidden 100 100 --learner.activation relu"

RECIPES: dict[str, Recipe] = {
    "rl2-bernoulli_bandit-2x10": Recipe(
        "rl2 --family bernoulli_bandit --family.arms 2 --family.horizon 10 --iterations 500 "
        "--learner.meta-batch 1000 --learner.decay-iterations 500 --learner.entropy 0.0",
        (0, 1, 2),
        2,
    ),
    "rl2-bernoulli_bandit-5x10": Recipe(
        "rl2 --family bernoulli_bandit --family.arms 5 --family.horizon 10 --iterations 800 "
        "--learner.meta-batch 1000 --learner.decay-iterations 800 --learner.entropy 0.0",
        (0, 1, 2),
        3,
    ),
    "rl2-bernoulli_bandit-10x10": Recipe(
        "rl2 --family bernoulli_bandit --family.arms 10 --family.horizon 10 --iterations 1200 "
        "--learner.meta-batch 1000 --learner.decay-iterations 1200 --learner.entropy 0.0",
        (0, 1, 2),
        5,
    ),
    "rl2-bernoulli_bandit-5x100": Recipe(
        "rl2 --family bernoulli_bandit --family.arms 5 --family.horizon 100 --iterations 800 "
        "--learner.meta-batch 200 --learner.minibatches 16 --learner.decay-iterations 800 "
        "--learner.late-discount 1.0 --learner.late-lam 0.9",
        (0, 1, 2),
        15,
    ),
    "rl2-bernoulli_bandit-50x10": Recipe(
        "rl2 --family bernoulli_bandit --family.arms 50 --family.horizon 10 --iterations 1500 "
        "--learner.meta-batch 1000 --learner.decay-iterations 1500 --learner.entropy 0.0",
        (0, 1, 2),
        8,
    ),
    "rl2-bernoulli_bandit-10x100": Recipe(
        "rl2 --family bernoulli_bandit --family.arms 10 --family.horizon 100 --iterations 800 "
        "--learner.meta-batch 200 --learner.minibatches 16 --learner.decay-iterations 800 "
        "--learner.late-discount 1.0 --learner.late-lam 0.9",
        (0, 1, 2),
        18,
    ),
    "rl2-bernoulli_bandit-2x100": Recipe(
        "rl2 --family bernoulli_bandit --family.arms 2 --family.horizon 100 --iterations 400 "
        "--learner.meta-batch 200 --learner.minibatches 16 --learner.decay-iterations 400 "
        "--learner.late-discount 1.0 --learner.late-lam 0.9",
        (0, 1, 2),
        8,
    ),
    "rl2-correlated_bandit": Recipe(
        "rl2 --family correlated_bandit --iterations 300 --learner.meta-batch 200 --learner.minibatches 16 "
        "--learner.decay-iterations 300 --learner.late-discount 1.0 --learner.late-lam 0.9",
        (0, 1, 2),
        6,
    ),
    "rl2-informative_bandit": Recipe(
        # with less entropy early on, the arm that tells is given up before its use is learned: 11.0, the myopic optimum
        "rl2 --family informative_bandit --iterations 1000 --learner.meta-batch 1000 --learner.decay-iterations 1000 "
        "--learner.lam 0.9 --learner.discount 1.0 --learner.entropy 0.3 --learner.late-entropy 0.0",
        (0, 1, 2),
        3,
    ),
    "rl2-two_step": Recipe(
        "rl2 --family two_step --iterations 200 --learner.meta-batch 200 --learner.minibatches 16 "
        "--learner.decay-iterations 200 --learner.late-discount 1.0 --learner.late-lam 0.9",
        (0, 1, 2),
        4,
    ),
    "rl2-gridworld": Recipe(
        "rl2 --family gridworld --iterations 400 --learner.meta-batch 400 --learner.minibatches 20 "
        "--learner.decay-iterations 400 --learner.late-discount 1.0 --learner.late-lam 0.95",
        (0, 1, 2),
        8,
        n_tasks=20_000,
        batches=4,
    ),
    "varibad-gridworld": Recipe(
        "varibad --family gridworld --iterations 2000 --learner.meta-batch 100 --learner.minibatches 5 "
        "--learner.decay-iterations 2000 --learner.learning-rate 3e-3 --learner.entropy 0.02 "
        "--learner.vae-learning-rate 3e-3 --learner.latent 8 --learner.kl-weight 0.05 --learner.capacity 10000 "
        "--learner.reward-model binary --learner.reward-reads next --learner.transition-weight 0",
        (0, 1, 2),
        12,
        n_tasks=20_000,
        batches=4,
    ),
    "pearl-semicircle_navigation": Recipe(
        "pearl --family semicircle_navigation --iterations 400 --learner.discount 0.9 --learner.temperature 0.02",
        (0, 1, 2),
        10,
        n_tasks=2000,
        batches=6,
    ),
    "pearl-gridworld": Recipe(
        "pearl --family gridworld --iterations 550 --learner.kl-weight 0.01 --learner.temperature 0.02 "
        "--learner.encoder-reads task",
        (0, 1, 2),
        7,
        n_tasks=20_000,
        batches=4,
    ),
    # chapter 10's: small enough to draw, and trained from optimal actions, which takes a minute
    "in_context-dark_room-5x5": Recipe(
        "in_context --family dark_room --family.size 5 --family.horizon 10 --family.episodes 5 --iterations 260 "
        "--learner.mode supervised --learner.hidden 32 --learner.heads 2 --learner.meta-batch 128 "
        "--learner.batch 64 --learner.gradient-steps 4 --learner.learning-rate 3e-3",
        (0, 1, 2),
        2,
        n_tasks=2000,
        batches=5,
    ),
    # the same room learned from reward alone; five times the CPU time
    "in_context-dark_room-5x5-reward": Recipe(
        "in_context --family dark_room --family.size 5 --family.horizon 10 --family.episodes 5 --iterations 500 "
        "--learner.discounts 0.8 0.95 --learner.entropy 0.03 --learner.random-share 0.2 --learner.follow-share 0.03 "
        "--learner.gradient-steps 16 --learner.learning-rate 2e-3",
        (0, 1, 2),
        6,
        n_tasks=2000,
        batches=5,
    ),
    "rl2-dark_room": Recipe(
        "rl2 --family dark_room --iterations 220 --learner.core lstm --learner.meta-batch 200 --learner.minibatches 32 "
        "--learner.decay-iterations 220 --learner.late-discount 1.0 --learner.late-lam 0.95 --learner.entropy 0.01 "
        "--learner.late-entropy 0.0",
        (0, 1, 2),
        6,
        n_tasks=5000,
        batches=10,
    ),
    # far from converged after this on a CPU; a GPU-sized run is ten times the iterations and both numbers beside them
    "rl2-tabular_mdp": Recipe(
        "rl2 --family tabular_mdp --iterations 800 --learner.meta-batch 200 --learner.minibatches 16 "
        "--learner.decay-iterations 800 --learner.hidden 128 --learner.late-discount 1.0 --learner.late-lam 0.9",
        (0, 1, 2),
        15,
        n_tasks=10_000,
        episodes=10,
    ),
    "maml-point_navigation": Recipe(
        f"maml {_NAVIGATION}", (0, 1, 2), 4, n_tasks=40, episodes=40, batches=4, published_goals=True
    ),
    "cavia-point_navigation": Recipe(
        f"cavia {_NAVIGATION}", (0, 1, 2), 5, n_tasks=40, episodes=40, batches=4, published_goals=True
    ),
    "finetune-point_navigation": Recipe(
        # MAML's 0.5 throws its less random policy off: 0.1 was the best of .01 .02 .03 .05 .1 .25 on 20 training tasks
        # (0.15, tried later, does better after one step: data/results/point_navigation.csv)
        f"finetune {_NAVIGATION} --learner.inner-step 0.1 --learner.later-inner-step 0.05",
        (0, 1, 2),
        3,
        n_tasks=40,
        episodes=40,
        batches=4,
        published_goals=True,
    ),
    "learned_rule-collecting_gridworld": Recipe(
        "learned_rule --family collecting_gridworld --iterations 45 --learner.span 20 --learner.decay-iterations 45",
        (0, 1, 2),
        3,
        n_tasks=200,
        episodes=8,
        batches=21,
    ),
}


def command(recipe: Recipe, seed: int, out: str) -> str:
    """The whole command of one seed."""
    return f"metarl train {recipe.train} --seed {seed} --out {out}"


def make(name: str) -> None:
    """Train, score and store one agent."""
    recipe = RECIPES[name]
    made = []
    for seed in recipe.seeds:
        out = ROOT / "runs" / f"{name}-seed{seed}"
        wanted = plan(shlex.split(command(recipe, seed, str(out)))[2:])
        if list_checkpoints(out / "checkpoints"):
            run = ml.resume(out, iterations=wanted.options.iterations)
        else:
            run = ml.train(wanted.learner, wanted.family, out=out, iterations=wanted.options.iterations, seed=seed)
        curve = score(recipe, run.learner, run.family)
        print(f"{name} seed {seed}: {curve}", flush=True)
        made.append((seed, run, curve))
    write_scores(name, made)
    seed, run, curve = made[0]
    means = np.stack([c.mean for _, _, c in made])  # (seeds, batches)
    mean, low, high = mean_interval(means)
    tasks = "the published tasks" if recipe.published_goals else f"{recipe.n_tasks} held-out tasks (split test)"
    measured = (
        f"return per episode by batch on {tasks}, {recipe.episodes} episode(s) a batch, evaluation seed 1; mean and "
        f"Student 95% interval over {len(made)} training seed(s); stored_*: the stored seed, over tasks"
    )
    card = {
        "command": command(recipe, seed, f"runs/{name}-seed{seed}"),
        "seeds": list(recipe.seeds),
        "stored_seed": seed,
        "device": str(run.device),
        "wall_seconds": round(run.seconds, 1),
        "env_steps": run.env_steps,
        "score": {
            **{k: np.round(v, 4).tolist() for k, v in (("mean", mean), ("low", low), ("high", high))},
            **{f"stored_{k}": np.round(getattr(curve, k), 4).tolist() for k in ("mean", "low", "high")},
            "by_seed": np.round(means, 4).tolist(),
            "measured": measured,
        },
    }
    save_agent(ROOT / "data" / "checkpoints" / name, run.learner, run.family, card)


def score(recipe: Recipe, learner: MetaLearner, family: TaskFamily) -> ml.Curve:
    """The adaptation curve on held-out tasks."""
    tasks = family.published_tasks() if recipe.published_goals else None  # type: ignore[attr-defined]
    return ml.evaluate(learner, family, "test", recipe.n_tasks, recipe.episodes, recipe.batches, seed=1, tasks=tasks)


def write_scores(name: str, made: list[tuple[int, ml.Run, ml.Curve]]) -> None:
    """Replace this agent's rows of data/results/agents.csv."""
    rows = [
        {
            "agent": name, "seed": seed, "batch": batch, "mean": round(float(curve.mean[batch]), 4),
            "low": round(float(curve.low[batch]), 4), "high": round(float(curve.high[batch]), 4),
            "tasks": len(curve.per_task), "train_env_steps": run.env_steps, "train_seconds": round(run.seconds, 1),
        }
        for seed, run, curve in made
        for batch in range(len(curve.mean))
    ]  # fmt: skip
    SCORES.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    if SCORES.exists():
        old = pd.read_csv(SCORES)
        table = pd.concat([old[old.agent != name], table])
    table.sort_values(["agent", "seed", "batch"]).to_csv(SCORES, index=False)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Remake stored agents and their scores.")
    parser.add_argument("names", nargs="*", help="agents to make, or all")
    names = parser.parse_args().names
    if not names:
        for name, recipe in RECIPES.items():
            print(f"{name:32} {len(recipe.seeds)} seeds x about {recipe.minutes} min")
            print(f"    {command(recipe, recipe.seeds[0], f'runs/{name}-seed{recipe.seeds[0]}')}")
        print("\nname the agents to make, or: all")
        return
    for name in RECIPES if names == ["all"] else names:
        if name not in RECIPES:
            sys.exit(f"{name!r} is not a stored agent; choose from {', '.join(RECIPES)}, or all")
        make(name)


if __name__ == "__main__":
    main()
