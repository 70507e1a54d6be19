"""A replay buffer whose rows are tasks: what was acted in each of the most recent ones, kept apart from all others.

One row holds everything acted in one task (all copies, episodes and steps of it). A row is written whole and replaced
whole, so nothing of an older task can stand beside data of the task that took its place.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SIZE, _CURSOR = "size", "cursor"


class Replay:
    """The last ``capacity`` tasks, as named tensors with a leading task axis.

    A learner keeps one as a plain attribute: checkpoints then hold it (``MetaLearner.training_state``), stored agents
    do not. Memory is taken at the first ``add``, for the whole capacity.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"replay: capacity={capacity} is not allowed; give a number of tasks of 1 or more")
        self.capacity = capacity
        self.size = 0
        self._cursor = 0  # the row that is written next: the oldest one, once all are taken
        self._rows: dict[str, Tensor] = {}

    def add(self, rows: dict[str, Tensor]) -> None:
        """Append tasks, replacing the oldest. Each tensor (T, ...), with T at most the capacity."""
        n = len(next(iter(rows.values())))
        if n > self.capacity:
            raise ValueError(f"replay: {n} tasks at once are more than its capacity of {self.capacity}; enlarge it")
        self._check(rows, n)
        if not self._rows:
            self._rows = {key: x.new_empty(self.capacity, *x.shape[1:]) for key, x in rows.items()}
        device = next(iter(rows.values())).device
        places = (self._cursor + torch.arange(n, device=device)) % self.capacity
        for key, x in rows.items():
            self._rows[key][places] = x
        self._cursor = (self._cursor + n) % self.capacity
        self.size = min(self.size + n, self.capacity)

    def sample(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """n tasks, each (n, ...): different ones while there are enough, else drawn with repeats."""
        if self.size == 0:
            raise ValueError("replay: it is empty; add tasks before sampling")
        if n <= self.size:
            chosen = torch.randperm(self.size, generator=generator, device=generator.device)[:n]
        else:
            chosen = torch.randint(self.size, (n,), generator=generator, device=generator.device)
        return {key: x[chosen] for key, x in self._rows.items()}

    def state(self) -> dict[str, Tensor]:
        """What must survive a resume: the rows that are taken, and where the next one goes."""
        rows = {f"row.{key}": x[: self.size] for key, x in self._rows.items()}
        return {_SIZE: torch.tensor(self.size), _CURSOR: torch.tensor(self._cursor), **rows}

    def load_state(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Inverse of ``state``."""
        self.size, self._cursor = int(state[_SIZE]), int(state[_CURSOR])
        taken = {key[4:]: x.to(device) for key, x in state.items() if key.startswith("row.")}
        self._rows = {key: x.new_empty(self.capacity, *x.shape[1:]) for key, x in taken.items()}
        for key, x in taken.items():
            self._rows[key][: self.size] = x

    def _check(self, rows: dict[str, Tensor], n: int) -> None:
        for key, x in rows.items():
            if len(x) != n:
                raise ValueError(f"replay: {key!r} has {len(x)} tasks, others {n}; all need one leading task axis")
        if self._rows and rows.keys() != self._rows.keys():
            raise ValueError(f"replay: rows are {', '.join(self._rows)}; given {', '.join(rows)}")
