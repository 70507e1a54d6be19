"""Chapter 01: the loops around what its pages show: practising on many tasks at once, and playing tied arms exactly."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import torch
from scipy.special import betaln
from tqdm import tqdm

from metarl_lab.catalog import make_reference
from metarl_lab.evaluate import evaluate
from metarl_lab.ops.inner_step import Adapted, Parameters
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.tasks.point_navigation import NavigationTasks
from metarl_lab.types import Episodes, map_tensors

EPISODES = 20  # of each task in a batch: one policy-gradient step reads so many
SHOWN = 4  # episodes of a task whose walks are drawn

# Every task's own parameters and what it did -> its parameters one step further up.
Step = Callable[[Parameters, Episodes], Parameters]
# (successes (2,), failures (2,), pulls left) -> probability of pulling each of two arms (2,)
Rule = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def draw_states(probability: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One state from each row of probabilities: (T, S) -> (T,) int64."""
    return np.asarray((rng.random((len(probability), 1)) > probability.cumsum(-1)[:, :-1]).sum(-1))


def posterior_sampling(family: TaskFamily, tasks: Tasks, episodes: int) -> np.ndarray:
    """Return of posterior sampling (PSRL) in each episode of each task, (T, episodes)."""
    return evaluate(make_reference("psrl", family), family, tasks=tasks, batches=episodes).per_task


def goal_tasks(goals: Sequence[tuple[float, float]]) -> NavigationTasks:
    """Point navigation to these goals, in units of length."""
    return NavigationTasks(torch.as_tensor(goals, dtype=torch.float32))


def practise(
    agent: Any,
    family: TaskFamily,
    parameters: Parameters,
    goals: Sequence[tuple[float, float]],
    batches: int,
    step: Step,
    seed: int,
    keep: Collection[int] = (),
) -> tuple[Parameters, np.ndarray, dict[int, Episodes]]:
    """Act, take one policy-gradient step, act again: T policies side by side, each on its own goal.

    Parameters
    ----------
    agent : a learner whose memory is each task's own policy parameters; it only acts here.
    parameters : {name: (T, ...)}, where each policy starts.
    goals : T goals, in units of length.
    batches : how many steps to take; each reads 20 episodes.
    step : the policy-gradient step.
    seed : of all noise. The noise of one task does not depend on which other tasks practise beside it.
    keep : batches, counted from 0, of which the episodes are kept.

    Returns
    -------
    The last parameters; returns per episode before each step and after the last, (T, batches + 1); the kept episodes.
    """
    tasks = goal_tasks(goals)
    trial = begin(agent, family, tasks, EPISODES)
    returns, kept = [], {}
    for batch in tqdm(range(batches + 1), leave=False):
        trial = trial._replace(memory=Adapted(parameters, torch.full((len(goals),), batch)))
        episodes, trial = collect(agent, family, tasks, trial, seeded_generator("cpu", seed, batch, 1))
        returns.append(episodes.returns.mean((1, 2)).numpy())
        if batch in keep:
            kept[batch] = episodes
        if batch < batches:
            parameters = step(parameters, episodes)
    return parameters, np.stack(returns, 1), kept


def copies_of_first(parameters: Parameters, count: int) -> Parameters:
    """The first task's parameters, `count` times: {name: (count, ...)}."""
    return map_tensors(lambda x: x[:1].expand(count, *x.shape[1:]), parameters)


def side_by_side(*parts: Parameters) -> Parameters:
    """Sets of parameters one after another along the task axis."""
    return map_tensors(lambda *x: torch.cat(x), *parts)


def walked(episodes: Episodes) -> np.ndarray:
    """Where the point was in the first episodes of each task: (T, SHOWN, steps, 2), NaN once an episode is over."""
    points = torch.where(episodes.mask.unsqueeze(-1), episodes.observation, torch.nan)
    return points[:, :SHOWN, 0].numpy().round(3)


def value_on_tied_arms(rule: Rule, pulls: int) -> float:
    """Expected reward of a rule on two arms that pay with probability p and 1 - p, p from U(0, 1). Exact.

    A walk forward over every table of counts that can be reached. A success of arm 1 and a failure of arm 2 are the
    same evidence: with j such outcomes in t pulls, arm 1 pays next with probability (1 + j) / (2 + t).
    """
    # (successes of arm 1, its failures, those of arm 2) -> probability of being there
    reach: dict[tuple[int, ...], float] = {(0, 0, 0, 0): 1.0}
    total = 0.0
    for t in range(pulls):
        after: dict[tuple[int, ...], float] = {}
        for counts, probability in reach.items():
            s1, f1, s2, f2 = counts
            pays_1 = (1 + s1 + f2) / (2 + t)
            chosen = rule(np.array([s1, s2]), np.array([f1, f2]), pulls - t)
            for arm, pays in ((0, pays_1), (1, 1 - pays_1)):
                total += probability * chosen[arm] * pays
                for failed, chance in ((0, pays), (1, 1 - pays)):
                    new = list(counts)
                    new[2 * arm + failed] += 1
                    key = tuple(new)
                    after[key] = after.get(key, 0.0) + probability * chosen[arm] * chance
        reach = after
    return total


def best_on_tied_arms(pulls: int) -> float:
    """The same for one who knows that the arms are tied.

    After t pulls p has mean (1 + j) / (2 + t), with j uniform on 0..t whatever was pulled: each pull tells as much, so
    the arm that looks better is the best to pull.
    """
    means = [(1 + np.arange(t + 1)) / (2 + t) for t in range(pulls)]  # after t pulls, for each j
    return float(sum(np.maximum(mean, 1 - mean).mean() for mean in means))


def by_index(index: Callable[[np.ndarray, np.ndarray, int], np.ndarray]) -> Rule:
    """The rule that pulls the arm with the largest index, ties with equal chances."""

    def rule(successes: np.ndarray, failures: np.ndarray, pulls_left: int) -> np.ndarray:
        values = index(successes, failures, pulls_left)
        best = values >= values.max() - 1e-12
        return best / best.sum()

    return rule


def sometimes_random(rule: Rule, epsilon: float) -> Rule:
    """The rule that pulls any arm with probability epsilon, and otherwise does what `rule` does."""
    return lambda successes, failures, pulls_left: (
        (1 - epsilon) * rule(successes, failures, pulls_left) + epsilon / len(successes)
    )


def thompson(successes: np.ndarray, failures: np.ndarray, pulls_left: int) -> np.ndarray:
    """Thompson sampling on two arms that are taken for independent: P(a draw from one belief exceeds the other's).

    With beliefs Beta(a, b) and Beta(a', b') and whole numbers, P(X > X') is the sum over i = 0..a-1 of
    B(a' + i, b' + b) / ((b + i) B(1 + i, b) B(a', b')) (Miller 2015, "Formulas for Bayesian A/B testing").
    """
    (a, other_a), (b, other_b) = 1 + successes, 1 + failures
    i = np.arange(a)
    log_terms = betaln(other_a + i, other_b + b) - np.log(b + i) - betaln(1 + i, b) - betaln(other_a, other_b)
    first = np.exp(log_terms).sum()
    return np.array([first, 1 - first])
