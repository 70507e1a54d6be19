"""Chapter 00: its two games, and how they are played. One hides a message, the other is all luck.

Both are bandits of the package. Here they have rules that a page can show, one game at a time (`Game`, `Player`), and a
way to play thousands at once (`play_many`). T games, A machines, H pulls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.exact.bernoulli_bandit import index_policy_value
from metarl_lab.ops.sampling import random_argmax
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import seeded_generator
from metarl_lab.runs.files import find_folder
from metarl_lab.tasks.informative_bandit import InformativeTasks
from metarl_lab.types import Agent, Seen


class Deal(NamedTuple):
    """T games of either kind, and the luck that all players share.

    The n-th pull of machine i pays `high` if coins[:, i, n] < chance[:, i], else 0.
    """

    chance: Tensor  # (T, A)
    high: Tensor  # (T, A)
    coins: Tensor  # (T, A, H), uniform

    def pay(self, machine: Tensor, nth: Tensor) -> Tensor:
        """What the machines pay, (T,): machine (T,) int64, nth (T,) how often each was pulled before."""
        game = torch.arange(len(machine))
        lucky = self.coins[game, machine, nth] < self.chance[game, machine]
        return torch.where(lucky, self.high[game, machine], torch.zeros(len(machine)))


@dataclass(frozen=True)
class Rules:
    """One of the two games: its machines, how it is dealt, and what a reader is told of it."""

    family: Any
    names: tuple[str, ...]  # what is written on the machines
    said: str  # the rules, in a sentence

    @property
    def pulls(self) -> int:
        """H, pulls in one game."""
        return self.family.horizon

    def deal(self, games: int, generator: torch.Generator, split: str = "test") -> Deal:
        """Deal `games` games with hidden contents of their own."""
        tasks = self.family.sample_tasks(games, split, generator)
        machines = len(self.names)
        coins = torch.rand(games, machines, self.pulls, generator=generator)
        if isinstance(tasks, InformativeTasks):
            return Deal(torch.ones(games, machines), jackpot_pay(tasks, machines), coins)
        return Deal(tasks.mean, torch.ones(games, machines), coins)


def jackpot_pay(tasks: InformativeTasks, machines: int) -> Tensor:
    """What each machine pays for certain, (T, A): 1, the jackpot 5, the last one a tenth of a number."""
    pay = torch.ones(len(tasks.target), machines)
    pay.scatter_(1, tasks.target.unsqueeze(1), 5.0)
    pay[:, -1] = tasks.told
    return pay


def jackpot_rules() -> Rules:
    """Eleven machines, one of which pays 5, and one of which is odd."""
    family: Any = ml.make_family("informative_bandit")
    names = (*(str(n) for n in range(1, family.arms)), "?")
    return Rules(family, names, "Ten machines have numbers, one has a question mark. You have five pulls.")


def coin_rules() -> Rules:
    """Five machines that pay 1 or 0, each with a probability of its own."""
    family = ml.make_family("bernoulli_bandit", arms=5, horizon=10)
    return Rules(family, tuple("ABCDE"), "Each machine pays 1 or 0, with a probability of its own. You have ten pulls.")


# One game at a time: what the page shows.


@dataclass
class Game:
    """One game on the table: `pull` a machine by its name and see what it pays."""

    rules: Rules
    deal: Deal

    def __post_init__(self) -> None:
        self.times = [0] * len(self.rules.names)

    def pull(self, name: str) -> float:
        """Pull the machine of that name; returns what it pays."""
        if name not in self.rules.names:
            raise ValueError(f"no machine is called {name!r}; there are {', '.join(self.rules.names)}")
        machine = self.rules.names.index(name)
        paid = self.deal.pay(torch.tensor([machine]), torch.tensor([self.times[machine]]))
        self.times[machine] += 1
        return round(float(paid), 2)


def jackpot_game(jackpot: int) -> Game:
    """The game with the question mark whose jackpot is this machine, 1 to 10."""
    rules = jackpot_rules()
    target = torch.tensor([jackpot - 1])
    pay = jackpot_pay(InformativeTasks(target, (target + 1) / 10), len(rules.names))
    return Game(rules, Deal(torch.ones_like(pay), pay, torch.zeros(*pay.shape, rules.pulls)))


class Player:
    """An agent that plays one game: what it knows is in its memory, and nowhere else."""

    def __init__(self, agent: Agent, rules: Rules, seed: int = 0) -> None:
        self.agent, self.rules, self.generator = agent, rules, seeded_generator("cpu", seed, 1)

    def begin(self) -> Any:
        """The memory before the first pull."""
        return self.agent.begin(1, 1)

    @torch.no_grad()
    def act(self, memory: Any, machine: str | None, paid: float, pull: int) -> tuple[str, Any]:
        """Choose a machine from the memory and the last pull (None before the first); also the new memory."""
        last = -1 if machine is None else self.rules.names.index(machine)
        seen = Seen(
            torch.ones(1, 1, 1), torch.tensor([[last]]), torch.tensor([[paid]]), torch.tensor([[pull == 0]]), pull
        )
        noise = torch.rand(1, 1, self.agent.noise_size, generator=self.generator)
        action, memory = self.agent.act(memory, seen, noise)
        return self.rules.names[int(action)], memory


def as_numbers(memory: Any) -> Tensor:
    """A memory's first tensor, flat."""
    return (memory if torch.is_tensor(memory) else memory[0]).flatten()


# Thousands of games at once.


@torch.no_grad()
def play_many(agent: Agent, rules: Rules, games: Deal, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Play every game once; returns the machines pulled and what they paid, both (T, H)."""
    count = len(games.chance)
    memory = agent.begin(count, 1)
    action, reward = torch.full((count, 1), -1), torch.zeros(count, 1)
    times = torch.zeros(games.chance.shape, dtype=torch.int64)
    dice = torch.rand(count, 1, rules.pulls, agent.noise_size, generator=generator)
    nothing, pulls, rewards = torch.ones(count, 1, 1), [], []  # a bandit shows nothing
    for h in range(rules.pulls):
        first = torch.full_like(action, h == 0, dtype=torch.bool)
        action, memory = agent.act(memory, Seen(nothing, action, reward, first, h), dice[:, :, h])
        nth = times.gather(1, action)
        reward = games.pay(action[:, 0], nth[:, 0]).unsqueeze(1)
        times.scatter_(1, action, nth + 1)
        pulls.append(action)
        rewards.append(reward)
    return torch.cat(pulls, 1), torch.cat(rewards, 1)


def regret_of(games: Deal, pulls: Tensor) -> Tensor:
    """Sum over pulls of the best machine's mean pay less that of the machine pulled; (T, H) -> (T,)."""
    mean = games.chance * games.high
    return (mean.max(1, keepdim=True).values - mean.gather(1, pulls)).sum(1)


class Tournament(NamedTuple):
    """What several players did on the same games."""

    table: pd.DataFrame  # a row a player: mean total, its interval, spread of totals, mean regret
    by_pull: pd.DataFrame  # columns learner, x (pull), mean, low, high: mean pay of the machine pulled
    totals: dict[str, np.ndarray]  # {player: (T,)}


def tournament(players: Mapping[str, Agent], rules: Rules, games: int, seed: int = 0) -> Tournament:
    """Let every player play the same games with the same luck, each with dice of its own."""
    dealt = rules.deal(games, seeded_generator("cpu", seed, 1))
    mean_pay = dealt.chance * dealt.high
    rows, curves, totals = [], [], {}
    for number, (name, agent) in enumerate(players.items(), 1):
        pulls, rewards = play_many(agent, rules, dealt, seeded_generator("cpu", seed, 2, number))
        totals[name] = rewards.sum(1).double().numpy()
        mean, low, high = (float(x) for x in mean_interval(totals[name]))
        regret = float(regret_of(dealt, pulls).mean())
        rows.append(
            {
                "player": name,
                "total": mean,
                "low": low,
                "high": high,
                "spread": totals[name].std(ddof=1),
                "regret": regret,
            }
        )
        band = mean_interval(mean_pay.gather(1, pulls).double().numpy())
        x = range(1, rules.pulls + 1)
        curves.append(pd.DataFrame({"learner": name, "x": x, "mean": band[0], "low": band[1], "high": band[2]}))
    return Tournament(pd.DataFrame(rows).set_index("player"), pd.concat(curves), totals)


@torch.no_grad()
def changed_world(agent: Agent, games: int = 20_000) -> pd.DataFrame:
    """What an agent does where the question mark names the machine *after* the jackpot, as it never did before.

    Returns a row for each jackpot, 1 to 10: `named` (the machine that the question mark names; after 10 comes 1),
    `total` of five pulls, and the shares of games in which it asks and then goes where it is told (`goes there`), pulls
    the same machine once more (`again`), and finds the jackpot at all (`finds it`).
    """
    rules = jackpot_rules()
    dealt = rules.deal(games, seeded_generator("cpu", 0, 1), split="ood")
    pulls, rewards = (x.numpy() for x in play_many(agent, rules, dealt, seeded_generator("cpu", 0, 2)))
    machines = len(rules.names) - 1  # those with a number; the last one is the question mark
    jackpot = dealt.high[:, :machines].argmax(1).numpy()
    named = (jackpot + 1) % machines
    each = pd.DataFrame(
        {
            "jackpot": jackpot + 1,
            "named": named + 1,
            "total": rewards.sum(1).astype(float),
            "goes there": (pulls[:, 0] == machines) & (pulls[:, 1] == named),
            "again": pulls[:, 2] == pulls[:, 1],
            "finds it": (rewards == 5).any(1),
        }
    )
    return each.groupby("jackpot").mean().astype({"named": int})


class ByItsOwnPay:
    """A classic rule for machines of any pay: the largest mean that a machine has paid, with UCB1's bonus times `c`.

    Nothing that one machine pays says anything about another. Memory: (T, E, A, 2), how often each was pulled and what
    it paid in all. `untried` is what a machine counts for before its first pull.
    """

    shares_memory, noise_size = False, 1

    def __init__(self, machines: int, c: float, untried: float) -> None:
        self.machines, self.c, self.untried = machines, c, untried

    def begin(self, n_tasks: int, copies: int) -> Tensor:
        return torch.zeros(n_tasks, copies, self.machines, 2)

    def act(self, memory: Tensor, seen: Seen, noise: Tensor) -> tuple[Tensor, Tensor]:
        here = torch.nn.functional.one_hot(seen.action.clamp_min(0), self.machines) * (seen.action >= 0).unsqueeze(-1)
        memory = memory + torch.stack((here.float(), here * seen.reward.unsqueeze(-1)), -1)
        times, paid = memory.unbind(-1)  # (T, E, A)
        log_pulls = times.sum(-1, keepdim=True).clamp_min(1).log()
        index = paid / times + self.c * (2 * log_pulls / times).sqrt()
        return random_argmax(torch.where(times > 0, index, self.untried), noise[..., 0]), memory


def classic_rules(rules: Rules) -> dict[str, ByItsOwnPay]:
    """Greedy (an untried machine counts one half) and UCB1 (each machine is tried once first), for any machines."""
    machines = len(rules.names)
    return {"greedy": ByItsOwnPay(machines, 0.0, 0.5), "ucb1": ByItsOwnPay(machines, 1.0, math.inf)}


def exact_totals() -> dict[str, float]:
    """Expected totals of the coin game that need no games: greedy, and UCB1 with a fifth of its bonus."""
    rules = coin_rules()
    machines, pulls = len(rules.names), rules.pulls

    def small_bonus(successes: np.ndarray, failures: np.ndarray, left: int) -> np.ndarray:
        n = successes + failures + 2
        bonus = np.sqrt(2 * np.log(max(pulls - left, 1)) / n)
        return ((successes + 1) / n + 0.2 * bonus).astype(np.float32)  # so that ties are ties

    greedy = index_policy_value(machines, pulls, lambda s, f, left: (s + 1) / (s + f + 2))
    return {"greedy": greedy, "UCB1, a fifth of the bonus": index_policy_value(machines, pulls, small_bonus)}


def paired(totals: Mapping[str, np.ndarray], one: str, other: str) -> tuple[float, float, float]:
    """Mean difference of two players on the same games, with its 95% interval: (mean, low, high)."""
    mean, low, high = (float(x) for x in mean_interval(totals[one] - totals[other]))
    return mean, low, high


def without_variety() -> pd.DataFrame:
    """Three RL2 networks that were trained as the stored one, but without its bonus for varied choices.

    A row a seed: mean `total` of 50,000 games, its interval (`low`, `high`), and in which share of games it `asks`.
    From data/results/00_entropy.csv; data/README.md has the command.
    """
    return pd.read_csv(find_folder("data/results") / "00_entropy.csv").drop(columns="entropy").set_index("seed")


def never_asking(pulls: int = 5, machines: int = 10) -> float:
    """Expected total of who tries one numbered machine after another until one pays 5, and stays there."""
    total = 0.0
    for found in range(1, pulls + 1):  # the jackpot is found with this pull, with chance 1 / machines
        total += ((found - 1) * 1 + (pulls - found + 1) * 5) / machines
    return total + (machines - pulls) / machines * pulls * 1


__all__ = [
    "ByItsOwnPay", "Deal", "Game", "Player", "Rules", "Tournament", "as_numbers", "changed_world", "classic_rules",
    "coin_rules", "exact_totals", "jackpot_game", "jackpot_rules", "never_asking", "paired", "play_many", "regret_of",
    "tournament", "without_variety",
]  # fmt: skip
