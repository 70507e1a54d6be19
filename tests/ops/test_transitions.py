"""Rows of transitions: next observations across ends of episodes, and which transitions are read."""

import pytest
import torch

from metarl_lab.ops.transitions import (
    any_live,
    first_episodes,
    halves,
    known_transitions,
    next_observations,
    take,
    transition_rows,
)
from metarl_lab.types import Episodes

T, E, K, H = 2, 2, 3, 4


def episodes() -> Episodes:
    """Observations number all steps; copy 1 of task 0 terminates at step 1 of its episode 2, all others run out."""
    observation = torch.arange(T * E * K * H).float().view(T, E, K, H, 1)
    final = 1000 + torch.arange(T * E * K).float().view(T, E, K, 1)
    terminated = torch.zeros(T, E, K, H, dtype=torch.bool)
    truncated, mask = terminated.clone(), ~terminated
    truncated[..., -1] = True
    terminated[0, 1, 2, 1], truncated[0, 1, 2, -1] = True, False
    mask[0, 1, 2, 2:] = False
    number = observation.squeeze(-1)
    before = (torch.zeros(T, E), torch.zeros(T, E))
    return Episodes(observation, number.long(), -number, terminated, truncated, mask, final, before)


def test_what_followed_the_last_step_is_the_final_observation_and_never_the_next_reset() -> None:
    acted = episodes()
    after, followed = next_observations(acted)
    for t in range(T):
        for e in range(E):
            for k in range(K):
                length = int(acted.mask[t, e, k].sum())
                for h in range(length):
                    last = h == length - 1
                    expected = acted.final_observation[t, e, k] if last else acted.observation[t, e, k, h + 1]
                    assert torch.equal(after[t, e, k, h], expected) and followed[t, e, k, h] == (not last)


def test_rows_keep_a_transition_together_and_tasks_apart() -> None:
    rows = transition_rows(episodes(), episodes().reward * 10)
    assert rows["mask"].shape == (T, E * K * H)
    assert torch.equal(rows["action"], torch.arange(T * E * K * H).view(T, -1))
    for name, factor in (("observation", 1), ("reward", -1), ("training_reward", -10)):
        assert torch.equal(rows[name].view(T, -1), factor * rows["action"].float()), name
    index = torch.tensor([[5, 0], [1, 1]])
    assert take(rows, index)["action"].tolist() == [[5, 0], [25, 25]]
    with pytest.raises(ValueError, match="training_reward"):
        transition_rows(episodes(), torch.zeros(T, E, K))


def test_any_live_reaches_every_live_transition_equally_and_no_other() -> None:
    mask = transition_rows(episodes(), episodes().reward)["mask"]
    index = any_live(mask, 22_000, torch.Generator().manual_seed(0))
    for t in range(T):
        count = torch.bincount(index[t], minlength=E * K * H)
        assert ((count > 0) == mask[t]).all()
        share = 22_000 / int(mask[t].sum())
        assert (count[mask[t]] - share).abs().max() < 5 * share**0.5


def test_first_episodes_are_whole_and_of_one_trial() -> None:
    mask = transition_rows(episodes(), episodes().reward)["mask"]
    generator, seen = torch.Generator().manual_seed(0), set()
    for _ in range(60):
        index, known = first_episodes(mask, E, K, generator)
        assert index.shape == (T, (K - 1) * H)
        for t in range(T):
            trial, places = index[t] // (K * H), index[t][known[t]] % (K * H)
            assert (trial == trial[0]).all()
            n = len(places) // H
            assert n in (1, 2) and torch.equal(places, torch.arange(n * H))  # its first n, whole
            seen.add((t, int(trial[0]), n))
    assert len(seen) == T * E * 2


def test_first_episodes_leave_out_what_was_not_live_and_manage_a_single_episode() -> None:
    mask = torch.tensor([[True, True, False, False]])
    index, known = first_episodes(mask, 1, 1, torch.Generator().manual_seed(0))
    assert index.tolist() == [[0, 1, 2, 3]] and torch.equal(known, mask)


def test_known_transitions_are_those_of_its_two_ways_and_halves_share_no_trial() -> None:
    mask = torch.ones(2, 4 * 3 * 5, dtype=torch.bool)  # E = 4 trials of K = 3 episodes of H = 5
    a = known_transitions(mask, "trial", 3, 5, torch.Generator().manual_seed(1))
    b = first_episodes(mask, 4, 3, torch.Generator().manual_seed(1))
    assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
    index, known = known_transitions(mask, "task", 3, 5, torch.Generator().manual_seed(1))
    assert index.shape == known.shape == (2, 10) and known.any(1).all() and index.unique().numel() > 10
    rows = {"step": torch.arange(120).view(2, 60), "mask": mask}
    first, second = halves(rows)
    assert torch.equal(first["step"], rows["step"][:, :30]) and torch.equal(second["step"], rows["step"][:, 30:])
