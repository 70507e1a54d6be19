"""Critic and actor heads: each discount and each critic reads what is its own."""

import gymnasium as gym
import numpy as np
import torch

from metarl_lab.nets.discounted_heads import ActorHeads, CriticHeads, draw, follow, frozen, imitation, judged
from metarl_lab.types import Spec

SEES = gym.spaces.Box(-1, 1, (1,), np.float32)
DISCRETE = Spec(SEES, gym.spaces.Discrete(3), 4)
BOX = Spec(SEES, gym.spaces.Box(np.float32([-1, 2]), np.float32([1, 6])), 4)


def test_the_value_of_a_choice_is_the_expectation_and_that_of_one_hot_the_action_s() -> None:
    critic, out = CriticHeads(DISCRETE, 5, 7, discounts=2, members=3), torch.randn(4, 6, 5)
    each = [critic(out, torch.eye(3)[a].expand(4, 6, 1, 3)) for a in range(3)]  # (N, 4, 6, G)
    p = torch.rand(4, 6, 2, 3).softmax(-1)
    torch.testing.assert_close(critic(out, p), sum(p[..., a] * each[a] for a in range(3)))
    assert each[0].shape == (3, 4, 6, 2) and not torch.allclose(each[0][0], each[0][1])


def test_a_box_critic_pairs_each_discount_with_its_own_action() -> None:
    critic, out, u = CriticHeads(BOX, 5, 7, 2, 3), torch.randn(4, 6, 5), torch.rand(4, 6, 2, 2)
    found = critic(out, u)
    for g in range(2):
        torch.testing.assert_close(found[..., g], critic(out, u[..., g : g + 1, :])[..., g])


def test_judging_trains_the_choice_alone() -> None:
    critic, out = CriticHeads(DISCRETE, 5, 7, 2, 2), torch.randn(4, 5, requires_grad=True)
    choice = torch.rand(4, 2, 3, requires_grad=True)
    judged(critic, out, choice).sum().backward()
    assert choice.grad is not None and choice.grad.abs().sum() > 0
    assert out.grad is None and all(p.grad is None for p in critic.parameters())


def test_rescaling_multiplies_each_discount_s_values() -> None:
    for spec in (DISCRETE, BOX):
        critic, out, choice = CriticHeads(spec, 5, 7, 2, 3), torch.randn(4, 5), torch.rand(4, 2, spec.action_size)
        before = critic(out, choice)
        critic.scale_outputs(torch.tensor([2.0, 10.0]))
        torch.testing.assert_close(critic(out, choice), before * torch.tensor([2.0, 10.0]))


def test_the_last_discount_acts_and_random_copies_do_not_ask_it() -> None:
    actor, out = ActorHeads(DISCRETE, 5, 7, 2), torch.randn(2000, 5)
    with torch.no_grad():
        actor.net[-1].bias.copy_(torch.tensor([9.0, 0, 0, 0, 0, 9.0]))  # the first likes 0, the last 2
    noise, nobody = torch.rand(2000, 1), torch.zeros(2000, dtype=torch.bool)
    assert (actor.act(out, noise, nobody) == 2).float().mean() > 0.99
    uniform = actor.act(out, noise, ~nobody)
    assert ((uniform[:, None] == torch.arange(3)).float().mean(0) - 1 / 3).abs().max() < 0.05
    box = ActorHeads(BOX, 5, 7, 2)
    drawn = box.act(out, torch.rand(2000, 2), ~nobody)
    torch.testing.assert_close(box.choice(drawn).abs().amax(0), torch.ones(2), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.mean(0), torch.tensor([0.0, 4.0]), atol=0.15, rtol=0)


def test_imitation_is_cross_entropy_for_every_discount() -> None:
    actor, out, action = ActorHeads(DISCRETE, 5, 7, 2), torch.randn(4, 5), torch.tensor([0, 2, 1, 2])
    policy = actor(out)
    expected = -policy.logits.log_softmax(-1)[torch.arange(4), :, action]
    torch.testing.assert_close(imitation(policy, actor.choice(action)), expected)
    torch.testing.assert_close(draw(policy, torch.empty(0))[1], policy.entropy())


def test_a_frozen_copy_has_no_parameters_and_follows() -> None:
    critic = CriticHeads(DISCRETE, 5, 7, 2, 2)
    target = frozen(critic)
    assert list(target.parameters()) == [] and len(target.state_dict()) == 4
    with torch.no_grad():
        critic.weight0 += 1
    follow(target, critic, 0.25)
    torch.testing.assert_close(target.weight0, critic.weight0.detach() - 0.75)
