"""Single transitions out of finished episodes: the rows of a replay buffer, and which of them to read."""

from __future__ import annotations

import torch
from torch import Tensor

from metarl_lab.types import Episodes

Rows = dict[str, Tensor]  # (T, M, ...): of each task M = E K H transitions, trial by trial


def next_observations(episodes: Episodes) -> tuple[Tensor, Tensor]:
    """What followed each step (T, E, K, H, O); whether the agent saw it (T, E, K, H): not after the last step."""
    final = episodes.final_observation.unsqueeze(-2)  # (T, E, K, 1, O)
    last = episodes.terminated | episodes.truncated
    after = torch.cat((episodes.observation[..., 1:, :], final), -2)
    return torch.where(last.unsqueeze(-1), final, after), ~last


def transition_rows(episodes: Episodes, training_reward: Tensor) -> Rows:
    """All transitions of each task, (T, E K H, ...), with both rewards: the true one and the one that is maximised.

    ``after`` is the next observation; ``followed`` says that the agent was shown it. Steps that were not live are among
    the rows, with ``mask`` False.
    """
    if training_reward.shape != episodes.reward.shape:
        raise ValueError(
            f"transition_rows: training_reward is {tuple(training_reward.shape)}; give {tuple(episodes.reward.shape)}"
        )
    after, followed = next_observations(episodes)
    columns = episodes._asdict() | {"after": after, "followed": followed, "training_reward": training_reward}
    names = ("observation", "action", "reward", "training_reward", "after", "followed", "terminated", "mask")
    return {name: columns[name].flatten(1, 3).contiguous() for name in names}


def take(rows: Rows, index: Tensor) -> Rows:
    """Of each task the transitions ``index`` (T, N): rows (T, N, ...)."""
    task = torch.arange(len(index), device=index.device).unsqueeze(1)
    return {name: x[task, index] for name, x in rows.items()}


def any_live(mask: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """n live transitions of each task, each equally likely, with repeats: mask (T, M) -> index (T, n)."""
    return torch.multinomial(mask.float(), n, replacement=True, generator=generator)


def first_episodes(mask: Tensor, trials: int, episodes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What was known at the start of some later episode: of each task one trial, and its first 1 to K - 1 episodes.

    mask (T, E K H) of E ``trials`` of K ``episodes`` -> index and mask of the transitions, (T, max(K - 1, 1) H). Each
    trial and number of episodes is equally likely. A trial of one episode gives that episode.
    """
    n, width = mask.shape
    horizon, device = width // (trials * episodes), generator.device
    place = torch.arange(max(episodes - 1, 1) * horizon, device=device)
    trial = torch.randint(trials, (n, 1), generator=generator, device=device)
    known = horizon * torch.randint(1, max(episodes, 2), (n, 1), generator=generator, device=device)
    index = trial * episodes * horizon + place
    return index, mask.gather(1, index) & (place < known)


def known_transitions(
    mask: Tensor, reads: str, episodes: int, horizon: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A set of each task's transitions such as may be known before a trial's last episode: index and mask, (T, N).

    mask (T, E K H) of any number of trials of K ``episodes`` of H steps. reads: "trial", the first episodes of one
    trial (``first_episodes``); "task", any live transitions of all trials, from 1 to max(K - 1, 1) H of them.
    """
    if reads == "trial":
        return first_episodes(mask, mask.shape[1] // (episodes * horizon), episodes, generator)
    size = max(episodes - 1, 1) * horizon
    index = any_live(mask, size, generator)
    some = torch.randint(1, size + 1, (len(index), 1), generator=generator, device=generator.device)
    return index, (torch.arange(size, device=index.device) < some).expand_as(index)


def halves(rows: Rows) -> tuple[Rows, Rows]:
    """The rows of each task's first E / 2 trials, and of the others: two sets of one task that share no trial."""
    first: Rows = {}
    others: Rows = {}
    for name, x in rows.items():
        first[name], others[name] = x.chunk(2, 1)
    return first, others
