"""The average policy: the gradient of Distral's objective, its fixed point, and what distillation settles on."""

import numpy as np
import pytest
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.learners.average_policy import AveragePolicy
from metarl_lab.ops.contrast import arithmetic_average, geometric_average
from metarl_lab.ops.distral import boltzmann, sharpness
from metarl_lab.ops.inner_step import Adapted
from metarl_lab.rollout import begin, collect, seeded_generator
from tests.tiny_mdp import (
    THETA,
    TRAJECTORIES,
    H,
    TinyFamily,
    differences,
    episodes_of,
    policy,
    probability,
    value,
)

EXACT = {"discount": 1.0, "standardize": False, "baseline": "none", "inner_step": 1.0, "later_inner_step": 1.0}
SHARED = np.array([-0.3, 0.6, 0.2, -0.8, 0.4, -0.1])  # the shared policy, away from THETA
BANDIT = ml.make_family("bernoulli_bandit", arms=3, horizon=5)


def learner(**options) -> AveragePolicy:
    """A tabular one on the tiny decision problem, at SHARED."""
    made = ml.make_learner("average_policy", TinyFamily(), **{"hidden": (), **EXACT, **options}).double()
    with torch.no_grad():
        made.network.weight0.copy_(torch.as_tensor(SHARED[:4].reshape(2, 2)))
        made.network.bias0.copy_(torch.as_tensor(SHARED[4:]))
    return made  # type: ignore[return-value]


def memory_of(thetas: np.ndarray) -> Adapted:
    """One task for each theta (T, 6)."""
    theta = torch.as_tensor(thetas)
    rows = {"weight0": theta[:, :4].reshape(-1, 2, 2).clone(), "bias0": theta[:, 4:].clone()}
    return Adapted(rows, torch.zeros(len(theta), dtype=torch.int64))


def expected_step(made: AveragePolicy) -> np.ndarray:
    """Expectation of H times an inner step of size 1 from THETA, over every trajectory that can be acted."""
    before = memory_of(np.repeat(THETA[None], len(TRAJECTORIES), 0))
    after = made.absorb(before, episodes_of([[trajectory] for trajectory in TRAJECTORIES]))
    chance = torch.tensor([probability(THETA, trajectory) for trajectory in TRAJECTORIES])
    moves = [(after.parameters[k] - before.parameters[k]).flatten(1) for k in ("weight0", "bias0")]
    return H * (chance.unsqueeze(1) * torch.cat(moves, 1)).sum(0).numpy()


def objective(c_kl: float, c_ent: float):
    """theta -> E[ sum_t r - c_KL log(pi / pi_0) - c_Ent log pi ], listed out."""
    shared = np.log(policy(SHARED))

    def of(theta: np.ndarray) -> float:
        log_pi, paid = np.log(policy(theta)), 0.0
        for a0, s1, a1 in TRAJECTORIES:
            for s, a in ((0, a0), (s1, a1)):
                paid += probability(theta, (a0, s1, a1)) * (c_kl * (log_pi - shared) + c_ent * log_pi)[s, a]
        return value(theta) - paid

    return of


@pytest.mark.parametrize(("c_kl", "c_ent"), [(0.7, 0.3), (0.5, 0.0), (0.0, 0.6), (0.0, 0.0)])
def test_an_inner_step_climbs_the_regularised_objective(c_kl: float, c_ent: float) -> None:
    made = learner(kl_weight=c_kl, entropy_weight=c_ent, test_kl=True)
    np.testing.assert_allclose(expected_step(made), differences(objective(c_kl, c_ent), THETA), atol=1e-8)


def test_without_the_kl_the_shared_policy_pulls_nowhere_and_with_it_it_does() -> None:
    for weight, alike in ((0.0, True), (0.5, False)):
        made = learner(kl_weight=weight, entropy_weight=0.2, test_kl=True)
        first = expected_step(made)
        with torch.no_grad():
            made.network.weight0.mul_(-1)
        assert np.allclose(first, expected_step(made)) == alike


def test_a_trial_outside_of_training_is_plain_policy_gradient_unless_asked() -> None:
    plain = expected_step(learner(kl_weight=0.7, entropy_weight=0.3))
    np.testing.assert_allclose(plain, differences(value, THETA), atol=1e-8)
    generator = seeded_generator("cpu", 0)
    ours = ml.make_learner("average_policy", BANDIT, hidden=(8,))
    maml = ml.make_learner("maml", BANDIT, hidden=(8,))
    maml.network.load_state_dict(ours.network.state_dict())
    tasks = BANDIT.sample_tasks(4, "train", generator)
    episodes, trial = collect(ours, BANDIT, tasks, begin(ours, BANDIT, tasks, 6), generator)
    a, b = ours.absorb(trial.memory, episodes), maml.absorb(trial.memory, episodes)
    assert all(torch.equal(a.parameters[k], b.parameters[k]) for k in a.parameters)


def test_at_distrals_fixed_point_a_step_moves_nothing_on_any_data() -> None:
    """In a bandit of one pull every action's regularised reward is the same at pi prop. to pi_0^alpha exp(beta r)."""
    made = learner(kl_weight=0.7, entropy_weight=0.3, test_kl=True)
    episodes = episodes_of([TRAJECTORIES] * 2)
    pay = torch.tensor([[0.4, -0.6], [1.5, 0.2]], dtype=torch.float64)  # (T, A) of two tasks, the same at both steps
    paid = torch.stack([pay[i][episodes.action[i]] for i in range(2)])
    seen = episodes.observation[..., :1].expand_as(episodes.observation)  # what the state is makes no difference
    one_state = episodes._replace(observation=torch.ones_like(seen), reward=paid)
    log_shared = made.network(torch.ones(2, dtype=torch.float64)).logits.log_softmax(-1)
    log_best, v = boltzmann(log_shared.expand_as(pay), pay, *sharpness(0.7, 0.3))
    best = Adapted({"weight0": torch.zeros(2, 2, 2).double(), "bias0": log_best}, torch.zeros(2, dtype=torch.int64))
    reward = made.regularised(best, one_state)
    torch.testing.assert_close(reward, v.view(2, 1, 1, 1).expand_as(reward))


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_distillation_settles_on_the_average_of_its_kl_weighted_by_visits(direction: str) -> None:
    made = learner(distil_steps=1500, learning_rate=0.05, direction=direction)
    thetas = np.array([THETA, [2.0, -1.0, -0.5, 1.5, 0.0, 0.0], [-1.5, 0.5, 1.0, 0.0, 0.3, 0.0]])
    data = [[TRAJECTORIES[i] for i in row] for row in ((0, 1, 2, 4), (2, 3, 6, 7), (0, 0, 1, 5))]
    episodes, memory = episodes_of(data), memory_of(thetas)
    first, last = made.distil(memory, episodes)
    policies = torch.as_tensor(np.stack([policy(theta) for theta in thetas]))
    visits = episodes.observation.sum((1, 2, 3))  # (T, S)
    assert not torch.equal(visits[0], visits[1])
    ours = made.network(torch.eye(2, dtype=torch.float64)).logits.softmax(-1)
    averages = [arithmetic_average(policies, visits), geometric_average(policies, visits)]
    average, wrong = averages if direction == "forward" else averages[::-1]
    torch.testing.assert_close(ours, average, atol=1e-4, rtol=0)
    for other in (wrong, policies.mean(0)):
        assert (ours - other).abs().max() > 0.01
    above, below = (policies, average) if direction == "forward" else (average.expand_as(policies), policies)
    kl = (visits / visits.sum(1, keepdim=True) * (above * (above / below).log()).sum(-1)).sum(1).mean()
    assert last == pytest.approx(kl.item(), abs=1e-6) and first > last


def test_no_finished_step_is_paid_for_or_distilled() -> None:
    made, again = learner(), learner()
    episodes = episodes_of([TRAJECTORIES] * 2)
    memory, mask = memory_of(np.stack([THETA, -THETA])), episodes.mask.clone()
    mask[:, :, :, 1] = False
    spoiled = torch.where(mask.unsqueeze(-1), episodes.observation, 9.0)
    paid = made.regularised(memory, episodes._replace(mask=mask))
    assert (paid[mask] != 0).all() and (paid[~mask] == 0).all()
    assert made.distil(memory, episodes._replace(mask=mask)) == again.distil(
        memory, episodes._replace(mask=mask, observation=spoiled)
    )


@pytest.mark.parametrize("family", [BANDIT, ml.make_family("point_navigation", horizon=20)], ids=["discrete", "box"])
def test_a_dear_kl_keeps_the_task_policies_near_the_shared_one(family) -> None:
    """``loss`` is their KL from it before it moves. The first inner step is free of the KL, later ones are not."""

    def apart(weight: float, steps: int) -> float:
        made = ml.make_learner("average_policy", family, seed=0, hidden=(8,), kl_weight=weight, entropy_weight=0.0,
            standardize=False, baseline="none", discount=0.9, inner_step=0.05, later_inner_step=0.05,
            inner_steps=steps)  # fmt: skip
        tasks = family.sample_tasks(8, "train", seeded_generator("cpu", 1))
        return made.update(family, tasks, seeded_generator("cpu", 2)).values["loss"]

    assert apart(0.0, 1) == apart(5.0, 1)
    assert apart(5.0, 6) < 0.8 * apart(0.0, 6)


def test_the_shared_policy_learns_what_all_tasks_have_in_common_and_adapts() -> None:
    """Arm 0 never pays, one of the other two does: play it seldom before adaptation, and the good one after."""
    made = ml.make_learner("average_policy", BANDIT, seed=0, hidden=(), episodes=40, inner_step=1.0,
        later_inner_step=1.0, kl_weight=0.02, learning_rate=0.05)  # fmt: skip
    pay = torch.tensor([[0.0, 0.95, 0.05], [0.0, 0.05, 0.95]]).repeat(5, 1)
    tasks = type(BANDIT.sample_tasks(1, "train", seeded_generator("cpu", 0)))(pay)
    for step in range(12):
        made.update(BANDIT, tasks, seeded_generator("cpu", 3, step))
    episodes, trial = collect(made, BANDIT, tasks, begin(made, BANDIT, tasks, 100), seeded_generator("cpu", 4))

    def shares(acted) -> Tensor:
        return torch.nn.functional.one_hot(acted.action.flatten(1), 3).double().mean(1)

    assert shares(episodes)[:, 0].max() < 0.15 and (shares(episodes)[:, 1:] > 0.3).all()
    trial = trial._replace(memory=made.absorb(trial.memory, episodes))
    after, _ = collect(made, BANDIT, tasks, trial, seeded_generator("cpu", 5))
    assert after.returns.mean() > episodes.returns.mean() + 0.5


def test_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match="'forward', 'reverse'"):
        ml.make_learner("average_policy", BANDIT, direction="both")
    for options in ({"kl_weight": -0.1}, {"entropy_weight": -1.0}, {"distil_steps": 0}, {"inner_steps": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            ml.make_learner("average_policy", BANDIT, **options)
