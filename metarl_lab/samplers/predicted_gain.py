"""Predicted gain: a model of how well the learner will do on a task, before and after adaptation, chooses the tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.nets.gain_model import GainModel, Prediction
from metarl_lab.ops.optimizer_state import load_optimizer_slots, optimizer_slots
from metarl_lab.samplers.base import TaskSampler, check_scores, draw, features, rebuild
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import leaves

_SIGNALS = ("gain", "progress", "doubt")


@dataclass(frozen=True)
class PredictedGainConfig:
    """What can be chosen."""

    signal: str = "gain"
    """What a task is chosen for: "gain", the predicted return after adaptation minus before it; "progress", how far the
    prediction after adaptation has moved, up or down, over the window; "doubt", the ensemble's disagreement."""
    bonus: float = 1.0
    """Added to the signal, in standard deviations of the ensemble's disagreement: an upper confidence bound."""
    temperature: float = 0.5
    """Of the softmax over candidates, in standard deviations of the signal over them; 0 takes the very best."""
    explore: float = 0.2
    """Share of the choice that is uniform over the candidates, 0 to 1."""
    pool: int = 256
    """Candidates: fresh training tasks that every iteration chooses from, at least the meta-batch."""
    window: int = 600
    """Scores that the model is fitted to: the last so many tasks. Older ones say what the learner once was."""
    start: int = 48
    """Scores before the first choice; until then tasks are drawn uniformly."""
    members: int = 5
    """Networks in the ensemble."""
    hidden: int = 32
    """Units of each of their two layers."""
    fit_steps: int = 20
    """Gradient steps of the ensemble per iteration, each on the whole window."""
    learning_rate: float = 5e-3
    """Adam's step size."""


class PredictedGain(TaskSampler):
    """The outer model learns to predict the inner model's performance on a task, and picks what will improve it most.

    q(i) = (1 - explore) softmax(u_i / temperature) + explore / N over N candidates drawn from p(task), where u is the
    signal plus ``bonus`` times the ensemble's disagreement. A meta-batch is drawn from q without replacement. With it
    the learner no longer maximises E_p[R] but E_q[R]: what is gained where tasks are wasted can be lost where p(task)
    is what counts.

    A learner that reports one score a task (B = 1) has no gain: choose "progress" for it.
    """

    name: ClassVar[str] = "predicted_gain"
    source: ClassVar[str] = (
        "learning progress: Graves et al. 2017, arXiv 1704.03003; Portelas et al. 2019, 1910.07224; "
        "ensemble: Lakshminarayanan et al. 2017, 1612.01474"
    )
    Config = PredictedGainConfig
    model: GainModel | None  # made when the first tasks say how many features there are
    _iteration: Tensor
    _heard: dict[str, Tensor]  # x features (N, F), y (before, gain) (N, 2), played (N,)

    def __init__(self, config: PredictedGainConfig) -> None:
        super().__init__(config)
        check_positive(
            self.name,
            temperature=config.temperature,
            pool=config.pool,
            window=config.window,
            start=config.start,
            members=config.members,
            hidden=config.hidden,
            fit_steps=config.fit_steps,
            learning_rate=config.learning_rate,
        )
        if not 0 <= config.explore <= 1:
            raise ValueError(f"{self.name}: explore={config.explore!r} is not allowed; give 0 to 1")
        if config.signal not in _SIGNALS:
            raise ValueError(f"{self.name}: signal {config.signal!r}; choose one of {', '.join(_SIGNALS)}")
        self._forget()

    def sample(self, family: TaskFamily, n: int, generator: torch.Generator) -> Tasks:
        candidates = family.sample_tasks(max(self.config.pool, n), "train", generator)
        if self.model is None:
            self.model = self._make(features(candidates), generator)
        self._to(generator.device)
        if len(self._heard.get("x", ())) < self.config.start:
            return rebuild(candidates, [x[:n] for x in leaves(candidates)])
        chosen = draw(self.probabilities(candidates), n, generator)
        return rebuild(candidates, [x[chosen] for x in leaves(candidates)])

    def observe(self, tasks: Tasks, scores: Tensor) -> None:
        check_scores(self.name, scores)
        if self.model is None:
            raise ValueError(f"{self.name}: observe was called before sample; it hears of tasks that it chose")
        self._iteration = self._iteration + 1
        before, after = scores[:, 0].detach(), scores[:, -1].detach()
        news = {
            "x": features(tasks),
            "y": torch.stack((before, after - before), 1),
            "played": self._iteration.to(scores.device).expand(len(scores)),
        }
        if self._heard:
            news = {key: torch.cat((self._heard[key], x)) for key, x in news.items()}
        # a copy: the rows that fell out of the window are let go, and no view of what was handed in is kept
        self._heard = {key: x[-self.config.window :].clone() for key, x in news.items()}
        if len(self._heard["x"]) > 1:
            self._fit(self.model)

    def predict(self, tasks: Tasks) -> Prediction:
        """What the learner, as it is now, is expected to score on these tasks; ValueError before the first scores."""
        if self.model is None or not self._heard:
            raise ValueError(f"{self.name} has heard of no task yet; train first, or observe some scores")
        return self.model.predict(features(tasks))

    def probabilities(self, candidates: Tasks) -> Tensor:
        """q of each of N candidates, (N,); N q is the density of the tasks trained on, relative to p(task)."""
        config, now = self.config, self.predict(candidates)
        wanted = self._signal(candidates, now) + config.bonus * now.doubt
        logits = wanted / (config.temperature * wanted.std(correction=0).clamp_min(1e-8))
        chosen = torch.softmax(logits.double(), 0)
        return (1 - config.explore) * chosen + config.explore / len(logits)

    def _signal(self, candidates: Tasks, now: Prediction) -> Tensor:
        """What a candidate is chosen for, (N,): u of the class, before the bonus."""
        if self.config.signal == "gain":
            return now.gain
        if self.config.signal == "doubt":
            return now.doubt
        # "progress": how far the prediction has moved since the start of the window
        assert self.model is not None
        at_window_start = self.model.predict(features(candidates), age=-1.0)
        return (now.after - at_window_start.after).abs()

    def state(self) -> dict[str, Tensor]:
        if self.model is None:
            return {}
        weights = {f"model.{key}": x for key, x in self.model.state_dict().items()}
        return {"iteration": self._iteration} | self._heard | weights | optimizer_slots(self._optimizer, "adam")

    def load_state(self, state: dict[str, Tensor]) -> None:
        self._forget()
        if not state:
            return
        self._iteration = state["iteration"].clone()
        self._heard = {key: state[key].clone() for key in ("x", "y", "played") if key in state}
        weights = {key.removeprefix("model."): x for key, x in state.items() if key.startswith("model.")}
        n_features = len(weights["centre"])
        self.model = self._make(torch.zeros(2, n_features), torch.Generator())
        self.model.load_state_dict(weights)
        load_optimizer_slots(self._optimizer, "adam", state)

    def _forget(self) -> None:
        self._iteration = torch.zeros((), dtype=torch.int64)
        self._heard, self.model = {}, None

    def _make(self, x: Tensor, generator: torch.Generator) -> GainModel:
        """An untrained model of tasks like x (N, F), its weights fixed by the generator."""
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # CPU only: weights are made there and moved
            model = GainModel(x.shape[1], self.config.members, self.config.hidden)
        model.standardise_features(x.cpu())
        self._optimizer = torch.optim.Adam(model.parameters(), lr=self.config.learning_rate)
        return model

    def _fit(self, model: GainModel) -> None:
        """Some gradient steps on the window, from where the last fit stopped."""
        x, y, played = (self._heard[key] for key in ("x", "y", "played"))
        age = (played - played[-1]) / (played[-1] - played[0]).clamp_min(1)  # -1..0
        model.standardise_scores(y)
        for _ in range(self.config.fit_steps):
            self._optimizer.zero_grad()
            model.loss(x, age, y).backward()
            self._optimizer.step()

    def _to(self, device: torch.device) -> None:
        """Model, optimiser and window to where the tasks are."""
        if self.model is not None and self.model.centre.device != device:
            self.model.to(device)
            self._optimizer.load_state_dict(self._optimizer.state_dict())  # moves its state along
            self._heard = {key: x.to(device) for key, x in self._heard.items()}
