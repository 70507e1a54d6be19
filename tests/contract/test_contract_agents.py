"""What every agent promises while it acts: learners and references alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from contract.cases import AGENTS, COPIES, N, act_out, agent, copied, family, tensors, unchanged

from metarl_lab.rollout import begin, nothing_seen, seeded_generator
from metarl_lab.types import Seen

pytestmark = pytest.mark.parametrize(("kind", "name", "family_name"), AGENTS)
ROW = 3


def first_sight(made: Any, acting: Any) -> tuple[Any, Seen, torch.Tensor, Any]:
    """Tasks, what is seen after one step was taken, noise for the next act, and the memory before it."""
    tasks = made.sample_tasks(N, "train", seeded_generator("cpu", 3))
    memory = begin(acting, made, tasks, COPIES).memory
    chance = seeded_generator("cpu", 9)
    state = made.reset(tasks, torch.rand(N, COPIES, made.spec.reset_noise, generator=chance))
    action, reward = nothing_seen(made.spec, N, COPIES, torch.device("cpu"))
    start = torch.ones(N, COPIES, dtype=torch.bool)
    noise = torch.rand(N, COPIES, acting.noise_size, generator=chance)
    action, memory = acting.act(memory, Seen(made.observe(tasks, state), action, reward, start, 0), noise)
    state, reward, _ = made.step(tasks, state, action, torch.rand(N, COPIES, made.spec.step_noise, generator=chance))
    return tasks, Seen(made.observe(tasks, state), action, reward, ~start, 1), noise, memory


def test_the_same_seed_is_the_same_trial_and_the_global_generator_rests(kind: str, name: str, family_name: str) -> None:
    made = family(family_name)
    before = torch.get_rng_state()
    _, first, _ = act_out(agent(kind, name, made), made)
    torch.manual_seed(123)
    middle = torch.get_rng_state()
    _, second, trial = act_out(agent(kind, name, made), made)
    assert unchanged(copied(first), second)
    assert torch.equal(middle, torch.get_rng_state()), "acting drew from torch's global generator"
    torch.set_rng_state(before)


def test_memory_has_its_axes(kind: str, name: str, family_name: str) -> None:
    made = family(family_name)
    acting = agent(kind, name, made)
    _, acted, trial = act_out(acting, made)
    lead = (N,) if acting.shares_memory else (N, COPIES)
    for memory in (trial.memory, acting.absorb(trial.memory, acted)):
        for x in tensors(memory):
            assert x.shape[: len(lead)] == lead and not x.requires_grad


def test_actions_are_of_the_space(kind: str, name: str, family_name: str) -> None:
    made = family(family_name)
    _, acted, trial = act_out(agent(kind, name, made), made)
    if made.spec.discrete:
        assert acted.action.dtype == torch.int64
        assert acted.action.min() >= 0 and acted.action.max() < made.spec.action_size
    else:
        assert acted.action.shape[-1] == made.spec.action_size and acted.action.isfinite().all()


def test_nothing_is_changed_in_place(kind: str, name: str, family_name: str) -> None:
    made = family(family_name)
    acting = agent(kind, name, made)
    _, seen, noise, memory = first_sight(made, acting)
    before = copied((memory, tuple(seen), noise))
    _, after = acting.act(memory, seen, noise)
    assert unchanged(before, (memory, tuple(seen), noise))
    if acting.shares_memory:
        assert unchanged(copied(memory), after), "shares_memory promises that acting never changes it"
    _, acted, trial = act_out(acting, made)
    before = copied((trial.memory, tuple(acted)))
    acting.absorb(trial.memory, acted)
    assert unchanged(before, (trial.memory, tuple(acted)))


def test_a_tasks_rewards_move_only_its_own_row_of_memory(kind: str, name: str, family_name: str) -> None:
    made = family(family_name)
    acting = agent(kind, name, made)
    others = [t for t in range(N) if t != ROW]
    _, seen, noise, memory = first_sight(made, acting)
    # another reward that the family could have paid: of a bandit 0 or 1
    moved = torch.where(torch.arange(N).unsqueeze(1) == ROW, 1 - seen.reward, seen.reward)
    pairs = [(acting.act(memory, s, noise)[1] for s in (seen, seen._replace(reward=moved)))]
    _, acted, trial = act_out(acting, made)
    # other rewards within the episode, not a shift of all of them: a baseline would take that out
    change = torch.zeros_like(acted.reward)
    change[ROW] = torch.rand(change[ROW].shape, generator=seeded_generator("cpu", 8)) * acted.mask[ROW]
    changed = acted._replace(reward=acted.reward + change)
    pairs.append(acting.absorb(trial.memory, e) for e in (acted, changed))
    row_moved = False
    for pair in pairs:
        for a, b in zip(*map(tensors, pair), strict=True):
            assert torch.equal(a[others], b[others]), "another task's memory moved"
            row_moved |= not torch.equal(a[ROW], b[ROW])
    assert row_moved or kind == "references", "a learner that no reward moves"


def test_adding_tasks_changes_nothing_for_those_there(kind: str, name: str, family_name: str) -> None:
    made = family(family_name)
    acting = agent(kind, name, made)
    _, all_of_them, trial = act_out(acting, made)
    _, three, short = act_out(acting, made, keep=3)
    for key in ("observation", "action", "reward", "mask"):
        a, b = getattr(all_of_them, key)[:3], getattr(three, key)
        # matrix products of another size may round otherwise
        assert torch.equal(a, b) if a.dtype in (torch.bool, torch.int64) else torch.allclose(a, b, atol=1e-5), key
