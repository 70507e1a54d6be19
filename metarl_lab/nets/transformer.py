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
        self.out_size = hidden
        self.heads = heads
        self.context = context
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
        no_keys_and_values = weight.new_zeros(n, 2, self.heads, self.context, width)
        no_steps = torch.zeros(n, dtype=torch.int64, device=weight.device)
        return *(no_keys_and_values for _ in self.blocks), no_steps

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        out, state = self._forward(x.unsqueeze(1), state, self.context - 1)
        return out[:, 0], state

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        past = min(int(state[-1].max()), self.context - 1)  # what no trial has seen need not be read
        out, state = self._forward(x.transpose(0, 1), state, past)
        return out.transpose(0, 1), state

    def attention(self, x: Tensor) -> list[Tensor]:
        """Attention weights of each block over whole trials x (L, B, I): (B, heads, L, L), rows sum to 1."""
        steps = len(x)
        stream = self.embed(x.transpose(0, 1))  # (B, L, hidden)
        seen = torch.zeros(len(stream), dtype=torch.int64, device=stream.device)
        turn = self._turn(seen, steps)
        mask = self._mask(seen, steps, 0)
        found = []
        for block in self._blocks():
            query, key, value = block.project(stream, turn)
            scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])  # (B, heads, L, L)
            weights = scores.masked_fill(~mask, -math.inf).softmax(-1)
            found.append(weights)
            stream = block.finish(stream, weights @ value)
        return found

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def _forward(self, x: Tensor, state: State, past: int) -> tuple[Tensor, State]:
        """x (B, S, I) after ``past`` steps of the state -> (out (B, S, hidden), the state after)."""
        *caches, seen = state
        steps = x.shape[1]
        turn = self._turn(seen, steps)
        # a whole trial that fits the window is the plain causal case, which is fused
        plain = past == 0 and steps <= self.context
        mask = None if plain else self._mask(seen, steps, past)
        stream = self.embed(x)
        after = []
        for block, cache in zip(self._blocks(), caches, strict=True):
            query, key, value = block.project(stream, turn)
            # the newest ``past`` slots, then the new steps: (B, 2, heads, past + S, width)
            remembered = cache[..., self.context - past :, :]
            cache = torch.cat((remembered, torch.stack((key, value), 1)), -2)
            read = scaled_dot_product_attention(query, cache[:, 0], cache[:, 1], mask, is_causal=plain)
            stream = block.finish(stream, read)
            after.append(self._fitted(cache))
        return self.norm(stream), (*after, seen + steps)

    def _fitted(self, cache: Tensor) -> Tensor:
        """The last ``context`` slots, with zeros before them where there are fewer."""
        short = self.context - cache.shape[-2]
        if short <= 0:
            return cache[..., -self.context :, :]
        return nn.functional.pad(cache, (0, 0, short, 0))

    def _turn(self, seen: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """(cos, sin) of each step's rotation, (B, 1, S, width / 2). seen (B,): steps before the first of these."""
        number = seen.unsqueeze(1) + torch.arange(steps, device=seen.device)  # (B, S), of each step in its trial
        angle = (number.unsqueeze(-1) * self.rates).unsqueeze(1)  # radians, (B, 1, S, width / 2)
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
        # attention
        self.norm1 = nn.LayerNorm(hidden)
        self.norm2 = nn.LayerNorm(hidden)
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        # multilayer perceptron, after ``norm2``
        self.up = nn.Linear(hidden, 4 * hidden)
        self.down = nn.Linear(4 * hidden, hidden)

    def project(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (B, heads, S, width); the first two turned by their step's number."""
        projected = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))  # (B, S, 3, heads, width)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        return _turned(query, turn), _turned(key, turn), value

    def finish(self, x: Tensor, read: Tensor) -> Tensor:
        """The stream after the block; read (B, heads, S, width) is what was attended to."""
        attended = x + self.out(read.transpose(1, 2).flatten(2))
        return attended + self.down(gelu(self.up(self.norm2(attended))))


def _turned(vector: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate each pair (v_i, v_{i + width / 2}): the product of two such vectors depends on their distance in steps."""
    cos, sin = turn
    first, second = vector.chunk(2, -1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), -1)
