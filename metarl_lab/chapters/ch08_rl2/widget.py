"""Widget of chapter 08: pull the arms yourself, and watch the hidden state, the exact posterior and the next choice."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any, NamedTuple

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.figure import Figure
from scipy import stats

from metarl_lab.chapters.ch08_rl2.figures import played_trial
from metarl_lab.nets.base import encode_seen
from metarl_lab.ops.probe import Probe
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.bernoulli_bandit import BernoulliBandit
from metarl_lab.teach.base import fix_ids, show
from metarl_lab.teach.figures import encode_png, image_tag
from metarl_lab.types import Seen

Pull = tuple[int, int]  # the arm, and whether it paid
SAMPLE: tuple[Pull, ...] = ((0, 1), (0, 0), (1, 1), (1, 1))  # the trial of the stored picture
POINTS = 81  # of a density


class View(NamedTuple):
    """What the picture of one moment needs."""

    density: np.ndarray  # (2, POINTS) exact posterior of each arm
    mean: np.ndarray  # (2,) its mean
    reading: np.ndarray  # (2,) what the probe reads off the hidden state for it
    hidden: np.ndarray  # (units, 10), in the order shown; NaN for moments that have not come
    chances: dict[str, float]  # {name of a player in the catalog: chance that it pulls arm A next}


class Players:
    """A trained recurrent agent, its probe, and three that hold the exact posterior, on a bandit with two arms.

    Parameters
    ----------
    agent : a trained `rl2` with a GRU.
    probe : reads the two posterior means off its hidden state.
    indices : {name of a reference: the reference} that choose by the counts, such as Gittins and Bayes-optimal play.
    order : (units,) in which the hidden units are shown, the topmost first; as they are when not given.
    """

    def __init__(
        self,
        agent: Any,
        family: BernoulliBandit,
        probe: Probe,
        indices: dict[str, Any],
        order: np.ndarray | None = None,
    ) -> None:
        if family.arms != 2:
            raise ValueError(f"Players draws two arms, and the family has {family.arms}; give arms=2")
        self.agent, self.family, self.probe, self.indices = agent, family, probe, dict(indices)
        self.order = np.arange(len(probe.weight)) if order is None else order

    @torch.no_grad()
    def view(self, pulls: list[Pull]) -> View:
        """Everything after these pulls: at most horizon - 1 of them, so that there is a next choice."""
        core, states = self.agent.net.core, []
        state = core.initial(1)
        for step, (arm, paid) in enumerate([(-1, 0), *pulls]):
            out, state = core.step(encode_seen(self.agent.spec, seen(arm, paid, step))[0], state)
            states.append(out[0])
        counts = np.zeros((2, 2))
        for arm, paid in pulls:
            counts[arm, 1 - paid] += 1
        belief = stats.beta(*(1 + counts.T[..., None]))
        hidden = np.full((len(states[0]), self.family.horizon), np.nan)
        hidden[:, : len(states)] = torch.stack(states, 1).numpy()[self.order]
        chances = {"rl2": float(self.agent.net.policy(states[-1]).softmax(-1)[0])}
        chances["thompson"] = first_is_larger(counts)
        chances |= {name: self._chance(reference, pulls) for name, reference in self.indices.items()}
        mean = (1 + counts[:, 0]) / (2 + counts.sum(1))
        return View(belief.pdf(np.linspace(0, 1, POINTS)), mean, self.probe.read(states[-1]).numpy(), hidden, chances)

    def _chance(self, reference: Any, pulls: list[Pull]) -> float:
        """Chance of arm A of a player that breaks ties by its noise: two ends of it show whether there is a tie."""
        first = []
        for noise in (0.01, 0.99):
            memory = reference.begin(1, 1)
            for step, (arm, paid) in enumerate([(-1, 0), *pulls]):
                action, memory = reference.act(memory, seen(arm, paid, step), torch.full((1, 1, 1), noise))
            first.append(float(action.item() == 0))
        return float(np.mean(first))


def seen(arm: int, paid: int, step: int) -> Seen:
    """What one trial shows: the last arm (-1 before the first pull), whether it paid, a constant observation."""
    return Seen(
        torch.ones(1, 1, 1), torch.tensor([[arm]]), torch.tensor([[float(paid)]]), torch.tensor([[step == 0]]), step
    )


def first_is_larger(counts: np.ndarray) -> float:
    """P(p_A > p_B) under independent posteriors Beta(1 + paid, 1 + failed): how often Thompson sampling pulls A."""
    (a, b), (c, d) = 1 + counts
    x = (np.arange(2000) + 0.5) / 2000
    return float(np.sum(stats.beta.pdf(x, a, b) * stats.beta.cdf(x, c, d)) / 2000)


class PullAndWatch:
    """Buttons that pull an arm of a hidden task, turn the last result round, take it back, or begin a new trial.

    Parameters
    ----------
    players : Players
    name : unique in the book; the widget's ids come from it.
    seed : which tasks are dealt; None deals new ones each time.

    Attributes
    ----------
    arms, flip, undo, new : the buttons; ``arms[0].click()`` drives it from a test. ``pulls``; ``picture`` (HTML).
    """

    def __init__(self, players: Players, name: str, seed: int | None = None) -> None:
        self.players, self.name = players, name
        self.most = players.family.horizon - 1
        self.seed, self.number = secrets.randbits(48) if seed is None else seed, 0
        layout = widgets.Layout(width="10.5em")
        texts = ("Pull arm A", "Pull arm B", "Turn last result", "Undo", "New trial")
        buttons = [widgets.Button(description=text, layout=layout) for text in texts]
        self.arms, (self.flip, self.undo, self.new) = buttons[:2], buttons[2:]
        for arm, button in enumerate(self.arms):
            button.on_click(partial(self._on_pull, arm))
        self.flip.on_click(lambda _: self._change([(self.pulls[-1][0], 1 - self.pulls[-1][1])]))
        self.undo.on_click(lambda _: self._change([]))
        self.new.on_click(lambda _: self.start())
        self._status, self._view = widgets.HTML(), widgets.HTML(layout=widgets.Layout(width="100%"))
        row = widgets.HBox(buttons, layout=widgets.Layout(flex_flow="row wrap"))
        self.widget: Any = widgets.VBox([row, self._status, self._view])
        self.start()
        fix_ids(self.widget, name)

    @property
    def picture(self) -> str:
        """HTML of what is on show."""
        return str(self._view.value)

    def start(self) -> None:
        """Begin a trial: another hidden task, nothing pulled."""
        self.number += 1
        generator = seeded_generator("cpu", self.seed, self.number)
        self.means = self.players.family.sample_tasks(1, "test", generator).mean[0]
        self.luck = torch.rand(self.players.family.horizon, generator=generator)
        self.pulls: list[Pull] = []
        self._refresh()

    def _on_pull(self, arm: int, _: Any = None) -> None:
        if len(self.pulls) < self.most:
            self.pulls.append((arm, int(self.luck[len(self.pulls)] < self.means[arm])))
            self._refresh()

    def _change(self, last: list[Pull]) -> None:
        """Put ``last`` in place of the last pull."""
        if self.pulls:
            self.pulls[-1:] = last
            self._refresh()

    def _refresh(self) -> None:
        said = (
            ", ".join(f"{'AB'[arm]} {'paid' if paid else 'failed'}" for arm, paid in self.pulls) or "nothing pulled yet"
        )
        full = len(self.pulls) == self.most
        end = f" One pull is left. It was {self.means[0]:.2f} (A), {self.means[1]:.2f} (B)." if full else ""
        self._status.value = f'<p role="status" aria-live="polite"><b>Trial {self.number}:</b> {said}.{end}</p>'
        for button in self.arms:
            button.disabled = full
        self.flip.disabled = self.undo.disabled = not self.pulls
        self._view.value = page(played_trial(self.players.view(self.pulls)), self.pulls)[0]

    def show(self) -> None:
        """Display it; without a kernel, the picture of a sample trial."""
        html, png = page(played_trial(self.players.view(list(SAMPLE))), list(SAMPLE))
        note = (
            "<p><em>A sample trial: A paid, A failed, B paid twice. To pull the arms, run this in JupyterLab.</em></p>"
        )
        show(self.widget, html + note, f"[pull and watch] Shown: {describe(list(SAMPLE))}", png)


def describe(pulls: list[Pull]) -> str:
    """Alt text without a trained number."""
    counts = [sum((a, p) == (arm, paid) for a, p in pulls) for arm in (0, 1) for paid in (1, 0)]
    return (
        f"Three panels after {len(pulls)} pulls, A paid {counts[0]} and failed {counts[1]}, B paid {counts[2]} "
        f"and failed {counts[3]}: exact posteriors with the probe's readings, "
        "the hidden state, and each player's next choice"
    )


def page(figure: Figure, pulls: list[Pull]) -> tuple[str, bytes]:
    """The picture as (HTML, PNG)."""
    png = encode_png(figure)
    return image_tag(png, describe(pulls), round(figure.get_size_inches()[0] * 100)), png
