"""The whole catalog at sizes that take milliseconds: what the contract tests run over. Nothing is listed by hand."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from typing import Any

import pytest
import torch
from torch import Tensor

from metarl_lab.catalog import entries, make_family, make_learner, make_reference
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import Agent, map_tensors

# Fields that make a thing large, wherever they occur. A new field that needs one is added here.
TINY: dict[str, Any] = {
    "arms": 3, "states": 4, "actions": 3, "horizon": 6, "episodes": 2, "meta_batch": 4, "hidden": 8, "minibatches": 2,
    "epochs": 2, "piece": 50, "cg_iterations": 3, "curvature_episodes": 2,
    "context": 3, "units": 8,
    "latent": 3, "vae_updates": 2, "vae_batch": 4, "elbo_terms": 3, "kept": 3, "capacity": 8,
    "gradient_steps": 2, "batch": 8,
    "candidates": 8, "plan_horizon": 2, "rounds": 2, "window": 3, "future": 2,
    "imagined_updates": 2, "model_hidden": 8,
    "tolerance": 0.3,  # point_navigation: some copies arrive, some do not
    "decay_iterations": 5,  # a step size that moves is a thing that a resume can lose
}  # fmt: skip
# Where a family needs another value than all others.
TINY_OF: dict[str, dict[str, Any]] = {
    "cartpole": {"horizon": 20},  # no pole falls within six steps, so every agent would be perfect
    "chain": {"shortest": 2, "longest": 4},  # within six steps, with two more for longer ones
    "key_to_door": {"size": 3},  # at 9 x 9 chance finds no door within 30 steps, and nothing would terminate
}
N, COPIES = 5, 2  # T and E


def tiny(config: type) -> dict[str, Any]:
    """Small values for the fields of a dataclass."""
    chosen = {}
    small = TINY | TINY_OF.get(getattr(config, "name", ""), {})
    for field in dataclasses.fields(config):
        if field.name in small:
            value = small[field.name]
            chosen[field.name] = (value,) * len(field.default) if isinstance(field.default, tuple) else value
    return chosen


def family(name: str) -> TaskFamily:
    """A small family."""
    return make_family(name, **tiny(entries("tasks")[name]))


def learner(name: str, family: TaskFamily, seed: int = 0) -> Any:
    """A small learner."""
    return make_learner(name, family, seed=seed, **tiny(entries("learners")[name].Config))  # type: ignore[attr-defined]


def agent(kind: str, name: str, family: TaskFamily) -> Any:
    """A small learner or a reference."""
    return learner(name, family) if kind == "learners" else make_reference(name, family)


def _pairs(kind: str) -> list[Any]:
    """(kind, name, family name) of every agent that can act in a family; a ValueError says that it cannot."""
    pairs = []
    for name in entries(kind):
        able = 0
        for family_name in entries("tasks"):
            try:
                agent(kind, name, family(family_name))
            except ValueError:
                continue
            able += 1
            pairs.append(pytest.param(kind, name, family_name, id=f"{name}-{family_name}"))
        assert able, f"{name} can act in no family of the catalog"
    return pairs


FAMILIES = sorted(entries("tasks"))
LEARNERS = _pairs("learners")
AGENTS = LEARNERS + _pairs("references")


def act_out(
    agent: Agent, family: TaskFamily, n: int = N, copies: int = COPIES, episodes: int = 2, keep: int | None = None
) -> Any:
    """Tasks, the episodes of one ``collect`` and the trial after it; only the first ``keep`` of n tasks when given."""
    tasks = family.sample_tasks(n, "train", seeded_generator("cpu", 3))
    if keep is not None:
        tasks = map_tensors(lambda x: x[:keep], tasks)
    trial = begin(agent, family, tasks, copies)
    acted, trial = collect(agent, family, tasks, trial, seeded_generator("cpu", 4), episodes)
    return tasks, acted, trial


def tensors(tree: Any) -> list[Tensor]:
    """All tensors of a nesting, in order."""
    found: list[Tensor] = []
    map_tensors(lambda x: (found.append(x), x)[1], tree)  # type: ignore[func-returns-value]
    return found


def copied(tree: Any) -> list[Tensor]:
    """Copies of all tensors."""
    return [x.detach().clone() for x in tensors(tree)]


def unchanged(before: list[Tensor], tree: Any) -> bool:
    """Whether all tensors are what they were."""
    after = tensors(tree)
    return len(before) == len(after) and all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def undocumented(config: type) -> list[str]:
    """Fields of a dataclass, or of one that it extends, without a docstring below them, or without a default."""
    explained = set()
    parents = [kind for kind in config.__mro__ if dataclasses.is_dataclass(kind)]
    nodes = [ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0] for kind in parents]
    bodies = [node.body for node in nodes if isinstance(node, ast.ClassDef)]
    for item, below in (pair for body in bodies for pair in zip(body, body[1:], strict=False)):
        is_text = (
            isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and str(below.value.value).strip()
        )
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and is_text:
            explained.add(item.target.id)
    missing = dataclasses.MISSING
    return [f.name for f in dataclasses.fields(config) if f.name not in explained or f.default is missing]
