"""The transformer core: what it may see, how far back, and what position means to it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from metarl_lab.nets.transformer import TransformerCore

L, B, INPUTS = 12, 2, 4


def make(layers: int = 2, context: int = L, heads: int = 2) -> tuple[TransformerCore, Tensor]:
    torch.manual_seed(5)
    core = TransformerCore(INPUTS, 8, layers, heads, context)
    core.reset_parameters()
    with torch.no_grad():
        for p in core.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return core.double(), torch.randn(L, B, INPUTS, dtype=torch.float64)


def influence(core: TransformerCore, x: Tensor) -> Tensor:
    """[t, s] True: the output at t depends on the input at s, by exact gradients of every output feature."""
    jacobian = torch.autograd.functional.jacobian(lambda y: core.unroll(y, core.initial(1))[0][:, 0], x[:, :1])
    return (jacobian.abs().sum((1, 3, 4)) > 0).squeeze(-1)  # (L, out, L, 1, I) -> (L, L)


@pytest.mark.parametrize(("layers", "context", "reach"), [(1, L, L), (1, 4, 4), (2, 4, 7), (3, 2, 4), (2, 1, 1)])
def test_each_block_looks_back_over_its_window_and_never_ahead(layers: int, context: int, reach: int) -> None:
    """Blocks stack: two of four steps reach 1 + 3 + 3 steps back."""
    core, x = make(layers, context)
    ago = torch.arange(L)[:, None] - torch.arange(L)
    assert torch.equal(influence(core, x), (ago >= 0) & (ago < reach))


def test_attention_is_causal_windowed_normalised_and_what_the_core_uses() -> None:
    core, x = make(layers=2, context=5)
    found = core.attention(x)
    ago = torch.arange(L)[:, None] - torch.arange(L)
    assert len(found) == 2
    for weights in found:
        assert weights.shape == (B, 2, L, L)
        torch.testing.assert_close(weights.sum(-1), torch.ones(B, 2, L, dtype=torch.float64))
        assert torch.equal(weights > 0, ((ago >= 0) & (ago < 5)).expand_as(weights))
    # the first block by hand, for the last step of trial 0: softmax(q . k / sqrt(width)) v is what unroll added
    block = core.blocks[0]
    y = core.embed(x.transpose(0, 1))
    _, _, v = block.project(y, core._turn(torch.zeros(B, dtype=torch.int64), L))
    read = torch.einsum("bhts,bhsw->bhtw", found[0], v)
    single, _ = make(layers=1, context=5)
    single.load_state_dict({k: w for k, w in core.state_dict().items() if not k.startswith("blocks.1")})
    torch.testing.assert_close(core.norm(block.finish(y, read)).transpose(0, 1), single.unroll(x, single.initial(B))[0])


def test_attention_depends_on_how_long_ago_and_not_on_when() -> None:
    """The same steps later in a trial: the window full of the same inputs gives the same output."""
    core, x = make(layers=1, context=3)
    late = torch.cat((torch.randn(40, B, INPUTS, dtype=torch.float64), x))
    out, _ = core.unroll(x, core.initial(B))
    again, _ = core.unroll(late, core.initial(B))
    torch.testing.assert_close(again[42:], out[2:], rtol=1e-9, atol=1e-9)  # from where the window is full


def test_order_matters() -> None:
    core, x = make()
    swapped = x.clone()
    swapped[[2, 3]] = x[[3, 2]]
    a, b = (core.unroll(y, core.initial(B))[0][-1] for y in (x, swapped))
    assert not torch.allclose(a, b, atol=1e-3)


def test_rotation_is_a_rotation_by_hand() -> None:
    """Width 4: pairs (0, 2) and (1, 3), turning by 1 and by 1/100 radian a step; step 3 after two seen."""
    core, _ = make(heads=2)
    cos, sin = core._turn(torch.tensor([2]), 2)
    expected = torch.tensor([[2.0, 0.02], [3.0, 0.03]], dtype=torch.float64)
    torch.testing.assert_close(cos[0, 0], expected.cos(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(sin[0, 0], expected.sin(), rtol=1e-6, atol=1e-6)
    block = core.blocks[0]
    y = torch.randn(1, 2, 8, dtype=torch.float64)
    straight, _, v = block.project(y, (torch.ones_like(cos), torch.zeros_like(sin)))
    turned, _, same = block.project(y, (cos, sin))
    for pair in (0, 1):
        before = torch.complex(straight[..., pair], straight[..., pair + 2])
        after = torch.complex(turned[..., pair], turned[..., pair + 2])
        angle = expected[:, pair] if pair == 0 else expected[:, 1]
        torch.testing.assert_close(after, before * torch.polar(torch.ones_like(angle), angle), rtol=1e-6, atol=1e-6)
    assert torch.equal(v, same)


def test_the_state_is_the_last_context_steps() -> None:
    core, x = make(layers=2, context=4)
    _, (first, _, seen) = core.unroll(x[:3], core.initial(B))
    assert (seen == 3).all() and (first[..., :1, :] == 0).all() and (first[..., 1:, :] != 0).all()
    _, (full, _, seen) = core.unroll(x, core.initial(B))
    _, (later, _, _) = core.step(x[0], core.unroll(x, core.initial(B))[1])
    assert (seen == L).all() and torch.equal(later[..., :-1, :], full[..., 1:, :])


def test_it_starts_close_to_its_input() -> None:
    """What the blocks add is small beside the stream, however many there are."""
    for layers in (1, 8):
        core = TransformerCore(16, 32, layers, 4, 20)
        core.reset_parameters()
        x = torch.randn(20, 5, 16)
        stream = core.norm(core.embed(x))
        out, _ = core.unroll(x, core.initial(5))
        assert 0 < (out - stream).norm() / stream.norm() < 0.8


@pytest.mark.parametrize("wrong", [{"hidden": 6}, {"layers": 0}, {"heads": 0}, {"context": 0}, {"hidden": 0}])
def test_what_cannot_be_is_refused(wrong: dict[str, int]) -> None:
    sizes = {"hidden": 8, "layers": 1, "heads": 2, "context": 3} | wrong
    with pytest.raises(ValueError, match="hidden a multiple of 2 heads"):
        TransformerCore(INPUTS, **sizes)


def test_width_is_hidden_over_heads() -> None:
    core, _ = make(heads=2)
    assert core.initial(3)[0].shape == (3, 2, 2, L, 4) and math.prod(core.rates.shape) == 2
