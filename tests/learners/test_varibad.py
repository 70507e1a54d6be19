"""VariBAD: the belief sees the past only, the decoders the whole trial, and policy and belief train apart."""

from typing import Any

import pytest
import torch

import metarl_lab as ml
from metarl_lab.learners.varibad import VariBAD
from metarl_lab.nets.base import sequences
from metarl_lab.nets.trial_decoder import trial_rows
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.types import map_tensors

SMALL = {"hidden": 8, "latent": 3, "units": 8, "meta_batch": 6, "minibatches": 2, "vae_updates": 2, "vae_batch": 5}


def play(name: str = "gridworld", family: dict[str, Any] | None = None, **chosen: Any) -> tuple[VariBAD, Any, Any, Any]:
    """A small learner, tasks, two episodes of each and the trial after them."""
    made = ml.make_family(name, **(family or {}))
    learner: Any = ml.make_learner("varibad", made, seed=0, **SMALL | {"kept": 6, "capacity": 20} | chosen)
    tasks = made.sample_tasks(6, "train", seeded_generator("cpu", 1))
    acted, trial = collect(learner, made, tasks, begin(learner, made, tasks, 1), seeded_generator("cpu", 2), 2)
    return learner, tasks, acted, trial


def moved(parameters: Any, before: list[torch.Tensor]) -> list[bool]:
    return [not torch.equal(a, b) for a, b in zip(parameters, before, strict=True)]


def copies(module: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in module.parameters()]


@pytest.mark.parametrize("name", ["gridworld", "cartpole", "point_navigation"])
def test_ppo_trains_on_the_beliefs_that_acted(name: str) -> None:
    """The encoder unrolled over a trial ends in the very posterior that acting left; also where episodes end early."""
    learner, _, acted, trial = play(name, {"horizon": 20})
    batch = sequences(learner.spec, acted)
    hyper = learner.hyper_states(batch)  # (L, B, O + 2 M)
    last = hyper[batch.live.sum(0) - 1, torch.arange(6)]
    held = torch.cat((trial.memory.mean, trial.memory.log_var), -1).squeeze(1)
    torch.testing.assert_close(last[:, learner.spec.observation_size :], held, rtol=1e-4, atol=1e-5)
    assert not hyper.requires_grad


def test_the_belief_lives_through_episodes_and_starts_anew_with_a_trial() -> None:
    learner, tasks, _, trial = play()
    family = ml.make_family("gridworld")
    again = begin(learner, family, tasks, 1).memory
    assert not again.mean.any() and not again.log_var.any() and not again.hidden.any()  # N(0, I)
    more, after = collect(learner, family, tasks, trial, seeded_generator("cpu", 3), 1)
    # the next episode's first posterior comes from the last one's hidden state and from its last, so far unseen, step
    one = sequences(learner.spec, more)
    first, _, _ = learner.model.encoder.step(one.x[0], (trial.memory.hidden.flatten(0, 1),))
    fresh, _, _ = learner.model.encoder.step(one.x[0], (again.hidden.flatten(0, 1),))
    assert (first - fresh).abs().max() > 1e-3
    assert torch.equal(one.x[0, :, -2], acted_last_reward(trial))
    torch.testing.assert_close(unrolled(learner, one.x, trial.memory.hidden), after.memory.mean.flatten(0, 1))


def acted_last_reward(trial: Any) -> torch.Tensor:
    return trial.reward.flatten()


def unrolled(learner: VariBAD, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    state: Any = (hidden.flatten(0, 1),)
    for step in x:
        mean, _, state = learner.model.encoder.step(step, state)
    return mean


def test_no_belief_sees_the_future() -> None:
    learner, _, acted, _ = play()
    batch = sequences(learner.spec, acted)
    cut = 17  # a step of the second episode
    x = batch.x.clone()
    x[cut:] += torch.randn(x[cut:].shape, generator=seeded_generator("cpu", 4))
    before, after = learner.hyper_states(batch), learner.hyper_states(batch._replace(x=x))
    assert torch.equal(before[:cut], after[:cut])
    assert (before[cut] != after[cut]).any()


def test_every_prefix_decodes_the_past_and_the_future() -> None:
    """The gradient of the ELBO at the first prefix alone reaches the prediction of every reward of the trial."""
    learner, _, acted, _ = play(reward_model="gaussian")
    rows = trial_rows(learner.spec, acted)
    for step in (0, 7, 29):  # a change of the truth at any step moves the error, whatever the prefix that is drawn
        other = {**rows, "reward": rows["reward"].clone()}
        other["reward"][:, step] += 1.0  # of the truth that is decoded, not of what the encoder saw
        for seed in range(6):
            a, b = (learner.model.elbo(r, 1, seeded_generator("cpu", seed)) for r in (rows, other))
            assert a.reward_error.item() != b.reward_error.item(), "decodes a part of the trial only"
            assert a.posterior_kl.item() == b.posterior_kl.item()


def test_what_a_step_led_to_is_in_the_rows_where_no_agent_was_shown_it() -> None:
    """A gridworld's next cells follow its own map, also at the last step of an episode."""
    learner, _, acted, _ = play()
    family: Any = ml.make_family("gridworld")
    rows = trial_rows(learner.spec, acted)
    cell = rows["x"][..., :25].argmax(-1)
    expected = family.successor[cell, rows["action"]]
    assert torch.equal(rows["following"].argmax(-1), expected)


def test_masked_steps_touch_neither_belief_nor_elbo() -> None:
    learner, _, acted, _ = play("cartpole", {"horizon": 40})
    rows = trial_rows(learner.spec, acted)
    dead = ~rows["live"]
    assert dead.any() and not dead.all()
    other = {**rows, "reward": torch.where(dead, 9.0, rows["reward"]), "action": torch.where(dead, 1, rows["action"])}
    other |= {key: torch.where(dead[..., None], 9.0, rows[key]) for key in ("x", "following")}
    a, b = (learner.model.elbo(r, 0, seeded_generator("cpu", 5)) for r in (rows, other))
    for x, y in zip(a, b, strict=True):
        assert x.item() == pytest.approx(y.item(), rel=1e-6)
    # and the last live step of an episode leads to its final observation
    ended = acted.terminated.movedim((2, 3), (0, 1)).flatten(0, 1).flatten(1, 2)
    assert ended.any()
    lengths = acted.mask[:, 0, 0].sum(-1)
    for b_, length in enumerate(lengths.tolist()):
        assert torch.equal(rows["following"][b_, length - 1], acted.final_observation[b_, 0, 0])


def test_policy_and_belief_train_apart() -> None:
    """PPO moves no weight of the encoder and leaves it no gradient; the ELBO moves none of the policy."""
    learner, tasks, acted, _ = play()
    batch, generator = sequences(learner.spec, acted), seeded_generator("cpu", 6)
    model, net = copies(learner.model), copies(learner.net)
    learner._improve(batch, generator)
    assert not any(moved(learner.model.parameters(), model)) and any(moved(learner.net.parameters(), net))
    assert all(p.grad is None for p in learner.model.parameters())
    net = copies(learner.net)
    learner._infer(acted, generator)
    assert all(moved(learner.model.parameters(), model)) and not any(moved(learner.net.parameters(), net))


def test_ppo_comes_before_the_encoder_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An update on beliefs that never acted would start with a ratio other than 1."""
    learner, tasks, _, _ = play(epochs=1, minibatches=1)
    family, at_rest = ml.make_family("gridworld"), copies(learner.model)
    seen: list[list[bool]] = []
    improve = VariBAD._improve

    def spy(self: VariBAD, *arguments: Any) -> Any:
        seen.append(moved(self.model.parameters(), at_rest))
        return improve(self, *arguments)

    monkeypatch.setattr(VariBAD, "_improve", spy)
    metrics = learner.update(family, tasks, seeded_generator("cpu", 7))
    assert not any(seen[0]) and any(moved(learner.model.parameters(), at_rest))
    assert metrics.values["kl"] == pytest.approx(0.0, abs=1e-6)  # one step: the policy that acted is the one scored


def test_ppo_maximises_the_training_reward_and_the_belief_decodes_the_true_one() -> None:
    learner, tasks, acted, _ = play("semicircle_navigation")
    family = ml.make_family("semicircle_navigation")
    dense = family.training_reward(tasks, acted)
    assert not torch.allclose(dense, acted.reward)
    rows = trial_rows(learner.spec, acted)
    torch.testing.assert_close(rows["reward"], acted.reward.flatten(1, 3))
    heard: list[torch.Tensor] = []
    learner._improve = lambda batch, generator: heard.append(batch.reward) or {}  # type: ignore[assignment,method-assign]
    learner.update(family, tasks, seeded_generator("cpu", 8))
    assert (heard[0] < 0).all()  # minus a distance: the dense reward


def test_tasks_keep_to_their_rows_of_the_elbo() -> None:
    learner, _, acted, _ = play()
    few = map_tensors(lambda y: y[:3], acted)
    whole, part = trial_rows(learner.spec, acted), trial_rows(learner.spec, few)
    for key, x in part.items():
        assert torch.equal(whole[key][:3], x)


def test_a_belief_over_cells_sums_to_one_and_wants_the_right_decoder() -> None:
    learner, _, _, trial = play(reward_model="binary", reward_reads="next", transition_weight=0.0)
    noise = torch.randn(4, 3, generator=seeded_generator("cpu", 9))
    found = learner.model.belief(trial.memory.mean, trial.memory.log_var, torch.eye(25), noise)
    assert found.shape == (6, 1, 25)
    torch.testing.assert_close(found.sum(-1), torch.ones(6, 1))
    # of one draw of m: the probability that a cell pays and all others do not, over the sum of these
    one = learner.model.belief(trial.memory.mean, trial.memory.log_var, torch.eye(25), noise[:1])
    logit = learner.model.decoded_rewards(trial.memory.mean, trial.memory.log_var, torch.eye(25), noise[:1])
    pays, fails = logit[2, 0, 0].double().sigmoid(), (-logit[2, 0, 0].double()).sigmoid()
    alone = torch.stack([pays[c] * fails[:c].prod() * fails[c + 1 :].prod() for c in range(25)])
    torch.testing.assert_close(one[2, 0].double(), alone / alone.sum(), rtol=1e-4, atol=1e-6)
    for chosen in ({"reward_model": "binary"}, {"reward_reads": "next"}):
        other, _, _, trial = play(**chosen)
        with pytest.raises(ValueError, match="train"):
            other.model.belief(trial.memory.mean, trial.memory.log_var, torch.eye(25), noise)


@pytest.mark.parametrize(("field", "value"), [("reward_model", "poisson"), ("reward_reads", "past"), ("kept", 0)])
def test_what_is_not_allowed_is_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=str(value)):
        play(**{field: value})


def test_it_infers_an_arm() -> None:
    """A verdict: on a two-armed bandit of ten pulls, 30 small iterations come clearly above chance, 5."""
    family = ml.make_family("bernoulli_bandit", arms=2, horizon=10)
    learner = ml.make_learner(
        "varibad", family, seed=0, hidden=16, units=32, meta_batch=100, reward_model="binary", transition_weight=0.0,
        vae_learning_rate=5e-3, learning_rate=3e-3, minibatches=2, kept=100, vae_batch=40,
    )  # fmt: skip
    ml.train(learner, family, iterations=30, seed=0, device="cpu", progress=False)
    assert 5.3 < ml.evaluate(learner, family, n_tasks=2000).low[0] < 6.03  # exact Bayes: 6.0218
