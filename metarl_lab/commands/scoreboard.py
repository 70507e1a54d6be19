"""An agent's adaptation curve beside the floor (random) and the ceiling (oracle), as a table: `metarl evaluate`."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from metarl_lab.catalog import entries, make_family, make_reference
from metarl_lab.commands.arguments import asks_for_help, parse, take_first, take_option
from metarl_lab.evaluate import Curve, evaluate
from metarl_lab.learners.base import MetaLearner
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.references.base import Reference
from metarl_lab.rollout import seeded_generator
from metarl_lab.runs.agents import load
from metarl_lab.runs.files import write_whole
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.train import check_fit, choose_device


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of `metarl evaluate`."""

    n_tasks: int = 1000
    """How many held-out tasks."""
    episodes: int = 1
    """Episodes per batch: acted out, then absorbed."""
    batches: int = 1
    """Batches per trial, one after another."""
    seed: int = 1
    """Fixes the tasks and all noise."""
    split: str = "test"
    """Which tasks: "test", "ood" (out of distribution) or "train"."""
    device: str = "auto"
    """"cpu", "cuda", "cuda:N"; "auto" takes METARL_DEVICE, else a GPU where there is one."""
    csv: Path | None = None
    """Also write the table to this file."""


def run(arguments: list[str]) -> int:
    """`metarl evaluate AGENT [--family FAMILY] ...`: AGENT is a stored agent, a run's folder or a reference's name."""
    if asks_for_help(arguments[:1]):
        print("AGENT: data/checkpoints/NAME, a run's folder, or, with `--family FAMILY`, a reference:")
        print(", ".join(entries("references")))
        parse(EvaluateOptions, ["--help"], "metarl evaluate AGENT [--family FAMILY]", "Adaptation curve, with anchors.")
    name, rest = take_first(arguments, "evaluate needs an agent, as in `metarl evaluate data/checkpoints/NAME`")
    family_name, rest = take_option(rest, "--family")
    learner, family = _choose(name, family_name)
    # what is stored is the default, so that `--family.horizon 20` changes only that
    line = make_dataclass(
        "Line",
        [
            ("options", Annotated[EvaluateOptions, tyro.conf.arg(name="")]),
            ("family", type(family), field(default=family)),
        ],
    )
    parsed: Any = parse(line, rest, f"metarl evaluate {name}", f"Return per episode of {name}, beside its anchors.")
    device = choose_device(parsed.options.device)
    if learner is not None:
        check_fit(learner, parsed.family)
    curves = scoreboard(learner or make_reference(name, parsed.family), parsed.family, parsed.options, device)
    print(table(curves, parsed.family, parsed.options))
    if parsed.options.csv is not None:
        write_whole(parsed.options.csv, as_csv(curves, parsed.options).encode())
    return 0


def _choose(name: str, family_name: str | None) -> tuple[MetaLearner | None, TaskFamily]:
    """The learner (None for a reference) and the family, before its fields are read."""
    learner = stored = None
    if name not in entries("references"):
        try:
            learner, stored, _ = load(name)
        except FileNotFoundError as error:
            raise ValueError(f"{error}; references are {', '.join(entries('references'))}") from error
    elif family_name is None:
        raise ValueError(f"the reference {name!r} needs `--family FAMILY`; families: {', '.join(entries('tasks'))}")
    if stored is not None and family_name in (None, stored.name):
        return learner, stored
    return learner, make_family(str(family_name))


def scoreboard(
    agent: MetaLearner | Reference, family: TaskFamily, options: EvaluateOptions, device: torch.device
) -> list[Curve]:
    """The curves of random, the agent and the oracle, on the same tasks."""
    chosen: dict[str, MetaLearner | Reference] = {"random": make_reference("random", family), agent.name: agent}
    with suppress(ValueError):  # a family without best_action; its exact value may still be known
        chosen.setdefault("oracle", make_reference("oracle", family))
    split, n_tasks, seed = options.split, options.n_tasks, options.seed
    curves = []
    for each in chosen.values():
        curves.append(evaluate(each.to(device), family, split, n_tasks, options.episodes, options.batches, seed))
    if "oracle" not in chosen:
        # the very tasks that evaluate drew
        exact = family.oracle(family.sample_tasks(n_tasks, split, seeded_generator(device, seed, 0)))
        if exact is not None:
            per_task = exact.double().cpu().numpy()[:, None].repeat(options.batches, 1)
            curves.append(Curve("oracle", split, per_task, *mean_interval(per_task), curves[0].env_steps))
    return curves


def table(curves: list[Curve], family: TaskFamily, options: EvaluateOptions) -> str:
    """The curves as lines of text."""
    config = ", ".join(f"{k}={v}" for k, v in family.config.items())
    title = (
        f"{family.name} ({config}): {options.n_tasks} {options.split} tasks, seed {options.seed}\n"
        f"return per episode, mean and 95% interval over tasks; a batch is {options.episodes} episode(s)"
    )
    width = max(len(curve.agent) for curve in curves) + 2
    lines = [title, " " * width + "".join(f"{f'batch {i + 1}':>30}" for i in range(options.batches))]
    for curve in curves:
        batches = zip(curve.mean, curve.low, curve.high, strict=True)
        cells = [f"{mean:.4g} [{low:.4g}, {high:.4g}]" for mean, low, high in batches]
        lines.append(f"{curve.agent:{width}}" + "".join(f"{cell:>30}" for cell in cells))
    return "\n".join(lines)


def as_csv(curves: list[Curve], options: EvaluateOptions) -> str:
    """The curves as comma-separated values, one row per agent and batch."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("agent", "split", "n_tasks", "episodes", "seed", "batch", "env_steps", "mean", "low", "high"))
    for curve in curves:
        setting = (curve.agent, curve.split, options.n_tasks, options.episodes, options.seed)
        for i in range(options.batches):
            writer.writerow((*setting, i + 1, curve.env_steps[i], curve.mean[i], curve.low[i], curve.high[i]))
    return text.getvalue()
