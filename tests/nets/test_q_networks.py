"""Q-networks with every task's own weights: against plain arithmetic, one task at a time."""

import torch

import metarl_lab as ml
from metarl_lab.nets.q_networks import QNetworks, shortened

GRID = ml.make_family("gridworld", size=3).spec
NAV = ml.make_family("point_navigation").spec


def own_weights(net, tasks=2):
    draw = torch.Generator().manual_seed(1)
    return {k: torch.randn(tasks, *w.shape, generator=draw) for k, w in net.named_parameters()}


def test_each_task_has_its_own_twin_critics_and_policy():
    net = QNetworks(NAV, (5,))
    w = own_weights(net)
    draw = torch.Generator().manual_seed(2)
    state, action = torch.randn(2, 7, 2, generator=draw), torch.rand(2, 7, 2, generator=draw)
    q, u = net.q(w, state, action), net.best(w, state)
    assert q.shape == (2, 2, 7) and u.shape == (2, 7, 2)
    for task in range(2):
        for c in range(2):
            x = torch.cat((state, action), -1)[task]
            h = (x @ w["critic.weight0"][task, c] + w["critic.bias0"][task, c]).relu()
            y = h @ w["critic.weight1"][task, c] + w["critic.bias1"][task, c]
            torch.testing.assert_close(q[c, task], y[:, 0])
        h = (state[task] @ w["actor.weight0"][task, 0] + w["actor.bias0"][task, 0]).relu()
        torch.testing.assert_close(u[task], (h @ w["actor.weight1"][task, 0] + w["actor.bias1"][task, 0]).tanh())


def test_the_target_is_the_smaller_q_of_the_late_policy_and_the_late_q_of_the_online_choice():
    reward, ends = torch.ones(2, 7), torch.zeros(2, 7, dtype=torch.bool)
    net = QNetworks(NAV, (5,))
    late, online = own_weights(net), dict(own_weights(net))
    state = torch.randn(2, 7, 2, generator=torch.Generator().manual_seed(2))
    expected = 1 + 0.5 * net.q(late, state, net.best(late, state)).amin(0)
    torch.testing.assert_close(net.target(online, late, state, reward, ends, 0.5), expected)
    net = QNetworks(GRID, ())
    late = own_weights(net)
    online = {k: -w for k, w in late.items()}
    state = torch.eye(9)[:7].expand(2, -1, -1)
    expected = 1 + 0.5 * net.values(late, state).amin(-1)  # what the online network likes best, the late likes least
    torch.testing.assert_close(net.target(online, late, state, reward, ends, 0.5), expected)


def test_a_long_gradient_is_shortened_task_by_task_over_all_of_its_weights():
    slopes = {"a": torch.tensor([[3.0, 0.0], [0.3, 0.0]]), "b": torch.tensor([[4.0], [0.4]])}
    short = shortened(slopes, 1.0)
    torch.testing.assert_close(short["a"], torch.tensor([[0.6, 0.0], [0.3, 0.0]]))
    torch.testing.assert_close(short["b"], torch.tensor([[0.8], [0.4]]))
    assert not shortened({"a": torch.zeros(2, 3)}, 1.0)["a"].any()
