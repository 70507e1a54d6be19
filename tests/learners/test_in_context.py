"""In-context learner: it trains on what it saw, credit flows over the whole trial, and imitation is a posterior."""

from typing import Any

import pytest
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.learners.in_context import InContext, InContextConfig
from metarl_lab.nets.base import encode_seen
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.types import Seen

SMALL: dict[str, Any] = {"hidden": 8, "heads": 2, "layers": 2, "meta_batch": 4, "batch": 4, "gradient_steps": 2}


def made(family: Any, **options: Any) -> InContext:
    learner = ml.make_learner("in_context", family, **(SMALL | options))
    assert isinstance(learner, InContext)
    return learner


def play(learner: InContext, family: Any, n: int = 4, seed: int = 0) -> Any:
    tasks = family.sample_tasks(n, "train", seeded_generator("cpu", seed, 1))
    trial = begin(learner, family, tasks)
    acted, trial = collect(learner, family, tasks, trial, seeded_generator("cpu", seed, 2), family.spec.episodes)
    return tasks, acted, trial


@pytest.mark.parametrize("context", [0, 5])
@pytest.mark.parametrize("name", ["cartpole", "gridworld"])
def test_training_passes_through_the_states_that_acted(name: str, context: int) -> None:
    """The cache at the end of a trial, and the policy after it, are those of one unroll over the replayed rows; also
    where poles fall at different steps, and where the trial is longer than the window."""
    options: dict[str, Any] = {"horizon": 20} if name == "cartpole" else {"size": 3, "horizon": 4, "episodes": 3}
    family = ml.make_family(name, **options)
    learner = made(family, context=context)
    tasks, acted, trial = play(learner, family)
    rows = learner._rows(family, tasks, acted)
    x, live = rows["x"].transpose(0, 1), rows["live"].transpose(0, 1)
    for b in range(4):  # each alone, without its dead steps
        out, state = learner.core.unroll(x[live[:, b], b : b + 1], learner.core.initial(1))
        for mine, unrolled in zip(trial.memory.state, state, strict=True):
            torch.testing.assert_close(mine[b], unrolled, rtol=1e-4, atol=1e-5)
    whole, _ = learner.core.unroll(x, learner.core.initial(4))
    torch.testing.assert_close(whole[live[:, 3], 3], out[:, 0], rtol=1e-4, atol=1e-5)
    assert live.sum() == acted.env_steps


def test_the_actor_acts_by_the_policy_that_is_trained() -> None:
    """Over an episode's end too, the cached steps draw what one unroll over the whole trial draws from that noise."""
    family = ml.make_family("gridworld", size=3, horizon=2, episodes=2)
    learner = made(family)
    with torch.no_grad():
        learner.actor.net[-1].weight.mul_(300)  # else all policies are close to uniform, and alike
    memory, action, reward = learner.begin(2, 30), torch.full((2, 30), -1), torch.zeros(2, 30)
    inputs, noises, actions = [], torch.rand(4, 2, 30, 1), []
    for step in range(4):
        seen = Seen(torch.rand(2, 30, 9), action, reward, torch.full((2, 30), step % 2 == 0), step % 2)
        inputs.append(encode_seen(family.spec, seen).flatten(0, 1))
        action, memory = learner.act(memory, seen, noises[step])
        actions.append(action)
        reward = torch.rand(2, 30)
    out, _ = learner.core.unroll(torch.stack(inputs), learner.core.initial(60))
    drawn = learner.actor.act(out.unflatten(1, (2, 30)), noises, torch.zeros(4, 2, 30, dtype=torch.bool))
    assert torch.equal(drawn, torch.stack(actions))


def constant_critics(learner: InContext, lowest: float) -> None:
    """Target critics that say ``lowest`` and 100, whatever they are asked, in units of a value scale of 1."""
    learner.value_scale.fill_(1.0)
    target = learner.target_critic
    target.weight1.zero_()
    target.bias1[0], target.bias1[1] = 100.0, lowest


def test_targets_are_the_lowest_critic_s_and_cross_episodes() -> None:
    """gridworld with 2 episodes of 2 steps: r + discount * min(100, 7) at steps 0 to 2, r alone at the trial's end."""
    family = ml.make_family("gridworld", size=3, horizon=2, episodes=2)
    learner = made(family, discounts=(0.5, 1.0))
    tasks, acted, _ = play(learner, family)
    batch = {key: x.transpose(0, 1) for key, x in learner._rows(family, tasks, acted).items()}
    constant_critics(learner, 7.0)
    found = learner._targets(batch, torch.full((4, 4, 2, 5), 0.2))  # (L, B, G)
    follows = torch.tensor([7.0, 7.0, 7.0, 0.0])[:, None, None] * learner.discounts
    torch.testing.assert_close(found, batch["reward"].unsqueeze(-1) + follows)


def test_a_fall_inside_the_trial_is_not_the_end_of_the_objective() -> None:
    family = ml.make_family("cartpole", horizon=30)
    learner = made(family, episodes=2)
    tasks = family.sample_tasks(4, "train", seeded_generator("cpu", 0))
    acted, _ = collect(learner, family, tasks, begin(learner, family, tasks), seeded_generator("cpu", 1), 2)
    assert acted.terminated[:, :, 0].any(), "no pole fell: the test says nothing"
    batch = {key: x.transpose(0, 1) for key, x in learner._rows(family, tasks, acted).items()}
    constant_critics(learner, 7.0)
    choice = torch.full((*batch["live"].shape, 2, 2), 0.5)
    found = learner._targets(batch, choice)[..., 1]
    steps = acted.mask.sum((1, 2, 3))  # live steps of each trial
    number = torch.arange(len(found))[:, None]
    expected = batch["reward"] + 0.99 * 7.0 * (number < steps - 1)
    torch.testing.assert_close(found[batch["live"]], expected[batch["live"]])


def test_replay_rows_are_whole_trials_of_one_task_with_the_training_reward() -> None:
    family = ml.make_family("semicircle_navigation", horizon=5, episodes=2)
    learner = made(family, capacity=6)
    tasks = family.sample_tasks(4, "train", seeded_generator("cpu", 0))
    learner.update(family, tasks, seeded_generator("cpu", 1))
    again = seeded_generator("cpu", 1)  # the same trials, acted again by the same weights
    fresh = made(family)
    trial = begin(fresh, family, tasks)
    torch.rand(4, 1, generator=again)
    acted, _ = collect(fresh, family, tasks, trial, again, 2)
    rows = learner.replay.state()
    reward = family.training_reward(tasks, acted)
    torch.testing.assert_close(rows["row.reward"], reward.flatten(1))
    torch.testing.assert_close(rows["row.x"][:, 1:, -2], acted.reward.flatten(1)[:, :-1])  # what it *sees* is true
    torch.testing.assert_close(rows["row.action"], acted.action.flatten(1, 3))
    assert not torch.equal(reward, acted.reward)


def test_dead_steps_do_not_touch_the_loss() -> None:
    family = ml.make_family("cartpole", horizon=20)
    learner = made(family, episodes=2)
    tasks, acted, _ = play(learner, family)
    batch = {key: x.transpose(0, 1) for key, x in learner._rows(family, tasks, acted).items()}
    learner.value_scale.fill_(1.0)
    dead = ~batch["live"]
    assert dead.any()
    moved = batch | {
        "x": torch.where(dead[..., None], 1e3, batch["x"]),
        "action": torch.where(dead, 1 - batch["action"], batch["action"]),
        "reward": torch.where(dead, 1e3, batch["reward"]),
    }
    kept = {key: x.clone() for key, x in learner.state_dict().items()}
    loss, _ = learner._loss(batch, seeded_generator("cpu", 3))
    learner.load_state_dict(kept)
    again, _ = learner._loss(moved, seeded_generator("cpu", 3))
    assert loss.item() == again.item()


def posterior_best(pulls: Tensor, paid: Tensor) -> Tensor:
    """P(arm 1 is best | counts) of two uniform arms, by quadrature. pulls, paid (..., 2)."""
    p = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    density = p ** paid.double().unsqueeze(-1) * (1 - p) ** (pulls - paid).double().unsqueeze(-1)
    density = density / density.sum(-1, keepdim=True)
    below = density[..., 0, :].cumsum(-1) - density[..., 0, :] / 2
    return (density[..., 1, :] * below).sum(-1)


def test_imitation_learns_the_posterior_over_the_best_arm() -> None:
    """DPT's theorem: after any history, the policy is the probability that each arm is the best one."""
    family = ml.make_family("bernoulli_bandit", arms=2, horizon=4)
    options = {"hidden": 16, "meta_batch": 256, "batch": 128, "gradient_steps": 4, "capacity": 2000}
    learner = made(family, mode="supervised", learning_rate=3e-3, random_share=0.5, discounts=(1.0,), **options)
    ml.train(learner, family, iterations=40, seed=0, device="cpu", progress=False)
    tasks, acted, _ = play(learner, family, n=500, seed=9)
    x = learner._rows(family, tasks, acted)["x"].transpose(0, 1)
    found = learner.actor(learner.core.unroll(x, learner.core.initial(500))[0]).logits[:, :, -1].softmax(-1)[..., 1]
    one_hot = x[..., 1:3]  # the last action, (L, B, 2)
    pulls, paid = one_hot.cumsum(0), (one_hot * x[..., 3:4]).cumsum(0)
    gap = (found - posterior_best(pulls, paid)).abs()
    assert gap[0].max() < 0.06, "before any pull both arms are equally likely the best"
    assert gap.mean() < 0.06


def test_what_cannot_work_is_refused() -> None:
    family = ml.make_family("corner_navigation", reward="published")
    learner = made(family, mode="supervised")
    tasks = family.sample_tasks(4, "train", seeded_generator("cpu", 0))
    with pytest.raises(ValueError, match="has no best_action"):
        learner.update(family, tasks, seeded_generator("cpu", 1))
    for options in ({"mode": "dqn"}, {"discounts": ()}, {"discounts": (0.9, 1.1)}, {"lam": 2.0}, {"critics": 0}):
        with pytest.raises(ValueError, match=f"in_context: {next(iter(options))}"):
            InContext(family.spec, InContextConfig(**options))  # type: ignore[arg-type]
