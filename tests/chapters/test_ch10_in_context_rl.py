"""Chapter 10: answers to its exercises, the equalities behind its page, its figures and its widget."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from answers import Answers, Wrong, answer_tests
from pages import of_page

import metarl_lab as ml
from metarl_lab.chapters.ch10_in_context_rl import exercises, experiments, figures
from metarl_lab.chapters.ch10_in_context_rl.widget import AttentionTrial, attention_stepper, record_attention
from metarl_lab.nets.transformer import TransformerCore
from metarl_lab.ops.td import trial_targets
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.dark_room import DarkRoomTasks
from metarl_lab.teach import exercises as grading
from metarl_lab.types import Seen

# --- answers to the exercises -----------------------------------------------------------------------------------------

test_answers = answer_tests(
    "10",
    {
        "10.1": Answers(
            right=(
                # NumPy, weights of what may not be read set to zero
                """
                def attend(q, k, v, window):
                    ago = np.arange(len(q))[:, None] - np.arange(len(q))
                    w = np.where((ago >= 0) & (ago < window), np.exp(q @ k.T / q.shape[1] ** 0.5), 0)
                    return w / w.sum(1, keepdims=True) @ v
                """,
                # torch: masked_fill and softmax
                """
                def attend(q, k, v, window):
                    step = torch.arange(q.shape[0])
                    ago = step.unsqueeze(1) - step.unsqueeze(0)
                    scores = torch.einsum("td,id->ti", q, k) / math.sqrt(q.shape[-1])
                    scores = scores.masked_fill((ago < 0) | (ago >= window), -torch.inf)
                    return torch.softmax(scores, dim=-1) @ v
                """,
                # PyTorch's own
                """
                def attend(q, k, v, window):
                    seen = torch.ones(len(q), len(q), dtype=torch.bool)
                    mask = seen.tril() & seen.triu(1 - window)
                    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
                """,
                # a loop over steps that slices the window
                """
                def attend(q, k, v, window):
                    out = []
                    for t in range(len(q)):
                        first = max(t - window + 1, 0)
                        scores = np.array([np.dot(q[t], key) for key in k[first : t + 1]]) / np.sqrt(len(q[t]))
                        w = np.exp(scores - scores.max())
                        out.append((w / w.sum()) @ np.asarray(v[first : t + 1]))
                    return np.stack(out)
                """,
                # plain lists
                """
                def attend(q, k, v, window):
                    q, k, v = q.tolist(), k.tolist(), v.tolist()
                    d = len(q[0])
                    out = []
                    for t in range(len(q)):
                        w = {i: math.exp(sum(a * b for a, b in zip(q[t], k[i])) / math.sqrt(d))
                             for i in range(len(k)) if 0 <= t - i < window}
                        total = sum(w.values())
                        out.append([sum(w[i] * v[i][j] for i in w) / total for j in range(d)])
                    return out
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def attend(q, k, v, window):
                        ago = np.arange(len(q))[:, None] - np.arange(len(q))
                        w = np.where(abs(ago) < window, np.exp(q @ k.T / q.shape[1] ** 0.5), 0)
                        return w / w.sum(1, keepdims=True) @ v
                    """,
                    "no causal mask",
                ),
                Wrong(
                    """
                    def attend(q, k, v, window):
                        return torch.softmax(q @ k.T / q.shape[1] ** 0.5, dim=1) @ v
                    """,
                    "no mask at all",
                ),
                Wrong(
                    """
                    def attend(q, k, v, window):
                        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
                    """,
                    "window is missing",
                ),
                Wrong(
                    """
                    def attend(q, k, v, window):
                        ago = np.arange(len(q))[:, None] - np.arange(len(q))
                        w = np.where((ago >= 0) & (ago <= window), np.exp(q @ k.T / q.shape[1] ** 0.5), 0)
                        return w / w.sum(1, keepdims=True) @ v
                    """,
                    "one step too long",
                ),
                Wrong(
                    """
                    def attend(q, k, v, window):
                        ago = np.arange(len(q))[:, None] - np.arange(len(q))
                        w = np.where((ago >= 0) & (ago < max(window - 1, 1)), np.exp(q @ k.T / q.shape[1] ** 0.5), 0)
                        return w / w.sum(1, keepdims=True) @ v
                    """,
                    "one step too short",
                ),
                Wrong(
                    """
                    def attend(q, k, v, window):
                        ago = np.arange(len(q))[:, None] - np.arange(len(q))
                        w = np.where((ago >= 0) & (ago < window), np.exp(q @ k.T), 0)
                        return w / w.sum(1, keepdims=True) @ v
                    """,
                    "do not divide",
                ),
                Wrong(
                    """
                    def attend(q, k, v, window):
                        ago = np.arange(len(q))[:, None] - np.arange(len(q))
                        w = np.where((ago >= 0) & (ago < window), np.exp(q @ k.T / q.shape[1]), 0)
                        return w / w.sum(1, keepdims=True) @ v
                    """,
                    "divide by the width",
                ),
                Wrong(
                    """
                    def attend(q, k, v, window):
                        ago = np.arange(len(q))[:, None] - np.arange(len(q))
                        w = np.exp(q @ k.T / q.shape[1] ** 0.5)
                        w = w / w.sum(1, keepdims=True)
                        return np.where((ago >= 0) & (ago < window), w, 0) @ v
                    """,
                    "mask after the softmax",
                ),
                Wrong(
                    """
                    def attend(q, k, v, window):
                        ago = torch.arange(len(q))[:, None] - torch.arange(len(q))
                        scores = (q @ k.T / q.shape[1] ** 0.5) * ((ago >= 0) & (ago < window))
                        return scores.softmax(-1) @ v
                    """,
                    "minus infinity",
                ),
                Wrong(
                    """
                    def attend(q, k, v, window):
                        ago = np.arange(len(q))[:, None] - np.arange(len(q))
                        w = np.where((ago >= 0) & (ago < window), np.exp(q @ k.T / q.shape[1] ** 0.5), 0)
                        return w / w.sum(0, keepdims=True) @ v
                    """,
                    "wrong axis",
                ),
                Wrong(
                    """
                    def attend(q, k, v, window):
                        ago = np.arange(len(q))[:, None] - np.arange(len(q))
                        w = np.where((ago >= 0) & (ago < window), np.exp(k @ q.T / q.shape[1] ** 0.5), 0)
                        return w / w.sum(1, keepdims=True) @ v
                    """,
                    "swapped",
                ),
                Wrong(
                    """
                    def attend(q, k, v, window):
                        ahead = np.arange(len(q)) - np.arange(len(q))[:, None]
                        w = np.where((ahead >= 0) & (ahead < window), np.exp(q @ k.T / q.shape[1] ** 0.5), 0)
                        return w / w.sum(1, keepdims=True) @ v
                    """,
                    "turned round",
                ),
                Wrong(
                    """
                    def attend(q, k, v, window):
                        return [v[max(t - window + 1, 0) : t + 1].mean(0) for t in range(len(v))]
                    """,
                    "plain mean",
                ),
            ),
            looks_right=(
                # the first trial's window
                """
                def attend(q, k, v, window):
                    ago = np.arange(len(q))[:, None] - np.arange(len(q))
                    w = np.where((ago >= 0) & (ago < 3), np.exp(q @ k.T / q.shape[1] ** 0.5), 0)
                    return w / w.sum(1, keepdims=True) @ v
                """,
                # the first trial's width
                """
                def attend(q, k, v, window):
                    ago = np.arange(len(q))[:, None] - np.arange(len(q))
                    w = np.where((ago >= 0) & (ago < window), np.exp(q @ k.T / 2), 0)
                    return w / w.sum(1, keepdims=True) @ v
                """,
                # the last step only, the others as they were
                """
                def attend(q, k, v, window):
                    scores = np.exp(k[-window:] @ q[-1] / q.shape[1] ** 0.5)
                    out = v.copy()
                    out[-1] = scores @ v[-window:] / scores.sum()
                    return out
                """,
                # slices that go wrong at the start of the trial: -2 is not "two before the start"
                """
                def attend(q, k, v, window):
                    out = np.zeros_like(v)
                    for t in range(len(q)):
                        first = t - window + 1 if t >= window else 0
                        w = np.exp(k[first : t + 1] @ q[t] / q.shape[1] ** 0.5)
                        out[t] = w @ v[first : t + 1] / w.sum()
                    return out * (np.arange(len(q)) > 0)[:, None]
                """,
            ),
        ),
        "10.2": Answers(
            right=(
                "reach = lambda layers, window: layers * window - layers",
                "reach = lambda layers, window: sum(window - 1 for layer in range(layers))",
                # by propagation: which steps can the newest output depend on?
                """
                def reach(layers, window):
                    steps = layers * window + 1
                    ago = np.arange(steps)[:, None] - np.arange(steps)
                    reads = ((ago >= 0) & (ago < window)).astype(float)
                    depends = np.linalg.matrix_power(reads, layers)[-1] > 0
                    return steps - 1 - np.flatnonzero(depends)[0]
                """,
                """
                def reach(layers, window):
                    oldest = 0
                    while layers > 0:
                        oldest, layers = oldest + window - 1, layers - 1
                    return torch.tensor(oldest)
                """,
            ),
            wrong=(
                Wrong("reach = lambda layers, window: window - 1", "one layer's"),
                Wrong("reach = lambda layers, window: layers * window", "present step counts in each"),
                Wrong("reach = lambda layers, window: layers * window - 1", "not only in one"),
                Wrong("reach = lambda layers, window: (window - 1) ** layers", "do not multiply"),
                Wrong("reach = lambda layers, window: layers * (window - 1) + 1", "steps *back*"),
                Wrong("reach = lambda layers, window: window - 1 + layers - 1", "whole look back"),
            ),
            looks_right=(
                "reach = lambda layers, window: 12",
                "reach = lambda layers, window: 3 * (window - 1)",
                "reach = lambda layers, window: 4 * layers",
                "reach = lambda layers, window: min(layers * (window - 1), 14)  * (window != 2)",
                "reach = lambda layers, window: max(layers * (window - 1), 1)",
            ),
        ),
        "10.3": Answers(
            right=(
                "imitator = lambda possible: np.append(possible / possible.sum(), 0)",
                """
                def imitator(possible):
                    chance = possible.double() / possible.sum()
                    return torch.cat([chance, torch.zeros(1, dtype=chance.dtype)])
                """,
                """
                def imitator(possible):
                    left = sum(1 for arm in possible if arm)
                    return [1 / left if arm else 0.0 for arm in possible] + [0.0]
                """,
                """
                def imitator(possible):
                    logits = torch.where(possible, 0.0, -torch.inf)
                    return torch.nn.functional.pad(logits.softmax(0), (0, 1))
                """,
                # what the labels say: the average of one-hot labels over the arms that are left
                """
                def imitator(possible):
                    labels = np.eye(len(possible) + 1)[np.flatnonzero(np.asarray(possible))]
                    return labels.mean(axis=0)
                """,
            ),
            wrong=(
                Wrong(
                    "imitator = lambda possible: np.append(possible, True) / (possible.sum() + 1)",
                    "never the best arm",
                ),
                Wrong("imitator = lambda possible: np.append(np.ones(len(possible)) / len(possible), 0)", "ruled out"),
                Wrong("imitator = lambda possible: np.ones(len(possible) + 1) / (len(possible) + 1)", "the same"),
                Wrong("imitator = lambda possible: np.append(np.zeros(len(possible)), 1)", "exploring agent"),
                Wrong("imitator = lambda possible: np.eye(len(possible) + 1)[possible.argmax()]", "greedy"),
                Wrong("imitator = lambda possible: np.append(possible * 1.0, 0)", "arms still possible"),
                Wrong("imitator = lambda possible: np.append(possible / len(possible), 0)", "not by the number"),
                Wrong("imitator = lambda possible: np.append(0, possible / possible.sum())", "not the first"),
                Wrong("imitator = lambda possible: possible / possible.sum()", "an action too"),
                Wrong(
                    "imitator = lambda possible: np.append(~possible / (~possible).sum(), 0)", "the arms that are ruled"
                ),
            ),
            looks_right=(
                "imitator = lambda possible: [1 / 3, 0, 1 / 3, 1 / 3, 0]",
                "imitator = lambda possible: np.append(possible / 3, 0)",
                "imitator = lambda possible: np.append(possible[:4] / possible[:4].sum(), 0)",
                "imitator = lambda possible: np.append(possible / max(possible.sum(), 2), 0)",
            ),
        ),
        "10.4": Answers(
            right=(
                """
                def targets(reward, value, discount):
                    after = np.append(value.ravel()[1:], 0)
                    return reward + discount * after.reshape(reward.shape)
                """,
                """
                def targets(reward, value, discount):
                    after = torch.roll(value.flatten(), -1)
                    after[-1] = 0.0
                    return torch.add(reward, after.view_as(reward), alpha=discount)
                """,
                """
                def targets(reward, value, discount):
                    K, H = reward.shape
                    y = [[float(r) for r in row] for row in reward]
                    for k in range(K):
                        for h in range(H):
                            if h + 1 < H:
                                y[k][h] += discount * value[k][h + 1]
                            elif k + 1 < K:
                                y[k][h] += discount * value[k + 1][0]
                    return y
                """,
                # the value of the next step: the row shifted, its last entry from the row below
                """
                def targets(reward, value, discount):
                    below = np.append(value[1:, 0], 0.0)
                    after = np.concatenate([value[:, 1:], below[:, None]], axis=1)
                    return reward + discount * after
                """,
                """
                def targets(reward, value, discount):
                    shift = torch.diag(torch.ones(value.numel() - 1, dtype=value.dtype), 1)
                    return reward + discount * torch.einsum("ij,j->i", shift, value.flatten()).reshape(value.shape)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def targets(reward, value, discount):
                        after = np.append(value[:, 1:], np.zeros((len(value), 1)), 1)
                        return reward + discount * after
                    """,
                    "stop at the episode's end",
                ),
                Wrong(
                    """
                    def targets(reward, value, discount):
                        flat = value.ravel()
                        return reward + discount * np.append(flat[1:], flat[-1]).reshape(reward.shape)
                    """,
                    "nothing after it",
                ),
                Wrong(
                    """
                    def targets(reward, value, discount):
                        return reward + discount * np.roll(value, -1)
                    """,
                    "trial's first",
                ),
                Wrong(
                    "targets = lambda reward, value, discount: reward + discount * np.roll(value, -1, axis=1)",
                    "its own first step",
                ),
                Wrong("targets = lambda reward, value, discount: reward + discount * value", "same step"),
                Wrong(
                    """
                    def targets(reward, value, discount):
                        return reward + discount * np.append(value[1:], np.zeros((1, value.shape[1])), 0)
                    """,
                    "row to row",
                ),
                Wrong(
                    """
                    def targets(reward, value, discount):
                        return reward + np.append(value.ravel()[1:], 0).reshape(reward.shape)
                    """,
                    "discount is missing",
                ),
                Wrong(
                    """
                    def targets(reward, value, discount):
                        return discount * np.append(value.ravel()[1:], 0).reshape(reward.shape)
                    """,
                    "reward is missing",
                ),
                Wrong(
                    """
                    def targets(reward, value, discount):
                        return discount * (reward + np.append(value.ravel()[1:], 0).reshape(reward.shape))
                    """,
                    "paid now",
                ),
                Wrong(
                    """
                    def targets(reward, value, discount):
                        y = reward.ravel().copy()
                        for t in reversed(range(len(y) - 1)):
                            y[t] += discount * y[t + 1]
                        return y.reshape(reward.shape)
                    """,
                    "all rewards to come",
                ),
            ),
            looks_right=(
                """
                def targets(reward, value, discount):
                    return reward + 0.9 * np.append(value.ravel()[1:], 0).reshape(reward.shape)
                """,
                # two episodes of three steps, no others
                """
                def targets(reward, value, discount):
                    y = reward + discount * np.append(value.ravel()[1:], 0).reshape(reward.shape)
                    return y[:2, :3]
                """,
                # right but in the last episode
                """
                def targets(reward, value, discount):
                    y = reward + discount * np.append(value.ravel()[1:], 0).reshape(reward.shape)
                    y[-1] = reward[-1]
                    return y
                """,
                # two steps ahead
                """
                def targets(reward, value, discount):
                    after = np.append(value.ravel()[2:], [0, 0]).reshape(reward.shape)
                    later = np.append(reward.ravel()[1:], 0).reshape(reward.shape)
                    return reward + discount * later + discount**2 * after
                """,
            ),
        ),
        "10.5": Answers(
            right=(
                # torch, counts as one-hot labels
                """
                def pretrain(tasks, act_out, best, n_actions):
                    table = {}
                    for task in tasks:
                        label = torch.nn.functional.one_hot(torch.tensor(best(task)), n_actions).double()
                        seen = ()
                        for pair in act_out(task):
                            table[seen] = table.get(seen, 0) + label
                            seen = seen + (tuple(pair),)
                    return {seen: row / row.sum() for seen, row in table.items()}
                """,
                # lists: all labels of a history, then their shares
                """
                def pretrain(tasks, act_out, best, n_actions):
                    labels = {}
                    for task in tasks:
                        history = tuple(act_out(task))
                        for t in range(len(history)):
                            labels.setdefault(history[:t], []).append(best(task))
                    return {
                        seen: [found.count(a) / len(found) for a in range(n_actions)]
                        for seen, found in labels.items()
                    }
                """,
                # the standard library's counter
                """
                def pretrain(tasks, act_out, best, n_actions):
                    from collections import Counter, defaultdict
                    counts = defaultdict(Counter)
                    for task in tasks:
                        history = act_out(task)
                        for t, _ in enumerate(history):
                            counts[tuple(history[:t])][best(task)] += 1
                    return {
                        seen: np.array([row[a] for a in range(n_actions)]) / sum(row.values())
                        for seen, row in counts.items()
                    }
                """,
                # a running mean, as stochastic gradient steps with a falling step size make it
                """
                def pretrain(tasks, act_out, best, n_actions):
                    table, visits = {}, {}
                    for task in tasks:
                        history, label = act_out(task), np.eye(n_actions)[best(task)]
                        for t in range(len(history)):
                            seen = tuple(history[:t])
                            visits[seen] = visits.get(seen, 0) + 1
                            row = table.get(seen, np.zeros(n_actions))
                            table[seen] = row + (label - row) / visits[seen]
                    return table
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def pretrain(tasks, act_out, best, n_actions):
                        counts = {}
                        for task in tasks:
                            history = act_out(task)
                            for t in range(len(history)):
                                row = counts.setdefault(tuple(history[:t]), np.zeros(n_actions))
                                row[history[t][0]] += 1
                        return {seen: row / row.sum() for seen, row in counts.items()}
                    """,
                    "clones the action that was taken",
                ),
                Wrong(
                    """
                    def pretrain(tasks, act_out, best, n_actions):
                        counts = {}
                        for task in tasks:
                            history = act_out(task)
                            for t in range(len(history)):
                                row = counts.setdefault(tuple(history[: t + 1]), np.zeros(n_actions))
                                row[best(task)] += 1
                        return {seen: row / row.sum() for seen, row in counts.items()}
                    """,
                    "came *before* it",
                ),
                Wrong(
                    """
                    def pretrain(tasks, act_out, best, n_actions):
                        counts = {}
                        for task in tasks:
                            history = act_out(task)
                            for t in range(1, len(history)):
                                row = counts.setdefault(tuple(history[:t]), np.zeros(n_actions))
                                row[best(task)] += 1
                        return {seen: row / row.sum() for seen, row in counts.items()}
                    """,
                    "empty history is missing",
                ),
                Wrong(
                    """
                    def pretrain(tasks, act_out, best, n_actions):
                        counts = {}
                        for task in tasks:
                            row = counts.setdefault(tuple(act_out(task)[:-1]), np.zeros(n_actions))
                            row[best(task)] += 1
                        return {seen: row / row.sum() for seen, row in counts.items()}
                    """,
                    "one step of each history only",
                ),
                Wrong(
                    """
                    def pretrain(tasks, act_out, best, n_actions):
                        counts = {}
                        for task in tasks:
                            history = act_out(task)
                            for t in range(len(history) + 1):
                                row = counts.setdefault(tuple(history[:t]), np.zeros(n_actions))
                                row[best(task)] += 1
                        return {seen: row / row.sum() for seen, row in counts.items()}
                    """,
                    "after the last step",
                ),
                Wrong(
                    """
                    def pretrain(tasks, act_out, best, n_actions):
                        counts = {}
                        for task in tasks:
                            seen = ()
                            for pair in act_out(task):
                                counts.setdefault(seen, np.zeros(n_actions))[best(task)] += 1
                                seen = (pair,)
                        return {seen: row / row.sum() for seen, row in counts.items()}
                    """,
                    "last pair only",
                ),
                Wrong(
                    """
                    def pretrain(tasks, act_out, best, n_actions):
                        counts = {}
                        for task in tasks:
                            pulled = [action for action, reward in act_out(task)]
                            for t in range(len(pulled)):
                                counts.setdefault(tuple(pulled[:t]), np.zeros(n_actions))[best(task)] += 1
                        return {seen: row / row.sum() for seen, row in counts.items()}
                    """,
                    "without their rewards",
                ),
                Wrong(
                    """
                    def pretrain(tasks, act_out, best, n_actions):
                        counts = {}
                        for task in tasks:
                            history = act_out(task)
                            for t in range(len(history)):
                                counts.setdefault(tuple(history[:t]), np.zeros(n_actions))[best(task)] += 1
                        return counts
                    """,
                    "do not sum to 1",
                ),
                Wrong(
                    """
                    def pretrain(tasks, act_out, best, n_actions):
                        counts = {}
                        for task in tasks:
                            history = act_out(task)
                            for t in range(len(history)):
                                counts.setdefault(tuple(history[:t]), np.zeros(n_actions))[best(task)] += 1
                        return {seen: np.eye(n_actions)[row.argmax()] for seen, row in counts.items()}
                    """,
                    "most frequent label",
                ),
                Wrong(
                    """
                    def pretrain(tasks, act_out, best, n_actions):
                        counts = {}
                        for task in set(tasks):
                            history = act_out(task)
                            for t in range(len(history)):
                                counts.setdefault(tuple(history[:t]), np.zeros(n_actions))[best(task)] += 1
                        return {seen: row / row.sum() for seen, row in counts.items()}
                    """,
                    "one of each task",
                ),
                Wrong("pretrain = lambda tasks, act_out, best, n_actions: [0.5, 0.5]", "a dict is needed"),
                Wrong("pretrain = lambda tasks, act_out, best, n_actions: {'': [0.5, 0.5]}", "a tuple of pairs"),
            ),
            looks_right=(
                # two actions, no other number of them
                """
                def pretrain(tasks, act_out, best, n_actions):
                    counts = {}
                    for task in tasks:
                        history = act_out(task)
                        for t in range(len(history)):
                            counts.setdefault(tuple(history[:t]), np.zeros(2))[best(task) % 2] += 1
                    return {seen: row / row.sum() for seen, row in counts.items()}
                """,
                # the first task's label for every task
                """
                def pretrain(tasks, act_out, best, n_actions):
                    counts = {}
                    for task in tasks:
                        history = act_out(task)
                        for t in range(len(history)):
                            counts.setdefault(tuple(history[:t]), np.zeros(n_actions))[best(tasks[0])] += 1
                    return {seen: row / row.sum() for seen, row in counts.items()}
                """,
                # the last trial with a history is kept, and not all of them
                """
                def pretrain(tasks, act_out, best, n_actions):
                    table = {}
                    for task in tasks:
                        history = act_out(task)
                        for t in range(len(history)):
                            table[tuple(history[:t])] = np.eye(n_actions)[best(task)]
                    return table
                """,
                # smoothed counts: a prior that nobody asked for
                """
                def pretrain(tasks, act_out, best, n_actions):
                    counts = {}
                    for task in tasks:
                        history = act_out(task)
                        for t in range(len(history)):
                            counts.setdefault(tuple(history[:t]), np.ones(n_actions))[best(task)] += 1
                    return {seen: row / row.sum() for seen, row in counts.items()}
                """,
                # the first three steps of every history
                """
                def pretrain(tasks, act_out, best, n_actions):
                    counts = {}
                    for task in tasks:
                        history = act_out(task)
                        for t in range(3):
                            counts.setdefault(tuple(history[:t]), np.zeros(n_actions))[best(task)] += 1
                    return {seen: row / row.sum() for seen, row in counts.items()}
                """,
            ),
        ),
    },
)


def test_each_other_table_differs_from_the_right_one_and_from_the_others():
    tables = []
    for tasks, act_out, best, n_actions in exercises.FAMILIES:
        ways = [exercises.prefixes, *exercises.OTHER_TABLES.values()]
        tables.append([exercises.counted(tasks, act_out, best, n_actions, rows) for rows in ways])
    for first in range(len(tables[0])):
        for second in range(first):
            assert not all(exercises.same_table(made[first], made[second]) for made in tables), (first, second)
    assert not any(exercises.same_table(tables[0][0], other) for other in tables[0][1:])


def test_the_table_of_the_naming_bandit_is_exercise_3():
    """What the reader is told at the end of 10.5."""
    tasks, act_out, best, n_actions = exercises.FAMILIES[1]
    table = grading.realise(grading.find("10.5").solution, "pretrain")(tasks, act_out, best, n_actions)
    imitator = grading.realise(grading.find("10.3").solution, "imitator")
    assert set(table) > {(), ((0, 1),), ((0, 1), (1, 1))}
    for seen, row in table.items():
        tried, found = {arm for arm, reward in seen if reward == 1}, [arm for arm, reward in seen if reward == 5]
        possible = np.array([arm in found or (not found and arm not in tried) for arm in range(4)])
        np.testing.assert_allclose(row, imitator(possible), err_msg=str(seen))


# --- the page's own code ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page():
    names = "forward", "step", "posterior", "Imitator", "worth", "colleagues", "ours", "unroll", "last_moved"
    return of_page("10", *names)


@pytest.fixture
def trial():
    """A core of two layers, and a batch of trials as it reads them, (L, B, I)."""
    generator = torch.Generator().manual_seed(0)
    core = TransformerCore(inputs=8, hidden=32, layers=2, heads=2, context=12)
    core.reset_parameters()
    return core, torch.randn(12, 5, 8, generator=generator)


@torch.no_grad()
def test_the_pages_forward_is_the_packages(page, trial):
    core, x = trial
    out, weights = page.forward(core, x)
    torch.testing.assert_close(out, core.unroll(x, core.initial(5))[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(torch.stack(weights), torch.stack(core.attention(x)), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_pages_cache_gives_what_reading_the_whole_trial_gives(page, trial):
    core, x = trial
    cache = [[torch.zeros(5, 2, 0, 16)] * 2 for _ in core.blocks]
    stepped = torch.stack([page.step(core, now, cache) for now in x])
    torch.testing.assert_close(stepped, core.unroll(x, core.initial(5))[0], atol=1e-5, rtol=1e-4)
    assert cache[1][0].shape == (5, 2, 12, 16), "keys of all steps are kept"


@torch.no_grad()
def test_only_the_colleagues_network_sees_the_future(page, trial):
    core, x = trial
    changed = torch.cat((x[:-1], x[-1:] + 1))
    page.ours.__globals__["forward"] = page.forward
    torch.testing.assert_close(page.ours(core, x)[:-1], page.ours(core, changed)[:-1], atol=0, rtol=0)
    assert ((page.colleagues(core, x) - page.colleagues(core, changed))[:-1].abs().amax(-1) > 1e-6).all()


@torch.no_grad()
def test_the_reach_that_the_page_measures_is_exercise_2(page):
    reach = grading.realise(grading.find("10.2").solution, "reach")
    for layers in (1, 3):
        for window in (2, 5):
            assert page.last_moved(layers, window, steps=20) == reach(layers, window)


def test_the_grid_posterior_is_exact(page):
    """P(arm 1 is best) after one success of it is 2/3; after a success of each, 1/2; before any pull, 1/2."""
    x = torch.zeros(3, 2, 5)  # observation, last action (2), last reward, start
    x[1, :, 1], x[1, :, 3] = 1.0, 1.0  # arm 1 was pulled and paid
    x[2, 0, 2], x[2, 0, 3] = 1.0, 1.0  # then arm 2, which paid too
    x[2, 1, 1] = 1.0  # in the other trial arm 1 again, which did not
    found = page.posterior(x)
    # beta(2, 2) against beta(1, 1): one half
    np.testing.assert_allclose(found[..., 0], [[0.5, 0.5], [2 / 3, 2 / 3], [0.5, 0.5]], atol=2e-3)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)


def test_the_pages_imitator_draws_from_exercise_3(page):
    imitator = grading.realise(grading.find("10.3").solution, "imitator")
    actor, copies = page.Imitator(), 20_000
    possible = actor.begin(1, copies)
    noise = torch.rand(1, copies, 1, generator=torch.Generator().manual_seed(0))
    nothing = Seen(torch.ones(1, copies, 1), torch.full((1, copies), -1), torch.zeros(1, copies), torch.ones(1), 0)
    for seen, known in (
        (nothing, np.ones(10, bool)),
        (nothing._replace(action=torch.full((1, copies), 3), reward=torch.ones(1, copies)), np.arange(10) != 3),
        (nothing._replace(action=torch.full((1, copies), 7), reward=torch.full((1, copies), 5.0)), np.arange(10) == 7),
    ):
        arm, possible = actor.act(possible, seen, noise)
        shares = torch.bincount(arm.flatten(), minlength=11) / copies
        np.testing.assert_allclose(shares, imitator(known), atol=0.01)
        assert not shares[imitator(known) == 0].any()


def test_the_worth_of_a_search_is_the_packages_target_without_a_critic(page):
    reward = torch.tensor([0.0, 1.0, 0.5, 2.0])
    blank = torch.zeros(4, 1, 1)
    alive = torch.ones(4, 1, dtype=torch.bool)
    target = trial_targets(reward[:, None], blank, alive, torch.tensor([0.9]), 1.0)
    assert page.worth(reward, 0.9) == pytest.approx(target[0].item())


def test_exercise_4_is_the_packages_target_of_one_step():
    solution = grading.realise(grading.find("10.4").solution, "targets")
    for reward, value, discount in exercises.CRITICS:
        along = torch.tensor(reward).reshape(-1, 1), torch.tensor(value).reshape(-1, 1, 1)
        alive = torch.ones(reward.size, 1, dtype=torch.bool)
        theirs = trial_targets(*along, alive, torch.tensor([discount]).double(), 0.0)
        np.testing.assert_allclose(solution(reward, value, discount), theirs.reshape(reward.shape))


# --- what the pages run and need not show -----------------------------------------------------------------------------


def with_weights(weights):
    """A trial of two episodes of three steps, paid at steps 1 and 4."""
    reward = np.array([0.0, 1, 0, 0, 1, 0])
    return AttentionTrial(2, 3, 3, np.zeros(6, int), np.zeros(6, int), reward, weights)


def test_attention_to_rewards_counts_steps_that_saw_one():
    even = np.tril(np.ones((6, 6))) / np.arange(1, 7)[:, None]
    only = np.zeros((6, 6))
    only[:, 2] = 1.0  # reads the step that saw the first reward, and nothing else
    weights = np.stack([np.stack([even, even]), np.stack([only, even])])  # (layers, heads, L, L)
    attention, share = experiments.rewarded_attention([with_weights(weights)], after=3)
    # steps 2 and 5 saw a reward: shares of 1/4, 1/5 and 2/6 of the steps up to 3, 4 and 5
    assert share == pytest.approx((1 / 4 + 1 / 5 + 1 / 3) / 3)
    np.testing.assert_allclose(attention, [share, (1 + share) / 2])
    assert experiments.first_paid(with_weights(weights)) == 1
    assert experiments.first_paid(with_weights(weights)._replace(reward=np.zeros(6))) == 6


def tiny_room():
    room = ml.make_family("dark_room", size=3, horizon=4, episodes=2)
    return room, ml.make_learner("in_context", room, seed=0, hidden=8, heads=2)


@torch.no_grad()
def test_a_window_changes_how_far_back_is_read_and_no_weight():
    room, agent = tiny_room()
    other = experiments.with_window(agent, room, 2)
    assert other.core.context == 2 and agent.core.context == 8
    for name, weight in agent.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], weight, atol=0, rtol=0)
    beginner = experiments.untrained(agent, room, seed=5)
    assert any(not torch.equal(weight, agent.state_dict()[name]) for name, weight in beginner.state_dict().items())


class Walker:
    """Stands still in the first task and walks right in the others; counts the steps that it saw."""

    noise_size, shares_memory = 0, False

    def begin(self, n_tasks, copies):
        return torch.zeros(n_tasks, copies)

    def act(self, memory, seen, noise):
        action = torch.full_like(seen.action, 2)
        action[0] = 0
        return action, memory + 1

    def absorb(self, memory, episodes):
        return memory


def test_idling_counts_tasks_that_stood_on_a_goal_that_is_not_the_start(monkeypatch):
    room, _ = tiny_room()
    goal = torch.tensor([4, 5, 5, 0, 5])  # the first is the start, on which the walker stands
    tasks = DarkRoomTasks(goal, torch.full((5,), 4))
    monkeypatch.setattr(experiments, "with_window", lambda agent, family, window: agent)
    table = experiments.after_idling(Walker(), room, tasks, windows=(2, 5), idle=(0, 1))
    assert list(table.index) == [(0, 2), (0, 5), (1, 2), (1, 5)]
    # from the centre, cell 4, one step to the right is cell 5: on that goal, at the wall, it is paid in all four steps
    assert set(table["tasks"]) == {3}
    np.testing.assert_allclose(table[["earned", "known"]], 4.0)


def test_an_idle_agent_does_nothing_and_sees_all_the_same():
    before = SimpleNamespace(action=torch.ones(2, 1, dtype=torch.int64))
    action, memory = experiments.Idle(Walker()).act(torch.zeros(2, 1), before, None)
    assert action.tolist() == [[0], [0]] and memory.tolist() == [[1], [1]]


# --- figures and widget -----------------------------------------------------------------------------------------------

# 2 x 2 room, goal in the lower right: right, down, none, none | right, ...
TRIAL = AttentionTrial(
    2, 4, 3, np.array([0, 1, 3, 3, 0, 1]), np.array([2, 3, 0, 0, 2, 3]), np.array([0.0, 1, 1, 1, 0, 1]),
    np.zeros((1, 1, 6, 6)),
)  # fmt: skip


def curve(mean):
    mean = np.asarray(mean, dtype=float)
    return SimpleNamespace(mean=mean, low=mean - 1, high=mean + 1)


def test_attention_falls_on_the_cells_and_steps_that_it_is_given_for():
    weights = np.array([0.1, 0.2, 0.3, 0.15, 0.25])
    room, row, history = figures.attention_step(TRIAL, 4, weights, "Layer 1").axes
    np.testing.assert_allclose(room.images[0].get_array(), [[0.35, 0.2], [0.0, 0.45]])
    bars = {round(bar.get_x() + bar.get_width() / 2): bar for bar in row.patches}
    np.testing.assert_allclose([bars[i].get_height() for i in range(5)], weights)
    orange = {i for i, bar in bars.items() if bar.get_facecolor()[0] > 0.5}
    assert orange == {2, 3, 4}, "a step is orange when the step before it was paid"
    seen = [line for line in history.lines if len(line.get_xdata()) and line.get_linestyle() == "None"]
    points = {(int(x), int(y)) for line in seen for x, y in line.get_xydata()}
    assert points == {(1, 2), (2, 3), (3, 0), (4, 0)}, "the last action, at the step that saw it"


def test_calibration_has_a_diagonal_and_a_panel_each():
    figure = figures.calibration(
        {"early": (np.array([0.2, 0.8]), np.array([0.3, 0.7])), "late": (np.ones(1), np.ones(1))}
    )
    first = figure.axes[0]
    np.testing.assert_allclose(first.lines[0].get_xydata(), [[0.2, 0.3], [0.8, 0.7]])
    np.testing.assert_allclose(first.lines[1].get_xydata(), [[0, 0], [1, 1]])


def test_longer_trials_shades_what_is_longer_than_trained():
    ax = figures.longer_trials({"agent": curve([1, 2, 3, 4])}, {"random": 0.5}, trained=2)
    assert ax.patches[0].get_x() == 1.5 and "episode" in ax.get_xlabel()


def idle_table():
    index = pd.MultiIndex.from_tuples([(0, 2), (0, 50), (1, 2), (1, 50)], names=["idle", "window"])
    earned = np.array([1.0, 2.0, 3.0, 4.0])
    known = [9.0, 8.5, 9.0, 8.5]
    return pd.DataFrame({"earned": earned, "low": earned - 1, "high": earned + 1, "known": known}, index)


def test_window_returns_draw_each_number_of_idle_episodes_and_what_the_goal_would_earn():
    ax = figures.window_returns(idle_table(), 0.4, 10)
    drawn = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(drawn["0 idle episodes"].get_ydata(), [1, 2])
    np.testing.assert_allclose(drawn["1 idle episode"].get_ydata(), [3, 4])
    np.testing.assert_allclose(drawn["goal known, same tasks"].get_ydata(), [9.0, 8.5])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["2", "50"]
    assert "random play" in {text.get_text() for text in ax.texts}


def test_both_colours_are_named_where_nothing_was_paid_yet():
    _, row, _ = figures.attention_step(TRIAL, 1, np.array([0.4, 0.6]), "Layer 1").axes
    keys = {
        t.get_text(): p.get_facecolor() for t, p in zip(*(row.get_legend().get_texts(), row.get_legend().get_patches()))
    }
    assert keys["saw a reward"] != keys["saw no reward"]


def recorded():
    room = ml.make_family("dark_room", size=3, horizon=4, episodes=2)
    learner = ml.make_learner("in_context", room, seed=0, hidden=8, heads=2)
    tasks = room.sample_tasks(2, "test", seeded_generator("cpu", 0))
    return room, tasks, record_attention(learner, learner.core, room, tasks)


def test_a_recorded_trial_is_what_happened():
    room, tasks, trials = recorded()
    for goal, trial in zip(tasks.goal.tolist(), trials, strict=True):
        assert trial.weights.shape == (2, 2, 8, 8) and trial.goal == goal and (trial.size, trial.horizon) == (3, 4)
        np.testing.assert_allclose(trial.weights.sum(-1), 1, rtol=1e-5)
        assert not np.triu(trial.weights[0, 0], 1).any(), "a step reads a later one"
        assert (trial.cell[[0, 4]] == 4).all(), "episodes start in the centre"
        after = room.successor[torch.from_numpy(trial.cell), torch.from_numpy(trial.action)].numpy()
        np.testing.assert_array_equal(after[:3], trial.cell[1:4])
        np.testing.assert_array_equal(trial.reward, after == goal)


def test_every_control_changes_the_picture_and_its_alt_text():
    explorer = attention_stepper(recorded()[2], step=3, end=7, name="test attention")
    assert explorer.values["step"] == 3
    for name, value in {"step": 6, "task": 2, "layer": 2, "head": 1}.items():
        picture, alt = explorer.picture, explorer.alt_text
        explorer.controls[name].value = value
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""
