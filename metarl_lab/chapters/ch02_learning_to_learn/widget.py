"""What is each one's memory doing now? A trial of MAML and a trial of RL2, side by side, one moment at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from metarl_lab.chapters.ch02_learning_to_learn.figures import side_by_side
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.teach.widgets import Explorer, slider
from metarl_lab.types import Episodes, Memory, Seen

PULLS, LAST = 10, 11  # moment 0: before the trial; 1..10: within it; 11: the next trial begins
COPIES, FIRST_STEPS, SHOWN = 20, 10, 5  # episodes of a batch; steps shown at the first look; paths drawn
ROWS = 40  # numbers of a memory that a strip shows
ALT = (
    "Six panels. Above, MAML: paths in the plane, a strip of its parameters, and bars of how far they moved, "
    "above zero only at absorb. Below, RL2: arm probabilities, its hidden units, and bars at every pull"
)


class GradientTrial(NamedTuple):
    """One trial of a learner whose memory is parameters: four batches, absorbed after each of the first three."""

    goal: np.ndarray  # (2,) units of length
    reach: float  # half the side of the picture, units of length
    paths: list[np.ndarray]  # by moment: (copies, steps, 2)
    strip: np.ndarray  # (ROWS, 12) change of the parameters that move most
    limit: float  # largest absolute change shown
    moved: np.ndarray  # (12,) Euclidean distance of all parameters from those of the moment before
    captions: list[str]


class RecurrentTrial(NamedTuple):
    """One trial of ten pulls of a learner whose memory is a hidden state."""

    truth: np.ndarray  # (A,) the probability that each arm pays
    probability: np.ndarray  # (12, A) of pulling each arm, at the pull of that moment
    posterior: np.ndarray  # (12, A, 3) mean, 5% and 95% quantile given the pulls before that moment
    strip: np.ndarray  # (units, 12) the hidden state
    moved: np.ndarray  # (12,) its distance from the state of the moment before
    captions: list[str]


class Recorder:
    """Wraps an agent and keeps the memory after every ``act``."""

    def __init__(self, agent: Any) -> None:
        self.agent, self.memories = agent, []  # type: Any, list[Memory]
        self.shares_memory, self.noise_size = agent.shares_memory, agent.noise_size

    def begin(self, n_tasks: int, copies: int) -> Memory:
        return self.agent.begin(n_tasks, copies)

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        action, memory = self.agent.act(memory, seen, noise)
        self.memories.append(memory)
        return action, memory

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return self.agent.absorb(memory, episodes)


def record_gradient(learner: Any, family: TaskFamily, n_tasks: int = 4, seed: int = 3) -> list[GradientTrial]:
    """Act out a trial of each of ``n_tasks`` test tasks of point navigation and keep what the widget shows."""
    tasks: Any = family.sample_tasks(n_tasks, "test", seeded_generator("cpu", seed, 1))
    trial = begin(learner, family, tasks, COPIES)
    memories, batches = [_flat(trial.memory.parameters)], []  # by moment; by batch
    for batch in range(4):
        acted, trial = collect(learner, family, tasks, trial, seeded_generator("cpu", seed, 2 + batch))
        batches.append(acted)
        memories += [_flat(trial.memory.parameters)] * 2  # after a few steps, after all of them
        if batch < 3:
            trial = trial._replace(memory=learner.absorb(trial.memory, acted))
            memories.append(_flat(trial.memory.parameters))
    memories[LAST:] = [_flat(begin(learner, family, tasks, COPIES).memory.parameters)]
    change = torch.stack(memories, 1) - memories[0].unsqueeze(1)  # (T, 12, P)
    captions, places = _gradient_moments(family.spec.horizon)
    trials = []
    for i in range(n_tasks):
        paths = [np.zeros((SHOWN, 1, 2))] + [_paths(batches[b], i, steps) for b, steps in places]
        most = change[i].abs().amax(0).argsort(descending=True)[:ROWS]
        strip = change[i][:, most].T.numpy()
        reach = 1.3 * float(max(0.5, *(np.abs(p).max() for p in paths)))
        moved, limit = _moved(change[i]), float(np.abs(strip).max())
        trials.append(GradientTrial(tasks.goal[i].numpy(), reach, [*paths], strip, limit, moved, captions))
    return trials


def _gradient_moments(horizon: int) -> tuple[list[str], list[tuple[int, int]]]:
    """The caption of each moment; the batch and the number of its steps that moments 1 to 11 show."""
    captions, places = ["begin(): every task starts from the same parameters"], []
    for batch in range(4):
        captions += [f"batch {batch + 1}, step {FIRST_STEPS}: memory unchanged"]
        captions += [f"batch {batch + 1}, all {horizon} steps acted: memory unchanged"]
        captions += [f"absorb(): one gradient step on batch {batch + 1}, memory moved"]
        places += [(batch, FIRST_STEPS), (batch, horizon), (batch, horizon)]
    captions[LAST:] = ["the next trial: begin() again, nothing crossed"]
    return captions, [*places[:10], (0, 0)]


def _paths(acted: Episodes, task: int, steps: int) -> np.ndarray:
    """Positions of the copies drawn, (SHOWN, steps + 1, 2), a finished one standing still."""
    live = acted.mask[task, :SHOWN, 0].unsqueeze(-1)
    final = acted.final_observation[task, :SHOWN, 0].unsqueeze(1)  # (SHOWN, 1, 2)
    where = torch.cat((torch.where(live, acted.observation[task, :SHOWN, 0], final), final), 1)
    return where[:, : steps + 1].numpy()


def _flat(parameters: dict[str, Tensor]) -> Tensor:
    """All parameters of each task as one row, (T, P)."""
    return torch.cat([p.flatten(1) for p in parameters.values()], 1)


def _moved(memory: Tensor) -> np.ndarray:
    """How far a memory (12, P) moved at each moment; the last one begins another trial, which is no movement."""
    step = (memory[1:] - memory[:-1]).norm(dim=-1).numpy()
    return np.concatenate(([0.0], step[: LAST - 1], [0.0]))


def record_recurrent(learner: Any, family: TaskFamily, n_tasks: int = 4, seed: int = 3) -> list[RecurrentTrial]:
    """Act out ten pulls of each of ``n_tasks`` test bandits and keep what the widget shows."""
    tasks: Any = family.sample_tasks(n_tasks, "test", seeded_generator("cpu", seed, 1))
    recorder = Recorder(learner)
    trial = begin(recorder, family, tasks)
    start, episodes = trial.memory.hidden, PULLS // family.spec.horizon
    acted, _ = collect(recorder, family, tasks, trial, seeded_generator("cpu", seed, 2), episodes)
    again = begin(recorder, family, tasks).memory.hidden
    states = [start, *(m.hidden for m in recorder.memories), again]
    hidden = torch.stack([h[:, 0] for h in states], 1)  # (T, 12, units)
    probability = torch.stack([learner.net.distribution(h[:, 0]).logits.softmax(-1) for h in states], 1).detach()
    # before its first pull a recurrent learner has computed nothing: show what it does at pull 1
    probability[:, 0] = probability[:, LAST] = probability[:, 1]
    action, reward = acted.action.flatten(1).numpy(), acted.reward.flatten(1).numpy()  # (T, 10)
    return [
        RecurrentTrial(
            tasks.mean[i].numpy(),
            probability[i].numpy(),
            _posterior(action[i], reward[i], tasks.mean.shape[1]),
            hidden[i].T.numpy(),
            _moved(hidden[i]),
            _recurrent_captions(action[i], reward[i]),
        )
        for i in range(n_tasks)
    ]


def _posterior(action: np.ndarray, reward: np.ndarray, arms: int) -> np.ndarray:
    """Exact posterior of each arm before pull 1, 1, 2, ..., 10 and at the next trial: (12, arms, 3)."""
    counts = np.ones((LAST + 1, arms, 2))  # Beta(1, 1)
    for pull in range(1, PULLS):
        counts[pull + 1 : LAST, action[pull - 1], 0] += reward[pull - 1]
        counts[pull + 1 : LAST, action[pull - 1], 1] += 1 - reward[pull - 1]
    belief = stats.beta(counts[..., 0], counts[..., 1])
    return np.stack((belief.mean(), belief.ppf(0.05), belief.ppf(0.95)), -1)


def _recurrent_captions(action: np.ndarray, reward: np.ndarray) -> list[str]:
    pulls = [
        f"{_took_in(n)}; pulls arm {a}, which {'pays' if r else 'does not pay'}"
        for n, (a, r) in enumerate(zip(action, reward, strict=True), 1)
    ]
    return ["begin(): a hidden state of zeros", *pulls, "the next trial: begin() again, nothing crossed"]


def _took_in(pull: int) -> str:
    return "memory moved: it saw the start" if pull == 1 else f"memory moved: it took in pull {pull - 1}"


def memory_stepper(gradient: list[GradientTrial], recurrent: list[RecurrentTrial]) -> Explorer:
    """The widget: a slider over the moments of a trial, and one over tasks."""
    controls = {
        "moment": slider("moment of the trial", 0, LAST, 1, 5),
        "task": slider("held-out task", 1, min(len(gradient), len(recurrent)), 1, 1),
    }

    def draw(moment: int, task: int) -> Any:
        return side_by_side(gradient[task - 1], recurrent[task - 1], moment)

    return Explorer("02 memory stepper", draw, controls, alt=ALT, end={"moment": PULLS})
