"""Chapter 14: answers to its exercises, what its pages compute and do not show, its figures and its widget."""

import numpy as np
import pandas as pd
import pytest
import torch
from answers import Answers, Wrong, answer_tests

import metarl_lab as ml
from metarl_lab.chapters.ch14_choosing_tasks import exercises, experiments, figures
from metarl_lab.chapters.ch14_choosing_tasks.widget import Course, selection_explorer
from metarl_lab.nets.gain_model import Prediction
from metarl_lab.rollout import seeded_generator
from metarl_lab.samplers.level_replay import replay_probabilities
from metarl_lab.tasks.uneven_navigation import UnevenTasks
from metarl_lab.teach.exercises import every, realise

# --- answers to the exercises -----------------------------------------------------------------------------------------

test_answers = answer_tests(
    "14",
    {
        "14.1": Answers(
            right=(
                """
                def choose(gain, doubt, bonus, temperature, explore):
                    weight = np.exp((gain + bonus * doubt) / temperature)
                    return (1 - explore) * weight / np.sum(weight) + explore / np.size(gain)
                """,
                """
                def choose(gain, doubt, bonus, temperature, explore):
                    by_gain = torch.softmax((gain + bonus * doubt) / temperature, dim=0)
                    return torch.lerp(by_gain, torch.full_like(by_gain, 1 / len(by_gain)), explore)
                """,
                """
                def choose(gain, doubt, bonus, temperature, explore):
                    u = [(float(g) + bonus * float(d)) / temperature for g, d in zip(gain, doubt)]
                    weights = [math.exp(x - max(u)) for x in u]
                    return [(1 - explore) * w / sum(weights) + explore / len(u) for w in weights]
                """,
                """
                from scipy.special import softmax
                def choose(gain, doubt, bonus, temperature, explore):
                    u = np.add(gain, np.multiply(bonus, doubt)) / temperature
                    return np.average([softmax(u), np.full(len(u), 1 / len(u))], axis=0, weights=[1 - explore, explore])
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def choose(gain, doubt, bonus, temperature, explore):
                        w = np.exp((gain - bonus * doubt) / temperature)
                        return (1 - explore) * w / w.sum() + explore / len(w)
                    """,
                    "Doubt is subtracted",
                ),
                Wrong(
                    """
                    def choose(gain, doubt, bonus, temperature, explore):
                        w = np.exp(gain / temperature)
                        return (1 - explore) * w / w.sum() + explore / len(w)
                    """,
                    "bonus is missing",
                ),
                Wrong(
                    """
                    def choose(gain, doubt, bonus, temperature, explore):
                        w = np.exp((gain + bonus) / temperature)
                        return (1 - explore) * w / w.sum() + explore / len(w)
                    """,
                    "bonus is missing",
                ),
                Wrong(
                    """
                    def choose(gain, doubt, bonus, temperature, explore):
                        w = np.exp((gain + bonus * doubt) * temperature)
                        return (1 - explore) * w / w.sum() + explore / len(w)
                    """,
                    "multiply by the temperature",
                ),
                Wrong(
                    """
                    def choose(gain, doubt, bonus, temperature, explore):
                        w = np.exp(gain + bonus * doubt)
                        return (1 - explore) * w / w.sum() + explore / len(w)
                    """,
                    "temperature is missing",
                ),
                Wrong(
                    """
                    def choose(gain, doubt, bonus, temperature, explore):
                        w = np.exp(gain / temperature + bonus * doubt)
                        return (1 - explore) * w / w.sum() + explore / len(w)
                    """,
                    "Only the gain is divided",
                ),
                Wrong(
                    """
                    def choose(gain, doubt, bonus, temperature, explore):
                        u = np.asarray(gain + bonus * doubt)
                        w = np.exp(u / (temperature * u.std()))
                        return (1 - explore) * w / w.sum() + explore / len(w)
                    """,
                    "spread of u",
                ),
                Wrong(
                    """
                    def choose(gain, doubt, bonus, temperature, explore):
                        w = np.exp((gain + bonus * doubt) / temperature)
                        return w / w.sum()
                    """,
                    "Nothing explores",
                ),
                Wrong(
                    """
                    def choose(gain, doubt, bonus, temperature, explore):
                        w = np.exp((gain + bonus * doubt) / temperature)
                        return explore * w / w.sum() + (1 - explore) / len(w)
                    """,
                    "swapped",
                ),
                Wrong(
                    """
                    def choose(gain, doubt, bonus, temperature, explore):
                        w = np.exp((gain + bonus * doubt) / temperature)
                        return w / w.sum() + explore / len(w)
                    """,
                    "does not sum to 1",
                ),
                Wrong(
                    """
                    def choose(gain, doubt, bonus, temperature, explore):
                        w = np.exp((gain + bonus * doubt) / temperature)
                        return (1 - explore) * w / w.sum() + explore
                    """,
                    "explore / N, not explore",
                ),
                Wrong(
                    """
                    def choose(gain, doubt, bonus, temperature, explore):
                        return (1 - explore) * np.exp((gain + bonus * doubt) / temperature) + explore / len(gain)
                    """,
                    "divided by the sum",
                ),
            ),
            looks_right=(
                # four candidates, no other number of them
                """
                def choose(gain, doubt, bonus, temperature, explore):
                    w = np.exp((gain + bonus * doubt) / temperature)
                    return (1 - explore) * w / w.sum() + explore / 4
                """,
                # the first input's settings
                """
                def choose(gain, doubt, bonus, temperature, explore):
                    w = np.exp((gain + 2.0 * doubt) / 0.8)
                    return 0.75 * w / w.sum() + 0.25 / len(w)
                """,
                # the best only
                """
                def choose(gain, doubt, bonus, temperature, explore):
                    u = np.asarray(gain + bonus * doubt)
                    return (1 - explore) * (u == u.max()) + explore / len(u)
                """,
                # the wide one gets all
                """
                def choose(gain, doubt, bonus, temperature, explore):
                    w = np.exp((gain + bonus * max(doubt)) / temperature)
                    return (1 - explore) * w / w.sum() + explore / len(w)
                """,
            ),
        ),
        "14.2": Answers(
            right=(
                """
                def replay(priority, waited, beta, rho):
                    rank = torch.argsort(torch.argsort(priority, descending=True)) + 1
                    by_score = torch.softmax(-torch.log(rank.double()) / beta, dim=0)
                    return (1 - rho) * by_score + rho * waited / waited.sum()
                """,
                """
                def replay(priority, waited, beta, rho):
                    best_first = sorted(priority, reverse=True)
                    weights = [(best_first.index(p) + 1) ** (-1 / beta) for p in priority]
                    return [
                        (1 - rho) * w / sum(weights) + rho * t / sum(waited) for w, t in zip(weights, waited)
                    ]
                """,
                """
                from scipy.stats import rankdata
                def replay(priority, waited, beta, rho):
                    by_score = np.power(rankdata(-np.asarray(priority)), -1 / beta)
                    by_age = np.asarray(waited, dtype=float)
                    return (1 - rho) * by_score / by_score.sum() + rho * by_age / by_age.sum()
                """,
                """
                def replay(priority, waited, beta, rho):
                    rank = 1 + (priority[None, :] > priority[:, None]).sum(1)  # how many are higher
                    by_score = (1 / rank) ** (1 / beta)
                    parts = [by_score / by_score.sum(), waited / waited.sum()]
                    return np.einsum("k,kn->n", [1 - rho, rho], parts)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def replay(priority, waited, beta, rho):
                        w = (1.0 + np.argsort(np.argsort(priority))) ** (-1 / beta)
                        return (1 - rho) * w / w.sum() + rho * waited / waited.sum()
                    """,
                    "wrong way",
                ),
                Wrong(
                    """
                    def replay(priority, waited, beta, rho):
                        w = (1.0 + np.argsort(-priority)) ** (-1 / beta)
                        return (1 - rho) * w / w.sum() + rho * waited / waited.sum()
                    """,
                    "argsort is not the rank",
                ),
                Wrong(
                    """
                    def replay(priority, waited, beta, rho):
                        w = (1.0 + np.argsort(np.argsort(-priority))) ** (-beta)
                        return (1 - rho) * w / w.sum() + rho * waited / waited.sum()
                    """,
                    "The exponent is -1 / beta, not -beta",
                ),
                Wrong(
                    """
                    def replay(priority, waited, beta, rho):
                        w = 1 / (1.0 + np.argsort(np.argsort(-priority)))
                        return (1 - rho) * w / w.sum() + rho * waited / waited.sum()
                    """,
                    "beta is ignored",
                ),
                Wrong(
                    """
                    def replay(priority, waited, beta, rho):
                        w = np.exp(priority / beta)
                        return (1 - rho) * w / w.sum() + rho * waited / waited.sum()
                    """,
                    "softmax of the priorities",
                ),
                Wrong(
                    """
                    def replay(priority, waited, beta, rho):
                        w = (1.0 + np.argsort(np.argsort(-priority))) ** (-1 / beta)
                        return w / w.sum()
                    """,
                    "Staleness is missing",
                ),
                Wrong(
                    """
                    def replay(priority, waited, beta, rho):
                        w = (1.0 + np.argsort(np.argsort(-priority))) ** (-1 / beta)
                        fresh = 1 / (1 + waited)
                        return (1 - rho) * w / w.sum() + rho * fresh / fresh.sum()
                    """,
                    "waited longest",
                ),
                Wrong(
                    """
                    def replay(priority, waited, beta, rho):
                        w = (1.0 + np.argsort(np.argsort(-priority))) ** (-1 / beta)
                        return (1 - rho) * w / w.sum() + rho * waited
                    """,
                    "Staleness must be normalised",
                ),
                Wrong(
                    """
                    def replay(priority, waited, beta, rho):
                        w = (1.0 + np.argsort(np.argsort(-priority))) ** (-1 / beta)
                        return (1 - rho) * w + rho * waited / waited.sum()
                    """,
                    "weights of the ranks",
                ),
                Wrong(
                    """
                    def replay(priority, waited, beta, rho):
                        w = (1.0 + np.argsort(np.argsort(-priority))) ** (-1 / beta)
                        return rho * w / w.sum() + (1 - rho) * waited / waited.sum()
                    """,
                    "swapped",
                ),
            ),
            looks_right=(
                # the first input's exponent
                """
                def replay(priority, waited, beta, rho):
                    w = (1.0 + np.argsort(np.argsort(-priority))) ** -2.0
                    return (1 - rho) * w / w.sum() + rho * waited / waited.sum()
                """,
                # ranks from 0
                """
                def replay(priority, waited, beta, rho):
                    w = (1e-9 + np.argsort(np.argsort(-priority))) ** (-1 / beta)
                    return (1 - rho) * w / w.sum() + rho * waited / waited.sum()
                """,
                # five tasks, no other number of them
                """
                def replay(priority, waited, beta, rho):
                    w = (1.0 + np.argsort(np.argsort(-priority))) ** (-1 / beta)
                    return (1 - rho) * w / sum(k ** (-1 / beta) for k in range(1, 6)) + rho * waited / waited.sum()
                """,
                # sorted: the highest first, whatever the order of the arguments
                """
                def replay(priority, waited, beta, rho):
                    w = np.arange(1.0, len(priority) + 1) ** (-1 / beta)
                    order = np.argsort(-priority)
                    return (1 - rho) * w / w.sum() + rho * waited[order] / waited.sum()
                """,
            ),
        ),
        "14.3": Answers(
            right=(
                "fair_return = lambda scores, q, n: np.mean(scores / (n * q))",
                "fair_return = lambda scores, q, n: torch.mean(scores / q, dim=0) / n",
                "fair_return = lambda scores, q, n: np.einsum('m,m->', scores, 1 / q) / (n * len(q))",
                """
                def fair_return(scores, q, n):
                    total = 0.0
                    for score, chance in zip(scores, q):
                        total += score * (1 / n) / chance
                    return total / len(scores)
                """,
            ),
            wrong=(
                Wrong("fair_return = lambda scores, q, n: scores.mean()", "flatters"),
                Wrong("fair_return = lambda scores, q, n: (scores * n * q).mean()", "Upside down"),
                Wrong("fair_return = lambda scores, q, n: (scores / q).mean()", "p is missing"),
                Wrong("fair_return = lambda scores, q, n: (scores / (n * q)).sum()", "That is the sum"),
                Wrong("fair_return = lambda scores, q, n: (scores / (n * q)).sum() / n", "number of candidates"),
                Wrong("fair_return = lambda scores, q, n: (scores / (len(q) * q)).mean()", "of all candidates"),
                Wrong("fair_return = lambda scores, q, n: (scores / q).sum() / (1 / q).sum()", "sum of the weights"),
                Wrong("fair_return = lambda scores, q, n: (scores * q).sum()", "once more"),
            ),
            looks_right=(
                # 200 candidates, and 4 drawn
                "fair_return = lambda scores, q, n: (scores / (200 * q)).mean()",
                "fair_return = lambda scores, q, n: (scores / (n * q)).sum() / 4",
                "fair_return = lambda scores, q, n: scores[0] / (n * q[0])",
                "fair_return = lambda scores, q, n: (scores / (n * q))[1:].mean()",
                "fair_return = lambda scores, q, n: np.median(scores / (n * q))",
            ),
        ),
        "14.4": Answers(
            right=(
                "coverage = lambda gain, std, realised: (abs((realised - gain) / std) < 1.645).sum() / len(gain)",
                "coverage = lambda gain, std, realised: ((realised - gain).abs() <= 1.645 * std).float().mean(dim=0)",
                """
                from scipy.stats import norm
                def coverage(gain, std, realised):
                    low, high = norm.interval(0.9, loc=gain, scale=std)
                    return np.mean((low <= realised) & (realised <= high))
                """,
                """
                def coverage(gain, std, realised):
                    kept = 0
                    for g, s, r in zip(gain, std, realised):
                        kept += g - 1.645 * s <= r <= g + 1.645 * s
                    return kept / len(gain)
                """,
            ),
            wrong=(
                Wrong("coverage = lambda gain, std, realised: (realised - gain <= 1.645 * std).mean()", "one side"),
                Wrong("coverage = lambda gain, std, realised: (abs(realised - gain) > 1.645 * std).mean()", "outside"),
                Wrong("coverage = lambda gain, std, realised: (abs(realised - gain) <= std).mean()", "covers 68%"),
                Wrong("coverage = lambda gain, std, realised: (abs(realised - gain) <= 1.28 * std).mean()", "80%"),
                Wrong("coverage = lambda gain, std, realised: (abs(realised - gain) <= 1.5 * std).mean()", "87%"),
                Wrong("coverage = lambda gain, std, realised: (abs(realised - gain) <= 1.96 * std).mean()", "95%"),
                Wrong("coverage = lambda gain, std, realised: (abs(realised - gain) <= 2 * std).mean()", "95%"),
                Wrong("coverage = lambda gain, std, realised: (abs(realised - gain) <= 1.6 * std).mean()", "rounder"),
                Wrong("coverage = lambda gain, std, realised: (abs(realised - gain) <= 1.7 * std).mean()", "not 1.7"),
                Wrong(
                    "coverage = lambda gain, std, realised: (abs(realised - gain) <= 1.645 * std.mean()).mean()",
                    "One width",
                ),
                Wrong(
                    "coverage = lambda gain, std, realised: (abs(realised - gain) <= 1.645 * std**0.5).mean()",
                    "for a variance",
                ),
                Wrong("coverage = lambda gain, std, realised: (abs(realised - gain) <= 1.645).mean()", "not divided"),
                Wrong(
                    "coverage = lambda gain, std, realised: (abs(realised - gain) <= 1.645 * std).sum()",
                    "number of tasks",
                ),
                Wrong(
                    "coverage = lambda gain, std, realised: 100 * (abs(realised - gain) <= 1.645 * std).mean()",
                    "percent",
                ),
            ),
            looks_right=(
                "coverage = lambda gain, std, realised: 0.9",
                "coverage = lambda gain, std, realised: (abs(realised - gain) <= 1.645 * std).sum() / 18",
                "coverage = lambda gain, std, realised: (abs(realised - gain) <= 1.645 * std)[:16].mean()",
                "coverage = lambda gain, std, realised: (abs(realised - gain) <= 1.645 * std)[:-1].mean()",
                "coverage = lambda gain, std, realised: (gain - realised <= 1.645 * std).mean()",
            ),
        ),
        "14.5": Answers(
            right=(
                # in parts, with NumPy
                """
                def choose(gain, doubt, bonus, temperature, explore):
                    w = np.exp((gain + bonus * doubt) / temperature)
                    return (1 - explore) * w / w.sum() + explore / len(w)

                def fair_return(scores, q, n):
                    return np.mean(scores / (n * q))

                def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                    reported = np.zeros(len(candidates))
                    for i, x in enumerate(candidates):
                        q = choose(*predict(x), bonus, temperature, explore)
                        places = draw(q)
                        scores = train(x[places])
                        fit(x[places], scores)
                        reported[i] = fair_return(scores[:, 1], q[places], len(x))
                    return reported
                """,
                # tensors
                """
                def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                    reported = []
                    for x in candidates:
                        gain, doubt = predict(x)
                        q = torch.softmax((gain + bonus * doubt) / temperature, dim=0)
                        q = (1 - explore) * q + explore / x.shape[0]
                        places = draw(q)
                        tasks = x.index_select(0, places)
                        scores = train(tasks)
                        fit(tasks, scores)
                        weight = (1 / x.shape[0]) / q.gather(0, places)
                        reported.append(torch.mean(weight * scores[:, -1], dim=0))
                    return torch.stack(reported)
                """,
                # lists and plain numbers
                """
                def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                    reported = []
                    for x in candidates:
                        gain, doubt = predict(x)
                        u = [math.exp((float(g) + bonus * float(d)) / temperature) for g, d in zip(gain, doubt)]
                        q = [(1 - explore) * w / sum(u) + explore / len(u) for w in u]
                        places = [int(place) for place in draw(q)]
                        tasks = [x[place].tolist() for place in places]
                        scores = train(tasks)
                        fit(tasks, scores)
                        total = 0.0
                        for place, (before, after) in zip(places, scores):
                            total += float(after) / (len(x) * q[place])
                        reported.append(total / len(places))
                    return reported
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                        reported = []
                        for x in candidates:
                            gain, doubt = predict(x)
                            w = np.exp((gain + bonus * doubt) / temperature)
                            q = (1 - explore) * w / w.sum() + explore / len(x)
                            places = draw(q)
                            scores = train(x[places])
                            fit(x[places], scores)
                            reported.append(scores[:, 1].mean())
                        return reported
                    """,
                    "which flatters",
                ),
                Wrong(
                    """
                    def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                        reported = []
                        for x in candidates:
                            gain, doubt = predict(x)
                            w = np.exp((gain + bonus * doubt) / temperature)
                            q = (1 - explore) * w / w.sum() + explore / len(x)
                            places = draw(q)
                            scores = train(x[places])
                            fit(x[places], scores)
                            reported.append((scores[:, 0] / (len(x) * q[places])).mean())
                        return reported
                    """,
                    "*before* adaptation",
                ),
                Wrong(
                    """
                    def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                        reported = []
                        for x in candidates:
                            gain, doubt = predict(x)
                            w = np.exp((gain + bonus * doubt) / temperature)
                            q = (1 - explore) * w / w.sum() + explore / len(x)
                            places = draw(q)
                            scores = train(x[places])
                            fit(x[places], scores)
                            gains = scores[:, 1] - scores[:, 0]
                            reported.append((gains / (len(x) * q[places])).mean())
                        return reported
                    """,
                    "You report the gain",
                ),
                Wrong(
                    """
                    def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                        reported = []
                        for x in candidates:
                            gain, doubt = predict(x)
                            w = np.exp((gain + bonus * doubt) / temperature)
                            q = (1 - explore) * w / w.sum() + explore / len(x)
                            places = draw(q)
                            scores = train(x[places])
                            fit(x[places], scores)
                            reported.append((scores[:, 1] / q[places]).mean())
                        return reported
                    """,
                    "p is missing",
                ),
                Wrong(
                    """
                    def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                        reported = []
                        for x in candidates:
                            gain, doubt = predict(x)
                            w = np.exp((gain + bonus * doubt) / temperature)
                            q = (1 - explore) * w / w.sum() + explore / len(x)
                            places = draw(q)
                            scores = train(x[places])
                            fit(x[places], scores)
                            reported.append((scores[:, 1] / (len(x) * q[places])).sum())
                        return reported
                    """,
                    "That is the sum",
                ),
                Wrong(
                    """
                    def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                        reported = []
                        for x in candidates:
                            gain, doubt = predict(x)
                            w = np.exp((gain + bonus * doubt) / temperature)
                            q = (1 - explore) * w / w.sum() + explore / len(x)
                            places = draw(q)
                            scores = train(x[places])
                            reported.append((scores[:, 1] / (len(x) * q[places])).mean())
                        return reported
                    """,
                    "never hears",
                ),
                Wrong(
                    """
                    def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                        reported = []
                        gain, doubt = predict(candidates[0])
                        w = np.exp((gain + bonus * doubt) / temperature)
                        q = (1 - explore) * w / w.sum() + explore / len(w)
                        for x in candidates:
                            places = draw(q)
                            scores = train(x[places])
                            fit(x[places], scores)
                            reported.append((scores[:, 1] / (len(x) * q[places])).mean())
                        return reported
                    """,
                    "predict once for all iterations",
                ),
                Wrong(
                    """
                    def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                        reported = []
                        for x in candidates:
                            gain, doubt = predict(x)
                            q = np.full(len(x), 1 / len(x))
                            places = draw(q)
                            scores = train(x[places])
                            fit(x[places], scores)
                            reported.append((scores[:, 1] / (len(x) * q[places])).mean())
                        return reported
                    """,
                    "draw by chance",
                ),
                Wrong(
                    """
                    def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                        reported = []
                        for x in candidates:
                            gain, doubt = predict(x)
                            w = np.exp(gain / temperature)
                            q = (1 - explore) * w / w.sum() + explore / len(x)
                            places = draw(q)
                            scores = train(x[places])
                            fit(x[places], scores)
                            reported.append((scores[:, 1] / (len(x) * q[places])).mean())
                        return reported
                    """,
                    "not that of 14.1",
                ),
                Wrong(
                    """
                    def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                        reported = []
                        for x in candidates:
                            gain, doubt = predict(x)
                            w = np.exp((gain + bonus * doubt) / temperature)
                            q = (1 - explore) * w / w.sum() + explore / len(x)
                            places = draw(q)
                            scores = train(x)
                            fit(x, scores)
                            reported.append((scores[places, 1] / (len(x) * q[places])).mean())
                        return reported
                    """,
                    "tasks that were drawn",
                ),
                Wrong(
                    """
                    def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                        reported = []
                        for x in candidates:
                            gain, doubt = predict(x)
                            w = np.exp((gain + bonus * doubt) / temperature)
                            q = (1 - explore) * w / w.sum() + explore / len(x)
                            places = draw(q)
                            scores = train(x[places])
                            fit(x[places], scores[:, 1] - scores[:, 0])
                            reported.append((scores[:, 1] / (len(x) * q[places])).mean())
                        return reported
                    """,
                    "as they are",
                ),
            ),
            looks_right=(
                # six candidates, no other number of them
                """
                def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                    reported = []
                    for x in candidates:
                        gain, doubt = predict(x)
                        w = np.exp((gain + bonus * doubt) / temperature)
                        q = (1 - explore) * w / w.sum() + explore / len(x)
                        places = draw(q)
                        scores = train(x[places])
                        fit(x[places], scores)
                        reported.append((scores[:, 1] / (6 * q[places])).mean())
                    return reported
                """,
                # three iterations
                """
                def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                    reported = []
                    for x in candidates[:3]:
                        gain, doubt = predict(x)
                        w = np.exp((gain + bonus * doubt) / temperature)
                        q = (1 - explore) * w / w.sum() + explore / len(x)
                        places = draw(q)
                        scores = train(x[places])
                        fit(x[places], scores)
                        reported.append((scores[:, 1] / (len(x) * q[places])).mean())
                    return reported
                """,
                # hears of the scores one iteration late
                """
                def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                    reported, late = [], None
                    for x in candidates:
                        gain, doubt = predict(x)
                        w = np.exp((gain + bonus * doubt) / temperature)
                        q = (1 - explore) * w / w.sum() + explore / len(x)
                        places = draw(q)
                        scores = train(x[places])
                        fit(*(late or (x[places], scores)))
                        late = (x[places], scores)
                        reported.append((scores[:, 1] / (len(x) * q[places])).mean())
                    return reported
                """,
                # weights of the chances before they are put in the order of the draw
                """
                def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                    reported = []
                    for x in candidates:
                        gain, doubt = predict(x)
                        w = np.exp((gain + bonus * doubt) / temperature)
                        q = (1 - explore) * w / w.sum() + explore / len(x)
                        places = draw(q)
                        scores = train(x[places])
                        fit(x[places], scores)
                        reported.append((scores[:, 1] / (len(x) * q[: len(places)])).mean())
                    return reported
                """,
            ),
        ),
    },
)


def test_the_fair_return_is_unbiased_and_what_flatters_is_not():
    """Over every draw of two tasks out of three, with its probability."""
    scores, q = np.array([5.0, 1.0, 0.0]), np.array([0.7, 0.2, 0.1])
    fair = realise(every("EXERCISES")["14.3"].solution, "fair_return")
    draws = [(i, j) for i in range(3) for j in range(3)]
    expected = sum(q[i] * q[j] * fair(scores[[i, j]], q[[i, j]], 3) for i, j in draws)
    assert expected == pytest.approx(scores.mean())
    chosen = sum(q[i] * q[j] * scores[[i, j]].mean() for i, j in draws)
    assert chosen == pytest.approx(q @ scores) and chosen > 1.5 * scores.mean()


# --- the pages and the package ----------------------------------------------------------------------------------------


def test_the_table_of_level_replay_by_hand_is_the_packages():
    found = replay_probabilities(torch.tensor([0.0, 3.0, 2.0, 0.0]), torch.tensor([4, 0, 1, 3]), 0.5, 0.1)
    by_score = np.array([1 / 9, 1, 1 / 4, 1 / 9])
    by_hand = 0.9 * by_score / by_score.sum() + 0.1 * np.array([4, 0, 1, 3]) / 8
    np.testing.assert_allclose(found, by_hand)


def test_the_exercise_of_level_replay_is_the_packages():
    answer = realise(every("EXERCISES")["14.2"].solution, "replay")
    for priority, waited, beta, rho in exercises.REPLAYS:
        found = replay_probabilities(torch.tensor(priority), torch.tensor(waited), beta, rho)
        np.testing.assert_allclose(answer(priority, waited, beta, rho), found)


def test_the_exercise_of_choosing_is_the_packages_with_its_temperature_in_standard_deviations():
    sampler = ml.make_sampler("predicted_gain", bonus=1.5, temperature=0.7, explore=0.3)
    tasks = sampler.sample(experiments.lights, 12, seeded_generator("cpu", 0, 1))
    scores = torch.rand(12, 2, generator=torch.Generator().manual_seed(0))
    sampler.observe(tasks, scores)
    now = sampler.predict(experiments.pool)
    gain, doubt = now.gain.double().numpy(), now.doubt.double().numpy()
    answer = realise(every("EXERCISES")["14.1"].solution, "choose")
    by_hand = answer(gain, doubt, 1.5, 0.7 * np.std(gain + 1.5 * doubt), 0.3)
    np.testing.assert_allclose(sampler.probabilities(experiments.pool), by_hand, rtol=1e-4)


# --- what the pages compute and do not show ---------------------------------------------------------------------------


class Settled:
    """A sampler that predicts one gain for all tasks, and says how often it was asked and told."""

    def __init__(self):
        self.model, self.sampled, self.told = None, 0, []

    def sample(self, family, n, generator):
        self.sampled += 1
        self.model = "made"

    def observe(self, tasks, scores):
        self.told.append(scores)

    def predict(self, tasks):
        same = torch.ones(len(tasks.goal))
        return Prediction(same, same + 2, same, same)


@pytest.mark.parametrize("chooses", [True, False])
def test_notes_keep_every_task_and_a_model_that_does_not_choose_listens(monkeypatch, chooses):
    monkeypatch.setattr(experiments, "returns_of", lambda learner, tasks: tasks.goal.numpy())  # gain: y - x
    model = Settled()
    notes = experiments.Notes("learner", model, chooses, every=2)
    for iteration in (1, 2, 3, 4):
        tasks = UnevenTasks(torch.full((12, 2), float(iteration)))
        notes(iteration, tasks, torch.tensor([[0.0, 1.0]]).repeat(12, 1))
    assert len(model.told) == (0 if chooses else 4) and model.sampled == (0 if chooses else 1)
    assert [look[0].tolist() for look in notes.looks] == [[i, i, 0, 1] for i in (1, 2, 3, 4)]
    assert len(notes.maps) == 2
    predicted, measured = notes.maps[-1]
    assert (predicted == 2).all()
    x, y = np.meshgrid(experiments.SIDE, experiments.SIDE, indexing="ij")
    np.testing.assert_allclose(measured, y - x, atol=1e-5, err_msg="the first index is the horizontal axis")


@pytest.mark.parametrize(("iterations", "expected"), [(60, [10, 20, 30, 40, 50, 60]), (2, [1, 2]), (1, [1])])
def test_looks_are_evenly_spaced_and_the_last_is_the_end(iterations, expected):
    assert list(experiments.looked_at(iterations)) == expected


def test_held_out_goals_are_within_reach_and_never_trained_on():
    assert (experiments.held_out.goal.norm(dim=1) < experiments.RINGS["reach"]).all()
    assert len(experiments.held_out.goal) == 150
    assert torch.cdist(experiments.held_out.goal, experiments.pool.goal).min() > 0


def test_the_end_of_a_course_is_read_by_distance():
    n = len(experiments.SIDE)
    distance = np.linalg.norm(np.stack(np.meshgrid(experiments.SIDE, experiments.SIDE, indexing="ij")), axis=0)
    truth = np.where(distance < 0.5, -2.0, np.where(distance < 1.5, 3.0, 0.0))
    truth[n // 2, n // 2] = -6.0
    picks = np.array([[0.0, 1.0], [0.0, 2.4], [2.5, 0.0], [3.0, 3.0]])
    beginning = np.zeros((n, n))
    course = Course(np.stack((beginning, 2 * truth)), np.stack((beginning, truth)), np.stack((picks * 0, picks)))
    (found,) = experiments.at_the_end({"gain": course}).to_dict("records")
    easy = (distance < 0.5).sum()
    assert found == pytest.approx(
        {
            "impossible": 0.5,
            "correlation": 1.0,
            "measured, ring": 3.0,
            "measured, centre": -2.0 - 4.0 / easy,
            "measured, start": -6.0,
        }
    )


def test_predictions_are_grouped_by_distance():
    goals = UnevenTasks(torch.tensor([[0.2, 0.0], [0.0, 0.7], [0.8, 0.0], [0.0, -1.2], [2.0, 0.0]]))
    zero = torch.zeros(5)
    now = Prediction(zero, torch.tensor([1.0, 2.0, 4.0, 1.0, 0.0]), zero, torch.tensor([1.0, 1.0, 0.1, 1.0, 1.0]))
    table = experiments.by_distance(goals, now, np.array([0.0, 2.5, 3.0, 3.0, 0.0]), width=1.645)
    assert table.goals.tolist() == [1, 2, 1, 1]
    assert table["predicted gain"].tolist() == [1.0, 3.0, 1.0, 0.0]
    assert table["realised gain"].tolist() == [0.0, 2.75, 3.0, 0.0]
    assert table.inside.tolist() == [1.0, 0.5, 0.0, 1.0]


def made_up_study():
    """Two samplers, two seeds, three evaluations."""
    index = pd.MultiIndex.from_product([["chance", "predicted gain"], [10, 11]], names=["sampler", "seed"])
    after = pd.DataFrame([[0, 1, 2], [0, 2, 1], [0, 3, 1], [0, 5, 2]], index=index, columns=[0, 10, 20], dtype=float)
    env_steps = pd.DataFrame([[0, 1000, 2000]] * 4, index=index, columns=[0, 10, 20])
    trained_on = pd.DataFrame({"distance": [1.0, 1.0, 2.0, 3.0]}, index=index)
    return experiments.Study(after, env_steps, {"random": 0.0, "oracle": 9.0}, trained_on)


def test_runs_are_read_by_seed():
    runs = experiments.by_seed(made_up_study(), threshold=2.0, early=10)
    assert runs.index.names == ["sampler", "seed"]
    assert runs.loc["chance", "env steps"].tolist() == [2.0, 1.0]
    assert runs.loc["predicted gain", "peak"].tolist() == [3.0, 5.0]
    assert runs.loc["predicted gain", "peak at"].tolist() == [1.0, 1.0]
    assert runs.loc["predicted gain", "last"].tolist() == [1.0, 2.0]
    assert runs.loc["predicted gain", "chance, early"].tolist() == [1.0, 2.0], "of the same seed"
    assert runs.loc["predicted gain", "chance, last"].tolist() == [2.0, 1.0]
    never = experiments.by_seed(made_up_study(), threshold=2.5, early=10)
    assert never.loc["chance", "reached"].tolist() == [False, False]
    assert never.loc["chance", "env steps"].tolist() == [2.0, 2.0], "the whole budget"
    table = experiments.summary(never)
    assert table.loc["predicted gain", "reached"] == 2 and table.loc["predicted gain", "distance"] == "2.50"
    assert table.loc["chance", "last"].startswith("1.50 [")


def test_stored_studies_have_the_books_names_and_no_raw_one():
    for name, samplers in {"uneven, plain": 5, "point": 3}.items():
        found = experiments.study(name)
        ways = list(found.after.index.unique("sampler"))
        assert ways == [way for way in experiments.NAMES.values() if way in ways] and len(ways) == samplers
        assert not any("_" in way for way in ways) and found.anchors.keys() == {"random", "oracle"}
        assert not found.after.isna().any(axis=None) and found.after.shape == found.env_steps.shape
        assert len(found.trained_on) == len(found.after) == 10 * samplers


# --- figures and widget -----------------------------------------------------------------------------------------------

SIDE = np.linspace(-3, 3, 7)


def labels_of(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_the_task_space_counts_each_kind_and_names_the_rings_beside_it():
    goals = np.array([[0.1, 0.0], [1.0, 1.0], [4.0, 0.0], [0.0, 4.5]])
    ax = figures.task_space(goals, np.array([0, 1, 2, 2]), ("easy", "hard", "impossible"), {"reach": 2.5})
    assert set(labels_of(ax.get_legend())) == {
        "easy (1 of 4)",
        "hard (1 of 4)",
        "impossible (2 of 4)",
        "reach: within 2.5",
    }
    np.testing.assert_allclose(ax.collections[2].get_offsets(), goals[2:])
    assert [p.radius for p in ax.patches] == [2.5]
    assert not ax.texts, "no words over the goals"


def test_nothing_of_the_task_space_is_cut_off():
    ax = figures.task_space(np.random.default_rng(0).normal(size=(99, 2)), np.zeros(99), ("easy",), {"reach": 2.5})
    figure = ax.get_figure()
    figure.draw_without_rendering()
    page = figure.bbox
    for part in (ax.get_legend(), ax.xaxis.label, ax.yaxis.label):
        box = part.get_window_extent()
        assert box.x0 >= page.x0 and box.x1 <= page.x1 and box.y0 >= page.y0 and box.y1 <= page.y1, part


def test_maps_run_upwards_share_one_scale_and_count_the_tasks_outside():
    predicted = np.arange(49.0).reshape(7, 7)
    figure = figures.gain_maps(SIDE, predicted, predicted - 5, np.array([[0.0, 1.0], [9.0, 0.0]]), {"reach": 2.5}, 4.0)
    left, right, bar = figure.axes
    # imshow's rows are the vertical axis: the second index of the map
    np.testing.assert_allclose(left.images[0].get_array(), predicted.T)
    assert left.images[0].get_clim() == right.images[0].get_clim() == (-4, 4)
    assert left.images[0].get_extent() == [-3.5, 3.5, -3.5, 3.5], "cells are centred on their goals"
    assert "1 of 2 tasks" in left.get_title() and "after minus before" in bar.get_ylabel()
    chosen = {line.get_label(): line.get_xydata() for line in left.lines}["task chosen"]
    np.testing.assert_allclose(chosen, [[0, 1]])
    assert labels_of(figure.legends[0]) == ["reach: within 2.5", "task chosen"]


def test_a_gain_of_0_has_the_middle_colour_of_the_map():
    zero = np.zeros((7, 7))
    image = figures.gain_maps(SIDE, zero, zero, np.zeros((1, 2)), {}, 4.0).axes[0].images[0]
    red, _, blue, _ = image.cmap(image.norm(0.0))
    assert abs(red - blue) < 0.02, "neither orange nor violet"


def test_calibration_tells_inside_from_outside():
    gain, std = np.array([0.0, 1.0, 2.0]), np.array([0.1, 1.0, 0.5])
    ax = figures.calibration(gain, std, np.array([0.1, 3.0, 2.2]), width=1.645)
    found = {line.get_label(): line.get_xydata() for line in ax.lines}
    np.testing.assert_allclose(found["inside (2 of 3)"], [[0, 0.1], [2, 2.2]])
    np.testing.assert_allclose(found["outside (1 of 3)"], [[1, 3]])
    np.testing.assert_allclose(found["realised as predicted"], [[0, 0], [2, 2]])


def test_returns_have_one_look_a_sampler_and_need_anchors():
    band = (np.array([0.0, 1.0]), np.array([-1.0, 0.0]), np.array([1.0, 2.0]))
    steps = np.array([0.0, 2000.0])
    panels = {
        "a": ({"chance": (steps, band), "chosen": (steps, band)}, {"oracle": 3.0}),
        "b": ({"chosen": (steps, band)}, {"oracle": 2.0}),
    }
    figure = figures.returns(panels)
    first, second = figure.axes
    colours = {line.get_label(): line.get_color() for line in first.lines[:2]}
    assert second.lines[0].get_color() == colours["chosen"] != colours["chance"]
    np.testing.assert_allclose(first.lines[0].get_xdata(), [0, 2])
    assert labels_of(figure.legends[0]) == ["chance", "chosen"]
    with pytest.raises(ValueError, match="without anchors"):
        figures.returns({"a": ({}, {})})


def test_an_anchor_far_away_is_named_and_does_not_press_the_curves_together():
    band = (np.array([0.0, 1.0]), np.array([-1.0, 0.0]), np.array([1.0, 2.0]))  # from -1 to 2
    anchors = {"oracle": 30.0, "random": -1.5}
    ax = figures.returns({"a": ({"chance": (np.array([0.0, 2000.0]), band)}, anchors)}).axes[0]
    assert ax.get_ylim()[1] < 4
    words = {text.get_text() for text in ax.texts}
    assert words == {"oracle: 30.0, far above this picture", "random play"}


GRID, ITERATIONS = np.linspace(-3, 3, 15), range(10, 81, 10)


def make(name, iterations=ITERATIONS):
    rng = np.random.default_rng(0)

    def course():
        return Course(rng.normal(size=(8, 15, 15)), rng.normal(size=(8, 15, 15)), rng.normal(size=(8, 120, 2)))

    return selection_explorer({"gain": course(), "chance": course()}, iterations, GRID, {"reach": 2.5}, 5.0, name)


def test_every_control_changes_the_picture_and_its_alt_text():
    explorer = make("test choosing")
    for name, value in {"sampler": "chance", "iteration": 80}.items():
        picture, alt = explorer.picture, explorer.alt_text
        explorer.controls[name].value = value
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""


def test_the_picture_that_is_stored_is_that_of_the_last_iteration(monkeypatch):
    shown = []
    monkeypatch.setattr("metarl_lab.teach.widgets.show", lambda widget, page, plain, png: shown.append(plain))
    make("test choosing end").show()
    assert "after 80 meta-iterations" in shown[0]


def test_the_first_alt_text_holds_no_trained_number():
    assert make("test choosing a").alt_text == make("test choosing b").alt_text


def test_iterations_must_suit_a_slider():
    with pytest.raises(ValueError, match="evenly spaced"):
        make("test choosing c", iterations=[1, 2, 4])
    assert make("test choosing one", iterations=[1]).values == {"sampler": "gain", "iteration": 1}
