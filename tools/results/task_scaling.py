"""Seconds per meta-iteration against the number of tasks: data/results/task_scaling.csv and .png.

    python tools/results/task_scaling.py --threads 1

MAML-TRPO, full and first order, on point navigation with 2 episodes of 20 steps a batch, so that 10,000 tasks fit
a laptop. Until the machine is full, ten times the tasks cost less than ten times the time. Medians of three runs after
one warm-up; compare figures of one table only.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from pathlib import Path

import torch

import metarl_lab as ml
from metarl_lab.ops.allocator import keep_pages
from metarl_lab.rollout import seeded_generator
from metarl_lab.teach.figures import look, new_figure

RESULTS = Path(__file__).resolve().parents[2] / "data" / "results"
TASKS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
KINDS = {"maml": False, "maml, first order": True}


def seconds(first_order: bool, n_tasks: int, device: str, repeats: int) -> float:
    """Median CPU seconds of one iteration (wall seconds on a GPU)."""
    family = ml.make_family("point_navigation", horizon=20)
    options = {"meta_batch": n_tasks, "episodes": 2, "curvature_episodes": 2, "first_order": first_order}
    learner = ml.make_learner("maml", family, seed=0, **options).to(device)
    generator, clock = seeded_generator(device, 1), time.process_time if device == "cpu" else time.perf_counter
    taken = []
    for _ in range(repeats + 1):
        tasks, start = family.sample_tasks(n_tasks, "train", generator), clock()
        learner.update(family, tasks, generator)
        if device != "cpu":
            torch.cuda.synchronize()
        taken.append(clock() - start)
    return statistics.median(taken[1:])


def draw(rows: list[tuple[str, int, float]], unit: str) -> None:
    """The figure: microseconds per task and iteration, which fall while the machine is not full."""
    figure, ax = new_figure()
    for index, kind in enumerate(KINDS):
        own = [(n, 1e3 * s / n) for label, n, s in rows if label == kind]
        ax.plot(*zip(*own, strict=True), label=kind, **look(index))
    ax.set(xscale="log", yscale="log", xlabel="tasks per meta-iteration", ylabel=f"{unit} milliseconds per task")
    ax.legend(frameon=False)
    figure.savefig(RESULTS / "task_scaling.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_pages()
    unit = "CPU" if arguments.device == "cpu" else "wall"
    rows = []
    for kind, first_order in KINDS.items():
        for n in TASKS:
            rows.append((kind, n, seconds(first_order, n, arguments.device, arguments.repeats)))
            print(*rows[-1], flush=True)
    with open(RESULTS / "task_scaling.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [("learner", "tasks", f"{unit.lower()}_seconds"), *((k, n, round(s, 5)) for k, n, s in rows)]
        )
    draw(rows, unit)


if __name__ == "__main__":
    main()
