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
            start = torch.tensor(inner_step).log()
            self.log_steps = nn.ParameterDict({k: nn.Parameter(start.clone()) for k in self.model.weights()})

    def adapt(self, past: Rows, known: Tensor) -> Weights:
        """The weights after each of B windows, (B, ...); differentiable in theta and alpha where gradients are enabled.

        The window's error is the sum over the transitions that are ``known`` (B, M), divided by M: one that is half
        full moves half as far, an empty one not at all. past (B, M, ...).
        """
        weights = {k: w.expand(len(known), -1, -1) for k, w in self.model.weights().items()}
        if self.form != "gradient":
            return weights
        differentiable = torch.is_grad_enabled()
        with torch.enable_grad():
            if not differentiable:
                weights = {k: w.detach().requires_grad_() for k, w in weights.items()}
            loss = (self.model.errors(past, weights) * known).sum() / known.shape[1]
            gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=differentiable)
        sizes = (self.log_steps[k].exp() for k in weights)
        return {k: w - size * g for (k, w), size, g in zip(weights.items(), sizes, gradients, strict=True)}

    def read(self, newest: Rows, latent: Tensor) -> Tensor:
        """The GRU's state (B, Z) after one more transition, rows (B, ...); other forms have none to change."""
        return self.core.step(self.model.normalised(newest), (latent,))[0] if self.form == "recurrent" else latent

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
        whole = windows(rows, horizon, 1, horizon, generator)
        return whole._replace(past=whole.future, known=whole.live)

    def error(self, w: Windows, adapted: bool = True) -> Tensor:
        """Mean error on what came after each window, of the model that adapted to it, or of the model as it is.

        Recurrent: mean over the steps of the episode, each predicted from the state before it.
        """
        rows, known = w.future, w.known if adapted else torch.zeros_like(w.known)
        if self.form == "recurrent":
            x = self.model.normalised(w.past).transpose(0, 1)
            (nothing,) = self.core.initial(x.shape[1])
            after = self.core.unroll(x, (nothing,))[0]
            context = torch.cat((nothing.unsqueeze(0), after[:-1])).transpose(0, 1)
            rows = rows | {"context": context if adapted else torch.zeros_like(context)}
        errors = self.model.errors(rows, self.adapt(w.past, known))
        return (errors * w.live).sum() / w.live.sum().clamp_min(1)
