"""Widget of chapter 15: task policies, a candidate for their average, and what each KL says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from metarl_lab.chapters.ch15_average_policy.figures import averages
from metarl_lab.ops.contrast import arithmetic_average, geometric_average
from metarl_lab.ops.distributions import Categorical
from metarl_lab.teach.widgets import Explorer, choice, slider

PATH = np.linspace(-0.5, 1.5, 41)  # candidates, by place: 0 the geometric average, 1 the arithmetic one
KINDS = ("KL(task || average)", "KL(average || task)")


def path_of(policies: torch.Tensor) -> torch.Tensor:
    """Candidates on the line of logits through both averages: policies (N, A) -> (n, A)."""
    even = torch.ones(len(policies), dtype=policies.dtype)
    low, high = geometric_average(policies, even).log(), arithmetic_average(policies, even).log()
    place = torch.as_tensor(PATH, dtype=policies.dtype).unsqueeze(1)
    return ((1 - place) * low + place * high).softmax(-1)


def divergences(policies: torch.Tensor, candidates: torch.Tensor) -> dict[str, np.ndarray]:
    """Both KLs of each candidate, mean over tasks: (N, A), (n, A) -> {name: (n,)}, nats."""
    many, each = Categorical(policies.log().unsqueeze(1)), Categorical(candidates.log().unsqueeze(0))
    forward, reverse = many.kl(each).mean(0), each.kl(many).mean(0)
    return dict(zip(KINDS, (forward.numpy(), reverse.numpy()), strict=True))


def average_explorer(
    logits: Mapping[str, Sequence[float]], actions: Sequence[str], name: str = "15 average"
) -> Explorer:
    """Return the explorer of averages: how many tasks, how decided their policies are, which candidate.

    logits: {task: one number for each of ``actions``}, of its policy at temperature 1.
    """
    names, table = list(logits), torch.tensor(list(logits.values()), dtype=torch.float64)

    def draw(tasks: int, temperature: float, place: float) -> Figure:
        policies = (table[:tasks] / temperature).softmax(-1)
        candidates, here = path_of(policies), int(np.abs(PATH - place).argmin())
        shown = dict(zip(names, policies.numpy(), strict=False)) | {"candidate": candidates[here].numpy()}
        return averages(actions, shown, PATH, divergences(policies, candidates), here)

    controls = {
        "tasks": choice("tasks", list(range(2, len(names) + 1)), len(names)),
        "temperature": slider("temperature", 0.2, 3.0, 0.2, 0.6),
        "place": slider("candidate", -0.5, 1.5, 0.05, 0.5),
    }
    return Explorer(name, draw, controls, alt=_alt)


def _alt(tasks: int, temperature: float, place: float) -> str:
    return (
        f"Left, bars: policies of {tasks} tasks at temperature {temperature:.1f} and a candidate average at place "
        f"{place:.2f}; right: the forward KL along the candidates is lowest at 1, the reverse KL at 0"
    )
