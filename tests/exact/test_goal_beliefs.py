"""Beliefs over a hidden goal against Bayes' rule by brute force: which goals would have paid the same rewards?"""

from __future__ import annotations

import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.exact.goal_beliefs import GoalBelief, goal_posteriors, known_goal, nothing_visited, sample_goal, take_in
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.gridworld import GridTasks, GridWorld
from metarl_lab.types import Episodes

FAMILY = GridWorld(size=4, horizon=5, episodes=3)


def acted() -> Episodes:
    tasks = FAMILY.sample_tasks(60, "train", seeded_generator("cpu", 1))
    agent = ml.make_reference("random", FAMILY)
    return collect(agent, FAMILY, tasks, begin(agent, FAMILY, tasks, 2), seeded_generator("cpu", 2), 3)[0]


def by_brute_force(episodes: Episodes, prior: Tensor) -> Tensor:
    """p(goal) times whether that goal would have paid all the rewards so far, normalised: (T, E, K H + 1, S)."""
    n, copies, k, h = episodes.reward.shape
    replayed = []
    for goal in range(16):
        tasks = GridTasks(torch.full((n,), goal))
        for i in range(k):
            state = FAMILY.reset(tasks, torch.zeros(n, copies, 0))
            for j in range(h):
                state, reward, _ = FAMILY.step(tasks, state, episodes.action[:, :, i, j], torch.zeros(n, copies, 0))
                replayed.append(reward == episodes.reward[:, :, i, j])
    same = torch.stack(replayed).reshape(16, k * h, n, copies).cumprod(1).permute(2, 3, 1, 0)  # (T, E, K H, S)
    weight = torch.cat((torch.ones_like(same[:, :, :1]), same), 2) * prior
    return weight / weight.sum(-1, keepdim=True)


def test_posteriors_are_bayes_rule() -> None:
    """From an uneven prior, over three episodes, with goals met at their last steps among them."""
    episodes = acted()
    assert (episodes.reward[..., -1] > 0).any() and (episodes.reward.flatten(2).amax(-1) < 0).any()
    prior = FAMILY.prior * torch.arange(1, 17)
    prior = prior / prior.sum()
    torch.testing.assert_close(goal_posteriors(prior, episodes), by_brute_force(episodes, prior))


def test_taking_in_step_by_step_is_the_same() -> None:
    """As an agent does: the last transition of an episode reaches it at the first step of the next one."""
    episodes = acted()
    wanted = goal_posteriors(FAMILY.prior, episodes)
    belief = nothing_visited(FAMILY.prior, 60, 2)
    action, reward = torch.full((60, 2), -1), torch.zeros(60, 2)
    for i in range(15):
        k, h = divmod(i, 5)
        cell = episodes.observation[:, :, k, h].argmax(-1)
        belief = take_in(belief, cell, action, reward, FAMILY.successor)
        torch.testing.assert_close(belief.probability, wanted[:, :, i])
        action, reward = episodes.action[:, :, k, h], episodes.reward[:, :, k, h]


def test_a_goal_that_pays_once_stays_known() -> None:
    belief = GoalBelief(torch.tensor([[[0.0, 0.25, 0.75, 0.0]]]), torch.tensor([[1]]))
    stay = torch.arange(4).unsqueeze(1)
    action = torch.zeros(1, 1, dtype=torch.int64)
    for reward in (1.0, 0.0):
        belief = take_in(belief, torch.tensor([[1]]), action, torch.full((1, 1), reward), stay)
        assert belief.probability.tolist() == [[[0, 1, 0, 0]]]
        assert [x.item() for x in known_goal(belief)] == [1, True]


def test_one_cell_left_is_certain_and_two_are_not() -> None:
    belief = nothing_visited(FAMILY.prior, 1, 1)
    action = torch.zeros(1, 1, dtype=torch.int64)
    for i, goal in enumerate(FAMILY.goals("train")):
        assert known_goal(belief)[1].item() == (i == 11)
        belief = GoalBelief(belief.probability, torch.tensor([[goal]]))
        belief = take_in(belief, belief.cell, action, torch.full((1, 1), -0.1), FAMILY.successor)


def test_draws_follow_the_belief_and_never_a_cell_ruled_out() -> None:
    p = torch.tensor([0.0, 0.1, 0.0, 0.6, 0.3, 0.0])
    n = 100_000
    belief = GoalBelief(p.expand(1, n, 6), torch.zeros(1, n, dtype=torch.int64))
    share = torch.bincount(sample_goal(belief, torch.rand(1, n, generator=seeded_generator("cpu", 3)))[0], minlength=6)
    assert ((share / n - p).abs() <= 4 * (p * (1 - p) / n).sqrt()).all()
    ends = GoalBelief(p.expand(1, 2, 6), torch.zeros(1, 2, dtype=torch.int64))
    assert sample_goal(ends, torch.tensor([[0.0, 1 - 2**-24]])).tolist() == [[1, 4]]
