"""The two-step task's exact play against another dynamic programme, and the analysis of stay probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.exact.correlated_bandit import bayes_value as correlated_value
from metarl_lab.exact.two_step import bayes_value, filter_step, no_belief
from metarl_lab.ops.two_step import COMMON, RARE, REWARDED, UNREWARDED, Stay, reached, stay_probabilities
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.types import Agent, Episodes, Memory, Seen

PUBLISHED = {"common": 0.8, "pays": 0.9, "reversal": 0.025}


def backward(horizon: int, common: float, pays: float, reversal: float, nodes: int = 4001) -> float:
    """Another program: backward induction on a grid of P(G = 1), with the true likelihoods and both actions tried."""
    b = np.linspace(0, 1, nodes)
    value = np.zeros(nodes)
    for _ in range(horizon):
        q = []
        for action in (0, 1):
            total = np.zeros(nodes)
            for second in (0, 1):
                chance = common if second == action else 1 - common
                for reward in (0, 1):
                    p1, p0 = ((pays if second == good else 1 - pays) for good in (1, 0))
                    like1, like0 = (p if reward else 1 - p for p in (p1, p0))
                    seen = b * like1 + (1 - b) * like0
                    after = b * like1 / seen
                    after = after * (1 - reversal) + (1 - after) * reversal
                    total += chance * seen * (reward + np.interp(after, b, value))
            q.append(total)
        value = np.maximum(*q)
    return float(value[nodes // 2])


def play_all(horizon: int, common: float, pays: float, reversal: float) -> tuple[float, np.ndarray]:
    """Expected return and stay probabilities, by acting out the filter's choice over every history; no ties broken."""
    q = [1 - pays, pays]
    stayed, chance = np.zeros((2, 2)), np.zeros((2, 2))

    def go(b: float, last: tuple[int, int, int] | None, weight: float, left: int) -> float:
        if left == 0:
            return 0.0
        total = 0.0
        best = [0.5, 0.5] if abs(b - 0.5) < 1e-9 else [float(b < 0.5), float(b > 0.5)]
        for action in (0, 1):
            if last is not None:
                stayed[last[1], last[2]] += weight * best[action] * (action == last[0])
                chance[last[1], last[2]] += weight * best[action]
            for second in (0, 1):
                for reward in (0, 1):
                    p1, p0 = q[second == 1], q[second == 0]
                    like1, like0 = (p1, p0) if reward else (1 - p1, 1 - p0)
                    w = best[action] * (common if second == action else 1 - common) * (b * like1 + (1 - b) * like0)
                    if w > 0:
                        after = b * like1 / (b * like1 + (1 - b) * like0)
                        after = after * (1 - reversal) + (1 - after) * reversal
                        seen = (action, reward, int(second == action))
                        total += w * reward + w * go(after, seen, weight * w, left - 1)
        return total

    value = go(0.5, None, 1.0, horizon)
    return value, stayed / chance


def test_the_published_figures() -> None:
    play = bayes_value(100, **PUBLISHED)
    assert play.value == pytest.approx(70.59, abs=0.005)
    np.testing.assert_allclose(play.stay, [[1.0, 0.6635], [0.6635, 1.0]], atol=1e-4)
    # the form of 2016: evidence as in two arms with {.1, .9}, each worth c, and its lack 1 - c
    hits = correlated_value(100, 0.1)
    assert bayes_value(100, 0.75, 0.9, 0.0).value == pytest.approx(0.75 * hits + 0.25 * (100 - hits), abs=1e-9)


@pytest.mark.parametrize("horizon, fields", [
    (100, PUBLISHED), (30, {"common": 0.7, "pays": 0.8, "reversal": 0.1}), (30, {**PUBLISHED, "reversal": 0.0}),
])  # fmt: skip
def test_greedy_on_the_belief_is_optimal(horizon: int, fields: dict[str, float]) -> None:
    """The programme that may choose any action, whatever it learns by it, earns the same (to its grid's 2e-4)."""
    assert bayes_value(horizon, **fields).value == pytest.approx(backward(horizon, **fields), abs=2e-4)


@pytest.mark.parametrize("fields", [PUBLISHED, {"common": 0.7, "pays": 0.8, "reversal": 0.0}])
def test_five_choices_over_every_history(fields: dict[str, float]) -> None:
    value, stay = play_all(5, **fields)
    play = bayes_value(5, **fields)
    assert play.value == pytest.approx(value, abs=1e-9)
    np.testing.assert_allclose(play.stay, stay, atol=1e-9)


def test_the_filter_by_hand() -> None:
    """From 1/2, state 1 pays: .9, and after a possible reversal .9 .975 + .1 .025 = .88."""
    belief = no_belief(1, 4, torch.device("cpu"))
    second, reward = torch.tensor([[1, 1, 0, 0]]), torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    after = filter_step(belief, second, reward, 0.9, 0.025)
    torch.testing.assert_close(after[0, :, 1], torch.tensor([0.88, 0.12, 0.12, 0.88]))
    torch.testing.assert_close(after.sum(-1), torch.ones(1, 4))
    # odds .88 / .12 against one ninth: .8148, so P = .4490; then a possible reversal
    again = filter_step(after[:, :1], second[:, 1:2], reward[:, 1:2], 0.9, 0.025)
    assert again[0, 0, 1].item() == pytest.approx(0.4490 * 0.975 + 0.5510 * 0.025, abs=1e-4)


def test_the_filter_recovers_from_certainty() -> None:
    """Sixty choices that speak for one state and sixty for the other leave one half, without reversals."""
    belief = no_belief(1, 1, torch.device("cpu"))
    for state in [1] * 30 + [0] * 30:
        belief = filter_step(belief, torch.tensor([[state]]), torch.ones(1, 1), 0.9, 0.0)
    torch.testing.assert_close(belief, torch.full((1, 1, 2), 0.5), atol=1e-4, rtol=0)


class WinStay:
    """Repeats what was rewarded, else changes: no model. ``faithful`` is the chance of doing so."""

    shares_memory, noise_size, device = False, 1, torch.device("cpu")

    def begin(self, n_tasks: int, copies: int) -> Memory:
        return ()

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        faithful = (noise[..., 0] < 0.8) == (seen.reward > 0)
        last = seen.action.clamp_min(0)
        return torch.where(faithful, last, 1 - last), memory

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return memory


class Filter(WinStay):
    """The exact filter."""

    def begin(self, n_tasks: int, copies: int) -> Memory:
        return no_belief(n_tasks, copies, self.device)

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        if seen.step > 0:
            memory = filter_step(memory, seen.observation.argmax(-1), seen.reward, 0.9, 0.025)
        return (memory[..., 1] + 1e-3 * (noise[..., 0] - 0.5) > 0.5).long(), memory


def act_out(agent: Agent, n: int = 1000, split: str = "test") -> tuple[Stay, Episodes]:
    family = ml.make_family("two_step")
    tasks = family.sample_tasks(n, split, seeded_generator("cpu", 5))
    acted, _ = collect(agent, family, tasks, begin(agent, family, tasks), seeded_generator("cpu", 6))
    return stay_probabilities(acted, split != "ood"), acted


def test_who_repeats_what_was_rewarded_shows_no_gap() -> None:
    stay, _ = act_out(WinStay())
    np.testing.assert_allclose(stay.probability[REWARDED], 0.8, atol=0.015)
    np.testing.assert_allclose(stay.probability[UNREWARDED], 0.2, atol=0.015)
    assert (np.abs(stay.gaps) < 4 * stay.error).all() and (stay.error < 0.006).all()


def test_the_filter_shows_the_gaps_that_were_computed() -> None:
    stay, acted = act_out(Filter())
    exact = bayes_value(100, **PUBLISHED)
    assert acted.returns.mean().item() == pytest.approx(exact.value, abs=3 * acted.returns.std().item() / 1000**0.5)
    assert stay.probability[REWARDED, COMMON] > 0.999 and stay.probability[UNREWARDED, RARE] > 0.999
    gap = exact.stay[REWARDED, COMMON] - exact.stay[REWARDED, RARE]
    assert (np.abs(stay.gaps - gap) < 4 * stay.error).all() and (stay.gaps > 0.3).all()


def test_gap_errors_are_those_of_many_experiments() -> None:
    stays = [act_out_some(seed) for seed in range(60)]
    spread = np.std([s.gaps for s in stays], axis=0, ddof=1)
    np.testing.assert_allclose(np.mean([s.error for s in stays], axis=0), spread, rtol=0.35)


def act_out_some(seed: int) -> Stay:
    family = ml.make_family("two_step", horizon=30)
    tasks = family.sample_tasks(40, "test", seeded_generator("cpu", seed, 1))
    acted, _ = collect(Filter(), family, tasks, begin(Filter(), family, tasks), seeded_generator("cpu", seed, 2))
    return stay_probabilities(acted)


def test_stays_by_hand() -> None:
    """Choices 0 0 1 1; states 0 1 1 0, the last one seen after the episode; rewards 1 1 0 1."""
    seen = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]).reshape(1, 1, 1, 4, 2)
    false = torch.zeros(1, 1, 1, 4, dtype=torch.bool)
    episodes = Episodes(
        seen, torch.tensor([0, 0, 1, 1]).reshape(1, 1, 1, 4), torch.tensor([1.0, 1.0, 0.0, 1.0]).reshape(1, 1, 1, 4),
        false, false, ~false, torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2), (torch.zeros(1, 1), torch.zeros(1, 1)),
    )  # fmt: skip
    assert reached(episodes).flatten().tolist() == [0, 1, 1, 0]
    stay = stay_probabilities(episodes)
    # 0 common rewarded, stayed; 0 rare rewarded, left; 1 common unrewarded, stayed
    assert stay.probability[REWARDED].tolist() == [0.0, 1.0] and stay.probability[UNREWARDED, COMMON] == 1.0
    assert np.isnan(stay.probability[UNREWARDED, RARE]) and stay.choices.tolist() == [[0, 1], [1, 1]]
    turned = stay_probabilities(episodes, straight=False)
    assert turned.choices.tolist() == [[1, 0], [1, 1]] and turned.probability[REWARDED].tolist() == [1.0, 0.0]
