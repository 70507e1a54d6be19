"""Sequence cores: networks that read a trial one step at a time; and trials laid out as what they read.

A core is used twice: ``step`` while acting, ``unroll`` while training. Both are one function of what was seen; the
tests hold them equal.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from metarl_lab.types import Episodes, Seen, Spec, map_tensors

State = tuple[Tensor, ...]  # each with leading axis B


class Core(nn.Module, ABC):
    """A causal sequence network: out_t depends on x_1..x_t and on the state before x_1, on nothing later.

    Step-major: inputs (L, B, I) with L steps and B trials. A concrete core is final; it sets ``out_size``, and starts
    with torch's own weights until ``reset_parameters`` draws better ones.
    """

    out_size: int
    """Features of one output."""

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draw the weights again, in the way that suits reinforcement learning."""

    @abstractmethod
    def initial(self, n: int) -> State:
        """The state of ``n`` trials before their first step, on the module's device."""

    @abstractmethod
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step: x (B, I) -> (out (B, out_size), the state after); the state given is not changed."""

    @abstractmethod
    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All steps: x (L, B, I), the state before the first -> (out (L, B, out_size), the state after the last)."""

    def unroll_segments(self, x: Tensor, steps: int) -> tuple[Tensor, State]:
        """Unroll whole trials x (L, B, I) and note the state before every ``steps`` steps.

        Returns the outputs (L, B, out_size), and the states before the S segments, each (S, B, ...).
        """
        outs, before, state = [], [], self.initial(x.shape[1])
        for segment in x.split(steps):
            before.append(state)
            out, state = self.unroll(segment, state)
            outs.append(out)
        return torch.cat(outs), tuple(torch.stack(y) for y in zip(*before, strict=True))


class Sequences(NamedTuple):
    """Trials as a core reads them: L = K H steps, B = T E trials, live steps first."""

    x: Tensor  # (L, B, I) what was seen, encoded
    action: Tensor  # (L, B) or (L, B, A)
    reward: Tensor  # (L, B), 0 where not live
    live: Tensor  # (L, B) bool


def encoded_size(spec: Spec) -> int:
    """I, the features of one encoded step."""
    return spec.observation_size + spec.action_size + 2


def encode_seen(spec: Spec, seen: Seen) -> Tensor:
    """(observation, last action, last reward, episode start) as one vector, (..., I).

    A discrete action is one-hot; the missing one before the first step of a trial is all zeros.
    """
    action = seen.action
    if spec.discrete:
        classes = torch.arange(spec.action_size, device=action.device)
        action = (action.unsqueeze(-1) == classes).float()
    rest = torch.stack((seen.reward, seen.start.to(seen.reward.dtype)), -1)
    return torch.cat((seen.observation, action, rest), -1)


def sequences(spec: Spec, episodes: Episodes, reward: Tensor | None = None) -> Sequences:
    """Lay K episodes of a trial end to end, (L, B, ...), exactly as the network saw them while acting.

    The last transition before step t is the previous *live* step's, also across episodes; steps after a termination
    are moved behind the live ones, so that a plain unroll passes through the states that acted.

    Parameters
    ----------
    spec : Spec
        The family's spaces.
    episodes : Episodes
        From one ``collect``.
    reward : Tensor (T, E, K, H), optional
        What is to be maximised, where that is not the reward seen (``TaskFamily.training_reward``).
    """

    mask = _steps_first(episodes.mask)  # (L, B)
    # dead steps to the end, everything else in the order acted; None: there are none
    order = None if bool(mask.all()) else torch.argsort((~mask).to(torch.int8), dim=0, stable=True)

    def laid_out(y: Tensor) -> Tensor:
        """(T, E, K, H, ...) -> (L, B, ...), live steps first."""
        y = _steps_first(y)
        return y if order is None else y.gather(0, order.reshape(order.shape + (1,) * (y.ndim - 2)).expand_as(y))

    observation, action = laid_out(episodes.observation), laid_out(episodes.action)
    start = torch.zeros_like(episodes.mask)
    start[..., 0] = True
    start = laid_out(start)
    seen_reward = laid_out(episodes.reward)
    if reward is None:
        wanted = seen_reward
    else:
        wanted = laid_out(reward * episodes.mask)

    # what was seen before step t: the action and the reward of step t - 1
    first_action, first_reward = (y.flatten(0, 1).unsqueeze(0) for y in episodes.before)
    last_action = torch.cat((first_action, action[:-1]))
    last_reward = torch.cat((first_reward, seen_reward[:-1]))
    x = encode_seen(spec, Seen(observation, last_action, last_reward, start, 0))
    return Sequences(x, action, wanted, laid_out(episodes.mask))


def _steps_first(y: Tensor) -> Tensor:
    """(T, E, K, H, ...) -> (K H, T E, ...)."""
    return y.movedim((2, 3), (0, 1)).flatten(0, 1).flatten(1, 2)


def segments(y: Tensor, steps: int) -> Tensor:
    """Cut (L, B, ...) every ``steps`` steps and lay the S segments side by side: (steps, S B, ...), zeros behind.

    Row s B + b is segment s of trial b.
    """
    missing = -len(y) % steps
    if missing:
        y = torch.cat((y, y.new_zeros(missing, *y.shape[1:])))
    return y.unflatten(0, (-1, steps)).transpose(0, 1).flatten(1, 2)


def chosen_rows(rows: Any, chosen: Tensor) -> Any:
    """Some of the R rows, by index or mask, of any nesting of tensors whose second axis is R."""
    return map_tensors(lambda y: y[:, chosen], rows)
