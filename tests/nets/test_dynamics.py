"""The dynamics ensemble: units, rows, terminations, members."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from metarl_lab.nets.dynamics import DynamicsEnsemble
from metarl_lab.types import Spec


def spec(discrete: bool = False, terminates: bool = False) -> Spec:
    plane = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    actions = gym.spaces.Discrete(4) if discrete else gym.spaces.Box(-1, 1, (2,), np.float32)
    return Spec(plane, actions, horizon=5, terminates=terminates)


def rows(*lead: int, discrete: bool = False, seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    observation = 5 + 3 * torch.randn(*lead, 3, generator=g)
    action = torch.randint(4, lead, generator=g) if discrete else torch.randn(*lead, 2, generator=g)
    after = observation + 2 + 0.1 * torch.randn(*lead, 3, generator=g)
    reward = 100 + 7 * torch.randn(lead, generator=g)
    ended = torch.rand(lead, generator=g) < 0.3
    return {"observation": observation, "action": action, "after": after, "reward": reward, "terminated": ended}


def test_moments_are_those_of_all_live_rows_ever_noted() -> None:
    net, r = DynamicsEnsemble(spec(), (8,), 2), rows(4, 50)
    mask = torch.rand(4, 50, generator=torch.Generator().manual_seed(1)) < 0.6
    for part in (slice(0, 1), slice(1, 4)):  # unequal shares: weights of the two matter
        net.note({k: x[part] for k, x in r.items()}, mask[part])
    change = torch.cat((r["after"] - r["observation"], r["reward"].unsqueeze(-1)), -1)[mask]
    inputs = torch.cat((r["observation"], r["action"]), -1)[mask]
    for moments, x in ((net.target_moments, change), (net.input_moments, inputs)):
        torch.testing.assert_close(moments[0], x.mean(0), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(moments[1], x.var(0, unbiased=False), rtol=1e-3, atol=1e-5)
    assert net.noted == mask.sum()


@pytest.mark.parametrize("discrete", [False, True])
def test_predictions_and_errors_are_one_model_in_two_units(discrete: bool) -> None:
    net, r = DynamicsEnsemble(spec(discrete), (8,), 2), rows(2, 50, discrete=discrete)
    net.note(r, torch.ones(2, 50))
    told = net.predict(r["observation"], r["action"])
    std = net.target_moments[1].sqrt()
    missed = torch.cat((told.observation - r["after"], (told.reward - r["reward"]).unsqueeze(-1)), -1) / std
    torch.testing.assert_close(missed.square().mean(-1), net.errors(r), rtol=1e-4, atol=1e-4)
    assert (told.live == 1).all()


def test_masked_rows_do_not_count_and_each_member_has_its_own_loss() -> None:
    net, r = DynamicsEnsemble(spec(), (8,), 2), rows(2, 6)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]], dtype=torch.bool)
    loss = net.loss(r, mask)
    torch.testing.assert_close(loss, torch.stack((net.errors(r)[0, :3].mean(), torch.zeros(()))))
    other = {k: x.clone() for k, x in r.items()}
    other["after"][0, 3:] += 50
    assert torch.equal(loss, net.loss(other, mask))
    with pytest.raises(ValueError, match="one number per row"):
        net.loss(r, mask[:, :3])


def test_a_termination_is_learned_as_a_probability() -> None:
    torch.manual_seed(0)
    net, r = DynamicsEnsemble(spec(terminates=True), (16,), 1), rows(1, 400)
    r["terminated"] = r["observation"][..., 0] > 6  # about a third
    net.note(r, torch.ones(1, 400))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        net.loss(r, torch.ones(1, 400)).sum().backward()
        optimizer.step()
    live = net.predict(r["observation"], r["action"]).live
    assert ((live > 0.5) == ~r["terminated"]).float().mean() > 0.95


def test_given_weights_predict_row_by_row() -> None:
    net, r = DynamicsEnsemble(spec(), (8,), 2), rows(3, 6)
    own = {k: w[[1, 0, 1]] for k, w in net.weights().items()}
    three = net.predict(r["observation"], r["action"], own)
    for b, member in enumerate((1, 0, 1)):
        both = net.predict(r["observation"][[b, b]], r["action"][[b, b]])
        torch.testing.assert_close(three.observation[b], both.observation[member])
        torch.testing.assert_close(three.reward[b], both.reward[member])


def test_a_feature_that_never_varies_does_no_harm() -> None:
    net, r = DynamicsEnsemble(spec(), (8,), 1), rows(1, 20)
    r["observation"][..., 1], r["after"][..., 1] = 3.0, 3.0
    net.note(r, torch.ones(1, 20))
    told = net.predict(r["observation"] + 1e-3, r["action"])
    assert told.observation.isfinite().all() and net.errors(r).isfinite().all()
