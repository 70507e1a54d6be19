"""How a dynamics model adapts to a window: by hand, through the gradient, copy by copy."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from metarl_lab.nets.adaptive_dynamics import AdaptiveDynamics
from metarl_lab.ops.windows import Windows
from metarl_lab.types import Spec

SPEC = Spec(
    gym.spaces.Box(-np.inf, np.inf, (3,), np.float32), gym.spaces.Box(-1, 1, (2,), np.float32), horizon=7, episodes=1
)


def dynamics(form: str) -> AdaptiveDynamics:
    torch.manual_seed(0)
    return AdaptiveDynamics(SPEC, form, (6,), latent=4, inner_step=0.3).double()


def rows(tasks: int, n: int, seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)

    def randn(*size: int) -> Tensor:
        return torch.randn(tasks, n, *size, generator=g, dtype=torch.float64)

    return {"observation": randn(3), "action": randn(2), "reward": randn(), "after": randn(3)}


def window(tasks: int = 4) -> Windows:
    known = torch.arange(5) >= torch.tensor([0, 2, 4, 5] * tasks)[:tasks, None]  # the last of them is empty
    return Windows(rows(tasks, 5), known, rows(tasks, 3, seed=1), torch.ones(tasks, 3, dtype=torch.bool))


def test_a_copy_adapts_as_plain_gradient_descent_on_its_own_window_does() -> None:
    net, w = dynamics("gradient"), window()
    with torch.no_grad():
        for i, step in enumerate(net.log_steps.values()):
            step.fill_(-1.0 - 0.2 * i)  # each its own
    with torch.no_grad():
        adapted = net.adapt(w.past, w.known)
    for b in range(4):
        chosen = {k: x[b : b + 1, w.known[b]] for k, x in w.past.items()}
        own = net.model.weights()
        loss = net.model.errors(chosen, own).sum() / 5
        gradients = torch.autograd.grad(loss, list(own.values())) if w.known[b].any() else [torch.zeros(())] * len(own)
        for (k, theta), g in zip(own.items(), gradients, strict=True):
            torch.testing.assert_close(adapted[k][b], (theta - net.log_steps[k].exp() * g)[0].detach())


def test_the_meta_gradient_is_that_of_finite_differences() -> None:
    net, w = dynamics("gradient"), window()
    loss = net.error(w)
    loss.backward()
    for name in ("model.net.weight0", "model.net.bias1", "log_steps.weight1", "log_steps.bias0"):
        p = net.get_parameter(name)
        along = torch.randn(p.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

        ends = []
        for step in (1e-5, -2e-5, 1e-5):  # ahead, behind, back again
            p.data += step * along
            ends.append(net.error(w).detach())
        slope = (ends[0] - ends[1]) / 2e-5
        assert p.grad is not None
        torch.testing.assert_close((p.grad * along).sum(), slope, rtol=1e-5, atol=1e-9)


def test_without_adaptation_a_window_changes_nothing() -> None:
    net, w = dynamics("none"), window()
    other = w._replace(past=rows(4, 5, seed=9))
    assert torch.equal(net.error(w), net.error(other)) and torch.equal(net.error(w), net.error(w, adapted=False))
    assert all(torch.equal(x[2], net.model.weights()[k][0]) for k, x in net.adapt(w.past, w.known).items())


def test_a_window_moves_only_its_own_prediction() -> None:
    net, w = dynamics("gradient"), window()
    before = net.model.errors(w.future, net.adapt(w.past, w.known))
    moved = {k: x.clone() for k, x in w.past.items()}
    moved["reward"][1, 4] += 3
    after = net.model.errors(w.future, net.adapt(moved, w.known))
    assert (before != after).any(1).tolist() == [False, True, False, False]
    moved["reward"][3] += 3  # of the empty window
    assert torch.equal(after, net.model.errors(w.future, net.adapt(moved, w.known)))


def test_the_recurrent_model_trains_on_the_states_that_act() -> None:
    net, episode = dynamics("recurrent"), rows(2, 7)
    w = Windows(episode, torch.ones(2, 7, dtype=torch.bool), episode, torch.ones(2, 7, dtype=torch.bool))
    latent, total = torch.zeros(2, 4, dtype=torch.float64), 0.0
    for t in range(7):
        now = {k: x[:, t] for k, x in episode.items()}
        whole = {k: x[None] for k, x in now.items()} | {"context": latent[None]}
        total += net.model.errors(whole).mean().item() / 7  # before the state has read this step
        latent = net.read(now, latent)
    torch.testing.assert_close(net.error(w).item(), total)
    blind = {k: x.reshape(1, 14, *x.shape[2:]) for k, x in episode.items()}
    blind["context"] = torch.zeros(1, 14, 4, dtype=torch.float64)
    torch.testing.assert_close(net.error(w, adapted=False), net.model.errors(blind).mean())


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="'gradient', 'recurrent', 'none'"):
        dynamics("bayesian")
