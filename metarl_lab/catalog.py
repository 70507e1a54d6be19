"""Finds families, learners, samplers and references by scanning their folders: adding one is adding a file."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import fields
from functools import cache
from typing import Any

import torch

from metarl_lab.learners.base import MetaLearner
from metarl_lab.references.base import Reference
from metarl_lab.samplers.base import TaskSampler
from metarl_lab.tasks.base import TaskFamily

_KINDS: dict[str, type] = {
    "tasks": TaskFamily,
    "learners": MetaLearner,
    "samplers": TaskSampler,
    "references": Reference,
}
_WORDS = {"tasks": "family", "learners": "learner", "samplers": "sampler", "references": "reference"}


@cache
def entries(kind: str) -> dict[str, type]:
    """Name -> class, for kind "tasks", "learners", "samplers" or "references", sorted by name."""
    package = importlib.import_module(f"metarl_lab.{kind}")
    found: dict[str, type] = {}
    for module_info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"metarl_lab.{kind}.{module_info.name}")
        for thing in vars(module).values():
            ours = inspect.isclass(thing) and issubclass(thing, _KINDS[kind]) and thing.__module__ == module.__name__
            if ours and not inspect.isabstract(thing) and thing.name:
                found[thing.name] = thing
    return dict(sorted(found.items()))


def lookup(kind: str, name: str) -> type:
    """The class of that name; ValueError listing what exists otherwise."""
    known = entries(kind)
    if name not in known:
        raise ValueError(f"{_WORDS[kind]} {name!r} is not known; choose one of {', '.join(known)}")
    return known[name]


def make_family(name: str, **options: Any) -> TaskFamily:
    """A task family by name, e.g. ``make_family("bernoulli_bandit", arms=10, horizon=100)``."""
    family_class = lookup("tasks", name)
    check_options(name, options, [f.name for f in fields(family_class)])
    return family_class(**options)


def make_learner(name: str, family: TaskFamily, seed: int = 0, **options: Any) -> MetaLearner:
    """A learner by name for a family's spaces, e.g. ``make_learner("rl2", family, hidden=64)``.

    ``seed`` fixes its initial weights; torch's global generator is neither used nor moved. ``train`` continues from the
    weights it finds, so a study over seeds gives each seed to both.
    """
    learner_class: Any = lookup("learners", name)
    check_options(name, options, [f.name for f in fields(learner_class.Config)])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # CPU only: weights are made there and moved
        return learner_class(family.spec, learner_class.Config(**options))


def make_reference(name: str, family: TaskFamily, **options: Any) -> Reference:
    """A reference agent by name, e.g. ``make_reference("thompson", family)``."""
    reference_class: Any = lookup("references", name)
    allowed = [p for p in inspect.signature(reference_class).parameters if p != "family"]
    check_options(name, options, allowed)
    return reference_class(family, **options)


def make_sampler(name: str, **options: Any) -> TaskSampler:
    """A task sampler by name, e.g. ``make_sampler("predicted_gain", explore=0.2)``."""
    sampler_class: Any = lookup("samplers", name)
    check_options(name, options, [f.name for f in fields(sampler_class.Config)])
    return sampler_class(sampler_class.Config(**options))


def check_options(name: str, options: dict[str, Any], allowed: list[str]) -> None:
    """Raise ValueError for an option that the thing called ``name`` does not have."""
    for key in options:
        if key not in allowed:
            raise ValueError(f"{name} has no option {key!r}; it takes {', '.join(allowed) or 'none'}")
