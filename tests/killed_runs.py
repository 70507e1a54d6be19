"""Runs that are killed with SIGKILL, each in a process of its own: `python killed_runs.py FOLDER`.

One process imports torch and forks a child for each way to die, so that all of them take seconds. A child trains the
toy in FOLDER/WAY, and dies by its own SIGKILL at a chosen point, or by the parent's at a random time.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
from toy import Remembering, bandit, toy

from metarl_lab.runs import files
from metarl_lab.runs.description import versions
from metarl_lab.runs.folder import RunFolder
from metarl_lab.train import train

ITERATIONS, EVERY, FATAL = 12, 3, 8  # checkpoints at 0, 3, 6, 9, 12; death at or after iteration 8
RANDOM_KILLS = 6
WAYS = ["in_update", "half_row", "half_checkpoint", "written_not_renamed", "renamed", "half_config", "first_checkpoint"]


def die(*_: Any) -> None:
    """At once, with no clean-up of any kind."""
    os.kill(os.getpid(), signal.SIGKILL)


class DyingFile:
    """A file that takes half of what it is given, lets it reach the disk, and kills the process."""

    def __init__(self, path: Path, mode: str) -> None:
        self.file = open(path, mode)  # noqa: SIM115

    def __enter__(self) -> DyingFile:
        return self

    def __exit__(self, *_: Any) -> None:
        self.file.close()

    def write(self, data: Any) -> None:
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        os.fsync(self.file.fileno())
        die()


def prepare(way: str, learner: Any) -> None:
    """Arrange for the death of this process."""
    if way == "in_update":
        learner.during = lambda iteration, values: die() if iteration == FATAL else None
    elif way == "half_row":
        original = RunFolder.append

        def append(self: Any, row: dict[str, float]) -> None:
            if row["iteration"] == FATAL:
                self._file.write("8,96,0.1")
                self._file.flush()
                die()
            original(self, row)

        RunFolder.append = append  # type: ignore[method-assign]
    else:
        fatal = {"first_checkpoint": "00000000", "half_config": "config"}.get(way, "00000009")
        if way in ("half_checkpoint", "first_checkpoint", "half_config"):
            files.open = lambda path, mode: (DyingFile if fatal in str(path) else open)(path, mode)  # type: ignore
        real = os.replace

        def replace(source: Path, target: Path) -> None:
            if fatal in str(target) and way == "written_not_renamed":
                die()
            real(source, target)
            if fatal in str(target) and way == "renamed":
                die()

        os.replace = replace  # type: ignore[assignment]


def child(folder: Path, way: str) -> None:
    """Train until killed."""
    learner = toy()
    prepare(way, learner)
    if way.startswith("random"):
        learner.during = lambda iteration, values: time.sleep(0.01)
    train(learner, bandit(), ITERATIONS, seed=5, out=folder / way, sampler=Remembering(), device="cpu",
          checkpoint_every=EVERY, progress=False)  # fmt: skip


def main(folder: Path) -> None:
    """Fork a child for each way to die; print `WAY SIGNAL`."""
    # what is loaded at first use, once for all children; no backward: autograd's threads do not survive a fork
    learner = toy()
    learner.logits.grad = torch.zeros(3)
    learner.optimizer.step()
    versions()
    chance = random.Random(0)
    for way in WAYS + [f"random{i}" for i in range(RANDOM_KILLS)]:
        pid = os.fork()
        if pid == 0:
            child(folder, way)
            os._exit(0)
        if way.startswith("random"):
            metrics, lines = folder / way / "metrics.csv", chance.randint(1, ITERATIONS)
            while not metrics.is_file() or len(metrics.read_bytes().splitlines()) < lines:
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.02))
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        print(way, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
