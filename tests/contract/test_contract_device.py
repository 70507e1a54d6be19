"""Everything runs on another device: on CUDA where there is one, and the same lines on the CPU always."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from contract import cases

import metarl_lab as ml
from metarl_lab.catalog import entries
from metarl_lab.rollout import seeded_generator
from metarl_lab.types import map_tensors

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "family_name"), [p.values[1:] for p in cases.LEARNERS])
def test_update_and_evaluate_stay_on_the_device(name: str, family_name: str, device: str) -> None:
    family = cases.family(family_name)
    learner = cases.learner(name, family).to(device)
    generator = seeded_generator(device, 0)
    tasks = family.sample_tasks(learner.config.meta_batch, "train", generator)
    metrics = learner.update(family, tasks, generator)
    assert metrics.scores.device.type == device
    assert all(x == x and abs(x) < float("inf") for x in metrics.values.values())
    for x in (*learner.parameters(), *learner.buffers()):
        assert x.device.type == device

    def on_device(x: torch.Tensor) -> torch.Tensor:
        assert x.device.type == device
        return x

    map_tensors(on_device, learner.begin(3, 2))
    curve = ml.evaluate(learner, family, n_tasks=3, episodes=2, batches=2)
    assert curve.per_task.shape == (3, 2)


@pytest.mark.gpu
@pytest.mark.parametrize("family_name", entries("tasks"))
def test_cuda_steps_equal_cpu_steps(family_name: str) -> None:
    """The same tasks, actions and noise: the same rewards and observations, to float32 rounding."""
    family = cases.family(family_name)
    spec = family.spec
    generator = torch.Generator().manual_seed(0)
    tasks = family.sample_tasks(6, "train", generator)
    reset_noise = torch.rand(6, 4, spec.reset_noise, generator=generator)
    step_noise = torch.rand(6, 4, spec.step_noise, generator=generator)
    if spec.discrete:
        action: Any = torch.randint(0, spec.action_size, (6, 4), generator=generator)
    else:
        action = torch.randn(6, 4, spec.action_size, generator=generator)
    seen = []
    for device in ("cpu", "cuda"):
        there = map_tensors(lambda x, device=device: x.to(device), tasks)
        state = family.reset(there, reset_noise.to(device))
        state, reward, terminated = family.step(there, state, action.to(device), step_noise.to(device))
        seen.append((family.observe(there, state).cpu(), reward.cpu(), terminated.cpu()))
    for a, b in zip(*seen, strict=True):
        torch.testing.assert_close(a, b)
