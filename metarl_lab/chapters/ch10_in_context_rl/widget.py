"""Widget of chapter 10: what a transformer reads of its trial, one step after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from metarl_lab.chapters.ch10_in_context_rl.figures import attention_step
from metarl_lab.nets.base import sequences
from metarl_lab.nets.transformer import TransformerCore
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.teach.widgets import Explorer, choice, slider
from metarl_lab.types import Agent


class AttentionTrial(NamedTuple):
    """One trial of L steps in a room, and what each step read of those before it."""

    size: int  # cells of a side
    horizon: int  # steps of an episode
    goal: int  # its cell, row * size + column; the agent is never shown it
    cell: np.ndarray  # (L,) where the agent is as it chooses
    action: np.ndarray  # (L,) what it chooses there
    reward: np.ndarray  # (L,) what that pays
    weights: np.ndarray  # (layers, heads, L, L): row t is step t's attention to steps 0..t


@torch.no_grad()
def record_attention(
    agent: Agent, core: TransformerCore, family: TaskFamily, tasks: Any, seed: int = 3, episodes: int | None = None
) -> list[AttentionTrial]:
    """Act out one trial of each task and keep the attention of ``core``, the network that acts, at every step.

    family : a room whose observation is the agent's cell, one-hot, such as `dark_room`; tasks have a field ``goal``.
    """
    generator, episodes = seeded_generator("cpu", seed, 1), episodes or family.spec.episodes
    acted, _ = collect(agent, family, tasks, begin(agent, family, tasks), generator, episodes)
    weights = torch.stack(core.attention(sequences(family.spec, acted).x), 1)  # (T, layers, heads, L, L)
    cell, action, reward = (y[:, 0].flatten(1) for y in (acted.observation.argmax(-1), acted.action, acted.reward))
    size = round(family.spec.observation_size**0.5)
    return [
        AttentionTrial(
            size,
            family.spec.horizon,
            int(tasks.goal[i]),
            cell[i].numpy(),
            action[i].numpy(),
            reward[i].numpy(),
            weights[i].numpy(),
        )
        for i in range(len(weights))
    ]


def attention_stepper(
    trials: Sequence[AttentionTrial], step: int, end: int, name: str = "10 attention stepper"
) -> Explorer:
    """The widget: a slider over the steps of a trial, beginning at `step`; task, layer and head to choose.

    The picture for readers without a kernel is that of step `end`.
    """
    layers, heads, steps = trials[0].weights.shape[:3]
    controls: dict[str, Any] = {
        "step": slider("step of the trial", 0, steps - 1, 1, step),
        "task": slider("held-out task", 1, len(trials), 1, 1),
        "layer": slider("layer", 1, layers, 1, 1),
        "head": choice("head", [("mean of all", 0), *((f"head {n}", n) for n in range(1, heads + 1))]),
    }

    def draw(step: int, task: int, layer: int, head: int) -> Figure:
        trial = trials[task - 1]
        rows = trial.weights[layer - 1, :, step, : step + 1]  # (heads, step + 1)
        what = f"Layer {layer}, {'mean of the heads' if head == 0 else f'head {head}'}"
        return attention_step(trial, step, rows.mean(0) if head == 0 else rows[head - 1], what)

    return Explorer(name, draw, controls, alt=_alt, end={"step": end})


def _alt(step: int, task: int, layer: int, head: int) -> str:
    read = "the mean of its heads" if head == 0 else f"head {head}"
    return (
        f"A room with the agent and its hidden goal, beside bars of attention of step {step} to every earlier step "
        f"in layer {layer}, {read}, and the last action seen at each of them; held-out task {task}"
    )
