"""A learned update rule: its meta-gradient by finite differences, what it is blind to, and rules written by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import metarl_lab as ml
from metarl_lab.learners.learned_rule import LearnedRule, MetaObjective
from metarl_lab.nets.update_rule import Targets, UpdateRule, backwards
from metarl_lab.ops.linear_agents import (
    LinearAgents,
    agent_batch,
    agent_step,
    minus_mean_of_copies,
    outputs,
)
from metarl_lab.ops.live import live_mean
from metarl_lab.ops.returns import discounted_returns
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.types import Episodes, map_tensors

FAMILY = ml.make_family("collecting_gridworld", kind="small_sparse", horizon=6)
TINY = {"hidden": 6, "categories": 3, "embedding": 4, "episodes": 3, "meta_batch": 4, "inner_steps": 4, "window": 2}


def moved_agents(learner: LearnedRule, n: int = 4) -> LinearAgents:
    """Agents that are not all zeros."""
    chance = seeded_generator("cpu", 8)
    return map_tensors(lambda x: torch.randn(x.shape, generator=chance, dtype=x.dtype), learner.begin(n, 3))


def acted(learner: LearnedRule, agents: LinearAgents, batches: int = 1, seed: int = 1) -> list[Episodes]:
    """Batches of episodes of these agents, none of which learns in between."""
    tasks = FAMILY.sample_tasks(len(agents.policy), "train", seeded_generator("cpu", seed, 1))
    trial = begin(learner, FAMILY, tasks, learner.config.episodes)._replace(memory=agents)
    return [collect(learner, FAMILY, tasks, trial, seeded_generator("cpu", seed, 2, i + 1))[0] for i in range(batches)]


def test_the_meta_gradient_through_a_window_is_that_of_finite_differences(monkeypatch):
    """``update`` itself, its episodes frozen: the same data whatever the rule does, as the surrogate assumes."""
    learner = ml.make_learner("learned_rule", FAMILY, **TINY | {"inner_steps": 2}, max_grad_norm=1e9).double()
    frozen = acted(learner, moved_agents(learner), 3)
    tasks = FAMILY.sample_tasks(4, "train", seeded_generator("cpu", 1, 1))
    grads: dict[str, Tensor] = {}

    def loss(keep: bool = False) -> float:
        left = iter(frozen)
        monkeypatch.setattr(
            "metarl_lab.learners.learned_rule.collect", lambda _l, _f, _t, trial, _g: (next(left), trial)
        )
        monkeypatch.setattr(learner.optimizer, "step", lambda: None)
        value = learner.update(FAMILY, tasks, seeded_generator("cpu", 1)).values["loss"]
        if keep:
            grads.update({k: p.grad.clone() for k, p in learner.named_parameters()})
        return value

    loss(keep=True)
    chance = seeded_generator("cpu", 5)
    for name, p in learner.named_parameters():
        for i in torch.randint(0, p.numel(), (3,), generator=chance).tolist():
            sides = []
            for change in (1e-5, -1e-5):
                with torch.no_grad():
                    p.view(-1)[i] += change
                sides.append(loss())
                with torch.no_grad():
                    p.view(-1)[i] -= change
            numeric = (sides[0] - sides[1]) / 2e-5
            assert numeric == pytest.approx(grads[name].view(-1)[i].item(), rel=1e-4, abs=1e-9), name
    assert grads["rule.embed.0.weight"].abs().max() > 1e-6, "predictions matter to what is learned"


def test_the_loss_is_minus_equation_4_on_numbers_worked_out_by_hand():
    weights = {"policy_entropy": 0.5, "prediction_entropy": 0.25, "pi_hat_penalty": 0.1, "y_hat_penalty": 0.01}
    learner = ml.make_learner("learned_rule", FAMILY, **TINY, **weights)
    steps = [[1.0, 2.0, 4.0, 10.0, 100.0], [3.0, 0.0, 0.0, 30.0, 300.0]]
    loss, means = learner.loss([MetaObjective(*map(torch.tensor, terms)) for terms in steps])
    assert means.tolist() == [2.0, 1.0, 2.0, 20.0, 200.0]
    # more return and more entropy are better, larger targets are worse
    assert loss.item() == pytest.approx(-(2.0 + 0.5 * 1.0 + 0.25 * 2.0 - 0.1 * 20.0 - 0.01 * 200.0))


def test_the_learning_rate_falls_to_a_twentieth_over_its_iterations_and_stays_without_them():
    tasks = FAMILY.sample_tasks(4, "train", seeded_generator("cpu", 1))
    rates = {}
    for iterations in (0, 4):
        learner = ml.make_learner("learned_rule", FAMILY, **TINY, learning_rate=0.1, decay_iterations=iterations)
        rates[iterations] = []
        for seed in range(5):
            learner.update(FAMILY, tasks, seeded_generator("cpu", seed))
            rates[iterations].append(learner.optimizer.param_groups[0]["lr"])
    assert rates[0] == [0.1] * 5
    assert rates[4] == pytest.approx([0.075, 0.05, 0.025, 0.005, 0.005])


def test_an_agents_step_is_the_gradient_that_autograd_finds():
    learner = ml.make_learner("learned_rule", FAMILY, **TINY).double()
    agents = moved_agents(learner)
    batch = agent_batch(acted(learner, agents)[0], torch.float64)
    targets = learner.learn(agents, batch, outputs(agents, batch))[1]
    new = agent_step(agents, batch, outputs(agents, batch), targets.pi_hat, targets.log_y_hat, 0.7, 0.3)
    leaves = [x.clone().requires_grad_() for x in agents]
    policy = torch.distributions.Categorical(logits=torch.einsum("tmo,toa->tma", batch.observation, leaves[0]))
    log_pi = policy.log_prob(batch.action).view_as(batch.reward)
    log_y = torch.einsum("tmo,toc->tmc", batch.observation, leaves[1]).log_softmax(-1).view_as(targets.log_y_hat)
    kl = (log_y.exp() * (log_y - targets.log_y_hat.detach())).sum(-1)
    objective = (0.7 * log_pi * targets.pi_hat.detach() - 0.3 * kl)[batch.live].sum() / batch.live.shape[1]
    for old, after, slope in zip(agents, new, torch.autograd.grad(objective, leaves), strict=True):
        torch.testing.assert_close(after, old + slope)


class Reinforce(nn.Module):
    """A rule written by hand: the return to go of the episode for pi_hat, no change of predictions."""

    def forward(self, reward, terminated, live, pi, y, y_next) -> Targets:
        return Targets(discounted_returns(reward.movedim(-1, 0), 1.0).movedim(0, -1), y.log())


def test_with_the_return_for_pi_hat_it_is_reinforce_step_for_step():
    learner = ml.make_learner("learned_rule", FAMILY, **TINY, agent_step=0.5)
    learner.rule = Reinforce()
    learner.register_parameter("any", nn.Parameter(torch.zeros(1)))  # what says on which device
    agents = learner.begin(4, 3)
    table = torch.zeros(4, FAMILY.states, 5)  # the reference: a table for each task, looped over in plain Python
    for seed in (1, 2):
        episodes = acted(learner, agents, seed=seed)[0]
        agents = learner.absorb(agents, episodes)
        for t in range(4):
            pi, step = table[t].softmax(-1), torch.zeros_like(table[t])
            for e in range(3):
                for h in range(int(episodes.mask[t, e, 0].sum())):
                    s, a = episodes.observation[t, e, 0, h].argmax(), episodes.action[t, e, 0, h]
                    g = episodes.reward[t, e, 0, h:].sum()
                    step[s] += 0.5 / 3 * g * (torch.nn.functional.one_hot(a, 5) - pi[s])
            table[t] += step
    assert table.abs().max() > 0.1
    torch.testing.assert_close(agents.policy, table, atol=1e-6, rtol=1e-4)
    assert agents.prediction.abs().max() < 1e-6


def test_renaming_states_and_actions_renames_the_agents_and_nothing_else():
    learner = ml.make_learner("learned_rule", FAMILY, **TINY)
    agents = moved_agents(learner)
    episodes, chance = acted(learner, agents)[0], seeded_generator("cpu", 3)
    states, actions = torch.randperm(FAMILY.states, generator=chance), torch.randperm(5, generator=chance)
    renamed = episodes._replace(
        observation=episodes.observation[..., states],
        final_observation=episodes.final_observation[..., states],
        action=actions.argsort()[episodes.action],
    )
    plain, other = (
        learner.absorb(agents, episodes),
        LinearAgents(agents.policy[:, states][..., actions], agents.prediction[:, states]),
    )
    got = learner.absorb(other, renamed)
    torch.testing.assert_close(got.policy, plain.policy[:, states][..., actions])
    torch.testing.assert_close(got.prediction, plain.prediction[:, states])
    assert (plain.policy - agents.policy).abs().max() > 1e-4


def spoken(rule: UpdateRule, live: Tensor, reward: Tensor) -> Targets:
    """Targets for rows of episodes; whatever is not given is fixed."""
    terminated = torch.zeros_like(live)
    y = torch.linspace(0.1, 0.9, 3, dtype=reward.dtype).expand(*live.shape, 3)
    return rule(reward, terminated, live, torch.full_like(reward, 0.3), y, y)


def test_credit_goes_back_within_an_episode_and_never_into_another():
    torch.manual_seed(0)
    rule = UpdateRule(3, 6, 4).double()
    live = torch.tensor([[[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]], dtype=torch.bool)
    reward = torch.rand(1, 3, 5, dtype=torch.float64).requires_grad_()
    targets = spoken(rule, live, reward)
    for n, length in enumerate((5, 3, 1)):
        for h in range(length):
            (slope,) = torch.autograd.grad(targets.pi_hat[0, n, h], reward, retain_graph=True)
            hears = torch.zeros(3, 5, dtype=torch.bool)
            hears[n, h:length] = True  # this episode, from here to its last live step
            assert torch.equal(slope[0] != 0, hears)


def test_a_longer_span_hears_farther_rewards_at_first():
    live, reward = torch.ones(1, 1, 12, dtype=torch.bool), torch.zeros(1, 1, 12).requires_grad_()

    def reach(span: float, seed: int) -> float:  # of a reward nine steps on, as a share of one at hand
        torch.manual_seed(seed)
        first = spoken(UpdateRule(3, 16, 4, span), live, reward).log_y_hat[0, 0, 0]
        slopes = torch.stack([torch.autograd.grad(x, reward, retain_graph=True)[0][0, 0] for x in first]).norm(dim=0)
        return (slopes[9] / slopes[0]).item()

    short, long = (sorted(reach(span, seed) for seed in range(10))[5] for span in (1.0, 20.0))
    assert short < 0.1 and long > 2 * short


def test_padding_after_the_end_changes_nothing():
    torch.manual_seed(0)
    rule = UpdateRule(3, 6, 4)
    reward = torch.rand(1, 2, 3)
    live = torch.ones(1, 2, 3, dtype=torch.bool)
    short = spoken(rule, live, reward)
    longer = spoken(rule, nn.functional.pad(live, (0, 4)), nn.functional.pad(reward, (0, 4), value=7.0))
    torch.testing.assert_close(longer.pi_hat[..., :3], short.pi_hat)
    torch.testing.assert_close(longer.log_y_hat[..., :3, :], short.log_y_hat)


def test_no_prediction_of_what_follows_a_termination_is_read_and_that_after_a_truncation_is():
    torch.manual_seed(0)
    rule = UpdateRule(3, 6, 4)
    args = [torch.rand(1, 2, 4), torch.zeros(1, 2, 4, dtype=torch.bool), torch.ones(1, 2, 4, dtype=torch.bool)]
    args[1][0, 0, 3] = True  # the first episode terminates, the second is cut by the horizon
    y, one, other = (torch.rand(1, 2, 4, 3) for _ in range(3))
    other[:, :, :3] = one[:, :, :3]
    a, b = (rule(*args, torch.full((1, 2, 4), 0.5), y, nxt).pi_hat[0] for nxt in (one, other))
    assert torch.equal(a[0], b[0]) and (a[1] != b[1]).all()


def test_predictions_are_read_of_the_state_and_of_the_one_that_followed():
    learner = ml.make_learner("learned_rule", FAMILY, **TINY)
    agents = moved_agents(learner)
    episodes = acted(learner, agents)[0]
    said = learner.targets(episodes, agents)
    table = agents.prediction.softmax(-1)  # (T, S, m)
    cut = episodes.truncated[:, :, 0, -1]
    assert cut.any() and episodes.terminated.any()
    for t, e in cut.nonzero().tolist():
        states = [*episodes.observation[t, e, 0].argmax(-1).tolist(), int(episodes.final_observation[t, e, 0].argmax())]
        torch.testing.assert_close(said.y[t, e], table[t, states[:-1]])
        torch.testing.assert_close(said.y_next[t, e], table[t, states[1:]])


def test_the_same_rule_on_another_family_is_shared_and_its_weights_load_there():
    bandit = ml.make_family("bernoulli_bandit", arms=3, horizon=5)
    learner = ml.make_learner("learned_rule", FAMILY, **TINY)
    other, loaded = learner.on(bandit), ml.make_learner("learned_rule", bandit, seed=5, **TINY)
    before = learner.rule.to_pi_hat.weight.clone()
    other.update(bandit, bandit.sample_tasks(4, "train", seeded_generator("cpu", 1)), seeded_generator("cpu", 2))
    assert not torch.equal(before, learner.rule.to_pi_hat.weight)
    assert other.begin(2, 3).policy.shape == (2, 1, 3) and learner.begin(2, 3).policy.shape == (2, FAMILY.states, 5)
    loaded.load_state_dict(learner.state_dict())
    memory = [x.begin(4, 3) for x in (other, loaded)]
    tasks = bandit.sample_tasks(4, "test", seeded_generator("cpu", 1))
    episodes, _ = collect(other, bandit, tasks, begin(other, bandit, tasks, 3), seeded_generator("cpu", 2))
    for a, b in zip(*(x.absorb(m, episodes) for x, m in zip((other, loaded), memory, strict=True)), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(ValueError, match="discrete actions"):
        learner.on(ml.make_family("point_navigation"))


def test_the_baseline_is_of_the_other_live_episodes():
    to_go = torch.tensor([[[4.0, 1.0, 9.0], [1.0, 3.0, 5.0], [7.0, 5.0, 5.0]]])
    live = torch.tensor([[[1, 1, 1], [1, 1, 0], [1, 1, 0]]], dtype=torch.bool)
    want = torch.tensor([[[0.0, -3.0, 9.0], [-4.5, 0.0, 0.0], [4.5, 3.0, 0.0]]])
    torch.testing.assert_close(minus_mean_of_copies(to_go, live), want)
    assert live_mean(to_go, live).item() == pytest.approx(30 / 7)


def test_backwards_turns_the_live_steps_round():
    live = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)
    assert backwards(live).T.tolist() == [[3, 2, 1, 0], [1, 0, 2, 3]]


def test_configuration_is_checked():
    with pytest.raises(ValueError, match="episodes=1 leaves no baseline"):
        ml.make_learner("learned_rule", FAMILY, episodes=1)
    with pytest.raises(ValueError, match="span=0.5 is not allowed"):
        ml.make_learner("learned_rule", FAMILY, span=0.5)
    with pytest.raises(ValueError, match="window=0 is not allowed"):
        ml.make_learner("learned_rule", FAMILY, window=0)
