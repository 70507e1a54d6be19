"""What chapter 09 runs and does not show: exact returns, walks, trials that are read by two beliefs, distances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.exact.goal_beliefs import goal_posteriors
from metarl_lab.exact.gridworld import Search, search_plan
from metarl_lab.exact.gridworld_psrl import posterior_sampling_returns
from metarl_lab.nets.set_encoder import encode_transition
from metarl_lab.nets.trial_decoder import trial_rows
from metarl_lab.ops.transitions import next_observations
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.gridworld import GridTasks, GridWorld
from metarl_lab.types import Episodes, Spec

DRAWS = 64  # draws of m behind a decoded belief


def search_of(world: GridWorld, episodes: int) -> Search:
    """The search for a hidden goal that a gridworld is, for the exact solvers."""
    return Search(world.successor.numpy(), world.goals("test"), 0, world.horizon, episodes)


def known_return(world: GridWorld) -> float:
    """Return of one episode with the goal known, a mean over the goals."""
    return float(world.oracle(GridTasks(torch.tensor(world.goals("test")))).mean())


def exact_returns(sizes: tuple[int, ...] = (3, 5)) -> pd.DataFrame:
    """Expected return of each episode, exactly: rows (grid, who), columns four episodes and their sum, the trial."""
    rows: dict[tuple[str, str], Any] = {}
    for size in sizes:
        world = GridWorld(size=size, horizon=3 * size)
        search = search_of(world, world.episodes)
        told = known_return(world)
        grid = f"{size} x {size}"
        rows[grid, "Bayes-optimal"] = search_plan(search).per_episode
        rows[grid, "posterior sampling"] = posterior_sampling_returns(search)
        rows[grid, "goal known"] = [told] * world.episodes
    table = pd.DataFrame(rows, [f"episode {k}" for k in (1, 2, 3, 4)]).T
    return table.assign(trial=table.sum(axis=1))


def exact_curve(returns: pd.Series) -> ml.Curve:
    """Exact returns of the episodes as a curve that can be drawn beside measured ones; its interval has no width."""
    values = returns.to_numpy(dtype=float)
    return ml.Curve(str(returns.name), "test", values[None], values, values, values, np.arange(len(values)))


def worth_of_context(world: GridWorld) -> dict[str, float]:
    """Expected points of a trial, exactly, by where context comes from and how long it is kept."""
    kept, forgotten = search_of(world, world.episodes), search_of(world, 1)
    return {
        "told the goal (the document's context)": world.episodes * known_return(world),
        "context earned by acting, kept for the trial": search_plan(kept).value,
        "context earned, forgotten after each episode": world.episodes * search_plan(forgotten).value,
    }


def places(acted: Episodes) -> Tensor:
    """What was observed at every point of each episode, the last one too: (T, E, K, H + 1, O)."""
    return torch.cat((acted.observation, acted.final_observation.unsqueeze(-2)), -2)


def play(agent: Any, family: Any, tasks: Any, seeds: tuple[int, int], episodes: int) -> Episodes:
    """One trial of an agent in each of these tasks; seeds: of the generator, two numbers."""
    return collect(agent, family, tasks, begin(agent, family, tasks), seeded_generator("cpu", *seeds), episodes)[0]


def ways_to(goal: int, agents: Mapping[str, Any], grid: GridWorld) -> dict[str, np.ndarray]:
    """The cells on the way of each agent in a trial with this hidden goal: {agent: (K, H + 1)}."""
    task = GridTasks(torch.tensor([goal]))
    return {
        name: places(play(agent, grid, task, (11, 1), grid.episodes))[0, 0].argmax(-1).numpy()
        for name, agent in agents.items()
    }


class Walks(NamedTuple):
    """PEARL in T held-out tasks of an arc, K episodes each."""

    position: np.ndarray  # (T, K, H + 1, 2) in units of length
    goal: np.ndarray  # (T, 2)
    context: Tensor  # (K H, F) the transitions of the first task, as the encoder reads them


def pearl_walks(pearl: Any, arc: Any, tasks: int = 3, episodes: int = 6) -> Walks:
    """Walks to hidden goals on the arc, z drawn anew in each episode."""
    chosen = arc.sample_tasks(tasks, "test", seeded_generator("cpu", 12, 1))
    acted = play(pearl, arc, chosen, (12, 2), episodes)
    after, followed = next_observations(acted)  # what follows an episode's last step, no agent sees
    fields = acted.observation, acted.action, acted.reward, after, followed
    context = encode_transition(arc.spec, *(x[0, 0].flatten(0, 1) for x in fields))
    return Walks(places(acted)[:, 0].numpy(), chosen.goal.numpy(), context)


def paid_again(pearl: Any, arc: Any, tasks: int = 1000, episodes: int = 6) -> pd.DataFrame:
    """How PEARL's walks go on, a row an episode.

    Columns: ``return`` (points, mean over tasks); ``paid``, the share of walks that were paid; and the share among
    those whose walk before was paid (``after a paid walk``), and among those never paid so far (``after none``).
    """
    chosen = arc.sample_tasks(tasks, "test", seeded_generator("cpu", 13, 1))
    acted = play(pearl, arc, chosen, (13, 2), episodes)
    paid = (acted.reward[:, 0] > 0).any(-1).numpy()  # (T, K)
    rows = {}
    for k in range(episodes):
        before, none = paid[:, k - 1], ~paid[:, :k].any(1)
        rows[k + 1] = {
            "return": acted.returns[:, 0, k].mean().item(),
            "paid": paid[:, k].mean(),
            "after a paid walk": paid[before, k].mean() if k else np.nan,
            "after none": paid[none, k].mean(),
        }
    return pd.DataFrame(rows).T.rename_axis("episode")


def random_trials(family: GridWorld, n: int, seed: int) -> Episodes:
    """Trials of random steps in n tasks."""
    tasks = family.sample_tasks(n, "train", seeded_generator("cpu", seed, 1))
    return play(ml.make_reference("random", family), family, tasks, (seed, 2), family.episodes)


def total_variation(p: Any, q: Any) -> np.ndarray:
    """Half of sum |p - q| over the last axis: the probability that must be moved to make p of q; 0 to 1."""
    return 0.5 * np.abs(np.asarray(p) - np.asarray(q)).sum(-1)


class Trials(NamedTuple):
    """One trial for every goal, at each of its L = K H steps *before* the action is taken."""

    goal: np.ndarray  # (G,) cells
    cell: np.ndarray  # (G, L) where the agent is
    reward: np.ndarray  # (G, L) what the step then pays
    exact: np.ndarray  # (G, L, S) posterior over cells
    decoded: np.ndarray  # (G, L, S) VariBAD's belief, given the same trial to read
    horizon: int

    @property
    def distance(self) -> np.ndarray:
        """Total variation between the two beliefs, (G, L)."""
        return total_variation(self.exact, self.decoded)

    @property
    def returns(self) -> np.ndarray:
        """Points of each episode, (G, K)."""
        return self.reward.reshape(len(self.goal), -1, self.horizon).sum(-1)


@torch.no_grad()
def decoded_belief(model: Any, spec: Spec, episodes: Episodes, draws: int = DRAWS) -> Tensor:
    """What a ``TrialModel`` believes of the goal before every step of trials that anybody acted, (B, L, S)."""
    mean, log_var = model.encoder(trial_rows(spec, episodes)["x"].movedim(1, 0))  # (L, B, M)
    noise = torch.randn(draws, mean.shape[-1], generator=seeded_generator("cpu", 9, 1))
    return model.belief(mean, log_var, torch.eye(spec.observation_size), noise).movedim(0, 1)


def record(agent: Any, model: Any, family: GridWorld, seed: int = 1) -> Trials:
    """Act out one trial for each goal of the prior, and read it with the exact filter and with VariBAD's model."""
    tasks = GridTasks(torch.tensor(family.goals("test")))
    acted = play(agent, family, tasks, (seed, 2), family.episodes)
    exact = goal_posteriors(family.prior, acted)[:, 0, :-1]
    cells, reward = acted.observation.argmax(-1).flatten(1), acted.reward.flatten(1)
    decoded = decoded_belief(model, family.spec, acted)
    goal, cell, paid, truth, read = (x.numpy() for x in (tasks.goal, cells, reward, exact, decoded))
    return Trials(goal, cell, paid, truth, read, family.spec.horizon)


def by_goal(trials: Trials, size: int, told: np.ndarray) -> pd.DataFrame:
    """A row a hidden goal: how far the two beliefs are apart, and what the last episode pays.

    Columns: total variation before the first step of the trial, on average over its steps, and before the last;
    points of the last episode; and ``told`` (G,), those of one episode with that goal known.
    """
    rows = [f"row {g // size + 1}, column {g % size + 1}" for g in trials.goal.tolist()]
    distance = trials.distance
    return pd.DataFrame(
        {
            "at_first": distance[:, 0],
            "mean": distance.mean(1),
            "at_last": distance[:, -1],
            "last_return": trials.returns[:, -1],
            "goal_known": told,
        },
        index=pd.Index(rows, name="hidden goal"),
    )
