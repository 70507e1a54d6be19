"""A policy network whose parameters may be shared by all tasks, or differ from task to task (MAML's inner loop)."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from metarl_lab.nets.unit_box import UnitBox
from metarl_lab.ops.distributions import Categorical, DiagonalGaussian, Distribution
from metarl_lab.types import Spec

Parameters = dict[str, Tensor]  # by name; (T, ...) where every task has its own

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu}


class MLPPolicy(nn.Module):
    """pi(a | s) = Categorical(f(s)), or N(c + w f(s), diag (w exp(log_std))^2) in the action box c +- w.

    The network's output -1 to 1 spans a bounded action box, as in the MAML authors' ``normalize``; nothing is squashed
    or clipped here (the family clips), so log-probabilities are those of what was drawn. A box with an infinite bound
    is not scaled. Weights are stored (in, out); they start Xavier-uniform, biases at zero, as in the authors' code.

    Parameters
    ----------
    spec : Spec
        The family's spaces.
    hidden : tuple of int
        Units of each hidden layer; () makes the policy linear in the observation (tabular, for one-hot states).
    activation : "tanh" or "relu"
    log_std : float
        Initial log standard deviation of a box action, in units of the network's output; learned.
    output_gain : float
        Initial output weights, in units of Xavier's.
    """

    log_std: Tensor

    def __init__(
        self,
        spec: Spec,
        hidden: tuple[int, ...] = (64, 64),
        activation: str = "tanh",
        log_std: float = 0.0,
        output_gain: float = 1.0,
    ) -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation {activation!r} is not known; choose one of {', '.join(_ACTIVATIONS)}")
        if any(width < 1 for width in hidden):
            raise ValueError(f"hidden={hidden!r} is not allowed; give layer widths of 1 or more")
        self.activation = _ACTIVATIONS[activation]
        self.discrete = spec.discrete
        self.box = UnitBox(spec)
        sizes = (spec.observation_size, *hidden, spec.action_size)
        self.layers = len(sizes) - 1
        for i, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            gain = output_gain if i == self.layers - 1 else 1.0
            weight = nn.init.xavier_uniform_(torch.empty(inputs, outputs), gain)
            self.register_parameter(f"weight{i}", nn.Parameter(weight))
            self.register_parameter(f"bias{i}", nn.Parameter(torch.zeros(outputs)))
        if not self.discrete:
            self.register_parameter("log_std", nn.Parameter(torch.full((spec.action_size,), float(log_std))))

    def parameters_by_name(self) -> Parameters:
        """The shared parameters, name -> tensor."""
        return dict(self.named_parameters())

    @property
    def head(self) -> tuple[str, ...]:
        """Names of the last layer's parameters."""
        return f"weight{self.layers - 1}", f"bias{self.layers - 1}"

    def of_task(self, parameters: Parameters, task: int) -> MLPPolicy:
        """A module of its own with one task's row of ``parameters`` (T, ...); it shares nothing with this one.

        IndexError for a task that is not there.
        """
        rows = {k: parameters[k] for k in self.parameters_by_name()}
        n_tasks = len(next(iter(rows.values())))
        if not 0 <= task < n_tasks:
            raise IndexError(f"task={task} is not in this memory; give 0 to {n_tasks - 1}")
        own = copy.deepcopy(self)
        own.load_state_dict({k: p[task].detach() for k, p in rows.items()})
        return own

    def forward(self, observation: Tensor) -> Distribution:
        """With the module's own parameters. observation (..., O)."""
        x = observation
        for i in range(self.layers):
            x = x @ getattr(self, f"weight{i}") + getattr(self, f"bias{i}")
            x = self.activation(x) if i + 1 < self.layers else x
        return self._distribution(x, None if self.discrete else self.log_std)

    def per_task(self, parameters: Parameters, observation: Tensor) -> Distribution:
        """With a set of parameters for every task, as one batched matmul a layer.

        Equal to ``vmap(functional_call)`` over T (a test holds it so), at a fraction of its overhead.

        Parameters
        ----------
        parameters : dict of Tensor (T, ...)
            As ``parameters_by_name``, with a leading task axis.
        observation : Tensor (T, N, O)
        """
        if observation.ndim != 3:
            raise ValueError(f"per_task: observation must be (T, N, O), not {tuple(observation.shape)}; flatten N")
        x = observation
        for i in range(self.layers):
            x = torch.baddbmm(parameters[f"bias{i}"].unsqueeze(1), x, parameters[f"weight{i}"])  # (T, N, units)
            x = self.activation(x) if i + 1 < self.layers else x
        return self._distribution(x, None if self.discrete else parameters["log_std"].unsqueeze(1))

    def _distribution(self, output: Tensor, log_std: Tensor | None) -> Distribution:
        if log_std is None:
            return Categorical(output)
        return DiagonalGaussian(self.box.from_unit(output), log_std + self.box.half_width.log())
