"""A causal transformer as a core: its memory of a trial is the trial itself, as keys and values.

Pre-norm blocks (Xiong et al. 2020, arXiv 2002.04745), x <- x + attention(norm x), x <- x + mlp(norm x), with rotary
position embedding (Su et al. 2021, arXiv 2104.09864), so that attention depends on how long ago a step was and not on
its number: trials may be longer than those trained on. Each block looks back over ``context`` steps, itself included.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from metarl_lab.nets.base import Core, State


class TransformerCore(Core):
    """out_t = norm(block_n(... block_1(W x_t))), each block attending to its inputs at t - context + 1, ..., t.

    State: for each block keys and values (B, 2, heads, context, width) of the last ``context`` steps, the newest last
    and zeros where nothing was seen yet; then how many steps were seen, (B,) int64. When it is full the oldest step
    falls out, in ``unroll`` as in ``step``.

    Parameters
    ----------
    inputs, hidden : int
        I, and the features of the residual stream (``out_size``).
    layers, heads : int
        Blocks; heads of each, ``width`` = hidden / heads features wide.
    context : int
        Steps that a block looks back over, its own included.
    """

    rates: Tensor

    def __init__(self, inputs: int, hidden: int, layers: int, heads: int, context: int) -> None:
        super().__init__()
        if min(hidden, layers, heads, context) < 1 or hidden % (2 * heads):
            given = f"hidden={hidden}, layers={layers}, heads={heads}, context={context}"
            raise ValueError(f"transformer: {given} is not allowed; give numbers above 0, hidden a multiple of 2 heads")
        self.out_size, self.heads, self.context = hidden, heads, context
        self.embed = nn.Linear(inputs, hidden)
        self.blocks = nn.ModuleList(Block(hidden, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)
        # radians per step of each pair of features: fast ones tell neighbours apart, slow ones early from late
        pairs = hidden // heads // 2
        self.register_buffer("rates", 10_000.0 ** (-torch.arange(pairs) / pairs), persistent=False)

    def reset_parameters(self) -> None:
        """Orthogonal; what a block adds to the stream starts small, so that depth does not drown the input."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.orthogonal_(layer.weight)
                nn.init.zeros_(layer.bias)
        for block in self._blocks():
            for last in (block.out, block.down):
                nn.init.orthogonal_(last.weight, 0.5 / math.sqrt(2 * len(self.blocks)))

    def initial(self, n: int) -> State:
        """Nothing seen."""
        weight = self.embed.weight
        width = self.out_size // self.heads
        empty = weight.new_zeros(n, 2, self.heads, self.context, width)
        return *(empty for _ in self.blocks), torch.zeros(n, dtype=torch.int64, device=weight.device)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        out, state = self._forward(x.unsqueeze(1), state, self.context - 1)
        return out[:, 0], state

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        past = min(int(state[-1].max()), self.context - 1)  # what no trial has seen need not be read
        out, state = self._forward(x.transpose(0, 1), state, past)
        return out.transpose(0, 1), state

    def attention(self, x: Tensor) -> list[Tensor]:
        """Attention weights of each block over whole trials x (L, B, I): (B, heads, L, L), rows sum to 1."""
        y = self.embed(x.transpose(0, 1))
        seen = torch.zeros(len(y), dtype=torch.int64, device=y.device)
        turn, mask = self._turn(seen, len(x)), self._mask(seen, len(x), 0)
        found = []
        for block in self._blocks():
            q, k, v = block.project(y, turn)
            scores = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).masked_fill(~mask, -math.inf)
            found.append(scores.softmax(-1))
            y = block.finish(y, found[-1] @ v)
        return found

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def _forward(self, x: Tensor, state: State, past: int) -> tuple[Tensor, State]:
        """x (B, S, I) after ``past`` steps of the state -> (out (B, S, hidden), the state after)."""
        *kept, seen = state
        steps = x.shape[1]
        turn = self._turn(seen, steps)
        # a whole trial that fits the window is the plain causal case, which is fused
        mask = None if past == 0 and steps <= self.context else self._mask(seen, steps, past)
        y, after = self.embed(x), []
        for block, cache in zip(self._blocks(), kept, strict=True):
            q, k, v = block.project(y, turn)
            # the newest ``past`` slots, then the new steps: (B, 2, heads, past + S, width)
            cache = torch.cat((cache[..., self.context - past :, :], torch.stack((k, v), 1)), -2)
            y = block.finish(y, scaled_dot_product_attention(q, cache[:, 0], cache[:, 1], mask, is_causal=mask is None))
            after.append(self._fitted(cache))
        return self.norm(y), (*after, seen + steps)

    def _fitted(self, cache: Tensor) -> Tensor:
        """The last ``context`` slots, with zeros before them where there are fewer."""
        short = self.context - cache.shape[-2]
        return cache[..., -self.context :, :] if short <= 0 else nn.functional.pad(cache, (0, 0, short, 0))

    def _turn(self, seen: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """(cos, sin) of each step's rotation, (B, 1, S, width / 2). seen (B,): steps before the first of these."""
        number = seen.unsqueeze(1) + torch.arange(steps, device=seen.device)
        angle = (number.unsqueeze(-1) * self.rates).unsqueeze(1)
        return angle.cos(), angle.sin()

    def _mask(self, seen: Tensor, steps: int, past: int) -> Tensor:
        """Which of past + S keys each of S steps may read: not later ones, none out of the window, no empty slot."""
        keys = torch.arange(past + steps, device=seen.device) - past  # relative to the first of these steps
        ago = torch.arange(steps, device=seen.device).unsqueeze(1) - keys  # (S, past + S)
        inside = (ago >= 0) & (ago < self.context)
        filled = keys + seen.unsqueeze(1) >= 0  # (B, past + S)
        return inside & filled[:, None, None]  # (B, 1, S, past + S)


class Block(nn.Module):
    """One block, in two halves so that the core decides what is attended to. Stream x (B, S, hidden)."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.qkv, self.out = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.up, self.down = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def project(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (B, heads, S, width); the first two turned by their step's number."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return _turned(q, turn), _turned(k, turn), v

    def finish(self, x: Tensor, read: Tensor) -> Tensor:
        """The stream after the block; read (B, heads, S, width) is what was attended to."""
        x = x + self.out(read.transpose(1, 2).flatten(2))
        return x + self.down(gelu(self.up(self.norm2(x))))


def _turned(y: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate each pair (y_i, y_{i + width / 2}): the product of two such vectors depends on their distance in steps."""
    cos, sin = turn
    a, b = y.chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)
