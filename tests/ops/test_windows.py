"""Windows: as they are cut out of stored episodes, and as they come in while acting."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from metarl_lab.ops.windows import nothing_recent, push, windows
from metarl_lab.rollout import seeded_generator
from metarl_lab.types import Seen, Spec

SPEC = Spec(
    gym.spaces.Box(-np.inf, np.inf, (1,), np.float32), gym.spaces.Box(-1, 1, (2,), np.float32), horizon=6, episodes=2
)


def see(value: float, start: bool) -> Seen:
    """An observation, and a last action and reward that name the step they came from."""
    full = torch.full((1, 1), value)
    return Seen(full.unsqueeze(-1), (full - 1).unsqueeze(-1).expand(1, 1, 2), full - 1, torch.tensor([[start]]), 0)


def filled(observations: list[tuple[float, bool]], size: int = 3) -> tuple[list[float], list[float]]:
    """What a window holds after these (observation, episode start): the valid transitions' first and next values."""
    recent, last = nothing_recent(SPEC, 1, 1, size, torch.device("cpu")), torch.zeros(1, 1, 1)
    for value, start in observations:
        recent, last = push(recent, last, see(value, start)), torch.full((1, 1, 1), value)
    valid = recent.valid[0, 0]
    assert torch.equal(recent.action[0, 0, :, 0][valid], recent.observation[0, 0, :, 0][valid])
    assert torch.equal(recent.reward[0, 0][valid], recent.observation[0, 0, :, 0][valid])
    return recent.observation[0, 0, :, 0][valid].tolist(), recent.after[0, 0, :, 0][valid].tolist()


def test_the_last_transitions_oldest_first() -> None:
    assert filled([(10, True)]) == ([], [])
    assert filled([(10, True), (11, False), (12, False)]) == ([10, 11], [11, 12])
    assert filled([(10.0 + i, i == 0) for i in range(6)]) == ([12, 13, 14], [13, 14, 15])


def test_no_transition_leads_from_an_end_to_a_start() -> None:
    assert filled([(10, True), (11, False), (12, False), (20, True)]) == ([], [])
    assert filled([(10, True), (11, False), (12, False), (20, True), (21, False)]) == ([20], [21])


def rows(tasks: int = 64, episodes: int = 3, horizon: int = 6) -> dict[str, Tensor]:
    """observation: 100 episode + step."""
    value = (100 * torch.arange(episodes).unsqueeze(1) + torch.arange(horizon)).flatten().float()
    mask = torch.ones(tasks, len(value), dtype=torch.bool)
    return {"observation": value.expand(tasks, -1).unsqueeze(-1).clone(), "mask": mask}


def test_past_and_future_meet_and_stay_within_one_episode() -> None:
    seen = set()
    for seed in range(20):
        w = windows(rows(), 6, 4, 2, seeded_generator("cpu", seed, 1))
        past, future = w.past["observation"][..., 0], w.future["observation"][..., 0]
        assert torch.equal(future[:, 1], future[:, 0] + 1)
        for p, known, f in zip(past.tolist(), w.known.tolist(), future[:, 0].tolist(), strict=True):
            t = int(f % 100)
            assert [x for x, k in zip(p, known, strict=True) if k] == [f - i for i in range(min(t, 4), 0, -1)]
            seen.add((f // 100, t))
    assert seen == {(e, t) for e in range(3) for t in range(5)}  # every episode, every step that has a future


def test_steps_after_a_termination_are_neither_known_nor_live() -> None:
    r = rows(256)
    r["mask"][:, 3:6] = False  # the first episode ends after three steps
    w = windows(r, 6, 4, 2, seeded_generator("cpu", 3, 1))
    for part, there in ((w.past, w.known), (w.future, w.live)):
        value = part["observation"][..., 0]
        dead = (value >= 3) & (value < 6)
        assert dead.any() and not there[dead].any()


def test_a_future_longer_than_the_episode_is_the_episode() -> None:
    w = windows(rows(4), 6, 2, 50, seeded_generator("cpu", 3, 1))
    assert w.live.shape == (4, 6) and not w.known.any()
    with pytest.raises(ValueError, match="no whole number of episodes"):
        windows(rows(4), 5, 2, 2, seeded_generator("cpu", 3, 1))
