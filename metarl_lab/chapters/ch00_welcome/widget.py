"""Chapter 00: its games, to be played. Buttons, hidden rivals on the same machines, a running score."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

import ipywidgets as widgets
import torch

from metarl_lab.chapters.ch00_welcome.figures import board, board_html, hidden_html, paid_word, score_html
from metarl_lab.chapters.ch00_welcome.games import Deal, Rules, play_many
from metarl_lab.rollout import seeded_generator
from metarl_lab.teach.base import fix_ids, show
from metarl_lab.teach.figures import encode_png, image_tag
from metarl_lab.types import Agent

SAMPLE = 4  # the deal of the stored picture
HIDDEN = "mean pay of each machine"


class ArmGame:
    """One game after another: the reader presses the machines' buttons, the rivals have played the same deal unseen.

    Parameters
    ----------
    rules : the game.
    rivals : {name: agent}
    name : the widget's fixed id, unique in the book.
    seed : which games are dealt; the same seed deals the same games. None deals new ones each time.
    stand_in : (name, agent) of who plays the reader's seat in the stored picture, for readers without a kernel.
    reveal : whether a finished game shows what was hidden and what the rivals did.

    Attributes
    ----------
    arms, new : the buttons; ``arms[2].click()`` drives the game from a test. ``finished``. ``widget``: all of it.
    history : {player: [total of each finished game]}, the reader first.
    """

    def __init__(
        self, rules: Rules, rivals: Mapping[str, Agent], stand_in: tuple[str, Agent], name: str, seed: int | None = None
    ) -> None:
        self.rules, self.rivals, self.stand_in = rules, dict(rivals), stand_in
        self.seed = secrets.randbits(48) if seed is None else seed
        self.history: dict[str, list[float]] = {"you": [], **{rival: [] for rival in rivals}}
        self.number = 0
        layout = widgets.Layout(width="8.6em", height="3.0em")
        self.arms = [widgets.Button(layout=layout) for _ in rules.names]
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
        return len(self.pulls) == self.rules.pulls

    def start(self, focus: bool = False) -> None:
        """Deal a new game; one that was not finished counts for nobody."""
        self.number += 1
        self.deal = self.rules.deal(1, seeded_generator("cpu", self.seed, self.number))
        self.pulls: list[int] = []
        self.pay: list[float] = []
        self._hidden.value = ""
        for button in self.arms:
            button.disabled = False
        self._refresh(self.rules.said)
        if focus:
            self.arms[0].focus()

    def _on_pull(self, machine: int, _: Any = None) -> None:
        """Pull a machine for the reader."""
        if self.finished:
            return
        nth = self.pulls.count(machine)
        paid = float(self.deal.pay(torch.tensor([machine]), torch.tensor([nth])))
        self.pulls.append(machine)
        self.pay.append(paid)
        if self.finished:
            self._finish()
        else:
            left = self.rules.pulls - len(self.pulls)
            word = f"Machine {self.rules.names[machine]} paid <b>{paid_word(paid)}</b>. "
            self._refresh(word + f"You have {paid_word(sum(self.pay))} so far; {left} pull{'s' * (left != 1)} left.")

    def _finish(self) -> None:
        """Show everything and count the game."""
        played = {"you": (self.pulls, self.pay)} | play_rivals(
            self.rules, self.rivals, self.deal, self.seed, self.number
        )
        for player, (_, pay) in played.items():
            self.history[player].append(float(sum(pay)))
        for button in self.arms:
            button.disabled = True
        self._refresh(f"Game over: you have <b>{paid_word(sum(self.pay))}</b>. Another one?")
        names = self.rules.names
        self._board.value = board_html(names, self.rules.pulls, played, ends(played), most(self.deal))
        self._hidden.value = hidden_html(names, hidden(self.deal), HIDDEN)
        self._score.value = score_html(self.history)
        self.new.focus()

    def _refresh(self, message: str) -> None:
        """Status line, buttons and the reader's own pulls."""
        self._status.value = f'<p role="status" aria-live="polite"><b>Game {self.number}.</b> {message}</p>'
        for index, (button, name) in enumerate(zip(self.arms, self.rules.names, strict=True)):
            paid = [p for machine, p in zip(self.pulls, self.pay, strict=True) if machine == index]
            button.description = f"{name}" + (f": {paid_word(sum(paid))} of {len(paid)}" if paid else "")
            button.tooltip = f"Pull machine {name}; so far it paid {paid_word(sum(paid))} in {len(paid)} pulls"
        rivals: dict[str, tuple[list[int], list[float]]] = {rival: ([], []) for rival in self.rivals}
        played = {"you": (self.pulls, self.pay)} | rivals
        self._board.value = board_html(self.rules.names, self.rules.pulls, played, {}, most(self.deal))

    def show(self) -> None:
        """Display the game; without a kernel, the picture of a finished sample game."""
        deal = self.rules.deal(1, seeded_generator("cpu", SAMPLE))
        seat, agent = self.stand_in
        seats = {f"you (here: {seat})": agent, **self.rivals}
        played = play_rivals(self.rules, seats, deal, SAMPLE)
        page, png = picture(self.rules, deal, played)
        note = f"<p><em>A finished sample game; {seat} has your seat. To play, run this in JupyterLab.</em></p>"
        plain = f"[game] {len(self.rules.names)} machines, {self.rules.pulls} pulls, against {', '.join(self.rivals)}."
        show(self.widget, page + note, f"{plain} Shown: a finished sample game.", png)


def hidden(deal: Deal) -> Any:
    """Mean pay of every machine of the first game, (A,)."""
    return (deal.chance * deal.high)[0].numpy()


def most(deal: Deal) -> float:
    """The highest pay there is."""
    return float(deal.high.max())


def ends(played: Mapping[str, Any]) -> dict[str, str]:
    """{player: what is written behind the pulls}."""
    return {name: f"{paid_word(sum(pay))} in all" for name, (_, pay) in played.items()}


def play_rivals(
    rules: Rules, rivals: Mapping[str, Agent], deal: Deal, *seed: int
) -> dict[str, tuple[list[int], list[float]]]:
    """{name: (machines, pay)} of one game, each agent with dice of its own."""
    played = {}
    for number, (name, agent) in enumerate(rivals.items(), 1):
        pulls, pay = play_many(agent, rules, deal, seeded_generator("cpu", *seed, number, 1))
        played[name] = ([int(machine) for machine in pulls[0]], [float(paid) for paid in pay[0]])
    return played


def picture(rules: Rules, deal: Deal, played: Mapping[str, Any]) -> tuple[str, bytes]:
    """(html, png) of a finished game; its alt text holds what the picture shows."""
    pays = ", ".join(f"{name} {mean:.2f}" for name, mean in zip(rules.names, hidden(deal)))
    each = "; ".join(
        f"{name} pulled {' '.join(rules.names[m] for m in machines)}, {paid_word(sum(pay))} in all"
        for name, (machines, pay) in played.items()
    )
    figure = board(rules.names, hidden(deal), HIDDEN, played, ends(played), most(deal))
    png = encode_png(figure)
    alt = f"Finished game. Mean pay of the machines: {pays}. {each}."
    return image_tag(png, alt, round(figure.get_size_inches()[0] * 100)), png
