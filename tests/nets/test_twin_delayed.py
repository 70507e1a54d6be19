"""TD3's heads: the target by hand, each task's own weights alone, what the proximal term and the delay do."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from metarl_lab.nets.twin_delayed import Batch, Heads, TwinDelayed
from metarl_lab.types import Spec

BOX = gym.spaces.Box(np.float32([-1, 0]), np.float32([3, 1]))
SPECS = {"box": Spec(BOX, BOX, 5), "discrete": Spec(BOX, gym.spaces.Discrete(3), 5)}


def made(kind: str, seed: int = 0) -> TwinDelayed:
    torch.manual_seed(seed)
    return TwinDelayed(SPECS[kind], 4, (8,))


def batch(kind: str, n: int, rows: int = 6, seed: int = 1) -> Batch:
    chance = torch.Generator().manual_seed(seed)
    size = (n, rows) if kind == "discrete" else (n, rows, 2)
    action = (
        torch.randint(3, size, generator=chance) if kind == "discrete" else 2 * torch.rand(size, generator=chance) - 1
    )
    state, target = torch.randn(n, rows, 4, generator=chance), torch.randn(n, rows, generator=chance)
    return Batch(state, action, target, torch.full((n, rows), 1 / rows))


def row(heads: Heads, n: int) -> Heads:
    return Heads(*({k: w[n : n + 1] for k, w in x.items()} for x in heads))


def linear(net: TwinDelayed, target: bool, slopes: tuple[float, float], biases: tuple[float, float]) -> None:
    """Q_i(s, u) = bias_i + slope_i u_1, whatever the state, as the trained or the target networks."""
    weights = net.heads("target" if target else "trained").critic
    with torch.no_grad():
        weights["weight0"].zero_()
        weights["bias0"].zero_()
        for i in range(2):
            weights["weight0"][0, i, 4, 0], weights["weight0"][0, i, 4, 1] = slopes[i], -slopes[i]  # relu(x) - relu(-x)
            weights["weight1"][0, i].zero_()
            weights["weight1"][0, i, 0, 0], weights["weight1"][0, i, 1, 0] = 1.0, -1.0
            weights["bias1"][0, i] = biases[i]


def test_the_box_target_is_the_smaller_target_q_of_the_target_policys_noisy_action() -> None:
    """mu_target = 0 (its weights are 0), noise Phi^-1(.9772) = 2 at std 0.4 is 0.8, clipped to 0.5."""
    net = made("box")
    linear(net, target=True, slopes=(2.0, -1.0), biases=(1.0, 3.0))  # at u = 0.5: 2 and 2.5; at 0: 1 and 3
    for w in net.heads("target").actor.values():
        w.zero_()
    state, reward = torch.randn(1, 3, 4), torch.tensor([[1.0, 1.0, 1.0]])
    ended, noise = torch.tensor([[False, True, False]]), torch.tensor([[[0.97725, 0.5]] * 2 + [[0.02275, 0.5]]])
    smooth = net.target(state, reward, ended, 0.5, noise, 0.4)
    torch.testing.assert_close(smooth, torch.tensor([[1 + 0.5 * 2.0, 1.0, 1 + 0.5 * 0.0]]))
    torch.testing.assert_close(net.target(state, reward, ended, 0.5), torch.tensor([[1.5, 1.0, 1.5]]))


def test_the_discrete_target_chooses_by_the_trained_and_judges_by_the_target_networks() -> None:
    net = made("discrete")
    for which, values in (("trained", ([0.0, 5, 4], [0, 3.9, 4])), ("target", ([9.0, 1, 7], [9, 2, 8]))):
        for i in range(2):
            with torch.no_grad():
                heads = net.heads(which).critic
                heads["weight1"][0, i].zero_()
                heads["bias1"][0, i] = torch.tensor(values[i])
    # the smaller of the trained: 0, 3.9, 4, so action 2; the smaller of the targets there: 7
    target = net.target(torch.randn(1, 2, 4), torch.tensor([[1.0, 1.0]]), torch.tensor([[False, True]]), 0.5)
    assert target.tolist() == [[4.5, 1.0]]


@pytest.mark.parametrize("kind", SPECS)
def test_every_task_adapts_as_if_it_were_alone(kind: str) -> None:
    net, data, near = made(kind), batch(kind, 3), torch.tensor([0.0, 0.5, 1.0])
    before = [w.clone() for w in (*net.parameters(), *net.buffers())]
    together = net.adapted(None, [data] * 5, near, 2, 0.05)
    for n in range(3):
        alone = net.adapted(None, [Batch(*(x[n : n + 1] for x in data))] * 5, near[n : n + 1], 2, 0.05)
        for a, b in zip(row(together, n), alone, strict=True):
            for name in a:
                torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-5)
    changed = data._replace(target=data.target.clone())
    changed.target[1] += 1
    again = net.adapted(None, [changed] * 5, near, 2, 0.05)
    for a, b in zip(together, again, strict=True):
        for name in a:
            assert torch.equal(a[name][[0, 2]], b[name][[0, 2]])
    assert not torch.equal(again.critic["weight0"][1], together.critic["weight0"][1])
    assert all(torch.equal(a, b) for a, b in zip(before, (*net.parameters(), *net.buffers()), strict=True))
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("kind", SPECS)
def test_no_batches_change_nothing_and_adaptation_goes_on_from_where_it_is(kind: str) -> None:
    net, data, near = made(kind), batch(kind, 2), torch.zeros(2)
    shared = net.heads("held")
    still = net.adapted(None, [], near, 2, 0.05)
    for a, b in zip(still, shared, strict=True):
        assert all(torch.equal(a[name], b[name].expand_as(a[name])) for name in a)
    x = data.state
    moved = net.adapted(None, [data] * 3, near, 2, 0.05)
    assert not torch.equal(net.q(moved, x, data.action), net.q(still, x, data.action))
    held = {k: w.clone() for k, w in moved.critic.items()}
    on = net.adapted(moved, [], near, 2, 0.05)
    assert all(torch.equal(held[k], on.critic[k]) and torch.equal(held[k], moved.critic[k]) for k in held)


@pytest.mark.parametrize("kind", SPECS)
def test_the_proximal_term_pulls_towards_the_shared_weights(kind: str) -> None:
    """The same start and data: the stronger, the nearer; and with no data to fit (weight 0), straight back."""
    net, data = made(kind), batch(kind, 3)

    def distance(heads: Heads) -> Tensor:
        pairs = zip(heads, net.heads("held"), strict=True)
        return torch.stack([(a[k] - b[k]).square().flatten(1).sum(1) for a, b in pairs for k in a]).sum(0)

    alike = Batch(*(x[:1].expand(3, *x.shape[1:]) for x in data))
    far = distance(net.adapted(None, [alike] * 40, torch.tensor([0.0, 0.1, 10.0]), 1, 0.02))
    assert far[0] > 1.2 * far[1] > 1.44 * far[2]
    start = net.adapted(None, [alike] * 20, torch.zeros(3), 1, 0.05)
    nothing = alike._replace(weight=torch.zeros_like(alike.weight))
    back = distance(net.adapted(start, [nothing] * 20, torch.tensor([0.0, 1.0, 1.0]), 1, 0.01))
    assert back[0] == distance(start)[0] and (back[1:] < 0.7 * distance(start)[1:]).all()


def test_the_policy_waits_and_climbs_the_first_q_which_it_does_not_move() -> None:
    net, data = made("box"), batch("box", 1)
    linear(net, target=False, slopes=(3.0, -3.0), biases=(0.0, 0.0))
    loss = net.actor_loss(net.heads(), data)
    loss.sum().backward()
    assert all(p.grad is None for p in net.critic.parameters())
    actor = net.heads("held").actor
    data = data._replace(target=net.q(net.heads(), data.state, data.action)[0].detach())
    for delay, steps, moves in ((2, 1, 1), (2, 2, 1), (2, 3, 2)):
        found = net.adapted(None, [data] * steps, torch.zeros(1), delay, 0.01)
        assert float((found.actor["bias1"] - actor["bias1"]).abs().max()) == pytest.approx(0.01 * moves, rel=0.05)
        assert (net.action(found, data.state) > net.action(net.heads(), data.state))[..., 0].all()


def test_actions_are_the_familys() -> None:
    net, state = made("box"), torch.randn(2, 3, 4)
    greedy = torch.tensor([[True, True, False], [True, False, False]])
    noise = torch.full((2, 3, 2), 0.97725)
    action = net.act(None, state, noise, greedy, 0.25)
    mean = net.action(net.heads(), state.flatten(0, 1).unsqueeze(0)).view(2, 3, 2)
    expected = torch.where(greedy.unsqueeze(-1), mean, (mean + 0.5).clamp(-1, 1))
    torch.testing.assert_close(
        action, torch.tensor([1.0, 0.5]) + torch.tensor([2.0, 0.5]) * expected, rtol=0, atol=1e-4
    )
    torch.testing.assert_close(net.box.to_unit(action), expected, rtol=0, atol=1e-4)
