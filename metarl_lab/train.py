"""Meta-training: ``train`` and ``resume``, which equals the uninterrupted run bit for bit on the CPU.

Iteration i of a run is a function of the state before it, the seed and i: its two generators (tasks; everything else)
are made afresh from (seed, i), so there is no generator state to store, lose or restore on another device.
"""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import Any

import torch

from metarl_lab.catalog import make_sampler
from metarl_lab.learners.base import MetaLearner
from metarl_lab.runs.checkpoint import restore
from metarl_lab.runs.description import describe, options, remake, versions
from metarl_lab.runs.files import find_folder
from metarl_lab.runs.folder import RunFolder, read_config
from metarl_lab.runs.loop import Interrupted as Interrupted
from metarl_lab.runs.loop import Run as Run
from metarl_lab.runs.loop import Training
from metarl_lab.samplers.base import TaskSampler
from metarl_lab.tasks.base import TaskFamily


def train(
    learner: MetaLearner,
    family: TaskFamily,
    iterations: int,
    seed: int = 0,
    device: str | torch.device = "auto",
    out: str | Path | None = None,
    sampler: str | TaskSampler = "uniform",
    checkpoint_every: int | None = None,
    keep: int = 3,
    tensorboard: bool = False,
    progress: bool = True,
) -> Run:
    """Meta-train a learner in place, from the weights it has.

    Parameters
    ----------
    learner, family
        Who learns, and over which tasks (its "train" split).
    iterations : int
        How many times ``learner.update`` runs.
    seed : int
        Fixes tasks and noise. The initial weights are fixed by ``make_learner(..., seed=...)``.
    device : "auto", "cpu", "cuda" or "cuda:N"
        The learner is moved there. "auto": the environment variable METARL_DEVICE, else a GPU where there is one.
    out : path, optional
        A new folder for config.json, metrics.csv (written as it goes), checkpoints/, tensorboard/.
    sampler : str or TaskSampler
        Which tasks to train on: a name, or ``make_sampler(name, ...)`` with options.
    checkpoint_every : int, optional
        Iterations between checkpoints; about a minute's worth when not given. The last iteration always has one.
    keep : int
        How many checkpoints to keep.
    tensorboard, progress : bool
        Write TensorBoard logs (needs ``out``); show a progress bar.

    Returns
    -------
    Run
        What was done.

    Raises
    ------
    Interrupted
        A KeyboardInterrupt, with what was done in its ``run``: Ctrl-C, a notebook's stop button, SIGTERM or SIGHUP.
        The iteration in progress was finished first (at a second press: undone), everything up to there is kept and
        saved, and ``resume`` goes on. A loop around this call stops, too, so that no unfinished run passes for a whole
        one.
    ValueError
        Before any work, when something asked for is impossible.
    FloatingPointError
        A metric or a weight became NaN or infinite. The learner is back at its state before that iteration.
    OSError
        The disk is full; earlier checkpoints are whole.
    """
    check_fit(learner, family)
    settings: dict[str, Any] = {
        "iterations": _whole("iterations", iterations, 1),
        "seed": _whole("seed", seed, 0),
        "checkpoint_every": None if checkpoint_every is None else _whole("checkpoint_every", checkpoint_every, 1),
        "keep": _whole("keep", keep, 1),
        "tensorboard": tensorboard,
        "device": str(device),
    }
    if tensorboard and out is None:
        raise ValueError("train: tensorboard=True needs a folder for its logs; give out=...")
    chosen = choose_device(device)
    drawn_by = make_sampler(sampler) if isinstance(sampler, str) else sampler
    config = {**describe(learner, family, drawn_by), **settings, **versions()}
    folder = None if out is None else RunFolder.create(Path(out).expanduser(), config)
    run = Run(learner, family, chosen, settings["seed"], out=None if folder is None else folder.path)
    return Training(run, drawn_by, config, folder).go(progress)


def resume(
    out: str | Path,
    iterations: int | None = None,
    learner: MetaLearner | None = None,
    family: TaskFamily | None = None,
    sampler: TaskSampler | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Run:
    """Continue a run from its last whole checkpoint, as if it had never stopped.

    Parameters
    ----------
    out : path
        The run's folder; a damaged checkpoint in it is skipped with a warning.
    iterations : int, optional
        The new total, at least what is done; the total first asked for when not given.
    learner, family, sampler : optional
        The objects themselves, where they are not in the catalog (a learner written in a notebook); they must have the
        names and configurations of the run.
    device : optional
        Where to continue; what the run was started with when not given.

    Raises what ``train`` raises.
    """
    path = find_folder(out)
    config = read_config(path)
    if learner is None or family is None:
        made_learner, made_family = remake(config)
        learner, family = learner or made_learner, family or made_family
    check_fit(learner, family)
    about = _whole_sampler(config["sampler"])
    drawn_by = sampler or make_sampler(about["name"], **options(about["config"]))
    total = config["iterations"] if iterations is None else _whole("iterations", iterations, 1)
    chosen = choose_device(config["device"] if device is None else device)
    folder, last = RunFolder.reopen(path)
    try:
        theirs = last.about | {"sampler": _whole_sampler(last.about["sampler"])}
        for key, value in {**describe(learner, family, drawn_by), "seed": config["seed"]}.items():
            if theirs[key] != value:
                raise ValueError(f"{last.path} is of another run: its {key} is {theirs[key]}, not {value}")
        if total < last.about["iteration"]:
            raise ValueError(
                f"{path} has done {last.about['iteration']} iterations; give a total of at least that many"
            )
        folder.config["iterations"] = total
        restore(learner, drawn_by, last.tensors, str(last.path))
    except BaseException:
        folder.close()
        raise
    done = {"iterations": last.about["iteration"], "env_steps": last.about["env_steps"]}
    run = Run(learner, family, chosen, config["seed"], path, **done, seconds=last.about["seconds"], rows=folder.rows)
    return Training(run, drawn_by, folder.config, folder).go(progress)


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """The device meant: "auto" takes METARL_DEVICE where it is set, else a GPU where there is one, else the CPU."""
    asked, source = str(device), "device"
    if asked == "auto":
        asked, source = os.environ.get("METARL_DEVICE") or "auto", "METARL_DEVICE"
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(asked)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{source}={asked!r} cannot be used here ({reason}); give 'auto', 'cpu' or 'cuda'") from error
    return chosen


def check_fit(agent: Any, family: TaskFamily) -> None:
    """Raise ValueError when a learner or a reference was made for other spaces than the family's."""
    mine, theirs = agent.spec, family.spec
    if mine.observation_space.shape != theirs.observation_space.shape or mine.action_space != theirs.action_space:
        make = "make_learner" if isinstance(agent, MetaLearner) else "make_reference"
        raise ValueError(
            f"this {agent.name} was made for observations {mine.observation_space.shape} and actions "
            f"{mine.action_space}; {family.name} has {theirs.observation_space.shape} and {theirs.action_space}; "
            f"make one for it with {make}({agent.name!r}, family)"
        )


def _whole_sampler(about: dict[str, Any] | str) -> dict[str, Any]:
    """A sampler's description; runs of the time when samplers had no options wrote its bare name."""
    return {"name": about, "config": {}} if isinstance(about, str) else about


def _whole(name: str, value: Any, least: int) -> int:
    """A whole number of at least ``least``; ValueError otherwise."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(f"train: {name}={value!r} is not allowed; give a whole number of at least {least}")
    return number
