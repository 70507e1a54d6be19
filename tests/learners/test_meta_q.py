"""Meta-Q: its meta-gradient by finite differences, what is held in a semi-gradient, tables, and that it adapts."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.ops.q_learning import sampled_backup
from metarl_lab.ops.transitions import transition_rows
from metarl_lab.rollout import begin, collect, seeded_generator

GRID = ml.make_family("gridworld", size=3, horizon=5)
SMALL = {"hidden": (4,), "activation": "tanh", "episodes": 3, "batch": 20, "inner_step": 0.3, "inner_steps": 2}


def learner(family: Any = GRID, **options: Any) -> Any:
    return ml.make_learner("meta_q", family, seed=1, **SMALL | options)


def rows_of(made: Any, family: Any = GRID, n: int = 3, batches: int = 2) -> dict[str, Tensor]:
    """What the replay holds of n tasks, acted at random."""
    tasks = family.sample_tasks(n, "train", seeded_generator("cpu", 1))
    trial = begin(made, family, tasks, made.config.episodes)
    acted = [collect(made, family, tasks, trial, seeded_generator("cpu", 2, k + 1))[0] for k in range(batches)]
    parts = [transition_rows(x, x.reward) for x in acted]
    return {k: torch.cat([p[k] for p in parts], 1) for k in parts[0]}


def doubled(made: Any, rows: dict[str, Tensor]) -> dict[str, Tensor]:
    made.double()
    return {k: x.double() if x.is_floating_point() else x for k, x in rows.items()}


def gradient(made: Any, rows: dict[str, Tensor]) -> Tensor:
    made.zero_grad()
    made.losses(rows, seeded_generator("cpu", 3))[0].backward()
    return torch.cat([p.grad.flatten() for p in made.parameters()])


@pytest.mark.parametrize(("discount", "target_every"), [(0.9, 1), (0.9, 2), (0.0, 1)])
def test_the_meta_gradient_is_that_of_finite_differences(discount: float, target_every: int) -> None:
    """Through inner steps whose targets move with the weights; of the step sizes where the outer target holds none."""
    made = learner(inner_steps=3, target_every=target_every, discount=discount, learned_rates=discount == 0)
    rows = doubled(made, rows_of(made))
    exact, slopes = gradient(made, rows), []
    for p in made.parameters():
        for place in range(p.numel()):
            ends = []
            for sign in (1, -1):
                p.data.view(-1)[place] += sign * 1e-6
                ends.append(made.losses(rows, seeded_generator("cpu", 3))[0].item())
                p.data.view(-1)[place] -= sign * 1e-6
            slopes.append((ends[0] - ends[1]) / 2e-6)
    torch.testing.assert_close(exact, torch.tensor(slopes, dtype=torch.float64), rtol=1e-4, atol=1e-7)


def test_first_order_is_something_else_and_the_gap_shrinks_with_the_inner_step() -> None:
    gaps = []
    for size in (0.2, 0.02, 0.002):
        pair = []
        for first_order in (False, True):
            made = learner(inner_step=size, first_order=first_order, learned_rates=False)
            pair.append(gradient(made, doubled(made, rows_of(made))))
        gaps.append((pair[0] - pair[1]).norm().item() / pair[0].norm().item())
    assert gaps[0] > 0.05
    np.testing.assert_allclose(gaps[1] / gaps[2], 10, rtol=0.1)


def test_the_semi_gradient_of_a_linear_q_by_hand() -> None:
    """2 mean (q - y) x: the target is held, though it is made of the same weights."""
    made = learner(hidden=(), inner_steps=1)
    rows = rows_of(made, n=1, batches=1)
    w = made.weights("trained", 1)
    got = made.net.semi_gradient(w, w, rows, 1.0, 0.9, False)
    table = (w["critic.weight0"] + w["critic.bias0"])[0, 0]  # (S, A)
    s, a, after = rows["observation"][0].argmax(-1), rows["action"][0], rows["after"][0].argmax(-1)
    error = table[s, a] - (rows["reward"][0] + 0.9 * table[after].amax(-1))
    expected = torch.zeros_like(table).index_put((s, a), 2 * error / len(s), accumulate=True)
    torch.testing.assert_close(got["critic.weight0"][0, 0], expected)
    torch.testing.assert_close(got["critic.bias0"][0, 0, 0], expected.sum(0))


def test_nothing_follows_a_terminal_state_and_something_a_truncation() -> None:
    made = learner()
    rows = rows_of(made, n=2, batches=1)
    w = made.weights("trained", 2)
    last = torch.arange(rows["mask"].shape[1]) % GRID.horizon == GRID.horizon - 1  # truncated there
    elsewhere = rows | {"after": torch.where(last[:, None], rows["after"].flip(-1), rows["after"])}
    for ends, same in ((last, True), (last & False, False)):
        told = {"terminated": ends.expand_as(rows["terminated"])}
        one, other = (made.net.semi_gradient(w, w, x | told, 1.0, 0.9, False) for x in (rows, elsewhere))
        assert torch.equal(one["critic.weight1"], other["critic.weight1"]) == same


def test_many_steps_of_a_table_end_at_the_fixed_point_of_its_data() -> None:
    made = learner(hidden=(), episodes=12, inner_steps=4000, inner_step=2.0)
    rows = rows_of(made, n=2, batches=1)
    own = made.adapted(made.begin(2, 1).weights, rows, graph=False)
    table = (own["critic.weight0"] + own["critic.bias0"])[:, 0]  # (T, S, A)
    s, after = rows["observation"].argmax(-1), rows["after"].argmax(-1)
    # backed up once more on the same data, nothing changes: where there is data, q is the mean of its targets
    again = sampled_backup(table, s, rows["action"], rows["reward"], after, rows["terminated"], 0.9)
    torch.testing.assert_close(again, table, rtol=1e-3, atol=1e-3)


def test_one_tasks_steps_do_not_depend_on_the_others() -> None:
    for name in ("gridworld", "point_navigation"):
        family = GRID if name == "gridworld" else ml.make_family(name, horizon=5)
        made = learner(family)
        rows = rows_of(made, family, n=3, batches=1)
        together = made.adapted(made.begin(3, 1).weights, rows, graph=False)
        alone = made.adapted(made.begin(1, 1).weights, {k: x[2:] for k, x in rows.items()}, graph=False)
        for key, w in together.items():
            torch.testing.assert_close(w[2:], alone[key], rtol=1e-4, atol=1e-6)
            assert not torch.equal(w[0], w[2]), f"{key} has not moved"


def test_inner_steps_read_the_true_reward_and_the_outer_loss_the_training_reward() -> None:
    made = learner()
    rows = rows_of(made)
    half = rows["mask"].shape[1] // 2
    later = torch.arange(2 * half) >= half

    def loss(**changed: Tensor) -> float:
        return made.losses(rows | changed, seeded_generator("cpu", 3))[0].item()

    reward, wanted = rows["reward"], rows["training_reward"]
    assert loss() != loss(reward=reward + ~later) and loss() != loss(training_reward=wanted + later)
    assert loss() == loss(reward=reward + later)  # adapting has read the first batch alone
    assert loss() == loss(training_reward=wanted + ~later)  # and the loss is on the other one


def test_the_policys_half_of_the_meta_gradient_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A box: the Q-functions learn from the Bellman error alone, the policy from Q_1 alone."""
    family = ml.make_family("point_navigation", horizon=5)
    made = learner(family, learned_rates=False)
    rows = rows_of(made, family)

    def gradients() -> dict[str, Tensor]:
        gradient(made, rows)
        return {k: p.grad.clone() for k, p in made.net.named_parameters()}

    whole, gain, calls = gradients(), type(made.net).gain, []
    assert all(g.abs().sum() > 0 for g in whole.values())
    later = torch.arange(rows["mask"].shape[1]) >= rows["mask"].shape[1] // 2
    rows["training_reward"] = rows["training_reward"] + later
    other_error = gradients()

    def without_the_last(self: Any, weights: Any, state: Tensor) -> Tensor:
        calls.append(1)  # two inner steps of each of two sets of weights, then the outer loss
        return gain(self, weights, state) * (len(calls) < 5)

    monkeypatch.setattr(type(made.net), "gain", without_the_last)
    no_gain = gradients()
    for key, g in whole.items():
        critic = key.startswith("critic")
        assert torch.equal(g, other_error[key]) != critic and torch.equal(other_error[key], no_gain[key]) == critic, key


def test_exploring_first_and_exploiting_after() -> None:
    made = learner(explore_first=1.0, explore_later=0.0)
    tasks = GRID.sample_tasks(200, "train", seeded_generator("cpu", 1))
    trial = begin(made, GRID, tasks, 3)
    first, trial = collect(made, GRID, tasks, trial, seeded_generator("cpu", 2))
    counts = first.action.flatten().bincount(minlength=5).float()
    assert (counts / counts.sum() - 0.2).abs().max() < 0.02
    memory = made.absorb(trial.memory, first)
    later, _ = collect(made, GRID, tasks, trial._replace(memory=memory), seeded_generator("cpu", 3))
    best = made.net.best(memory.weights, later.observation.flatten(1, 3))
    assert torch.equal(later.action.flatten(1, 3), best)


def test_the_shared_form_looks_at_all_data_and_not_ahead() -> None:
    """Its gradient is the plain one of the mean squared Bellman error; its step size is not learned."""
    made = learner(form="shared", batch=5000)
    rows = doubled(made, rows_of(made))
    assert not any(k == "log_rates" for k, _ in made.named_parameters())
    error = made.losses(rows, seeded_generator("cpu", 3))[1]
    w, late = made.weights("trained", 3), made.weights("target", 3)
    y = made.net.target(w, late, rows["after"], rows["reward"], rows["terminated"], 0.9)
    everything = (made.net.q(w, rows["observation"], rows["action"]) - y).square().mean()
    torch.testing.assert_close(error, everything.detach(), rtol=0.05, atol=0)  # 15,000 draws with repeats


def test_it_learns_to_adapt_where_the_shared_form_cannot() -> None:
    """Twelve goals on a 4 x 4 grid, ten random episodes, five steps; the oracle earns 12 on average, chance -0.9."""
    family, after = ml.make_family("gridworld", size=4), {}
    for form in ("maml", "shared"):
        made = ml.make_learner("meta_q", family, seed=0, form=form)
        generator = seeded_generator("cpu", 7)
        for _ in range(20):
            made.update(family, family.sample_tasks(8, "train", generator), generator)
        after[form] = ml.evaluate(made, family, n_tasks=100, episodes=10, batches=2).mean[1]
    assert after["maml"] > after["shared"] + 0.5 and after["maml"] > 2.0, after
