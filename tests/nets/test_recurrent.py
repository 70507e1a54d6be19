"""What every core promises: one function, whether stepped or unrolled; the past and nothing else; no state changed."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from metarl_lab.nets.actor_critic import RecurrentActorCritic
from metarl_lab.nets.base import Core, State, encode_seen, encoded_size, segments
from metarl_lab.nets.recurrent import GRUCore, LSTMCore
from metarl_lab.nets.transformer import TransformerCore
from metarl_lab.types import Seen, Spec

L, B, INPUTS = 11, 3, 5
CORES = {
    "gru": lambda: GRUCore(INPUTS, 8),
    "lstm": lambda: LSTMCore(INPUTS, 8),
    "transformer": lambda: TransformerCore(INPUTS, 8, layers=2, heads=2, context=L),
    "window": lambda: TransformerCore(INPUTS, 8, layers=2, heads=2, context=4),  # shorter than the trial
    "narrow": lambda: TransformerCore(INPUTS, 8, layers=1, heads=2, context=1),  # sees its own step only
}
BOTH = pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
ALL = pytest.mark.parametrize("kind", CORES)


def make(kind: str, dtype: torch.dtype = torch.float64) -> tuple[Core, Tensor]:
    torch.manual_seed(3)
    core = CORES[kind]()
    core.reset_parameters()
    with torch.no_grad():
        for p in core.parameters():  # no weight is zero or one by design, so that a lost one is seen
            p.add_(0.3 * torch.randn_like(p))
    return core.to(dtype), torch.randn(L, B, INPUTS).to(dtype)


def stepped(core: Core, x: Tensor, state: State) -> tuple[Tensor, State]:
    outs = []
    for x_t in x:
        out, state = core.step(x_t, state)
        outs.append(out)
    return torch.stack(outs) if outs else x[..., :0], state


def assert_near(a: object, b: object, near: float) -> None:
    torch.testing.assert_close(a, b, rtol=near, atol=near)


@ALL
@BOTH
def test_stepping_and_unrolling_are_one_function(kind: str, dtype: torch.dtype, near: float) -> None:
    """Outputs and the state after, from the start and from the middle, where trials have seen unequal numbers."""
    core, x = make(kind, dtype)
    out, after = core.unroll(x, core.initial(B))
    assert out.shape == (L, B, core.out_size)
    assert_near(stepped(core, x, core.initial(B)), (out, after), near)
    # trial 0 has seen nothing, 1 two steps, 2 six
    lengths = (0, 2, 6)
    rows = [stepped(core, x[:n, :1], core.initial(1))[1] for n in lengths]
    uneven = tuple(torch.cat(y) for y in zip(*rows, strict=True))
    assert_near(stepped(core, x, uneven), core.unroll(x, uneven), near)
    for b, n in enumerate(lengths):
        whole, _ = core.unroll(torch.cat((x[:n, :1], x[:, b : b + 1])), core.initial(1))
        assert_near(core.unroll(x, uneven)[0][:, b], whole[n:, 0], near)


@ALL
def test_a_state_given_is_not_changed_and_fits_the_state_after(kind: str) -> None:
    core, x = make(kind)
    _, state = core.unroll(x[:5], core.initial(B))
    before = [y.clone() for y in state]
    for after in (core.step(x[5], state)[1], core.unroll(x[5:], state)[1], core.initial(B)):
        assert all(torch.equal(a, b) for a, b in zip(before, state, strict=True))
        assert [(y.shape, y.dtype) for y in after] == [(y.shape, y.dtype) for y in state]
        assert all(len(y) == B for y in after)


@ALL
def test_an_output_depends_on_the_past_only_and_on_its_own_trial_only(kind: str) -> None:
    core, x = make(kind)
    out, _ = core.unroll(x, core.initial(B))
    moved = x.clone()
    moved[6, 1] += 1
    other, _ = core.unroll(moved, core.initial(B))
    same = (out == other).all(-1)
    assert same[:6].all() and same[:, (0, 2)].all(), "an input changed what came before it, or another trial"
    assert not same[6, 1]
    assert (~same[7, 1]) == (kind != "narrow")


@ALL
@pytest.mark.parametrize("steps", [1, 4, L, 20])
def test_segments_from_stored_states_are_the_whole_without_gradient_through_the_cut(kind: str, steps: int) -> None:
    core, x = make(kind)
    whole, _ = core.unroll(x, core.initial(B))
    with torch.no_grad():
        out, states = core.unroll_segments(x, steps)
    assert_near(out, whole, 1e-12)
    n = -(-L // steps)
    assert all(y.shape[:2] == (n, B) for y in states)
    x.requires_grad_()
    pieces, _ = core.unroll(segments(x, steps), tuple(y.flatten(0, 1) for y in states))
    joined = pieces.unflatten(1, (n, B)).transpose(0, 1).flatten(0, 1)[:L]
    assert_near(joined, whole, 1e-12)
    (to_input,) = torch.autograd.grad(joined[-1].sum(), x)
    last = (L - 1) // steps * steps  # where the last segment starts
    assert (to_input[:last] == 0).all()
    assert (to_input[last:] != 0).any(-1).all() or kind in ("window", "narrow")


@ALL
def test_a_state_zeroed_at_the_cut_is_another_function(kind: str) -> None:
    """The bug that truncation invites: each segment from the initial state. The test above would fail on it."""
    core, x = make(kind)
    whole, _ = core.unroll(x, core.initial(B))
    zeroed, _ = core.unroll(x[4:], core.initial(B))
    assert (not torch.allclose(zeroed, whole[4:])) == (kind != "narrow")


@ALL
def test_gradients_are_those_of_the_steps(kind: str) -> None:
    core, x = make(kind)
    weight = torch.randn(L, B, core.out_size, dtype=x.dtype)
    fast = torch.autograd.grad((core.unroll(x, core.initial(B))[0] * weight).sum(), list(core.parameters()))
    slow = torch.autograd.grad((stepped(core, x, core.initial(B))[0] * weight).sum(), list(core.parameters()))
    assert_near(fast, slow, 1e-10)


def test_the_lstm_starts_by_remembering() -> None:
    core = LSTMCore(INPUTS, 8)
    core.reset_parameters()
    _, _, bias, other = core.lstm.all_weights[0]
    forget = (bias + other)[8:16]
    assert (forget == 1).all() and (bias + other).sum() == 8
    # with no input and a small state, the forget gate alone decides: c_1 = sigmoid(1) c_0
    with torch.no_grad():
        core.lstm.all_weights[0][1].zero_()
    _, (_, cell) = core.step(torch.zeros(1, INPUTS), (torch.zeros(1, 8), torch.ones(1, 8)))
    assert_near(cell, torch.full((1, 8), torch.sigmoid(torch.tensor(1.0)).item()), 1e-6)


def test_what_is_seen_is_encoded_as_documented() -> None:
    box = gym.spaces.Box(-1, 1, (2,), np.float32)
    spec = Spec(box, gym.spaces.Discrete(3), 5)
    action, start = torch.tensor([[-1, 2]]), torch.tensor([[True, False]])
    seen = Seen(torch.tensor([[[0.1, 0.2], [0.3, 0.4]]]), action, torch.tensor([[0.0, 7.0]]), start, 0)
    x = encode_seen(spec, seen)
    assert x.shape[-1] == encoded_size(spec) == 7
    expected = [[0.1, 0.2, 0, 0, 0, 0, 1], [0.3, 0.4, 0, 0, 1, 7, 0]]  # no action yet: all zeros, not class 0
    assert_near(x, torch.tensor([expected]), 0)
    continuous = encode_seen(Spec(box, box, 5), seen._replace(action=seen.observation))
    assert_near(continuous[..., 2:4], seen.observation, 0)


def test_the_actor_critic_draws_the_cores_weights_and_starts_indifferent() -> None:
    spec = Spec(gym.spaces.Box(-1, 1, (3,), np.float32), gym.spaces.Discrete(4), 5)
    core = GRUCore(encoded_size(spec), 8)
    net = RecurrentActorCritic(spec, core)
    gate = core.gru.all_weights[0][1][:8]
    assert_near(gate @ gate.T, torch.eye(8), 1e-5)  # orthogonal: torch's own start is not
    out, _ = core.unroll(torch.randn(6, 2, encoded_size(spec)), core.initial(2))
    assert_near(net.distribution(out).logits.softmax(-1), torch.full((6, 2, 4), 0.25), 0.02)


@pytest.mark.parametrize("length", [1, 6, 7, 8])
def test_segments_lie_side_by_side(length: int) -> None:
    y = torch.arange(length * 2).view(length, 2)
    cut = segments(y, 3)
    n = -(-length // 3)
    assert cut.shape == (3, n * 2)
    for t in range(n * 3):
        for b in range(2):
            assert cut[t % 3, t // 3 * 2 + b] == (y[t, b] if t < length else 0)
