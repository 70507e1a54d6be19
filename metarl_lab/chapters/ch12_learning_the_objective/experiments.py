"""What chapter 12 runs and need not show: agents under many discounts, courses of a discount, exams of update rules.

Returns are per episode and undiscounted throughout. Two families serve the whole chapter (`families`): "lure", a chain
of four steps whose wrong first action pays 0.5 at once and costs 2 at the end, and "mdp", random Markov decision
processes of five states and three actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.chapters.ch12_learning_the_objective.rivals import HandWritten, actor_critic, reinforce
from metarl_lab.chapters.ch12_learning_the_objective.widget import Course
from metarl_lab.evaluate import Curve
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.runs.files import find_folder
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.types import Agent, Episodes

Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # mean, low, high: a 95% interval


def families() -> dict[str, TaskFamily]:
    """The two families of sections 1 to 4."""
    return {
        "lure": ml.make_family("chain", shortest=4, longest=4, horizon=4, bait=0.5),
        "mdp": ml.make_family("tabular_mdp", states=5, actions=3),
    }


def anchors(family: TaskFamily, n_tasks: int = 100) -> dict[str, float]:
    """Return of random play and of the oracle, on the tasks that `ml.evaluate` draws."""
    tasks = family.sample_tasks(n_tasks, "test", seeded_generator("cpu", 1, 0))
    played = ml.evaluate(ml.make_reference("random", family), family, tasks=tasks, episodes=20)
    best = family.oracle(tasks)
    assert best is not None
    return {"random play": float(played.mean[0]), "oracle": best.mean().item()}


# --- one discount, or a discount that learns --------------------------------------------------------------------------

# Agents of section 1: a table of logits and one of values for each task, steps that suit the family.
TABLES: dict[str, Any] = {"hidden": (), "lam": 1.0, "learn_lambda": False}
STEPS: dict[str, dict[str, Any]] = {
    "lure": {"inner_step": 5.0, "value_step": 5.0, "episodes": 20, "inner_steps": 20},
    "mdp": {"inner_step": 3.0, "value_step": 3.0, "episodes": 4, "inner_steps": 10},
}


def after_ten_steps(name: str, discounts: Sequence[float]) -> Band:
    """Return of agents after ten inner steps, for each discount set by hand: mean, low, high over 100 tasks."""
    family, found = families()[name], []
    for discount in discounts:
        agents = ml.make_learner("meta_gradient", family, discount=discount, **TABLES, **STEPS[name])
        curve = ml.evaluate(agents, family, n_tasks=100, episodes=STEPS[name]["episodes"], batches=11)
        found.append((curve.mean[-1], curve.low[-1], curve.high[-1]))
    mean, low, high = np.array(found).T
    return mean, low, high


# The two programs of section 3. They differ in which value function the outer returns bootstrap from.
PROGRAMS = {"ours": "own", "a colleague's": "inner"}
STARTS = (0.2, 0.5, 0.8)  # initial discounts


def discount_course(program: str, start: float, iterations: int = 10, seed: int = 0) -> Course:
    """Meta-train the discount on the lure: 20 agents an iteration, 20 inner steps each, one on the discount after each.

    The outer returns have discount 0.99 and lambda' = 0.3.
    """
    family = families()["lure"]
    learner = ml.make_learner(
        "meta_gradient",
        family,
        seed=seed,
        discount=start,
        outer_lambda=0.3,
        learning_rate=0.05,
        outer_value=PROGRAMS[program],
        **TABLES,
        **STEPS["lure"],
    )
    discounts, returns = [start], []
    for i in range(iterations):
        tasks = family.sample_tasks(20, "train", seeded_generator("cpu", seed, i, 1))
        metrics = learner.update(family, tasks, seeded_generator("cpu", seed, i, 2))
        discounts.append(metrics.values["discount"])
        returns.append(metrics.scores.mean(0).numpy())
    return Course(np.array(discounts), np.stack(returns))


def discount_courses() -> dict[tuple[str, float], Course]:
    """Both programs from each initial discount: {(program, start): course}."""
    runs = [(program, start) for program in PROGRAMS for start in STARTS]
    return {run: discount_course(*run) for run in tqdm(runs, leave=False)}


def course_table(courses: Mapping[tuple[str, float], Course], program: str, threshold: float) -> pd.DataFrame:
    """What the agents of every meta-iteration of a program came to: a row for each start and iteration.

    Columns: start; iteration; discount, at the iteration's beginning; return of its agents after their last inner step;
    began, "below 0.63" or "above 0.63", where 0.63 is the threshold: on which side of it that discount is.
    """
    rows = []
    for (of, start), course in courses.items():
        if of != program:
            continue
        for i, returns in enumerate(course.returns):
            discount = course.discount[i]
            began = f"{'below' if discount < threshold else 'above'} {threshold:.2f}"
            row = {"start": start, "iteration": i + 1, "discount": discount}
            rows.append({**row, "return": returns[-1], "began": began})
    return pd.DataFrame(rows)


# --- ten seeds, stored ------------------------------------------------------------------------------------------------

HAND_SET = tuple(f"discount {d:g}" for d in (0, 0.5, 0.9, 0.99, 1))
LEARNED = (*(f"learned from {d:g}" for d in (0.2, 0.5, 0.9)), "learned with lambda")
STORED = {"chain": "chain of six", "tabular_mdp": "MDP"}  # name in the table -> in the chapter


def ten_seeds() -> pd.DataFrame:
    """The end of every run of `data/results/learned_discount.csv`, a row for each family, label and seed.

    Columns: family, label, seed, return (on 200 held-out tasks, after ten inner steps), discount, lambda. The anchors
    "random" and "oracle" have seed -1.
    """
    table = pd.read_csv(find_folder("data/results") / "learned_discount.csv")
    ends = table[table["family"].isin(list(STORED))].dropna(subset="test_return")
    ends = ends.assign(family=ends["family"].map(STORED)).rename(columns={"test_return": "return"})
    return ends[["family", "label", "seed", "return", "discount", "lambda"]].reset_index(drop=True)


def outcome_bands(ends: pd.DataFrame) -> dict[str, tuple[dict[str, tuple[float, float, float]], dict[str, float]]]:
    """{family: ({label: mean, low, high over seeds}, anchors)}, labels in the order of the figure."""
    panels = {}
    for family, rows in ends.groupby("family", sort=False):
        returns = {label: one["return"].to_numpy() for label, one in rows.groupby("label")}
        bands = {}
        for label in (*HAND_SET, *LEARNED):
            mean, low, high = mean_interval(returns[label])
            bands[label] = (float(mean), float(low), float(high))
        panels[str(family)] = (bands, {name: float(returns[name][0]) for name in ("random", "oracle")})
    return panels


def learned_ends(ends: pd.DataFrame) -> pd.DataFrame:
    """The runs in which a discount was learned, beside the best that a discount set by hand came to.

    Columns: those of `ten_seeds`, and best_mean and best_seed: of the hand-set discounts of the family, the highest
    mean over seeds, and the highest return of any seed. The index names family, label and seed.
    """
    found = []
    for _, rows in ends.groupby("family", sort=False):
        by_hand = rows[rows["label"].isin(HAND_SET)]
        learned = rows[rows["label"].isin(LEARNED)]
        means = by_hand.groupby("label")["return"].mean()
        found.append(learned.assign(best_mean=means.max(), best_seed=by_hand["return"].max()))
    table = pd.concat(found)
    table["run"] = table["family"] + ", " + table["label"]
    return table.set_index(["family", "label", "seed"], drop=False).rename_axis([None, None, None])


# --- update rules at their exams --------------------------------------------------------------------------------------


def exams() -> dict[str, TaskFamily]:
    """Four families: two that the chapter's rule is trained on, two that it never sees."""
    return {
        "chain (trained on)": ml.make_family("chain", shortest=3, longest=10, horizon=10),
        "MDP (trained on)": families()["mdp"],
        "bandit (new)": ml.make_family("bernoulli_bandit", arms=5, horizon=1),
        "gridworld (new)": ml.make_family("collecting_gridworld", kind="small"),
    }


# The best of 1, 3 and 10 on each exam itself.
RIVAL_STEPS = {
    "REINFORCE": (10.0, 1.0, 10.0, 10.0),
    "actor-critic": (10.0, 10.0, 10.0, 10.0),
}
EXAM_TASKS = 64


def sit(agent: Agent, family: TaskFamily) -> Curve:
    """The lives of 64 agents on held-out tasks: 20 steps, each on a batch of 8 episodes."""
    return ml.evaluate(agent, family, n_tasks=EXAM_TASKS, episodes=8, batches=21)


def rival(name: str, family: TaskFamily, step_size: float) -> HandWritten:
    """A hand-written rule on the spaces of a family."""
    if name == "REINFORCE":
        return HandWritten(family, reinforce, step_size)
    return HandWritten(family, actor_critic, step_size, value_step_size=1.0)


def exam_results(rule: Any) -> dict[str, tuple[dict[str, Curve], dict[str, float]]]:
    """{exam: ({rule's name: its curve}, anchors)} of the learned rule and of its rivals."""
    found = {}
    for number, (name, family) in enumerate(exams().items()):
        curves = {"learned_rule": sit(rule.on(family), family)}
        for rival_name, sizes in RIVAL_STEPS.items():
            curves[rival_name] = sit(rival(rival_name, family, sizes[number]), family)
        found[name] = (curves, anchors(family, EXAM_TASKS))
    return found


def exam_table(results: Mapping[str, tuple[Mapping[str, Curve], Mapping[str, float]]]) -> pd.DataFrame:
    """A row for each exam and agent step, in shares of the way from random play (0) to the oracle (1).

    Columns: exam, step, learned_rule, and better_rival: the better of the two rivals at that step.
    """
    rows = []
    for exam, (curves, limits) in results.items():
        way = limits["oracle"] - limits["random play"]
        shares = {name: (curve.mean - limits["random play"]) / way for name, curve in curves.items()}
        better = np.maximum(*(shares[name] for name in RIVAL_STEPS))
        for step, (own, other) in enumerate(zip(shares["learned_rule"], better, strict=True)):
            rows.append({"exam": exam, "step": step, "learned_rule": own, "better_rival": other})
    return pd.DataFrame(rows)


# Names in `data/results/learned_rule.csv` -> in the chapter.
SCHOOL = {
    "tabular_mdp": "MDP",
    "collecting_small": "collecting, small",
    "collecting_sparse": "collecting, sparse",
    "bernoulli_bandit": "bandit",
    "gridworld": "gridworld",
    "chain": "chain",
    "chain_bait": "chain with bait",
    "chain_noise": "chain with noise",
}
RULES = {
    "random": "random play",
    "reinforce": "REINFORCE",
    "actor_critic": "actor-critic",
    "learned_rule": "learned rule",
    "oracle": "oracle",
}


def longer_schooling() -> pd.DataFrame:
    """Return after 30 agent steps from `data/results/learned_rule.csv`, a row for each family and learned rule.

    Columns: met ("trained" or "unseen"), learned rule, and the same in every row of a family: random play, REINFORCE,
    actor-critic, oracle. The index holds family and seed.
    """
    table = pd.read_csv(find_folder("data/results") / "learned_rule.csv")
    last = table[(table["batch"] == table["batch"].max()) | table["rule"].isin(["random", "oracle"])]
    wide = last.pivot(index=["family", "met", "seed"], columns="rule", values="mean")
    for name in ("random", "reinforce", "actor_critic", "oracle"):
        wide[name] = wide[name].groupby(level="family").transform("max")  # one number a family, stored with seed 0
    wide = wide[list(RULES)].rename(index=SCHOOL, columns=RULES, level=None).rename_axis(columns=None)
    wide = wide.reindex(list(SCHOOL.values()), level="family")
    return wide.reset_index("met")


# --- what a rule's agents say -----------------------------------------------------------------------------------------


def lives(learner: Any, family: TaskFamily, steps: int, n_tasks: int = 300) -> tuple[Tasks, Any, Episodes]:
    """Let agents live: held-out tasks, what the agents are after the steps, and the batch of 8 episodes acted last."""
    tasks = family.sample_tasks(n_tasks, "test", seeded_generator("cpu", 5, 1))
    noise = seeded_generator("cpu", 5, 2)
    trial = begin(learner, family, tasks, 8)
    for left in reversed(range(steps)):
        acted, after = collect(learner, family, tasks, trial, noise)
        if left:
            trial = after._replace(memory=learner.absorb(trial.memory, acted))
    return tasks, trial.memory, acted


def true_values(tasks: Any, policy: Tensor, discounts: Sequence[float]) -> Tensor:
    """v = (I - discount P)^-1 r of each state under the agents' own policies, without an end of the episode.

    Parameters
    ----------
    tasks : random MDPs: transition (T, S, A, S), reward (T, S, A).
    policy : Tensor (T, S, A)
    discounts : D numbers below 1.

    Returns
    -------
    Tensor (T, S, D)
    """
    move = torch.einsum("tsa,tsaz->tsz", policy, tasks.transition)  # P under the policy
    pay = (policy * tasks.reward).sum(-1)  # r under the policy, (T, S)
    identity = torch.eye(pay.shape[1])
    return torch.stack([torch.linalg.solve(identity - discount * move, pay) for discount in discounts], -1)
