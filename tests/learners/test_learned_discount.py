"""``meta_gradient``: gradients of discount and lambda against finite differences and a closed form; its outer value."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.nets.task_actor_critic import ActorCritic, held
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.types import Episodes, map_tensors

FAMILY = ml.make_family("tabular_mdp", states=3, actions=3, horizon=5)
CARTPOLE = ml.make_family("cartpole", horizon=12)


def made(family=FAMILY, **options):
    settings = {"hidden": (), "meta_batch": 3, "episodes": 4, "inner_step": 2.0, "longest": 1e9}
    return ml.make_learner("meta_gradient", family, **(settings | options))


def double(tree):
    return map_tensors(lambda x: x.double() if x.is_floating_point() else x, tree)


def one_lifetime(learner, family, steps: int) -> tuple[ActorCritic, list[Episodes]]:
    """Agents that have learned a little already, in float64, and the batches that follow."""
    generator = seeded_generator("cpu", 3)
    tasks = family.sample_tasks(3, "train", generator)
    trial = begin(learner, family, tasks, 4)
    batches = []
    for _ in range(steps + 4):
        episodes, trial = collect(learner, family, tasks, trial, generator)
        batches.append(episodes)
        if len(batches) <= 3:
            start = learner.absorb(trial.memory, episodes)
        trial = trial._replace(memory=learner.absorb(trial.memory, episodes))
    learner.double()
    return held(double(start), trainable=True), [double(e) for e in batches[3:]]


def objective(learner, start: ActorCritic, batches: list[Episodes]) -> Tensor:
    """The outer objective of the last batch, as a function of eta: the frozen batches, the inner steps taken again."""
    agent = start
    for batch in batches[:-1]:
        agent = learner.improved(agent, batch, batch.reward)
    return learner.outer_objective(agent, batches[-1], batches[-1].reward)


@pytest.mark.parametrize(
    "options", [{}, {"outer_lambda": 0.3, "entropy_weight": 0.1}, {"hidden": (4,), "longest": 0.05}]
)
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("family", [FAMILY, CARTPOLE], ids=["mdp", "cartpole"])
def test_the_meta_gradient_is_the_finite_difference(family, steps: int, options: dict) -> None:
    learner = made(family, discount=0.7, lam=0.6, **options)
    start, batches = one_lifetime(learner, family, steps)
    eta = [learner.discount_logit, learner.lambda_logit]
    gradient = torch.autograd.grad(objective(learner, start, batches), eta)
    for parameter, slope in zip(eta, gradient, strict=True):
        ends = []
        for side in (1, -1):
            with torch.no_grad():
                parameter += side * 1e-5
            ends.append(objective(learner, start, batches).item())
            with torch.no_grad():
                parameter -= side * 1e-5
        difference = (ends[0] - ends[1]) / 2e-5
        assert abs(slope.item()) > 1e-7 and slope.item() == pytest.approx(difference, rel=1e-4)


def test_an_update_takes_that_gradient() -> None:
    """One inner step, plain ascent: the logits move by the learning rate times the derivative of the next batch."""
    learner, other = made(inner_steps=1, discount=0.7, lam=0.6), made(inner_steps=1, discount=0.7, lam=0.6)
    tasks = FAMILY.sample_tasks(3, "train", seeded_generator("cpu", 1))
    learner.optimizer = torch.optim.SGD(learner.parameters(), lr=5.0)
    learner.update(FAMILY, tasks, seeded_generator("cpu", 2))
    generator = seeded_generator("cpu", 2)
    trial = begin(other, FAMILY, tasks, 4)
    first, trial = collect(other, FAMILY, tasks, trial, generator)
    start = held(trial.memory, trainable=True)
    trial = trial._replace(memory=other.absorb(trial.memory, first))
    second, _ = collect(other, FAMILY, tasks, trial, generator)
    eta = [other.discount_logit, other.lambda_logit]
    for parameter, slope in zip(eta, torch.autograd.grad(objective(other, start, [first, second]), eta), strict=True):
        moved = dict(learner.named_parameters())[next(k for k, p in other.named_parameters() if p is parameter)]
        assert (moved - parameter).item() == pytest.approx(5.0 * slope.item(), rel=1e-3, abs=1e-7)


# A delayed choice, one task: in state 0 the action decides; later ones decide nothing, and every path is there once
# with each of them, so that nothing is to be learned there. States are one-hot.
def both_choices(rewards: list[list[float]], states: list[list[int]]) -> Episodes:
    """rewards and states of the path that follows action 0, and of that of action 1."""
    rows = [(choice, later) for choice in (0, 1) for later in (0, 1)]
    reward = torch.tensor([rewards[choice] for choice, _ in rows], dtype=torch.float64)  # (E, H)
    seen = torch.nn.functional.one_hot(torch.tensor([states[choice] for choice, _ in rows]), 5).double()
    action = torch.tensor([[choice, *[later] * (reward.shape[1] - 1)] for choice, later in rows])
    over = torch.zeros_like(reward, dtype=torch.bool)
    over[:, -1] = True

    def lead(x: Tensor) -> Tensor:  # (T, E, K, H, ...)
        return x.unsqueeze(1).unsqueeze(0)

    none = torch.zeros(1, len(rows), dtype=torch.float64)
    final = torch.zeros(1, len(rows), 1, 5, dtype=torch.float64)
    steps = (lead(x) for x in (seen, action, reward, over, torch.zeros_like(over), torch.ones_like(over)))
    return Episodes(*steps, final, (none.long(), none))


def chooser(**options):
    family = ml.make_family("tabular_mdp", states=5, actions=2, horizon=2)
    learner = made(family, **options).double()
    zero = map_tensors(lambda w: torch.zeros_like(w).requires_grad_(), learner.begin(1, 1))
    return learner, zero


@pytest.mark.parametrize("outer_discount", [0.3, 0.9, 1.0])
def test_two_states_in_closed_form(outer_discount: float) -> None:
    """1 now (action 0) or R = 2 one step later (action 1), worth as much at the inner discount d = 1/2, from a uniform
    policy. So theta' is uniform too, the batch has its frequencies exactly, and dJ/dd can be written down.

    A mean over 2 steps an episode: the logit of action 1 over 0 rises by (step / 4) (d R - 1) in the weights of state
    0, and again in the bias. J = sum_a p_a G_a has slope p_0 p_1 (G_1 - G_0) in it; the objective is J / 2.
    """
    d, pay, step = 0.5, 2.0, 0.8
    learner, start = chooser(discount=d, lam=1.0, outer_discount=outer_discount, inner_step=step)
    both = both_choices([[1.0, 0.0], [0.0, pay]], [[0, 1], [0, 2]])
    after = learner.improved(start, both, both.reward)
    policy = learner.nets.policy(after.policy, both.observation.flatten(1, 3)).logits.softmax(-1)
    assert policy[0, 0].tolist() == pytest.approx([0.5, 0.5], abs=1e-6)
    slope = torch.autograd.grad(learner.outer_objective(after, both, both.reward), learner.discount_logit)[0].item()
    rise = 2 * step / 4 * pay  # of the logit, per unit of d
    exact = 0.25 * (outer_discount * pay - 1.0) * rise / 2 * d * (1 - d)  # sigmoid' = d (1 - d)
    assert slope == pytest.approx(exact, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize(("outer_value", "sign"), [("own", 1), ("inner", -1)])
def test_the_inner_value_function_makes_the_meta_gradient_short_sighted(outer_value: str, sign: int) -> None:
    """0.1 at once and -1 at the end, or -0.1 at once and 1 at the end: a larger discount is better, and seen to be only
    by an outer value function that knows what the states on the way are worth at the *outer* discount."""
    learner, start = chooser(discount=0.02, lam=1.0, outer_value=outer_value, outer_lambda=0.0, inner_step=0.1)
    states = [[0, 1, 3], [0, 2, 4]]
    both = both_choices([[0.1, 0.0, -1.0], [-0.1, 0.0, 1.0]], states)
    worth = torch.tensor([0.0, -1.0, 1.0, -1.0, 1.0], dtype=torch.float64)  # undiscounted
    seen_inside = torch.tensor([0.0, -0.02, 0.02, -1.0, 1.0], dtype=torch.float64)  # at the inner discount
    zero = {"bias0": torch.zeros(1, 1, 1, dtype=torch.float64)}
    start = ActorCritic(
        start.policy,
        held({"weight0": seen_inside.view(1, 5, 1), **zero}, trainable=True),
        held({"weight0": 0.99 * worth.view(1, 5, 1), **zero}),
    )
    learner.config = type(learner.config)(**(vars(learner.config) | {"value_step": 1e-9}))
    after = learner.improved(start, both, both.reward)
    slope = torch.autograd.grad(learner.outer_objective(after, both, both.reward), learner.discount_logit)[0]
    assert math.copysign(1, slope.item()) == sign


def test_each_value_function_learns_the_values_of_its_own_discount() -> None:
    learner, agent = chooser(discount=0.5, lam=0.0, outer_discount=0.9, outer_lambda=0.0, inner_step=1e-9)
    both = both_choices([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]], [[0, 1, 3], [0, 2, 4]])
    for _ in range(300):
        agent = held(learner.improved(agent, both, both.reward), trainable=True)
    inner, _ = learner.nets.values(agent.value, both)
    outer, _ = learner.nets.values(agent.outer_value, both)
    assert inner[0, -1, 0].tolist() == pytest.approx([0.0, 0.5, 1.0], abs=0.02)
    assert outer[0, -1, 0].tolist() == pytest.approx([0.0, 0.9, 1.0], abs=0.02)


def test_what_is_not_learned_stays_where_it_was_set() -> None:
    learner = made(learn_discount=False, discount=0.0, lam=1.0)
    ml.train(learner, FAMILY, 3, progress=False, device="cpu")
    discount, lam = learner.eta()
    assert discount.item() < 1e-6 and lam.item() == pytest.approx(1.0, abs=1e-5)
    learner = made(learn_discount=False, discount=0.4, lam=0.4)
    ml.train(learner, FAMILY, 3, progress=False, device="cpu")
    assert learner.eta()[0].item() == pytest.approx(0.4) and abs(learner.eta()[1].item() - 0.4) > 1e-3
    fixed = made(learn_discount=False, learn_lambda=False, discount=1.0, lam=0.25)
    ml.train(fixed, FAMILY, 2, progress=False, device="cpu")
    assert [x.item() for x in fixed.eta()] == pytest.approx([1.0, 0.25], abs=1e-6)


def test_agents_that_live_on_go_on_where_they_were() -> None:
    """Two iterations of three inner steps are one lifetime of six; a new agent starts from the initial weights."""
    living = made(persist=True, inner_steps=3, learn_discount=False, learn_lambda=False)
    first = living.living.load()
    tasks = FAMILY.sample_tasks(3, "train", seeded_generator("cpu", 5))
    living.update(FAMILY, tasks, seeded_generator("cpu", 8))
    middle = living.living.load()
    living.update(FAMILY, tasks, seeded_generator("cpu", 9))
    by_hand = made(inner_steps=3, learn_discount=False, learn_lambda=False)
    generator, memory = seeded_generator("cpu", 9), middle
    for _ in range(3):
        trial = begin(by_hand, FAMILY, tasks, 4)._replace(memory=memory)
        episodes, _ = collect(by_hand, FAMILY, tasks, trial, generator)
        memory = by_hand.absorb(memory, episodes)
    for a, b, old in zip(living.living.load(), memory, first, strict=True):
        assert torch.allclose(a["weight0"], b["weight0"], atol=1e-6) and not torch.allclose(
            a["weight0"], old["weight0"]
        )
    assert torch.equal(living.begin(3, 2).policy["weight0"], first.policy["weight0"])
    with pytest.raises(ValueError, match="live on"):
        living.update(FAMILY, FAMILY.sample_tasks(5, "train", seeded_generator("cpu", 5)), seeded_generator("cpu", 9))


def test_living_agents_resume_bit_for_bit(tmp_path) -> None:
    options = {"persist": True, "inner_steps": 2}
    settings = {"progress": False, "device": "cpu", "seed": 3}
    whole = ml.train(made(**options), FAMILY, 3, **settings)
    ml.train(made(**options), FAMILY, 2, out=tmp_path / "run", **settings)
    resumed = ml.resume(tmp_path / "run", 3, progress=False)
    for a, b in zip(whole.learner.state_dict().values(), resumed.learner.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_the_initial_weights_move_only_when_they_are_learned() -> None:
    for learn_init in (False, True):
        learner = made(learn_init=learn_init, inner_steps=2, through=2)
        before = learner.nets.actor.weight0.detach().clone()
        ml.train(learner, FAMILY, 1, progress=False, device="cpu")
        assert torch.equal(before, learner.nets.actor.weight0) != learn_init


@pytest.mark.parametrize(
    "wrong",
    [
        {"discount": 1.5},
        {"outer_value": "mine"},
        {"inner_steps": 4, "through": 3},
        {"learn_init": True},
        {"inner_step": 0.0},
    ],
)
def test_impossible_options_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="meta_gradient"):
        made(**wrong)
