"""Dynamics that adapt to what was seen last: by a gradient step on it, by a recurrent state, or not at all."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_lab.nets.batched_mlp import Weights
from metarl_lab.nets.dynamics import DynamicsEnsemble
from metarl_lab.nets.recurrent import GRUCore
from metarl_lab.ops.mpc import Model
from metarl_lab.ops.transitions import Rows
from metarl_lab.ops.windows import Windows, windows
from metarl_lab.types import Spec

FORMS = ("gradient", "recurrent", "none")


class AdaptiveDynamics(nn.Module):
    """One dynamics model and how it adapts (Nagabandi, Clavera et al. 2019, arXiv 1803.11347, section 4).

    Parameters
    ----------
    spec : Spec
        The family's spaces.
    form : str
        "gradient": theta' = theta - alpha grad of the window's error, alpha learned, one for each weight matrix and
        bias. "recurrent": the model also reads the state of a GRU that has read the episode so far. "none": theta.
    hidden : tuple of int
        Units of each hidden layer of the model.
    latent : int
        Units of the GRU.
    inner_step : float
        alpha at the start, in normalised units.
    """

    def __init__(self, spec: Spec, form: str, hidden: tuple[int, ...], latent: int, inner_step: float) -> None:
        super().__init__()
        if form not in FORMS:
            raise ValueError(f"form={form!r} is not known; choose one of {', '.join(map(repr, FORMS))}")
        self.spec, self.form = spec, form
        self.model = DynamicsEnsemble(spec, hidden, members=1, context=latent if form == "recurrent" else 0)
        if form == "recurrent":
            self.core = GRUCore(2 * spec.observation_size + spec.action_size + 1, latent)
        if form == "gradient":
            # alpha's logarithm is learned: alpha stays positive
            start = torch.tensor(inner_step).log()
            self.log_steps = nn.ParameterDict({name: nn.Parameter(start.clone()) for name in self.model.weights()})

    def adapt(self, past: Rows, known: Tensor) -> Weights:
        """The weights after each of B windows, (B, ...); differentiable in theta and alpha where gradients are enabled.

        The window's error is the sum over the transitions that are ``known`` (B, M), divided by M: one that is half
        full moves half as far, an empty one not at all. past (B, M, ...).
        """
        # theta, once for every window: each will move by itself.
        weights = {name: weight.expand(len(known), -1, -1) for name, weight in self.model.weights().items()}
        if self.form != "gradient":
            return weights

        # The gradient of each window's own error. Where nobody will differentiate the result (while
        # acting), theta is cut off and no graph of the step is kept.
        differentiable = torch.is_grad_enabled()
        with torch.enable_grad():
            if not differentiable:
                weights = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
            window_error = (self.model.errors(past, weights) * known).sum() / known.shape[1]
            gradients = torch.autograd.grad(window_error, list(weights.values()), create_graph=differentiable)

        # theta' = theta - alpha gradient, with an alpha for each weight matrix and bias.
        adapted: Weights = {}
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            alpha = self.log_steps[name].exp()
            adapted[name] = weight - alpha * gradient
        return adapted

    def read(self, newest: Rows, latent: Tensor) -> Tensor:
        """The GRU's state (B, Z) after one more transition, rows (B, ...); other forms have none to change."""
        if self.form != "recurrent":
            return latent
        after, _ = self.core.step(self.model.normalised(newest), (latent,))
        return after

    def imagine(self, past: Rows, known: Tensor, latent: Tensor) -> Model:
        """A model to plan with (``ops.mpc``), adapted to B windows or to the GRU's states (B, Z)."""
        context = latent.unsqueeze(1) if self.form == "recurrent" else None
        return self.model.imagine(self.adapt(past, known), context)

    def windows(self, rows: Rows, past: int, future: int, generator: torch.Generator) -> Windows:
        """What meta-training reads of each row of a replay buffer: a window and its future.

        The GRU reads whole episodes, which are then past and future at once.
        """
        horizon = self.spec.horizon
        if self.form != "recurrent":
            return windows(rows, horizon, past, future, generator)
        whole = windows(rows, horizon, 1, horizon, generator)  # a future of a whole episode starts at its first step
        return whole._replace(past=whole.future, known=whole.live)

    def error(self, cut: Windows, adapted: bool = True) -> Tensor:
        """Mean error on what came after each window, of the model that adapted to it, or of the model as it is.

        Recurrent: mean over the steps of the episode, each predicted from the state before it.
        """
        future = cut.future
        if self.form == "recurrent":
            context = self._states_before(cut.past)
            if not adapted:
                context = torch.zeros_like(context)  # as if the GRU had read nothing
            future = future | {"context": context}
        known = cut.known if adapted else torch.zeros_like(cut.known)  # an empty window moves no weight
        errors = self.model.errors(future, self.adapt(cut.past, known))  # (B, F)
        return (errors * cut.live).sum() / cut.live.sum().clamp_min(1)

    def _states_before(self, episode: Rows) -> Tensor:
        """The GRU's state before each step of B episodes, (B, H, Z): nothing, then what has read the steps up to it."""
        transitions = self.model.normalised(episode).transpose(0, 1)  # (H, B, I)
        (nothing,) = self.core.initial(transitions.shape[1])  # (B, Z)
        after, _ = self.core.unroll(transitions, (nothing,))  # (H, B, Z)
        before = torch.cat((nothing.unsqueeze(0), after[:-1]))
        return before.transpose(0, 1)
