"""The command `metarl`: list, train, resume, evaluate, bench.

The learner, the family and the sampler are chosen by name first; then their own fields become options,
`--learner.FIELD`, `--family.FIELD` and `--sampler.FIELD`, with the documentation, type and default that stand beside
them in the code.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

from metarl_lab.catalog import entries, lookup, make_learner, make_sampler
from metarl_lab.commands.arguments import asks_for_help, parse, take_first, take_option
from metarl_lab.commands.bench import main as run_bench
from metarl_lab.commands.scoreboard import run as run_evaluate
from metarl_lab.learners.base import MetaLearner
from metarl_lab.runs.loop import Interrupted, Run
from metarl_lab.samplers.base import TaskSampler
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.train import resume, train

USAGE = """usage: metarl COMMAND ...

  metarl list                                  families, learners, references and samplers, with their sources
  metarl train LEARNER --family FAMILY ...     meta-train; --help lists every field of the two, with units and defaults
  metarl resume DIR [--iterations N]           go on from the last checkpoint, as if never stopped
  metarl evaluate AGENT [--family FAMILY] ...  a stored agent, a run's folder or a reference, beside random and oracle
  metarl bench ...                             environment steps per second, seconds per meta-iteration

example: metarl train rl2 --family bernoulli_bandit --family.arms 10 --iterations 300 --seed 0 --out runs/rl2-bandit
"""


@dataclass(frozen=True)
class TrainOptions:
    """Options of `metarl train`."""

    iterations: int
    """Meta-training iterations: updates of the learner."""
    seed: int = 0
    """Fixes initial weights, tasks and noise."""
    out: Path | None = None
    """New folder for config.json, metrics.csv and checkpoints; runs/LEARNER-FAMILY-seedSEED when not given."""
    device: str = "auto"
    """"cpu", "cuda", "cuda:N"; "auto" takes METARL_DEVICE, else a GPU where there is one."""
    checkpoint_every: int | None = None
    """Iterations between checkpoints; one a minute when not given."""
    keep: int = 3
    """How many checkpoints to keep."""
    tensorboard: bool = False
    """Also write TensorBoard logs, in OUT/tensorboard."""
    progress: bool = True
    """Show a progress bar."""


@dataclass(frozen=True)
class ResumeOptions:
    """Options of `metarl resume`."""

    iterations: int | None = None
    """New total of meta-training iterations; the total first asked for when not given."""
    device: str | None = None
    """Where to go on; what the run was started with when not given."""
    progress: bool = True
    """Show a progress bar."""


class Plan(NamedTuple):
    """What a `metarl train` line asks for."""

    learner: MetaLearner
    family: TaskFamily
    sampler: TaskSampler
    options: TrainOptions
    out: Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for a mistake (one line on stderr), 130 or 143 for a stop."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = {
        "list": run_list,
        "train": run_train,
        "resume": run_resume,
        "evaluate": run_evaluate,
        "bench": run_bench,
    }
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    name, *rest = arguments
    try:
        if name not in commands:
            raise ValueError(f"there is no command {name!r}; choose one of {', '.join(commands)}")
        return commands[name](rest)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"metarl: {error}", file=sys.stderr)
        return 2


def plan(arguments: list[str]) -> Plan:
    """Read a `metarl train` line (what follows "train") without running it; ValueError for a mistake."""
    known = f"learners: {', '.join(entries('learners'))}; families: {', '.join(entries('tasks'))}"
    if not arguments or arguments[0].startswith("-"):
        raise ValueError(f"train needs a learner, as in `metarl train rl2 --family bernoulli_bandit ...`; {known}")
    learner_class: Any = lookup("learners", arguments[0])
    family_name, rest = take_option(arguments[1:], "--family")
    if family_name is None:
        raise ValueError(f"train needs `--family FAMILY`; {known}")
    family_class: Any = lookup("tasks", family_name)
    sampler_name, rest = take_option(rest, "--sampler")
    sampler_class: Any = lookup("samplers", sampler_name or "uniform")
    # the names that tyro turns into option groups; the defaults come from the classes themselves
    line = make_dataclass(
        "Line",
        [
            ("options", Annotated[TrainOptions, tyro.conf.arg(name="")]),
            ("learner", learner_class.Config, field(default=learner_class.Config())),
            ("family", family_class, field(default=family_class())),
            ("sampler", sampler_class.Config, field(default=sampler_class.Config())),
        ],
    )
    about = (
        f"Meta-train {learner_class.name} ({learner_class.source}) on {family_name} ({family_class.source}). Tasks are "
        f"chosen by {sampler_class.name}; --sampler NAME chooses one of {', '.join(entries('samplers'))}."
    )
    parsed: Any = parse(line, rest, f"metarl train {learner_class.name} --family {family_name}", about)
    options: TrainOptions = parsed.options
    out = options.out or Path("runs") / f"{learner_class.name}-{family_name}-seed{options.seed}"
    fields = {k: getattr(parsed.learner, k) for k in learner_class.Config.__dataclass_fields__}
    learner = make_learner(learner_class.name, parsed.family, options.seed, **fields)
    sampler = make_sampler(sampler_class.name, **vars(parsed.sampler))
    return Plan(learner, parsed.family, sampler, options, out)


def run_train(arguments: list[str]) -> int:
    """`metarl train`."""
    if arguments[:1] in (["-h"], ["--help"]):
        print("usage: metarl train LEARNER --family FAMILY [--sampler SAMPLER] --iterations N")
        print("                    [--learner.FIELD ...] [--family.FIELD ...] [--sampler.FIELD ...]")
        for kind, title in (("learners", "learners"), ("tasks", "families"), ("samplers", "samplers")):
            print(f"{title}: {', '.join(entries(kind))}")
        print("`metarl train LEARNER --family FAMILY --help` lists every field with its unit and default")
        return 0
    if asks_for_help(arguments):  # of a learner alone: its fields, with any family's
        family_name, _ = take_option(arguments[1:], "--family")
        arguments = arguments if family_name else [*arguments, "--family", next(iter(entries("tasks")))]
    learner, family, sampler, options, out = plan(arguments)
    chosen = {k: v for k, v in vars(options).items() if k != "out"}
    return finish(lambda: train(learner, family, out=out, sampler=sampler, **chosen))


def run_resume(arguments: list[str]) -> int:
    """`metarl resume`."""
    folder, rest = take_first(arguments, "resume needs a run's folder, as in `metarl resume runs/rl2-bandit`")
    options = parse(ResumeOptions, rest, "metarl resume DIR", "Go on from the last whole checkpoint of a run.")
    return finish(lambda: resume(folder, **vars(options)))


def finish(work: Callable[[], Run]) -> int:
    """Train; say what came of it. The exit code of a training that a signal stopped is the shell's: 128 + signal."""
    try:
        run = work()
    except Interrupted as stopped:
        run, code = stopped.run, 128 + stopped.number
    except KeyboardInterrupt:  # before the training began
        print("metarl: stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    else:
        code = 0
    print(run)
    print(f"in {run.out}" + (f"; go on with `metarl resume {run.out}`" if run.interrupted else ""))
    return code


def run_list(arguments: list[str]) -> int:
    """`metarl list`."""
    if arguments and arguments[0] not in ("-h", "--help"):
        raise ValueError(f"list takes no options; it was given {' '.join(arguments)}")
    titles = {"tasks": "families", "learners": "learners", "references": "references", "samplers": "samplers"}
    for kind, title in titles.items():
        print(f"{title}:")
        for name, thing in entries(kind).items():
            summary = (sys.modules[thing.__module__].__doc__ or "").strip().split("\n")[0]
            source = getattr(thing, "source", "")
            print(f"  {name:20} {summary}" + (f"\n  {'':20} source: {source}" if source else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
