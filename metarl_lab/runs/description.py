"""What a run or a stored agent is made of, as plain JSON: names, configurations, versions; and the objects again."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch

from metarl_lab.catalog import make_family, make_learner
from metarl_lab.learners.base import MetaLearner
from metarl_lab.samplers.base import TaskSampler
from metarl_lab.tasks.base import TaskFamily


def describe(learner: MetaLearner, family: TaskFamily, sampler: TaskSampler | None = None) -> dict[str, Any]:
    """Names and configurations, as plain JSON values."""
    about = {
        "learner": {"name": learner.name, "config": asdict(learner.config)},
        "family": {"name": family.name, "config": family.config},
    }
    if sampler is not None:
        about["sampler"] = {"name": sampler.name, "config": asdict(sampler.config)}
    return json.loads(json.dumps(about))  # so that it equals itself after a file: tuples become lists


def remake(about: dict[str, Any]) -> tuple[MetaLearner, TaskFamily]:
    """The learner (untrained) and the family of a description."""
    family = make_family(about["family"]["name"], **options(about["family"]["config"]))
    learner = make_learner(about["learner"]["name"], family, **options(about["learner"]["config"]))
    return learner, family


def options(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration read from JSON as keyword arguments; configurations are frozen, so their lists were tuples."""
    return {key: _lists_to_tuples(value) for key, value in config.items()}


def _lists_to_tuples(value: Any) -> Any:
    """A JSON value with every list, at any depth of lists, as the tuple that it was."""
    if isinstance(value, list):
        return tuple(_lists_to_tuples(item) for item in value)
    return value


def versions() -> dict[str, Any]:
    """Versions of the code (the git commit, where there is one), of the package and of torch."""
    try:
        package: str | None = importlib.metadata.version("metarl_lab")
    except importlib.metadata.PackageNotFoundError:  # run from a folder, not installed
        package = None
    return {"code_version": _commit(), "metarl_lab": package, "torch": torch.__version__}


@cache
def _commit() -> str | None:
    """The git commit of this code when it was first asked for, "-dirty" when files differ from it; None without git."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # an installed package: a repository around it is someone else's
        return None
    git = ["git", "--no-optional-locks", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(git, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
