"""`metarl bench`: env steps per second of ``collect``, plans per second, and seconds per meta-iteration.

Every figure is a median over repeats after a warm-up, with CPU seconds (user and system, all threads) beside wall
seconds: on a busy machine the first is the steadier. Compare figures of one run only.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from metarl_lab.catalog import entries, make_family, make_learner, make_reference
from metarl_lab.commands.arguments import parse
from metarl_lab.ops.allocator import keep_pages
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.base import TaskFamily, check_positive
from metarl_lab.train import choose_device
from metarl_lab.types import Agent


@dataclass(frozen=True)
class BenchOptions:
    """Options of `metarl bench`."""

    device: str = "auto"
    """"cpu", "cuda", "cuda:N"; "auto" takes METARL_DEVICE, else a GPU where there is one."""
    tasks: tuple[int, ...] = (1, 100, 10_000)
    """Numbers of tasks acted in at once, for the table of env steps per second."""
    repeats: int = 5
    """Runs that count, after one that does not; the table gives medians."""
    threads: int = 0
    """CPU threads of torch; 0 leaves torch's own choice."""
    most_steps: int = 4_000_000
    """Env steps of one run above which a row is left out, so that a laptop is not filled."""


def main(arguments: list[str]) -> int:
    """Print the tables."""
    about = "Env steps and plans per second, and seconds per meta-iteration."
    options = parse(BenchOptions, arguments, "metarl bench", about)
    check_positive("bench", repeats=options.repeats, **{f"tasks[{i}]": n for i, n in enumerate(options.tasks)})
    device = choose_device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    keep_pages()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} CPU thread(s)"
    print(f"torch {torch.__version__}, {name}; medians of {options.repeats} runs after one warm-up\n")
    print(f"{'collect: one episode of every task':44} {'tasks':>6} {'steps/s':>12} {'steps/CPU-s':>12}")
    for family_name in entries("tasks"):
        family = make_family(family_name)
        for agent in (make_reference("random", family), *_learners(family, device)):
            for n in options.tasks:
                if n * family.spec.horizon <= options.most_steps:
                    _collect_row(agent, family, n, options, device)
    print(f"\n{'model-predictive control: a plan for every task':84} {'tasks':>6} {'plans/s':>9} {'imagined/s':>12}")
    for planner, sizes in PLANNERS:
        for n in options.tasks:
            if n * _imagined(sizes) <= options.most_steps:
                _plan_row(planner, sizes, n, options, device)
    print(f"\n{'meta-iteration':84} {'env steps':>9} {'s':>8} {'CPU-s':>8}")
    for learner_name, family_name, fields in ITERATIONS:
        _iteration_row(learner_name, family_name, fields, options, device)
    return 0


GRADIENT_LEARNERS = (
    "finetune", "reptile", "emaml", "promp", "anil", "cavia", "meta_sgd", "hypernetwork",
    "average_policy", "scratch",
)  # fmt: skip

# The first rows are pytorch-maml-rl's shipped 2-D navigation protocol: meta-batch 20, 20 episodes, horizon 100,
# 64 x 64 tanh, one inner step, TRPO.
ITERATIONS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("maml", "point_navigation", {"outer": "trpo"}),
    ("maml", "point_navigation", {"outer": "trpo", "first_order": True}),
    ("maml", "point_navigation", {"outer": "ppo"}),
    ("maml", "point_navigation", {"outer": "plain"}),
    *((name, "point_navigation", {}) for name in GRADIENT_LEARNERS),
    ("rl2", "bernoulli_bandit", {"meta_batch": 1000}),
    ("rl2", "tabular_mdp", {"meta_batch": 200}),
    # the VariBAD repository's gridworld protocol acts 16 trials of 60 steps an iteration; wide batches below it
    ("rl2", "gridworld", {"meta_batch": 16, "minibatches": 4, "epochs": 2}),
    ("rl2", "gridworld", {"meta_batch": 400, "minibatches": 20}),
    ("rl2", "gridworld", {"meta_batch": 400, "minibatches": 20, "core": "lstm"}),
    ("rl2", "gridworld", {"meta_batch": 400, "minibatches": 20, "core": "transformer"}),
    ("varibad", "gridworld", {"meta_batch": 16, "minibatches": 4, "epochs": 2, "vae_updates": 3, "vae_batch": 25}),
    ("varibad", "gridworld", {"transition_weight": 0.0, "meta_batch": 100, "minibatches": 5}),
    ("varibad", "gridworld", {"transition_weight": 0.0, "meta_batch": 400, "minibatches": 20}),
    ("pearl", "semicircle_navigation", {}),
    ("mql", "semicircle_navigation", {}),
    ("in_context", "dark_room", {}),
    ("in_context", "dark_room", {"mode": "supervised"}),
    ("meta_q", "gridworld", {}),
    ("meta_q", "gridworld", {"form": "shared"}),
    ("meta_gradient", "chain", {}),
    ("learned_rule", "chain", {}),
    ("mb_mpo", "point_navigation", {}),
    ("grbal", "weakening_leg", {}),
    ("grbal", "weakening_leg", {"form": "recurrent"}),
)

# (planner, fields of ``grbal``): the model adapts to the last 16 steps, then imagines every candidate of every task
PLANNERS: tuple[tuple[str, dict[str, int]], ...] = (
    ("random_shooting", {"candidates": 500, "plan_horizon": 10, "rounds": 1}),
    ("cem", {"candidates": 64, "plan_horizon": 5, "rounds": 3}),
)


def _imagined(fields: dict[str, int]) -> int:
    """Steps that one plan imagines."""
    return fields["candidates"] * fields["plan_horizon"] * fields["rounds"]


def _plan_row(planner: str, fields: dict[str, int], n: int, options: BenchOptions, device: torch.device) -> None:
    chosen: dict[str, Any] = {"planner": planner, **fields}
    learner: Any = make_learner("grbal", make_family("weakening_leg"), seed=0, **chosen).to(device)
    memory, key = learner.begin(n, 1), torch.rand(n, 1, 2, generator=seeded_generator(device, 3), device=device)

    def work() -> None:
        with torch.no_grad():
            learner.plan(memory, key)

    wall, _ = _time(work, options.repeats, device)
    label = ", ".join([f"grbal on weakening_leg, {planner}", *(f"{k}={v}" for k, v in fields.items())])
    print(f"{label:84} {n:>6} {n / wall:>9,.0f} {n * _imagined(fields) / wall:>12,.0f}", flush=True)


def _learners(family: TaskFamily, device: torch.device) -> list[Agent]:
    return [make_learner(n, family, seed=0).to(device) for n in ("maml", "rl2", "varibad")]


def _collect_row(agent: Agent, family: TaskFamily, n: int, options: BenchOptions, device: torch.device) -> None:
    tasks = family.sample_tasks(n, "train", seeded_generator(device, 0))
    generator = seeded_generator(device, 1)

    def work() -> None:
        collect(agent, family, tasks, begin(agent, family, tasks), generator)

    wall, cpu = _time(work, options.repeats, device)
    steps = n * family.spec.horizon  # copies that finish early are carried along, and counted
    label = f"{family.name}, {getattr(agent, 'name', '?')}"
    print(f"{label:44} {n:>6} {steps / wall:>12,.0f} {steps / cpu:>12,.0f}", flush=True)


def _iteration_row(
    learner_name: str, family_name: str, fields: dict[str, object], options: BenchOptions, device: torch.device
) -> None:
    family = make_family(family_name)
    learner = make_learner(learner_name, family, seed=0, **fields).to(device)
    generator, steps = seeded_generator(device, 2), [0.0]

    def work() -> None:
        tasks = family.sample_tasks(learner.config.meta_batch, "train", generator)
        steps.append(learner.update(family, tasks, generator).values["env_steps"])

    wall, cpu = _time(work, options.repeats, device)
    what = ", ".join([f"{learner_name} on {family_name}", *(f"{k}={v}" for k, v in fields.items())])
    print(f"{what:84} {statistics.median(steps[1:]):>9,.0f} {wall:>8.3f} {cpu:>8.3f}", flush=True)


def _time(work: Callable[[], None], repeats: int, device: torch.device) -> tuple[float, float]:
    """Median wall and CPU seconds of ``work``, after one run that does not count."""
    walls, cpus = [], []
    for _ in range(repeats + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls[1:]), statistics.median(cpus[1:])
