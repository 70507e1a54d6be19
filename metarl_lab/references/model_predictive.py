"""Model-predictive control with the true dynamics: the classical agent that knows its task."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from metarl_lab.ops.mpc import cross_entropy_method, plan_noise
from metarl_lab.ops.sampling import KEY_NOISE, spread
from metarl_lab.references.base import Knowing
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Seen, map_tensors


class ModelPredictive(Knowing):
    """Plans with ``family.step`` itself, the task known, by the cross-entropy method; acts once, plans again.

    The ceiling of planners with a learned model, not of all agents: it looks ``plan_horizon`` steps ahead, and searches
    with finitely many candidates. Where steps are noisy it plans for the median noise. It needs a family that says
    which state lies behind an observation: ``family.state_of(tasks, observation, step)``. Its memory is the tasks.

    Parameters
    ----------
    family : TaskFamily
    plan_horizon : int
        Steps that a plan looks ahead.
    candidates, elites, rounds : int
        Of the cross-entropy method.
    """

    name: ClassVar[str] = "model_predictive"
    source: ClassVar[str] = "Richalet et al. 1978; cross-entropy method: Rubinstein 1999"

    def __init__(
        self, family: TaskFamily, plan_horizon: int = 5, candidates: int = 64, elites: int = 8, rounds: int = 4
    ) -> None:
        super().__init__(family)
        if not hasattr(family, "state_of"):
            raise ValueError(f"model_predictive: {family.name} has no state_of, so a plan has nowhere to start from")
        check_positive(self.name, plan_horizon=plan_horizon, candidates=candidates, elites=elites, rounds=rounds)
        self.plan_horizon, self.candidates, self.elites, self.rounds = plan_horizon, candidates, elites, rounds
        self.noise_size = KEY_NOISE

    def told(self, tasks: Tasks, copies: int) -> Tasks:
        return tasks

    def act(self, memory: Tasks, seen: Seen, noise: Tensor) -> tuple[Tensor, Tasks]:
        """The first action of the best plan found from here. The plan ends where the episode does."""
        spec, copies = self.spec, noise.shape[1]
        horizon = min(self.plan_horizon, spec.horizon - seen.step)
        shift = spread(noise, self.rounds * plan_noise(spec, horizon)).flatten(0, 1)
        state = self.family.state_of(memory, seen.observation, seen.step)  # type: ignore[attr-defined]
        # a problem is one copy of one task, a candidate one copy of the problem: (T E, N) is what a family steps
        tasks = map_tensors(lambda x: x.repeat_interleave(copies, 0), memory)
        start = map_tensors(lambda x: x.flatten(0, 1).unsqueeze(1), state)
        quiet = noise.new_full((len(shift), self.candidates, spec.step_noise), 0.5)

        def model(now: tuple[Any, Tensor], action: Tensor) -> tuple[tuple[Any, Tensor], Tensor]:
            after, reward, terminated = self.family.step(tasks, now[0], action, quiet)
            return (after, now[1] * ~terminated), reward * now[1]

        live = torch.ones_like(shift[:, :1])  # (T E, 1)
        rounds = shift.unflatten(1, (self.rounds, -1))
        plan = cross_entropy_method(model, (start, live), rounds, spec, self.candidates, self.elites)
        return plan.action[:, 0].unflatten(0, noise.shape[:2]), memory
