"""Chapter 13: answers to its exercises, what is computed around its page, its figures and its widget."""

import numpy as np
import pandas as pd
import pytest
import torch
from answers import Answers, Wrong, answer_tests
from pages import of_page

import metarl_lab as ml
from metarl_lab.chapters.ch13_model_based import exercises, experiments, figures
from metarl_lab.chapters.ch13_model_based.widget import Imagination, imagination_explorer
from metarl_lab.rollout import begin, collect, seeded_generator

# --- answers to the exercises -----------------------------------------------------------------------------------------

test_answers = answer_tests(
    "13",
    {
        "13.1": Answers(
            right=(
                """
                def refit(candidates, scores, k):
                    best = candidates[torch.topk(scores, k).indices]
                    return torch.stack([best.mean(dim=0), best.std(dim=0, correction=0)])
                """,
                """
                def refit(candidates, scores, k):
                    best = candidates[np.argpartition(scores, -k)[-k:]]
                    return [np.mean(best, axis=0), np.std(best, axis=0)]
                """,
                """
                def refit(candidates, scores, k):
                    ranked = sorted(zip(scores.tolist(), candidates.tolist()), reverse=True)[:k]
                    mean, std = [], []
                    for column in zip(*(plan for _, plan in ranked)):
                        centre = sum(column) / k
                        mean.append(centre)
                        std.append(math.sqrt(sum((x - centre) ** 2 for x in column) / k))
                    return [mean, std]
                """,
                """
                def refit(candidates, scores, k):
                    elite = (scores >= np.sort(scores)[-k]).astype(float) / k
                    mean = np.einsum("n,nh->h", elite, candidates)
                    return np.stack([mean, np.sqrt(np.einsum("n,nh->h", elite, (candidates - mean) ** 2))])
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def refit(candidates, scores, k):
                        best = candidates[np.argsort(scores)[:k]]
                        return np.stack([best.mean(0), best.std(0)])
                    """,
                    "k worst",
                ),
                Wrong(
                    """
                    def refit(candidates, scores, k):
                        best = candidates[np.argsort(-scores)[:k]]
                        return np.stack([best.mean(0), candidates.std(0)])
                    """,
                    "never narrows",
                ),
                Wrong(
                    "refit = lambda candidates, scores, k: np.stack([candidates.mean(0), candidates.std(0)])",
                    "You fit all",
                ),
                Wrong(
                    """
                    def refit(candidates, scores, k):
                        best = candidates[np.argsort(-scores)[:k]]
                        return np.stack([best[0], best.std(0)])
                    """,
                    "single best",
                ),
                Wrong(
                    """
                    def refit(candidates, scores, k):
                        best = candidates[np.argsort(-scores)[:k]]
                        return np.stack([best.mean(0), best.var(0)])
                    """,
                    "variance",
                ),
                Wrong(
                    """
                    def refit(candidates, scores, k):
                        best = candidates[torch.topk(scores, k).indices]
                        return torch.stack([best.mean(0), best.std(0)])
                    """,
                    "divide by k - 1",
                ),
                Wrong(
                    """
                    def refit(candidates, scores, k):
                        best = candidates[np.argsort(-scores)[:k]]
                        return np.stack([best.std(0), best.mean(0)])
                    """,
                    "swapped",
                ),
                Wrong(
                    """
                    def refit(candidates, scores, k):
                        best = candidates[np.argsort(-scores)[:k]]
                        return np.stack([np.full(best.shape[1], best.mean()), np.full(best.shape[1], best.std())])
                    """,
                    "One number for all steps",
                ),
                Wrong(
                    """
                    def refit(candidates, scores, k):
                        best = candidates[np.argsort(-scores)[:k]]
                        return np.stack([best.mean(1), best.std(1)])
                    """,
                    "shape",
                ),
            ),
            looks_right=(
                # three elites, whatever is asked
                """
                def refit(candidates, scores, k):
                    best = candidates[np.argsort(-scores)[:3]]
                    return np.stack([best.mean(0), best.std(0)])
                """,
                # one elite too many
                """
                def refit(candidates, scores, k):
                    best = candidates[np.argsort(-scores)[: k + 1]]
                    return np.stack([best.mean(0), best.std(0)])
                """,
                # the elites are the first candidates, without a look at the scores
                "refit = lambda candidates, scores, k: np.stack([candidates[:k].mean(0), candidates[:k].std(0)])",
                # the middle of the elites, not their mean
                """
                def refit(candidates, scores, k):
                    best = candidates[np.argsort(-scores)[:k]]
                    return np.stack([np.median(best, axis=0), best.std(0)])
                """,
            ),
        ),
        "13.2": Answers(
            right=(
                """
                def adapt_model(w, x, y, valid, alpha):
                    w = w.clone().requires_grad_()
                    error = (valid * (x @ w - y) ** 2).mean()
                    return w - alpha * torch.autograd.grad(error, w)[0]
                """,
                """
                def adapt_model(w, x, y, valid, alpha):
                    gradient = np.einsum("m,m,mp->p", valid, np.einsum("mp,p->m", x, w) - y, x)
                    return w - 2 * alpha / x.shape[0] * gradient
                """,
                """
                def adapt_model(w, x, y, valid, alpha):
                    step = [0.0] * len(w)
                    for row, target, counts in zip(x.tolist(), y.tolist(), valid):
                        if counts:
                            residual = sum(a * b for a, b in zip(row, w.tolist())) - target
                            step = [s + 2 * residual * a / len(y) for s, a in zip(step, row)]
                    return [a - alpha * s for a, s in zip(w.tolist(), step)]
                """,
                """
                def adapt_model(w, x, y, valid, alpha):
                    x, y, m = x[valid], y[valid], len(y)
                    return w - alpha * 2 / m * (x * (x @ w - y)[:, None]).sum(0)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def adapt_model(w, x, y, valid, alpha):
                        return w + alpha * 2 * x.T @ (valid * (x @ w - y)) / len(y)
                    """,
                    "ascent",
                ),
                Wrong(
                    """
                    def adapt_model(w, x, y, valid, alpha):
                        return w - alpha * 2 * x.T @ (x @ w - y) / len(y)
                    """,
                    "no transition",
                ),
                Wrong(
                    """
                    def adapt_model(w, x, y, valid, alpha):
                        return w - alpha * 2 * x.T @ (valid * (x @ w - y)) / valid.sum()
                    """,
                    "short window",
                ),
                Wrong(
                    """
                    def adapt_model(w, x, y, valid, alpha):
                        return w - alpha * x.T @ (valid * (x @ w - y)) / len(y)
                    """,
                    "factor 2",
                ),
                Wrong(
                    """
                    def adapt_model(w, x, y, valid, alpha):
                        return w - alpha * 2 * x.T @ (valid * (x @ w - y))
                    """,
                    "divide by M",
                ),
                Wrong(
                    """
                    def adapt_model(w, x, y, valid, alpha):
                        return -alpha * 2 * x.T @ (valid * (x @ w - y)) / len(y)
                    """,
                    "return the step",
                ),
                Wrong(
                    """
                    def adapt_model(w, x, y, valid, alpha):
                        return 2 * x.T @ (valid * (x @ w - y)) / len(y)
                    """,
                    "return the gradient",
                ),
                Wrong(
                    """
                    def adapt_model(w, x, y, valid, alpha):
                        return w - 2 * x.T @ (valid * (x @ w - y)) / len(y)
                    """,
                    "no effect",
                ),
            ),
            looks_right=(
                # a window of five
                """
                def adapt_model(w, x, y, valid, alpha):
                    return w - alpha * 2 * x.T @ (valid * (x @ w - y)) / 5
                """,
                # the first input's step size
                """
                def adapt_model(w, x, y, valid, alpha):
                    return w - 0.25 * 2 * x.T @ (valid * (x @ w - y)) / len(y)
                """,
                # the newest transition only
                """
                def adapt_model(w, x, y, valid, alpha):
                    return w - alpha * 2 * x[-1] * (x[-1] @ w - y[-1]) / len(y)
                """,
                # an empty window moves the weights to nowhere
                """
                def adapt_model(w, x, y, valid, alpha):
                    if not valid.any():
                        return np.zeros_like(w)
                    return w - alpha * 2 * x.T @ (valid * (x @ w - y)) / len(y)
                """,
            ),
        ),
        "13.3": Answers(
            right=(
                """
                def in_window(start, size):
                    step = torch.arange(len(start))
                    begun = torch.where(start, step, 0).cummax(dim=0).values
                    place = step[:, None] - size + torch.arange(size)
                    return place >= begun.unsqueeze(1)
                """,
                """
                def in_window(start, size):
                    episode = np.cumsum(start)
                    known = np.zeros((len(start), size))
                    for back in range(1, size + 1):
                        known[back:, size - back] = episode[back:] == episode[:-back]
                    return known
                """,
                """
                def in_window(start, size):
                    rows, lived = [], 0
                    for begins in start.tolist():
                        lived = 0 if begins else lived + 1
                        rows.append([size - place <= lived for place in range(size)])
                    return rows
                """,
                """
                def in_window(start, size):
                    window, rows = [False] * size, []
                    for begins in start:
                        window = [False] * size if begins else window[1:] + [True]
                        rows.append(window)
                    return np.array(rows)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def in_window(start, size):
                        return np.arange(len(start))[:, None] - size + np.arange(size) >= 0
                    """,
                    "episode before",
                ),
                Wrong(
                    """
                    def in_window(start, size):
                        known, begun = np.zeros((len(start), size), bool), 0
                        for t in range(len(start)):
                            begun = t if start[t] else begun
                            for place in range(size):
                                known[t, place] = t - size + place >= max(begun - 1, 0)
                        return known
                    """,
                    "no action led there",
                ),
                Wrong(
                    """
                    def in_window(start, size):
                        known, begun = np.zeros((len(start), size), bool), 0
                        for t in range(len(start)):
                            begun = t if start[t] else begun
                            for place in range(size):
                                known[t, place] = t - 1 - place >= begun
                        return known
                    """,
                    "Newest first",
                ),
                Wrong(
                    """
                    def in_window(start, size):
                        known, begun = np.zeros((len(start), size), bool), 0
                        for t in range(len(start)):
                            begun = t if start[t] else begun
                            for place in range(size):
                                known[t, place] = t - size + place + 1 >= begun
                        return known
                    """,
                    "not yet known",
                ),
                Wrong(
                    """
                    def in_window(start, size):
                        known, begun = np.zeros((len(start), size), bool), 0
                        for t in range(len(start)):
                            begun = t if start[t] else begun
                            for place in range(size):
                                known[t, place] = t - size + place < begun
                        return known
                    """,
                    "does not count",
                ),
                Wrong(
                    """
                    def in_window(start, size):
                        known, begun = np.zeros((len(start), size), bool), 0
                        for t in range(len(start)):
                            for place in range(size):
                                known[t, place] = t - size + place >= begun
                            begun = t if start[t] else begun
                        return known
                    """,
                    "empty it there already",
                ),
                Wrong(
                    """
                    def in_window(start, size):
                        known, begun = np.zeros((len(start), size), bool), 0
                        for t in range(len(start)):
                            begun = t if start[t] else begun
                            for place in range(size - 1):
                                known[t, place] = t - size + place >= begun
                        return known
                    """,
                    "newest transition is missing",
                ),
            ),
            looks_right=(
                # three places
                """
                def in_window(start, size):
                    known, begun = np.zeros((len(start), 3), bool), 0
                    for t in range(len(start)):
                        begun = t if start[t] else begun
                        for place in range(3):
                            known[t, place] = t - 3 + place >= begun
                    return known
                """,
                # the first input's starts
                """
                def in_window(start, size):
                    known, begun = np.zeros((len(start), size), bool), 0
                    for t in range(len(start)):
                        begun = t if t in (0, 5, 8) else begun
                        for place in range(size):
                            known[t, place] = t - size + place >= begun
                    return known
                """,
                # only the last start before the end counts
                """
                def in_window(start, size):
                    begun = int(np.flatnonzero(start)[-1])
                    t = np.arange(len(start))[:, None]
                    return t - size + np.arange(size) >= np.where(t >= begun, begun, 0)
                """,
                # all or nothing: a window that is half full is left out
                """
                def in_window(start, size):
                    episode = np.cumsum(start)
                    whole = [t >= size and episode[t] == episode[t - size] for t in range(len(start))]
                    return np.repeat(np.array(whole)[:, None], size, axis=1)
                """,
            ),
        ),
        "13.4": Answers(
            right=(
                """
                def steps_to(steps, curves, goal):
                    return np.median(np.where(curves >= goal, steps, np.inf).min(axis=1))
                """,
                """
                def steps_to(steps, curves, goal):
                    each = torch.where(curves >= goal, steps, math.inf).amin(dim=1).sort().values
                    n = len(each)
                    return (each[(n - 1) // 2] + each[n // 2]) / 2
                """,
                """
                def steps_to(steps, curves, goal):
                    each = sorted(
                        min((s for s, value in zip(steps.tolist(), curve) if value >= goal), default=math.inf)
                        for curve in curves.tolist()
                    )
                    half, odd = divmod(len(each), 2)
                    return each[half] if odd else (each[half - 1] + each[half]) / 2
                """,
                """
                def steps_to(steps, curves, goal):
                    there = curves >= goal
                    each = np.where(there.any(1), steps[there.argmax(1)], np.inf)
                    return float(np.median(each))
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def steps_to(steps, curves, goal):
                        each = [steps[np.argmax(c >= goal)] for c in curves if (c >= goal).any()]
                        return np.median(each)
                    """,
                    "left out",
                ),
                Wrong(
                    "steps_to = lambda steps, curves, goal: np.median([steps[np.argmax(c >= goal)] for c in curves])",
                    "first evaluation",
                ),
                Wrong(
                    "steps_to = lambda steps, curves, goal: steps[np.argmax(curves.mean(0) >= goal)]",
                    "mean curve",
                ),
                Wrong(
                    "steps_to = lambda steps, curves, goal: steps[np.argmax(np.median(curves, axis=0) >= goal)]",
                    "median curve",
                ),
                Wrong(
                    "steps_to = lambda steps, curves, goal: np.where(curves >= goal, steps, np.inf).min()",
                    "luckiest",
                ),
                Wrong(
                    """
                    def steps_to(steps, curves, goal):
                        each = [steps[np.argmax(c >= goal)] if (c >= goal).any() else steps[-1] for c in curves]
                        return np.mean(each)
                    """,
                    "That is a mean",
                ),
                Wrong(
                    """
                    def steps_to(steps, curves, goal):
                        each = []
                        for c in curves:
                            below = np.flatnonzero(c < goal)
                            each.append(np.inf if below[-1] == len(c) - 1 else steps[below[-1] + 1])
                        return np.median(each)
                    """,
                    "for good",
                ),
                Wrong(
                    "steps_to = lambda steps, curves, goal: "
                    "np.median(np.where(curves > goal, steps, np.inf).min(axis=1))",
                    "compare with >=",
                ),
                Wrong(
                    """
                    def steps_to(steps, curves, goal):
                        places = np.arange(len(steps))
                        return np.median(np.where(curves >= goal, places, np.inf).min(axis=1))
                    """,
                    "places in the list",
                ),
                Wrong(
                    """
                    def steps_to(steps, curves, goal):
                        return torch.where(curves >= goal, steps, math.inf).amin(1).median()
                    """,
                    "torch.median takes the lower",
                ),
                Wrong(
                    """
                    def steps_to(steps, curves, goal):
                        each = [steps[np.argmax(c >= goal)] if (c >= goal).any() else steps[-1] for c in curves]
                        return np.median(each)
                    """,
                    "not as the last env step",
                ),
            ),
            looks_right=(
                # five seeds
                """
                def steps_to(steps, curves, goal):
                    return np.sort(np.where(curves >= goal, steps, np.inf).min(axis=1))[2]
                """,
                # the first goal
                "steps_to = lambda steps, curves, goal: np.median(np.where(curves >= 5, steps, np.inf).min(axis=1))",
                # the middle seed of the table, not of what was found
                """
                def steps_to(steps, curves, goal):
                    return np.where(curves >= goal, steps, np.inf).min(axis=1)[len(curves) // 2]
                """,
                # a large number for never
                "steps_to = lambda steps, curves, goal: np.median(np.where(curves >= goal, steps, 1e9).min(axis=1))",
            ),
        ),
        "13.5": Answers(
            right=(
                # from the parts of 13.2 and 13.3
                """
                def in_window(start, size):
                    episode, t = np.cumsum(start), np.arange(len(start))[:, None]
                    first = t - size + np.arange(size)
                    return (first >= 0) & (episode[np.clip(first, 0, None)] == episode[:, None])

                def adapt_model(w, x, y, valid, alpha):
                    return w - alpha * 2 * x.T @ (valid * (x @ w - y)) / len(y)

                def predict_online(w, x, y, start, size, alpha):
                    known, found = in_window(start, size), []
                    for t in range(len(x)):
                        rows = np.clip(np.arange(t - size, t), 0, None)
                        found.append(x[t] @ adapt_model(w, x[rows], y[rows], known[t], alpha))
                    return found
                """,
                # autograd, a step at a time
                """
                def predict_online(w, x, y, start, size, alpha):
                    found, begun = [], 0
                    for t in range(len(x)):
                        begun = t if start[t] else begun
                        past = slice(max(begun, t - size), t)
                        own = w.clone().requires_grad_()
                        error = ((x[past] @ own - y[past]) ** 2).sum() / size
                        step = torch.autograd.grad(error, own)[0]
                        found.append((x[t] * (own - alpha * step)).sum().detach())
                    return torch.stack(found)
                """,
                # all steps at once: every step reads the rows before it through a mask (N, N)
                """
                def predict_online(w, x, y, start, size, alpha):
                    step = np.arange(len(x))
                    episode = np.cumsum(start)
                    ago = step[:, None] - step
                    reads = (ago > 0) & (ago <= size) & (episode[:, None] == episode)
                    gradient = 2 / size * np.einsum("tn,n,np->tp", reads, x @ w - y, x)
                    return np.einsum("tp,tp->t", x, w - alpha * gradient)
                """,
                # lists
                """
                def predict_online(w, x, y, start, size, alpha):
                    window, found = [], []
                    for row, target, begins in zip(x.tolist(), y.tolist(), start.tolist()):
                        window = [] if begins else window[-size:]
                        adapted = list(w.tolist())
                        for a, b in window:
                            residual = sum(p * q for p, q in zip(a, w.tolist())) - b
                            adapted = [v - alpha * 2 * residual * p / size for v, p in zip(adapted, a)]
                        found.append(sum(p * q for p, q in zip(row, adapted)))
                        window.append((row, target))
                    return found
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def predict_online(w, x, y, start, size, alpha):
                        found, begun = [], 0
                        for t in range(len(x)):
                            begun = t if start[t] else begun
                            past = slice(max(begun, t - size), t)
                            w = w - alpha * 2 / size * x[past].T @ (x[past] @ w - y[past])
                            found.append(x[t] @ w)
                        return np.array(found)
                    """,
                    "starts from w again",
                ),
                Wrong("predict_online = lambda w, x, y, start, size, alpha: x @ w", "never adapts"),
                Wrong(
                    """
                    def predict_online(w, x, y, start, size, alpha):
                        found = []
                        for t in range(len(x)):
                            past = slice(max(0, t - size), t)
                            found.append(x[t] @ (w - alpha * 2 / size * x[past].T @ (x[past] @ w - y[past])))
                        return np.array(found)
                    """,
                    "into the episode before",
                ),
                Wrong(
                    """
                    def predict_online(w, x, y, start, size, alpha):
                        found, begun = [], 0
                        for t in range(len(x)):
                            begun = t if start[t] else begun
                            past = slice(max(begun, t + 1 - size), t + 1)
                            found.append(x[t] @ (w - alpha * 2 / size * x[past].T @ (x[past] @ w - y[past])))
                        return np.array(found)
                    """,
                    "very step that you predict",
                ),
                Wrong(
                    """
                    def predict_online(w, x, y, start, size, alpha):
                        found, begun = [], 0
                        for t in range(len(x)):
                            begun = t if start[t] else begun
                            past = slice(max(begun, t - size), t)
                            divide = max(t - past.start, 1)
                            found.append(x[t] @ (w - alpha * 2 / divide * x[past].T @ (x[past] @ w - y[past])))
                        return np.array(found)
                    """,
                    "divide by the window's size",
                ),
                Wrong(
                    """
                    def predict_online(w, x, y, start, size, alpha):
                        found, begun = [], 0
                        for t in range(len(x)):
                            begun = t if start[t] else begun
                            past = slice(begun, t)
                            found.append(x[t] @ (w - alpha * 2 / size * x[past].T @ (x[past] @ w - y[past])))
                        return np.array(found)
                    """,
                    "everything seen in the episode",
                ),
                Wrong(
                    """
                    def predict_online(w, x, y, start, size, alpha):
                        found = []
                        for t in range(len(x)):
                            rows = np.clip(np.arange(t - size, t), 0, None)
                            found.append(x[t] @ (w - alpha * 2 / size * x[rows].T @ (x[rows] @ w - y[rows])))
                        return np.array(found)
                    """,
                    "mask of 13.3",
                ),
                Wrong(
                    """
                    def predict_online(w, x, y, start, size, alpha):
                        found, begun = [], 0
                        for t in range(len(x)):
                            begun = t if start[t] else begun
                            past = slice(max(begun, t - size), t)
                            found.append(x[t] @ (w + alpha * 2 / size * x[past].T @ (x[past] @ w - y[past])))
                        return np.array(found)
                    """,
                    "ascent",
                ),
                Wrong(
                    """
                    def predict_online(w, x, y, start, size, alpha):
                        found, begun = [], 0
                        for t in range(len(x)):
                            begun = t if start[t] else begun
                            past = slice(max(begun, t - size), t)
                            found.append(w - alpha * 2 / size * x[past].T @ (x[past] @ w - y[past]))
                        return np.array(found)
                    """,
                    "shape",
                ),
            ),
            looks_right=(
                # a window of three
                """
                def predict_online(w, x, y, start, size, alpha):
                    found, begun = [], 0
                    for t in range(len(x)):
                        begun = t if start[t] else begun
                        past = slice(max(begun, t - 3), t)
                        found.append(x[t] @ (w - alpha * 2 / 3 * x[past].T @ (x[past] @ w - y[past])))
                    return np.array(found)
                """,
                # a transition too few
                """
                def predict_online(w, x, y, start, size, alpha):
                    found, begun = [], 0
                    for t in range(len(x)):
                        begun = t if start[t] else begun
                        past = slice(max(begun, t - size + 1), t)
                        found.append(x[t] @ (w - alpha * 2 / size * x[past].T @ (x[past] @ w - y[past])))
                    return np.array(found)
                """,
                # one adaptation for all steps, at the end of the stream
                """
                def predict_online(w, x, y, start, size, alpha):
                    past = slice(max(int(np.flatnonzero(start)[-1]), len(x) - 1 - size), len(x) - 1)
                    return x @ (w - alpha * 2 / size * x[past].T @ (x[past] @ w - y[past]))
                """,
                # the first input's step size
                """
                def predict_online(w, x, y, start, size, alpha):
                    found, begun = [], 0
                    for t in range(len(x)):
                        begun = t if start[t] else begun
                        past = slice(max(begun, t - size), t)
                        found.append(x[t] @ (w - 0.3 * 2 / size * x[past].T @ (x[past] @ w - y[past])))
                    return np.array(found)
                """,
            ),
        ),
    },
)


def test_an_empty_window_that_gives_nan_is_not_accepted():
    """Valid places divide by zero where there is none: NaN is told as what it is."""
    check = exercises.check_adapt_model

    def answer(w, x, y, valid, alpha):
        return exercises.adapted(w, x, y, valid, alpha) if valid.any() else w * np.nan

    with pytest.raises(Exception, match="NaN"):
        check(answer)


# --- the page's own code ----------------------------------------------------------------------------------------------


def doubling(now, action):
    """A model whose every step doubles what was imagined last, and adds the action."""
    state, on = now
    return (2 * state + action, on), on


def test_an_imagined_path_goes_on_from_what_was_imagined():
    observation = torch.tensor([[[1.0], [50.0], [60.0]], [[3.0], [70.0], [80.0]]])  # (B, D + 1, O)
    action = torch.tensor([[[0.5], [0.0]], [[0.0], [1.0]]])
    path = of_page("13", "imagine").imagine(doubling, observation, action)
    assert path[..., 0].tolist() == [[1.0, 2.5, 5.0], [3.0, 6.0, 13.0]], "later observations are not looked at"


def test_the_pages_ensemble_predicts_the_mean_of_its_members():
    page = of_page("13", "mean_of_members")
    members = page.DynamicsEnsemble(ml.make_family("weakening_leg").spec, (8,), 3)
    page.mean_of_members.__globals__["ensemble"] = members
    state, action = torch.randn(2, 4, 5), torch.randn(2, 4, 4)
    (then, on), reward = page.mean_of_members((state, torch.ones(2, 4)), action)
    for b in range(2):
        each = members.predict(state[b].expand(3, 4, 5), action[b].expand(3, 4, 4))
        torch.testing.assert_close(then[b], each.observation.mean(0))
        torch.testing.assert_close(reward[b], each.reward.mean(0))
    assert on.shape == (2, 4)


# --- what the pages need and do not show ------------------------------------------------------------------------------


def test_positions_follow_the_heading():
    #                          ahead, aside, turn, cos, sin: along the road, then a quarter turn to the left
    observation = torch.tensor([[9.0, 9, 0, 1, 0], [2.0, 0, 0, 1, 0], [1.0, 0.5, 0, 0, 1]])
    found = experiments.positions(observation)
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0], [0.4, 0.0], [0.3, 0.2]]))


@pytest.fixture(scope="module")
def leg():
    return ml.make_family("weakening_leg")


@pytest.fixture(scope="module")
def walk(leg):
    """A learner, six walkers that fail, and one trial of two episodes of each."""
    learner = ml.make_learner("grbal", leg, seed=0)
    walkers = experiments.failing_walkers(leg, 6)
    random = ml.make_reference("random", leg)
    trial = begin(random, leg, walkers)
    episodes, _ = collect(random, leg, walkers, trial, seeded_generator("cpu", 3, 1), episodes=2)
    return learner, walkers, episodes


def test_failing_walkers_fail_and_the_first_four_are_one_of_each_leg(leg, walk):
    _, walkers, _ = walk
    assert len(walkers.onset) == 6 and (walkers.onset < leg.horizon).all()
    assert walkers.strength[:4].argmin(1).tolist() == [0, 1, 2, 3]


def test_positions_are_those_of_the_simulator(leg, walk):
    """The ground covered by two routes: the page's positions, and the rewards' own speed along the road."""
    _, _, episodes = walk
    observation = episodes.observation[:, 0, 0]
    walked = experiments.positions(observation)
    ahead, aside, _, cosine, sine = observation.unbind(-1)
    along, across = ahead * cosine - aside * sine, ahead * sine + aside * cosine
    speed = episodes.reward[:, 0, 0, :-1] + 2 * across[:, 1:] ** 2 + 2 * (1 - cosine[:, 1:])
    torch.testing.assert_close(speed, along[:, 1:], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(walked[:, 1:, 0], 0.2 * speed.cumsum(1), atol=1e-3, rtol=1e-3)


def test_a_perfect_model_has_no_error_and_one_that_stands_still_has_the_way(walk):
    _, _, episodes = walk

    def replay(model, observation, action):
        return observation

    def stand(model, observation, action):
        return torch.cat([observation[:, :1], torch.zeros_like(observation[:, 1:])], 1)

    assert experiments.path_errors(replay, None, episodes, ahead=4).tolist() == [0, 0, 0, 0]
    still = experiments.path_errors(stand, None, episodes, ahead=4)
    observation = episodes.observation[:, 0, 0]
    starts = range(0, 96, 5)
    moved = [(experiments.positions(observation[:, t : t + 5])).norm(dim=-1).mean(0)[1:] for t in starts]
    np.testing.assert_allclose(still, torch.stack(moved).mean(0), rtol=1e-5)


def test_imagined_paths_adapt_to_the_steps_before_the_moment(walk):
    learner, walkers, episodes = walk
    asked = []

    class Dynamics:
        def imagine(self, past, known, latent):
            asked.append((past, known))
            return len(asked)

    class Learner:
        dynamics = Dynamics()

    def imagine(model, observation, action):
        return observation * model

    paths = experiments.imagined_paths(Learner, imagine, walkers.onset, episodes, (-5, 10), (0, 4), 3)
    assert paths.walked.shape == (2, 6, 4, 2) and paths.imagined.shape == (2, 2, 6, 4, 2)
    empty, four = asked[2:]  # ten steps after
    assert not empty[1].any() and four[1].all() and four[1].shape == (6, 4)
    observation, action = episodes.observation[:, 0, 0], episodes.action[:, 0, 0]
    for task, onset in enumerate(walkers.onset.tolist()):
        now = onset + 10
        torch.testing.assert_close(four[0]["observation"][task], observation[task, now - 4 : now])
        torch.testing.assert_close(four[0]["after"][task], observation[task, now - 3 : now + 1])
        torch.testing.assert_close(four[0]["action"][task], action[task, now - 4 : now])
        real = experiments.positions(observation[task, now : now + 4])
        np.testing.assert_allclose(paths.walked[1, task], real, rtol=1e-5)
    # a window that would begin before the episode counts nothing
    asked.clear()
    early = torch.arange(6) + 1
    experiments.imagined_paths(Learner, imagine, early, episodes, (0,), (4,), 3)
    assert asked[0][1].all(1).tolist() == asked[0][1].any(1).tolist() == [False, False, False, True, True, True]


def test_a_window_that_is_told_of_no_start_keeps_the_last_episode(leg, walk):
    learner, _, episodes = walk
    steps = range(90, 120)
    told = experiments.turn_errors(learner, episodes, lambda t: t % leg.horizon == 0, steps)
    untold = experiments.turn_errors(learner, episodes, lambda t: False, steps)
    np.testing.assert_array_equal(told[:10], untold[:10])
    assert not np.allclose(told[10:26], untold[10:26]) and np.allclose(told[26:], untold[26:], rtol=1e-4)


def test_stored_weights_are_put_back(leg):
    arrays = experiments.trained_forms(leg, 1)
    for form in experiments.FORMS:
        agent = experiments.with_stored_weights(leg, form, arrays)
        again = torch.nn.utils.parameters_to_vector(agent.parameters()).detach().numpy()
        np.testing.assert_array_equal(again, arrays[form])
        np.testing.assert_array_equal(agent.dynamics.model.target_moments.numpy(), arrays[f"{form} targets"])


def test_spans_are_means_over_both_ends_seed_by_seed():
    curve = pd.DataFrame([[1.0, 2, 3, 4], [5.0, 6, 7, 8]], index=[0, 1], columns=[-1, 0, 1, 2])
    found = experiments.in_spans({"a": curve}, {"before": (-1, -1), "after": (0, 2)})
    assert found["a"].to_dict() == {("before", 0): 1, ("before", 1): 5, ("after", 0): 3, ("after", 1): 7}


def test_env_steps_to_a_goal_by_hand():
    rows = [
        ("pendulum", "random", -1, 0, 0.0),
        ("pendulum", "swing_up", -1, 0, 100.0),
        *[("pendulum", "grbal", 0, step, value) for step, value in ((0, 0), (10, 60), (20, 40), (30, 80))],
        *[("pendulum", "grbal", 1, step, value) for step, value in ((0, 0), (10, 10), (20, 50))],
        ("point_navigation", "random", -1, 0, -4.0),
        ("point_navigation", "oracle", -1, 0, 0.0),
        *[("point_navigation", "maml", 0, step, value) for step, value in ((0, -4), (100, -3))],
    ]
    runs = pd.DataFrame(rows, columns=["family", "learner", "seed", "env_steps", "mean"])
    found = experiments.steps_to_goals(runs).set_index(["family", "share", "learner", "seed"]).sort_index()
    assert found.env_steps["pendulum", "half way", "GrBAL"].to_dict() == {0: 10, 1: 20}
    assert found.env_steps["pendulum", "three quarters", "GrBAL"].to_dict() == {0: 30, 1: np.inf}
    assert found.ran["pendulum", "half way", "GrBAL"].to_dict() == {0: 30, 1: 20}
    assert found.env_steps["point navigation", "half way", "MAML"].tolist() == [np.inf]
    assert found.goal["point navigation", "half way", "MAML"].tolist() == [-2.0]
    told = experiments.medians(experiments.steps_to_goals(runs))
    assert told.loc["pendulum", "50.0"].to_dict() == {"GrBAL": "15 (2 of 2)", "MAML": "not run"}
    assert (
        told.loc[
            "point navigation",
            "-2.0",
        ]["MAML"]
        == "never (0 of 1)"
    )


def test_returns_are_told_with_intervals_where_there_are_seeds():
    index = pd.MultiIndex.from_product([["held out", "ood"], [0, 1]], names=["split", "seed"])
    returns = pd.DataFrame({"GrBAL": [1.0, 3.0, 5.0, 5.0]}, index=index)
    told = experiments.with_intervals(returns)
    assert told.loc["GrBAL", "held out"].startswith("2 [") and told.loc["GrBAL", "ood"] == "5 [5, 5]"
    assert experiments.with_intervals(returns.iloc[[0]]).loc["GrBAL", "held out"] == "1"


# --- figures and the widget -------------------------------------------------------------------------------------------


def by_seed(*rows):
    return pd.DataFrame(rows, index=range(len(rows)), columns=[-1, 0, 5], dtype=float)


def labelled(ax):
    return {line.get_label(): line for line in ax.lines}


def test_error_growth_counts_imagined_steps_from_one():
    ax = figures.error_growth({"pooled": np.array([0.1, 0.4])}, "error (m)")
    np.testing.assert_allclose(labelled(ax)["pooled"].get_xydata(), [[1, 0.1], [2, 0.4]])
    assert ax.get_ylim()[0] == 0 and ax.get_ylabel() == "error (m)" and ax.get_legend() is not None


def test_around_failure_has_means_with_bars_for_learners_and_lines_for_what_knows():
    errors = {"no adaptation": by_seed([1, 2, 3], [3, 4, 5]), "GrBAL": by_seed([1, 1, 1], [1, 1, 3])}
    rewards = {name: -table for name, table in errors.items()}
    figure = figures.around_failure(errors, rewards, {"true dynamics": by_seed([3.0, 2.5, 2.5])})
    left, right = figure.axes
    np.testing.assert_allclose(labelled(left)["no adaptation"].get_ydata(), [2, 3, 4])
    np.testing.assert_allclose(labelled(right)["GrBAL"].get_ydata(), [-1, -1, -2])
    np.testing.assert_allclose(labelled(right)["true dynamics"].get_ydata(), [3, 2.5, 2.5])
    assert labelled(left)["GrBAL"].get_color() == "#CC79A7", "its colour in the whole book"
    bars = [container.lines[0].get_xdata().tolist() for container in left.containers]
    assert bars == [[4.6], [5.4]], "step 5, beside one another"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["no adaptation", "GrBAL", "true dynamics"]


def test_paths_end_where_asked():
    true = np.stack([np.arange(5.0), np.zeros(5)], 1)
    figure = figures.path_and_error(true, {"not adapted": true + 1}, {"not adapted": np.arange(4.0)}, ahead=2)
    left, right = figure.axes
    np.testing.assert_allclose(labelled(left)["really walked"].get_xydata(), true[:3])
    np.testing.assert_allclose(labelled(left)["imagined, not adapted"].get_xydata(), true[:3] + 1)
    assert right.lines[-1].get_xdata()[0] == 2 and len(labelled(right)["not adapted"].get_xdata()) == 4


def test_a_return_never_reached_is_an_open_mark_where_the_run_ended():
    columns = ["family", "goal", "learner", "seed", "env_steps", "ran"]
    rows = [
        ("leg", 3.0, "RL2", 0, 100, 500),
        ("leg", 3.0, "RL2", 1, np.inf, 800),
        ("leg", 3.0, "MAML", 0, 10, 50),
        ("cart", 5.0, "MAML", 0, 20, 50),
    ]
    left, right = figures.steps_needed(pd.DataFrame(rows, columns=columns)).axes
    reached, never = left.lines[:2]
    assert reached.get_xdata().tolist() == [100] and never.get_xdata().tolist() == [800]
    assert never.get_markerfacecolor() == "white" and left.get_title() == "leg: return 3.0"
    assert left.get_xscale() == "log" and [t.get_text() for t in left.get_yticklabels()] == ["RL2", "MAML"]
    assert left.lines[2].get_color() == right.lines[0].get_color(), "a learner has one colour in both panels"


MOMENTS, WINDOWS, TASKS = (-5, 4, 20), (0, 4, 16), ("front left leg", "rear right leg")


def make(name):
    rng = np.random.default_rng(0)
    walked = rng.normal(size=(3, 2, 11, 2)).cumsum(2) - rng.normal(size=(3, 2, 1, 2))
    imagined = walked[:, None] + rng.normal(size=(3, 3, 2, 11, 2))
    return Imagination(walked, imagined), imagination_explorer(
        Imagination(walked, imagined), MOMENTS, WINDOWS, TASKS, name=name
    )


def test_every_control_changes_the_picture_and_its_alt_text():
    _, explorer = make("test imagined path")
    for name, value in {"task": TASKS[1], "moment": -5, "window": 4, "ahead": 3}.items():
        picture, alt = explorer.picture, explorer.alt_text
        explorer.controls[name].value = value
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""


def test_the_stored_picture_is_the_longest_window_long_after(monkeypatch, capsys):
    _, explorer = make("test imagined path 3")
    shown = []
    monkeypatch.setattr("metarl_lab.teach.widgets.show", lambda widget, page, plain, png: shown.append(plain))
    explorer.show()
    assert "steps after = 20" in shown[0] and "adapted to 16 steps" in shown[0]
    assert explorer.values["window"] == 0, "a reader with a kernel begins with the model as it is"


def test_it_shows_the_moment_window_and_task_chosen(monkeypatch):
    shown = {}
    real = figures.path_and_error

    def spy(true, imagined, errors, ahead):
        shown.update(true=true, imagined=imagined, errors=errors, ahead=ahead)
        return real(true, imagined, errors, ahead)

    monkeypatch.setattr("metarl_lab.chapters.ch13_model_based.widget.path_and_error", spy)
    data, explorer = make("test imagined path 2")
    explorer.controls["task"].value = TASKS[1]
    explorer.controls["window"].value = 4
    explorer.controls["moment"].value = 20
    np.testing.assert_array_equal(shown["true"], data.walked[2, 1])
    np.testing.assert_array_equal(shown["imagined"]["adapted to 4 steps"], data.imagined[2, 1, 1])
    np.testing.assert_array_equal(shown["imagined"]["not adapted"], data.imagined[2, 0, 1])
    mean = np.linalg.norm(data.imagined[2, 1] - data.walked[2], axis=-1).mean(0)[1:]
    np.testing.assert_allclose(shown["errors"]["adapted to 4 steps"], mean)
    explorer.controls["window"].value = 0
    assert list(shown["imagined"]) == ["not adapted"]
