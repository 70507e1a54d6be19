"""The reader's bandit game: buttons, hidden rivals on the same arms with the same luck, and a running score."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import ipywidgets as widgets
import torch
from torch import Tensor

from metarl_lab.chapters.ch00_welcome.figures import arm_name, board_html, game_board, probabilities_html, score_html
from metarl_lab.rollout import begin, seeded_generator
from metarl_lab.tasks.bernoulli_bandit import BanditTasks, BernoulliBandit
from metarl_lab.teach.base import fix_ids, show
from metarl_lab.teach.figures import encode_png, image_tag
from metarl_lab.types import Agent, Seen


class Deal(NamedTuple):
    """T games: hidden probabilities, and for every arm the coin of its first pull, its second, and so on."""

    means: Tensor  # (T, A)
    coins: Tensor  # (T, A, H), uniform: the n-th pull of arm i pays if coins[:, i, n] < means[:, i]


def deal(family: BernoulliBandit, games: int, generator: torch.Generator, split: str = "test") -> Deal:
    """Deal ``games`` games: arms from the family's split, and the luck that all players share."""
    means = family.sample_tasks(games, split, generator).mean
    return Deal(means, torch.rand(games, family.arms, family.horizon, generator=generator))


@torch.no_grad()
def play(agent: Agent, family: BernoulliBandit, games: Deal, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Play every game at once; returns the arms pulled and the rewards, both (T, H)."""
    means, coins = games
    memory, action, reward = begin(agent, family, BanditTasks(means))  # nothing seen yet
    task = torch.arange(len(means)).unsqueeze(1)  # (T, 1)
    times = torch.zeros_like(means, dtype=torch.int64)  # (T, A), how often each arm was pulled
    dice = torch.rand(len(means), 1, family.horizon, agent.noise_size, generator=generator)
    nothing, pulls, rewards = torch.ones(len(means), 1, 1), [], []  # a bandit shows nothing
    for h in range(family.horizon):
        first = torch.full_like(action, h == 0, dtype=torch.bool)
        seen = Seen(nothing, action, reward, first, h)
        action, memory = agent.act(memory, seen, dice[:, :, h])  # action (T, 1)
        nth = times.gather(1, action)
        reward = (coins[task, action, nth] < means.gather(1, action)).float()
        times.scatter_(1, action, nth + 1)
        pulls.append(action)
        rewards.append(reward)
    return torch.cat(pulls, 1), torch.cat(rewards, 1)


def regret_of(means: Tensor, pulls: Tensor) -> Tensor:
    """Regret of each game, sum_h (max_i p_i - p_{a_h}): means (T, A), pulls (T, H) -> (T,)."""
    return (means.max(1, keepdim=True).values - means.gather(1, pulls)).sum(1)


class BanditGame:
    """One game after another: the reader presses the arms' buttons, the rivals have played the same deal unseen.

    Parameters
    ----------
    family : BernoulliBandit
    rivals : {name: agent}
    name : the widget's fixed id, unique in the book.
    seed : which games are dealt; the same seed deals the same games. None deals new ones each time.
    stand_in : the agent that plays the reader's seat in the stored picture, for readers without a kernel.

    Attributes
    ----------
    arms, new : the buttons; ``arms[2].click()`` drives the game from a test. ``finished``. ``widget``: all of it.
    history : {player: [(pay-offs, regret) of each finished game]}, the reader first.
    """

    def __init__(
        self, family: BernoulliBandit, rivals: Mapping[str, Agent], stand_in: Agent, name: str, seed: int | None = None
    ) -> None:
        self.family, self.rivals, self.stand_in = family, dict(rivals), stand_in
        self.seed = secrets.randbits(48) if seed is None else seed
        self.history: dict[str, list[tuple[float, float]]] = {"you": [], **{rival: [] for rival in rivals}}
        self.number = 0
        layout = widgets.Layout(width="9.3em", height="3.2em")
        self.arms = [widgets.Button(layout=layout) for _ in range(family.arms)]
        for index, button in enumerate(self.arms):
            button.on_click(partial(self._on_pull, index))
        self.new = widgets.Button(description="New game", icon="refresh", layout=layout)
        self.new.on_click(lambda _: self.start(focus=True))
        self._status, self._board, self._hidden, self._score = (widgets.HTML() for _ in range(4))
        rows = [self._status], [*self.arms, self.new], [self._board], [self._hidden, self._score]
        boxes = [widgets.HBox(row, layout=widgets.Layout(flex_flow="row wrap")) for row in rows]
        self.widget: Any = widgets.VBox(boxes)
        self.start()
        fix_ids(self.widget, name)

    @property
    def finished(self) -> bool:
        """Whether all pulls of this game are made."""
        return len(self.pulls) == self.family.horizon

    def start(self, focus: bool = False) -> None:
        """Deal a new game; one that was not finished counts for nobody."""
        self.number += 1
        self.games = deal(self.family, 1, seeded_generator("cpu", self.seed, self.number))
        self.pulls: list[int] = []
        self.rewards: list[int] = []
        self._hidden.value = ""
        for button in self.arms:
            button.disabled = False
        self._refresh(f"Pull any arm. Each pays 1 or 0; you have {self.family.horizon} pulls.")
        if focus:
            self.arms[0].focus()

    def _on_pull(self, arm: int, _: Any = None) -> None:
        """Pull an arm for the reader."""
        if self.finished:
            return
        nth = self.pulls.count(arm)
        paid = int(self.games.coins[0, arm, nth] < self.games.means[0, arm])
        self.pulls.append(arm)
        self.rewards.append(paid)
        if self.finished:
            self._finish()
        else:
            left = self.family.horizon - len(self.pulls)
            word = f"Arm {arm_name(arm)} paid <b>{paid}</b>. You have {sum(self.rewards)} so far; "
            self._refresh(word + f"{left} pull{'s' * (left != 1)} left.")

    def _finish(self) -> None:
        """Show everything and count the game."""
        played = {"you": (self.pulls, self.rewards)} | play_rivals(
            self.family, self.rivals, self.games, self.seed, self.number
        )
        totals = score(self.games, played)
        for player, one in totals.items():
            self.history[player].append(one)
        for button in self.arms:
            button.disabled = True
        paid, regret = totals["you"]
        self._refresh(f"Game over: you have <b>{paid:.0f}</b>, with regret {regret:.2f}. Another one?")
        self._board.value = board_html(self.family.horizon, played, totals)
        self._hidden.value = probabilities_html(self.games.means[0].tolist())
        self._score.value = score_html(self.history)
        self.new.focus()

    def _refresh(self, message: str) -> None:
        """Status line, buttons and the reader's own pulls."""
        self._status.value = f'<p role="status" aria-live="polite"><b>Game {self.number}.</b> {message}</p>'
        for index, button in enumerate(self.arms):
            paid = [r for a, r in zip(self.pulls, self.rewards, strict=True) if a == index]
            button.description = f"Arm {arm_name(index)}" + (f": {sum(paid)} of {len(paid)}" if paid else "")
            button.tooltip = f"Pull arm {arm_name(index)}; so far it paid {sum(paid)} times in {len(paid)} pulls"
        rivals: dict[str, tuple[list[int], list[int]]] = {rival: ([], []) for rival in self.rivals}
        self._board.value = board_html(self.family.horizon, {"you": (self.pulls, self.rewards)} | rivals, {})

    def show(self) -> None:
        """Display the game; without a kernel, the picture of a finished sample game."""
        games = deal(self.family, 1, seeded_generator("cpu", SAMPLE))
        seats = {"you (here greedy)": self.stand_in, **self.rivals}
        played = play_rivals(self.family, seats, games, SAMPLE)
        page, png = picture(games, played, score(games, played))
        note = "<p><em>A finished sample game; a greedy player has your seat. To play, run this in JupyterLab.</em></p>"
        plain = f"[game] {self.family.arms} arms, {self.family.horizon} pulls, against {', '.join(self.rivals)}."
        show(self.widget, page + note, f"{plain} Shown: a finished sample game.", png)


SAMPLE = 4  # the deal of the stored picture


def play_rivals(
    family: BernoulliBandit, rivals: Mapping[str, Agent], games: Deal, *seed: int
) -> dict[str, tuple[list[int], list[int]]]:
    """{name: (pulls, rewards)} of one game, each agent with dice of its own."""
    played = {}
    for number, (name, agent) in enumerate(rivals.items(), 1):
        pulls, rewards = play(agent, family, games, seeded_generator("cpu", *seed, number, 1))
        played[name] = ([int(a) for a in pulls[0]], [int(r) for r in rewards[0]])
    return played


def score(games: Deal, played: Mapping[str, tuple[list[int], list[int]]]) -> dict[str, tuple[float, float]]:
    """{name: (pay-offs, regret)} of one game."""
    return {
        name: (float(sum(rewards)), float(regret_of(games.means, torch.tensor([pulls]))[0]))
        for name, (pulls, rewards) in played.items()
    }


def picture(games: Deal, played: Mapping[str, Any], totals: Mapping[str, tuple[float, float]]) -> tuple[str, bytes]:
    """(html, png) of a finished game; its alt text holds what the picture shows."""
    means = games.means[0].tolist()
    arms = ", ".join(f"{arm_name(i)} {mean:.2f}" for i, mean in enumerate(means))
    each = "; ".join(
        f"{name} pulled {' '.join(map(arm_name, pulls))}, {totals[name][0]:.0f} paid, regret {totals[name][1]:.2f}"
        for name, (pulls, _) in played.items()
    )
    figure = game_board(means, played, totals)
    png = encode_png(figure)
    alt = f"Finished game. Hidden probabilities of paying: {arms}. {each}."
    return image_tag(png, alt, round(figure.get_size_inches()[0] * 100)), png
