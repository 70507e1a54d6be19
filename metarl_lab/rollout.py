"""collect(...): act out episodes of any family with any agent, all tasks and copies in one batch.

Python is touched once per time step, whatever the number of tasks and copies; noise is drawn before the step loop, as
one block whose leading axis is the task, so on the CPU a task's noise does not change when other tasks are added.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.types import Agent, Episodes, Seen, Spec, Trial, leaves, map_tensors


def begin(agent: Agent, family: TaskFamily, tasks: Tasks, copies: int = 1) -> Trial:
    """Start a trial of each task: the agent's first memory and no last transition."""
    n, device = count_tasks(tasks), first_tensor(tasks).device
    # references that know the task (oracle, value_iteration) are told it here and nowhere else
    memory = agent.told(tasks, copies) if hasattr(agent, "told") else agent.begin(n, copies)
    return Trial(memory, *nothing_seen(family.spec, n, copies, device))


def nothing_seen(spec: Spec, n_tasks: int, copies: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(action, reward) before the first step of a trial: action -1 or zeros, reward 0."""
    if spec.discrete:
        action = torch.full((n_tasks, copies), -1, dtype=torch.int64, device=device)
    else:
        action = torch.zeros(n_tasks, copies, spec.action_size, device=device)
    return action, torch.zeros(n_tasks, copies, device=device)


@torch.no_grad()
def collect(
    agent: Agent, family: TaskFamily, tasks: Tasks, trial: Trial, generator: torch.Generator, episodes: int = 1
) -> tuple[Episodes, Trial]:
    """Act out the next ``episodes`` episodes of each trial.

    Parameters
    ----------
    agent, family, tasks
        Who acts, where, and on which T tasks.
    trial : Trial
        From ``begin``, or what the previous ``collect`` of this trial returned (with the memory after ``absorb``).
    generator : torch.Generator
        The source of all noise of this call, on the device of the tasks.
    episodes : int
        K, how many episodes one after another.

    Returns
    -------
    Episodes, Trial
        What happened, (T, E, K, H, ...), and where the trial stands. Storage is step-major, so that a recurrent
        learner reads it as (K H, T E, ...) without a copy.
    """
    spec = family.spec
    n, copies = trial.reward.shape
    noise = draw_noise(spec, agent.noise_size, (n, copies, episodes), generator)
    store = _allocate(spec, n, copies, episodes, trial.reward.device)
    before = (trial.action, trial.reward)
    for k in range(episodes):
        trial = _episode(agent, family, tasks, trial, noise[k], store, k)
    final = store.pop("final_observation").permute(1, 2, 0, 3)  # (K, T, E, O) -> (T, E, K, O)
    views = {key: x.movedim((2, 3), (0, 1)) for key, x in store.items()}  # (K, H, T, E, ...) -> (T, E, K, H, ...)
    return Episodes(**views, final_observation=final, before=before), trial


def draw_noise(spec: Spec, agent_noise: int, lead: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """Uniform noise (K, H, T, E, reset + step + agent), drawn task by task. lead: (T, E, K)."""
    width = spec.reset_noise + spec.step_noise + agent_noise
    n, copies, episodes = lead
    block = torch.rand((n, copies, episodes, spec.horizon, width), generator=generator, device=generator.device)
    return block.permute(2, 3, 0, 1, 4).contiguous()


def _episode(
    agent: Agent, family: TaskFamily, tasks: Tasks, trial: Trial, noise: Tensor, store: dict[str, Tensor], k: int
) -> Trial:
    """One episode of every copy, written into ``store[...][k]``. noise (H, T, E, N)."""
    spec = family.spec
    reset_noise, step_noise, act_noise = noise.split(
        [spec.reset_noise, spec.step_noise, noise.shape[-1] - spec.reset_noise - spec.step_noise], dim=-1
    )
    memory, action, reward = trial
    state = family.reset(tasks, reset_noise[0])
    alive = torch.ones_like(reward, dtype=torch.bool)  # (T, E)
    starts = (torch.ones_like(alive), torch.zeros_like(alive))
    for h in range(spec.horizon):
        observation = family.observe(tasks, state)
        seen = Seen(observation, action, reward, starts[h > 0], h)
        new_action, new_memory = agent.act(memory, seen, act_noise[h])
        state, new_reward, terminated = family.step(tasks, state, new_action, step_noise[h])
        store["observation"][k, h] = observation
        store["action"][k, h] = new_action
        if spec.terminates:
            # a finished copy keeps its memory and its last transition until the next episode starts
            store["mask"][k, h] = alive
            store["terminated"][k, h] = terminated & alive
            store["reward"][k, h] = new_reward * alive
            memory = new_memory if agent.shares_memory else where_copies(alive, new_memory, memory)
            action, reward = where_copies(alive, (new_action, new_reward), (action, reward))
            after, final = family.observe(tasks, state), store["final_observation"]
            final[k] = where_copies(alive, after, final[k])
            alive = alive & ~terminated
        else:
            store["reward"][k, h] = new_reward
            memory, action, reward = new_memory, new_action, new_reward
    if not spec.terminates:
        store["final_observation"][k] = family.observe(tasks, state)
    store["truncated"][k, -1] = alive
    return Trial(memory, action, reward)


def _allocate(spec: Spec, n: int, copies: int, episodes: int, device: torch.device) -> dict[str, Tensor]:
    """Step-major storage: (K, H, T, E, ...)."""
    lead = (episodes, spec.horizon, n, copies)
    action = torch.empty(lead, dtype=torch.int64, device=device)
    return {
        "observation": torch.empty(*lead, spec.observation_size, device=device),
        "action": action if spec.discrete else torch.empty(*lead, spec.action_size, device=device),
        "reward": torch.empty(lead, device=device),
        "terminated": torch.zeros(lead, dtype=torch.bool, device=device),
        "truncated": torch.zeros(lead, dtype=torch.bool, device=device),
        "mask": torch.ones(lead, dtype=torch.bool, device=device),
        "final_observation": torch.zeros(episodes, n, copies, spec.observation_size, device=device),
    }


def where_copies(condition: Tensor, new: Any, old: Any) -> Any:
    """Per copy, the new tensors where the condition (T, E) holds and the old ones elsewhere."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(condition.reshape(condition.shape + (1,) * (a.ndim - 2)), a, b)

    return map_tensors(pick, new, old)


def count_tasks(tasks: Tasks) -> int:
    """T, the number of tasks in a batch of them."""
    return int(first_tensor(tasks).shape[0])


def first_tensor(tree: Any) -> Tensor:
    """The first tensor of a nesting."""
    return leaves(tree)[0]


def seeded_generator(device: torch.device | str, *entropy: int) -> torch.Generator:
    """A generator on ``device`` whose seed mixes all the numbers given, so that streams do not overlap by accident.

    NumPy pads short entropy with zeros, so (5, 1) and (5, 1, 0) are one stream: end a longer key with a number above 0.
    """
    seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
    return torch.Generator(device).manual_seed(seed)
