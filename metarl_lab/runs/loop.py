"""The training loop behind ``train`` and ``resume``, and what it knows of a run."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from tqdm import tqdm

from metarl_lab.learners.base import MetaLearner
from metarl_lab.ops.allocator import keep_pages
from metarl_lab.rollout import seeded_generator
from metarl_lab.runs.checkpoint import gather, restore
from metarl_lab.runs.description import versions
from metarl_lab.runs.folder import Row, RunFolder
from metarl_lab.runs.interrupts import Interrupts
from metarl_lab.samplers.base import TaskSampler
from metarl_lab.tasks.base import TaskFamily

if TYPE_CHECKING:
    import pandas as pd

_CHECKPOINT_SECONDS = 60.0  # between checkpoints where no number of iterations is given
_COPY_EACH = 64 * 2**20  # bytes; a larger state is copied in memory only when it is also saved


@dataclass
class Run:
    """What a training run did.

    Attributes
    ----------
    learner, family
        The learner, trained in place, and where.
    rows : list of dict
        One per iteration: ``iteration``, ``env_steps`` and ``seconds`` (wall time) so far, and every metric of it.
    iterations, env_steps, seconds
        Iterations done, live environment steps and wall seconds, over all sittings of the run.
    interrupted : bool
        Stopped before the last iteration; everything up to there is kept. `train` then raised `Interrupted`, which
        carries this.
    out : Path or None
        The run's folder.
    """

    learner: MetaLearner
    family: TaskFamily
    device: torch.device
    seed: int
    out: Path | None = None
    iterations: int = 0
    env_steps: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    rows: list[Row] = field(default_factory=list)

    @property
    def metrics(self) -> pd.DataFrame:
        """The rows as a table."""
        import pandas as pd  # half a second: not for everyone who trains

        return pd.DataFrame(self.rows)

    def __repr__(self) -> str:
        what = f"{self.learner.name} on {self.family.name}: {self.iterations} iterations, {self.env_steps:,} env steps"
        last = f", last return per episode {self.rows[-1]['return']:.4g}" if self.rows else ""
        return f"Run({what}, {self.seconds:.1f} s on {self.device}{last}{', interrupted' if self.interrupted else ''})"


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, and did: between two iterations, with all of them kept.

    A KeyboardInterrupt, so that a loop over seeds, a script or a notebook cell stops with it.

    Attributes
    ----------
    run : Run
        What was done; its learner is the one that was given, as far as it is trained.
    number : int
        The signal that asked: SIGINT, SIGTERM or SIGHUP.
    """

    def __init__(self, message: str, run: Run, number: int) -> None:
        super().__init__(message)
        self.run = run
        self.number = number


class Training:
    """The loop, and what it needs to be able to go back to the last good state."""

    def __init__(self, run: Run, sampler: TaskSampler, config: dict[str, Any], folder: RunFolder | None) -> None:
        self.run, self.sampler, self.config, self.folder = run, sampler, config, folder
        self.total: int = config["iterations"]
        self.saved_iteration, self.saved_at = -1 if run.iterations == 0 else run.iterations, time.perf_counter()
        self.good: tuple[int, int, float, dict[str, Tensor]]

    def go(self, progress: bool) -> Run:
        """Train to the end; raise `Interrupted` when asked to stop before."""
        run = self.run
        bar = tqdm(total=self.total, initial=run.iterations, disable=not progress, desc=run.learner.name, unit="it")
        try:
            with Interrupts(bar.write) as interrupts:
                with interrupts.whole():
                    self._start()
                try:
                    while run.iterations < self.total and not interrupts.asked:
                        values = self._iterate()
                        with interrupts.whole():  # no checkpoint without its row
                            self._count(values)
                        bar.set_postfix({"return": f"{run.rows[-1]['return']:.4g}"}, refresh=False)
                        bar.update()
                except KeyboardInterrupt:  # asked twice: inside an iteration, which is undone
                    self._go_back()
                except FloatingPointError as error:
                    with interrupts.whole():
                        self._go_back()
                        raise FloatingPointError(f"{error}{self._where_kept()}") from None
                except OSError:  # from writing, after a whole iteration
                    raise
                except Exception:
                    with interrupts.whole():
                        self._go_back()
                    raise
                with interrupts.whole():
                    self._save()
                run.interrupted = run.iterations < self.total
        finally:
            bar.close()
            if self.folder is not None:
                self.folder.close()
        if interrupts.asked:
            raise Interrupted(self._how_far(), run, interrupts.asked)
        return run

    def _how_far(self) -> str:
        """What was kept of a run that was asked to stop, and how to go on."""
        run = self.run
        text = f"{run.learner.name} on {run.family.name} stopped after {run.iterations} of {self.total} iterations"
        if self.folder is None:
            return f"{text}; the learner keeps what it learned in them"
        return f"{text}, saved in {self.folder.path}; go on with ml.resume({str(self.folder.path)!r})"

    def _start(self) -> None:
        keep_pages()
        run = self.run
        if run.learner.device != run.device:
            run.learner.to(run.device)
            run.learner.load_training_state(run.learner.training_state())  # moves the optimisers' state along
        if self.folder is not None:
            self.folder.open()
            run.rows = self.folder.rows
            self._save()  # iteration 0, so that a run killed before its first checkpoint resumes too
        self.before = time.perf_counter() - run.seconds
        self._remember()

    def _iterate(self) -> dict[str, float]:
        """One iteration, to be counted when it is whole and finite; returns its metrics."""
        run, i = self.run, self.run.iterations + 1
        # keys end above 0 so that no stream equals one of `evaluate`
        tasks = self.sampler.sample(
            run.family, run.learner.config.meta_batch, seeded_generator(run.device, run.seed, i, 1)
        )
        metrics = run.learner.update(run.family, tasks, seeded_generator(run.device, run.seed, i, 2))
        values = {key: float(value) for key, value in metrics.values.items()}
        for key, value in values.items():
            if not math.isfinite(value):
                raise FloatingPointError(f"iteration {i}: {key} is {value}")
        # a bad gradient shows in the weights one iteration before it shows in the metrics
        weights = [p for p in run.learner.parameters() if p.numel()]
        if not get_total_norm(weights, math.inf).isfinite():
            raise FloatingPointError(f"iteration {i}: a weight is not finite after the update, though its metrics are")
        self.sampler.observe(tasks, metrics.scores)
        return values

    def _count(self, values: dict[str, float]) -> None:
        """Count an iteration: its row, and a checkpoint where one is due."""
        run = self.run
        run.iterations += 1
        run.env_steps += int(values.pop("env_steps"))
        run.seconds = time.perf_counter() - self.before
        so_far = {"iteration": run.iterations, "env_steps": run.env_steps, "seconds": round(run.seconds, 3)}
        row: Row = {**so_far, **values}
        (run.rows if self.folder is None else self.folder).append(row)
        self._checkpoint_if_due()

    def _checkpoint_if_due(self) -> None:
        every, due = self.config["checkpoint_every"], time.perf_counter() - self.saved_at >= _CHECKPOINT_SECONDS
        due = due if every is None else self.run.iterations % every == 0
        if due:
            self._save()
        if due or sum(x.nbytes for x in self.good[-1].values()) <= _COPY_EACH:
            self._remember()

    def _remember(self) -> None:
        """Copy the state in memory. One assignment, so that an interrupt finds the old copy or the new one."""
        run = self.run
        self.good = (run.iterations, run.env_steps, run.seconds, gather(run.learner, self.sampler))

    def _go_back(self) -> None:
        """To the state last remembered."""
        run = self.run
        run.iterations, run.env_steps, run.seconds, tensors = self.good
        restore(run.learner, self.sampler, tensors)
        if self.folder is None:
            run.rows[:] = run.rows[: run.iterations]
        else:
            self.folder.truncate(run.iterations)

    def _where_kept(self) -> str:
        """Save the last good state and say where it is."""
        text = f"; the learner is back at its state after iteration {self.run.iterations}"
        if self.folder is not None:
            self._save()
            text += f", saved in {self.folder.path / 'checkpoints'}"
        return text + ". A lower learning rate is the usual remedy"

    def _save(self) -> None:
        """Write a checkpoint, unless this iteration has one."""
        run = self.run
        if self.folder is None or self.saved_iteration == run.iterations:
            return
        about = {k: self.config[k] for k in ("learner", "family", "sampler", "seed")} | versions()
        about |= {"iteration": run.iterations, "env_steps": run.env_steps, "seconds": run.seconds}
        self.folder.save(gather(run.learner, self.sampler), {**about, "device": str(run.device)})
        self.saved_iteration, self.saved_at = run.iterations, time.perf_counter()
