"""TaskFamily: a distribution over tasks that share their spaces, as pure functions over batched tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from metarl_lab.types import SPLITS, Episodes, Spec

Tasks = Any  # a NamedTuple of tensors with leading axis T
State = Any  # a NamedTuple of tensors with leading axes (T, E)

_LATTICE = 2**24  # float32 holds every multiple of 2^-24 below 1 exactly
_SHUFFLE = {"train": 2_654_435, "test": 1, "ood": 1_640_531}  # odd, and far from small fractions of the lattice
_CLASSES = 4  # residues: train 0, test 1, ood 2; residue 3 is left for users' own splits


@dataclass(frozen=True)
class TaskFamily(ABC):
    """A task distribution p(task) and its dynamics.

    A family is a frozen dataclass: its fields are its configuration, each with a line of documentation, a unit and a
    default. It holds no tensors; tasks and states do, on whatever device they were drawn. Nothing here draws random
    numbers except ``sample_tasks``: noise is an argument, uniform on (0, 1), of the sizes that ``spec`` states.
    """

    name: ClassVar[str] = ""
    source: ClassVar[str] = ""
    """Where the protocol comes from."""
    finite: ClassVar[bool] = False
    """The published protocol is one exact prior over a finite set of tasks, with nothing held out (21 goals of a 5 x 5
    grid): a Bayes-adaptive agent is measured on the very prior that it was trained on, and halving so small a set
    would change the problem and its exact optimum. "train" and "test" are then that same prior, and held out means
    fresh draws; only "ood" shares no task with them. What stays honest: a task is hidden in every trial, whether or not
    training has met it, so remembering training tasks earns no more than knowing the prior, and no more than exact
    Bayes-optimal play. What cannot be claimed: generalisation to new tasks; "ood" is there for that."""

    @property
    @abstractmethod
    def spec(self) -> Spec:
        """Spaces, horizon and noise sizes."""

    @abstractmethod
    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> Tasks:
        """Draw n tasks of a split ("train", "test" or "ood"), on the generator's device.

        The three never overlap, unless the family is ``finite``: then "train" and "test" are two streams of independent
        draws from one prior, and "ood" overlaps with neither.
        """

    @abstractmethod
    def reset(self, tasks: Tasks, noise: Tensor) -> State:
        """The first state of an episode. noise (T, E, reset_noise)."""

    @abstractmethod
    def step(self, tasks: Tasks, state: State, action: Tensor, noise: Tensor) -> tuple[State, Tensor, Tensor]:
        """One step: next state, reward (T, E), terminated (T, E) bool. noise (T, E, step_noise)."""

    @abstractmethod
    def observe(self, tasks: Tasks, state: State) -> Tensor:
        """What the agent sees of a state, (T, E, O) float32."""

    def oracle(self, tasks: Tasks) -> Tensor | None:
        """Best expected return of one episode with the task known, (T,); None where it cannot be computed."""
        return None

    def best_action(self, tasks: Tasks, observation: Tensor, step: int) -> Tensor | None:
        """An optimal action with the task known, at step 0..H-1 of an episode; None where it is not known."""
        return None

    def training_reward(self, tasks: Tasks, episodes: Episodes) -> Tensor:
        """The reward that meta-training maximises, (T, E, K, H): the true one, or a denser guide to the same end.

        Agents see the true reward as they act, in training and testing; evaluation reads no other. PEARL's sparse
        navigation trains its actor and critic on the dense distance in this way. Steps that are not live pay 0.
        """
        return episodes.reward

    @property
    def config(self) -> dict[str, Any]:
        """The fields, as plain values."""
        return asdict(self)


def split_uniform(size: tuple[int, ...], split: str, generator: torch.Generator) -> Tensor:
    """Uniform numbers on (0, 1) of which those of different splits are never equal.

    Values lie on the lattice i 2^-24, exact in float32: i is congruent to 0 (train), 1 (test) or
    2 (ood) modulo 4, so that tasks built one-to-one from them cannot be shared between splits, while the
    distribution is that of U(0, 1) to within 2^-22. Each split also shuffles the lattice in its own way: generators of
    one seed would otherwise draw neighbours, tasks that differ in name only.
    """
    check_split(split)
    residue = SPLITS.index(split)
    positions = _LATTICE // _CLASSES
    i = torch.randint(0, positions, size, generator=generator, device=generator.device)
    i = (i * _SHUFFLE[split]) % positions  # an odd factor makes this one-to-one modulo a power of two
    # 0 itself is excluded: families take logarithms and normal quantiles of these
    return ((_CLASSES * i + residue).float() / _LATTICE).clamp_min(0.25 / _LATTICE * (1 + residue))


def split_index(n: int, count: int, split: str, generator: torch.Generator) -> Tensor:
    """n draws from 0..count-1, each equally likely, (n,) int64: how a ``finite`` family picks its tasks.

    Different splits give independent draws, also from generators of one seed.
    """
    # the largest number of split_uniform is 1 - 2^-23: its product with count stays below count in float32 too
    return (split_uniform((n,), split, generator) * count).long()


def check_split(split: str) -> None:
    """Raise ValueError for a split that does not exist."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not known; choose one of {', '.join(map(repr, SPLITS))}")


def check_positive(family: str, **values: int | float) -> None:
    """Raise ValueError for a field of ``family`` that is not above zero."""
    for key, value in values.items():
        if not value > 0:
            raise ValueError(f"{family}: {key}={value!r} is not allowed; give a number above 0")


def check_choice(family: str, key: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError for a field of ``family`` that is none of the ``allowed`` words."""
    if value not in allowed:
        raise ValueError(f"{family}: {key}={value!r} is not known; choose one of {', '.join(map(repr, allowed))}")


def check_spreads(family: str, spread: float, ood_spread: float, widest: float) -> None:
    """Raise ValueError unless 1 < spread < ood_spread <= widest: factors about standard values."""
    if not 1 < spread < ood_spread <= widest:
        raise ValueError(
            f"{family}: spread={spread!r}, ood_spread={ood_spread!r} is not allowed; "
            f"give 1 < spread < ood_spread <= {widest}"
        )
