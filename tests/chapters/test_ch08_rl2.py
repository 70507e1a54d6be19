"""Chapter 08: answers to its exercises, what its pages rest on, its figures and its widget."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from answers import Answers, Wrong, answer_tests
from pages import of_page

import metarl_lab as ml
from metarl_lab.chapters.ch08_rl2 import exercises, experiments, figures
from metarl_lab.chapters.ch08_rl2.widget import SAMPLE, Players, PullAndWatch, View, describe, first_is_larger
from metarl_lab.exact.bernoulli_bandit import solve_bandit
from metarl_lab.learners.rl2 import RL2
from metarl_lab.ops.ppo import ppo_terms, trial_advantages
from metarl_lab.ops.probe import Probe, fit_probe, r_squared
from metarl_lab.types import Seen

# --- answers to the exercises -----------------------------------------------------------------------------------------

RL2_LOSS = """
def rl2_loss(log_prob, acted, value, reward, discount, lam, clip):
    known = value.detach()
    A, carried, after = torch.zeros_like(known), 0.0, 0.0
    for k in reversed(range(reward.shape[0])):
        if {per_episode}:
            carried, after = 0.0, 0.0
        for t in reversed(range(reward.shape[1])):
            carried = reward[k, t] + discount * after - known[k, t] + discount * lam * carried
            A[k, t], after = carried, known[k, t]
    error = (value - A - known) ** 2
    B = A + known - value  # an advantage whose own value was not detached
    ratio = {ratio}
    clipped = ratio.clamp(1 - clip, 1 + clip)
    gain = torch.minimum(ratio * A, clipped * A)
    return {result}
"""


def rl2_loss(result="-gain.mean() + 0.5 * error.mean()", ratio="(log_prob - acted).exp()", per_episode=False):
    return RL2_LOSS.format(result=result, ratio=ratio, per_episode=per_episode)


test_answers = answer_tests(
    "08",
    {
        "08.1": Answers(
            right=(
                """
                def step_input(action, reward, start, arms):
                    x = np.zeros(arms + 2)
                    if action >= 0:
                        x[action] = 1
                    x[arms], x[arms + 1] = reward, start
                    return x
                """,
                """
                def step_input(action, reward, start, arms):
                    one_hot = (torch.arange(arms) == action).float()
                    return torch.cat((one_hot, torch.tensor([reward, float(start)])))
                """,
                "step_input = lambda action, reward, start, arms: "
                "np.concatenate([np.eye(arms + 1)[action][:arms], [reward, start]])",
                """
                def step_input(action, reward, start, arms):
                    if action == -1:
                        return [0.0] * arms + [reward, 1.0 if start else 0.0]
                    one_hot = torch.nn.functional.one_hot(torch.tensor(action), arms)
                    return one_hot.tolist() + [reward, 1.0 if start else 0.0]
                """,
            ),
            wrong=(
                Wrong(
                    "step_input = lambda action, reward, start, arms: [*np.eye(arms)[action], reward, float(start)]",
                    "index -1 wraps",
                ),
                Wrong(
                    """
                    def step_input(action, reward, start, arms):
                        return [*[float(i == action) for i in range(arms)], 0.0, float(start)]
                    """,
                    "reward is lost",
                ),
                Wrong(
                    """
                    def step_input(action, reward, start, arms):
                        if start:
                            return [0.0] * (arms + 1) + [1.0]
                        return [*[float(i == action) for i in range(arms)], reward, 0.0]
                    """,
                    "reset bug",
                ),
                Wrong(
                    """
                    def step_input(action, reward, start, arms):
                        one_hot = [float(i == action) for i in range(arms)]
                        return [*one_hot, 0.0 if start else reward, float(start)]
                    """,
                    "last reward of an episode is lost",
                ),
                Wrong(
                    """
                    def step_input(action, reward, start, arms):
                        return [*[float(i == action) for i in range(arms)], float(start), reward]
                    """,
                    "swapped",
                ),
                Wrong(
                    """
                    def step_input(action, reward, start, arms):
                        return [float(start), *[float(i == action) for i in range(arms)], reward]
                    """,
                    "Start comes last",
                ),
                Wrong("step_input = lambda action, reward, start, arms: [action, reward, float(start)]", "shape"),
            ),
            looks_right=(
                "step_input = lambda action, reward, start, arms: [0.0] * (arms + 1) + [1.0]",
                """
                def step_input(action, reward, start, arms):
                    return [float(action == 0), float(action == 1), float(action == 2), reward, float(start)]
                """,
                """
                def step_input(action, reward, start, arms):
                    return [*[float(i == action) for i in range(arms)], reward, float(action < 0)]
                """,
                """
                def step_input(action, reward, start, arms):
                    return [*[float(i + 1 == action) for i in range(arms)], reward, float(start)]
                """,
            ),
        ),
        "08.2": Answers(
            right=(
                "carry = lambda hidden, new_episode, new_trial: hidden * ~new_trial[:, None]",
                "carry = lambda hidden, new_episode, new_trial: hidden.masked_fill(new_trial.unsqueeze(dim=1), 0.0)",
                """
                def carry(hidden, new_episode, new_trial):
                    hidden[new_trial] = 0
                    return hidden
                """,
                """
                def carry(hidden, new_episode, new_trial):
                    return [[0.0] * len(h) if begins else list(h) for h, begins in zip(hidden, new_trial)]
                """,
                "carry = lambda hidden, new_episode, new_trial: np.einsum('bf,b->bf', hidden, 1.0 - new_trial)",
                """
                def carry(hidden, new_episode, new_trial):
                    return torch.where(new_trial[:, None], torch.zeros_like(hidden), hidden)
                """,
            ),
            wrong=(
                Wrong(
                    "carry = lambda hidden, new_episode, new_trial: np.where(new_episode[:, None], 0, hidden)",
                    "reset bug",
                ),
                Wrong("carry = lambda hidden, new_episode, new_trial: hidden", "crosses into the next trial"),
                Wrong(
                    "carry = lambda hidden, new_episode, new_trial: 0 * hidden if new_trial.any() else hidden",
                    "wipes all",
                ),
                Wrong("carry = lambda hidden, new_episode, new_trial: hidden * new_trial[:, None]", "Turned round"),
                Wrong("carry = lambda hidden, new_episode, new_trial: hidden * ~new_trial", "along the features"),
                Wrong(
                    """
                    def carry(hidden, new_episode, new_trial):
                        inside = new_episode & ~new_trial
                        return np.where(inside[:, None], 0, hidden)
                    """,
                    "inside a trial",
                ),
            ),
            looks_right=(
                """
                def carry(hidden, new_episode, new_trial):
                    hidden[-1] = 0
                    return hidden
                """,
                """
                def carry(hidden, new_episode, new_trial):
                    first = list(new_trial).index(True)
                    hidden[first] = 0
                    return hidden
                """,
                """
                def carry(hidden, new_episode, new_trial):
                    hidden[new_trial, :3] = 0 * hidden[new_trial, :3] + 1e-3
                    return hidden
                """,
                """
                def carry(hidden, new_episode, new_trial):
                    hidden[new_trial, 0] = 0
                    return hidden
                """,
            ),
        ),
        "08.3": Answers(
            right=(
                """
                def trial_credit(reward, value, discount, lam):
                    r, v = reward.ravel(), value.ravel()
                    delta = r + discount * np.append(v[1:], 0.0) - v
                    weights = [(discount * lam) ** np.arange(len(r) - t) for t in range(len(r))]
                    return np.array([w @ delta[t:] for t, w in enumerate(weights)]).reshape(reward.shape)
                """,
                """
                def trial_credit(reward, value, discount, lam):
                    r, v = reward.flatten(), value.flatten()
                    delta = r + discount * torch.cat((v[1:], v.new_zeros(1))) - v
                    ahead = torch.arange(len(r)) - torch.arange(len(r))[:, None]
                    weight = torch.where(ahead >= 0, (discount * lam) ** ahead.clamp(min=0).to(delta), 0.0)
                    return torch.einsum("ts,s->t", weight, delta).reshape(reward.shape)
                """,
                """
                def trial_credit(reward, value, discount, lam):
                    K, H = len(reward), len(reward[0])
                    r = [float(x) for row in reward for x in row]
                    v = [float(x) for row in value for x in row] + [0.0]
                    out, carried = [], 0.0
                    for t in range(K * H - 1, -1, -1):
                        carried = r[t] + discount * v[t + 1] - v[t] + discount * lam * carried
                        out.insert(0, carried)
                    return [out[k * H : (k + 1) * H] for k in range(K)]
                """,
                """
                def trial_credit(reward, value, discount, lam):
                    out = torch.zeros_like(reward)
                    carried, after = 0.0, 0.0
                    for k in reversed(range(reward.shape[0])):
                        for t in reversed(range(reward.shape[1])):
                            carried = reward[k, t] + discount * after - value[k, t] + discount * lam * carried
                            out[k, t], after = carried, value[k, t]
                    return out
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def trial_credit(reward, value, discount, lam):
                        out = np.zeros(reward.shape)
                        for k in range(len(reward)):
                            carried = after = 0.0
                            for t in reversed(range(reward.shape[1])):
                                delta = reward[k, t] + discount * after - value[k, t]
                                carried = delta + discount * lam * carried
                                out[k, t], after = carried, value[k, t]
                        return out
                    """,
                    "Cut at the episodes' ends",
                ),
                Wrong(
                    """
                    def trial_credit(reward, value, discount, lam):
                        after = np.append(value[:, 1:], np.zeros((len(value), 1)), axis=1)  # 0 behind every episode
                        delta = (reward + discount * after - value).reshape(-1)
                        out, carried = np.zeros(delta.shape), 0.0
                        for t in reversed(range(len(delta))):
                            out[t] = carried = delta[t] + discount * lam * carried
                        return out.reshape(reward.shape)
                    """,
                    "No value follows an episode's last step",
                ),
                Wrong(
                    """
                    def trial_credit(reward, value, discount, lam):
                        r, v = reward.reshape(-1), value.reshape(-1)
                        delta, carried = r + discount * np.roll(v, -1) - v, 0.0
                        out = np.zeros(delta.shape)
                        for t in reversed(range(len(delta))):
                            out[t] = carried = delta[t] + discount * lam * carried
                        return out.reshape(reward.shape)
                    """,
                    "np.roll wraps",
                ),
                Wrong(
                    """
                    def trial_credit(reward, value, discount, lam):
                        r, v = reward.reshape(-1), value.reshape(-1)
                        return (r + discount * np.append(v[1:], 0) - v).reshape(reward.shape)
                    """,
                    "deltas only",
                ),
                Wrong(
                    """
                    def trial_credit(reward, value, discount, lam):
                        r, v, out = reward.reshape(-1), value.reshape(-1), np.zeros(reward.size)
                        carried = after = 0.0
                        for t in reversed(range(len(r))):
                            out[t] = carried = r[t] + discount * after - v[t] + discount * carried
                            after = v[t]
                        return out.reshape(reward.shape)
                    """,
                    "lam is missing",
                ),
                Wrong(
                    """
                    def trial_credit(reward, value, discount, lam):
                        r, v, out = reward.reshape(-1), value.reshape(-1), np.zeros(reward.size)
                        carried = after = 0.0
                        for t in reversed(range(len(r))):
                            carried = r[t] + discount * after - v[t] + discount * lam * carried
                            out[t], after = carried + v[t], v[t]
                        return out.reshape(reward.shape)
                    """,
                    "targets for the critic",
                ),
                Wrong(
                    """
                    def trial_credit(reward, value, discount, lam):
                        r, v, out = reward.T.reshape(-1), value.T.reshape(-1), np.zeros(reward.size)
                        carried = after = 0.0
                        for t in reversed(range(len(r))):
                            carried = r[t] + discount * after - v[t] + discount * lam * carried
                            out[t], after = carried, v[t]
                        return out.reshape(reward.T.shape).T
                    """,
                    "wrong order",
                ),
            ),
            looks_right=(
                "trial_credit = lambda reward, value, discount, lam: reward - value",
                """
                def trial_credit(reward, value, discount, lam):
                    r, v, out = reward.reshape(-1), value.reshape(-1), np.zeros(reward.size)
                    carried = after = 0.0
                    for t in reversed(range(len(r))):
                        carried = r[t] + 0.9 * after - v[t] + 0.9 * 0.5 * carried
                        out[t], after = carried, v[t]
                    return out.reshape(reward.shape)
                """,
                """
                def trial_credit(reward, value, discount, lam):
                    r, v, out = reward.reshape(-1), value.reshape(-1), np.zeros(reward.size)
                    carried = after = 0.0
                    for t in reversed(range(6)):
                        carried = r[t] + discount * after - v[t] + discount * lam * carried
                        out[t], after = carried, v[t]
                    return out.reshape(reward.shape)
                """,
                """
                def trial_credit(reward, value, discount, lam):
                    r, v, out = reward.reshape(-1), value.reshape(-1), np.zeros(reward.size)
                    carried = after = 0.0
                    for t in reversed(range(1, len(r))):
                        carried = r[t] + discount * after - v[t] + discount * lam * carried
                        out[t], after = carried, v[t]
                    return out.reshape(reward.shape)
                """,
            ),
        ),
        "08.4": Answers(
            right=(
                """
                def probe_score(h, y, new_h, new_y):
                    centre, middle = h.mean(axis=0), y.mean()
                    w = np.linalg.pinv(h - centre) @ (y - middle)
                    reading = (new_h - centre) @ w + middle
                    return 1 - np.mean((new_y - reading) ** 2) / np.var(new_y)
                """,
                """
                def probe_score(h, y, new_h, new_y):
                    ones = torch.ones_like(h[:, :1])
                    w = torch.linalg.lstsq(torch.cat((h, ones), dim=1), y[:, None]).solution
                    reading = (torch.cat((new_h, torch.ones_like(new_h[:, :1])), dim=1) @ w).squeeze(dim=1)
                    return 1 - (new_y - reading).square().sum() / (new_y - new_y.mean()).square().sum()
                """,
                """
                def probe_score(h, y, new_h, new_y):
                    X = np.column_stack([np.ones(len(h)), h])
                    w = np.linalg.solve(np.einsum("nf,ng->fg", X, X), np.einsum("nf,n->f", X, y))
                    read = [w[0] + sum(a * b for a, b in zip(w[1:], row)) for row in new_h]
                    mean = sum(new_y) / len(new_y)
                    left = sum((t - r) ** 2 for t, r in zip(new_y, read))
                    return 1 - left / sum((t - mean) ** 2 for t in new_y)
                """,
                """
                def probe_score(h, y, new_h, new_y):
                    # ridge regression with the text's own small ridge
                    c, d = h - h.mean(0), y - y.mean()
                    w = np.linalg.solve(c.T @ c / len(h) + 1e-4 * np.eye(h.shape[1]), c.T @ d / len(h))
                    reading = (new_h - h.mean(0)) @ w + y.mean()
                    return 1 - ((new_y - reading) ** 2).sum() / ((new_y - new_y.mean()) ** 2).sum()
                """,
                """
                def probe_score(h, y, new_h, new_y):
                    from metarl_lab.ops.probe import fit_probe, r_squared
                    probe = fit_probe(h, y[:, None])
                    return r_squared(new_y[:, None], probe.read(new_h))[0]
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def probe_score(h, y, new_h, new_y):
                        X = np.c_[h, np.ones(len(h))]
                        reading = X @ np.linalg.lstsq(X, y, rcond=None)[0]
                        return 1 - ((y - reading) ** 2).sum() / ((y - y.mean()) ** 2).sum()
                    """,
                    "fitted to",
                ),
                Wrong(
                    """
                    def probe_score(h, y, new_h, new_y):
                        X = np.c_[new_h, np.ones(len(new_h))]
                        reading = X @ np.linalg.lstsq(X, new_y, rcond=None)[0]
                        return 1 - ((new_y - reading) ** 2).sum() / ((new_y - new_y.mean()) ** 2).sum()
                    """,
                    "new data as well",
                ),
                Wrong(
                    """
                    def probe_score(h, y, new_h, new_y):
                        reading = new_h @ np.linalg.lstsq(h, y, rcond=None)[0]
                        return 1 - ((new_y - reading) ** 2).sum() / ((new_y - new_y.mean()) ** 2).sum()
                    """,
                    "bias is missing",
                ),
                Wrong(
                    """
                    def probe_score(h, y, new_h, new_y):
                        w = np.linalg.lstsq(np.c_[h, np.ones(len(h))], y, rcond=None)[0]
                        return np.corrcoef(np.c_[new_h, np.ones(len(new_h))] @ w, new_y)[0, 1] ** 2
                    """,
                    "squared correlation",
                ),
                Wrong(
                    """
                    def probe_score(h, y, new_h, new_y):
                        w = np.linalg.lstsq(np.c_[h, np.ones(len(h))], y, rcond=None)[0]
                        reading = np.c_[new_h, np.ones(len(new_h))] @ w
                        return ((new_y - reading) ** 2).sum() / ((new_y - new_y.mean()) ** 2).sum()
                    """,
                    "unexplained",
                ),
                Wrong(
                    """
                    def probe_score(h, y, new_h, new_y):
                        w = np.linalg.lstsq(np.c_[h, np.ones(len(h))], y, rcond=None)[0]
                        return ((new_y - np.c_[new_h, np.ones(len(new_h))] @ w) ** 2).mean()
                    """,
                    "mean squared error",
                ),
                Wrong(
                    """
                    def probe_score(h, y, new_h, new_y):
                        w = np.linalg.lstsq(np.c_[h, np.ones(len(h))], y, rcond=None)[0]
                        reading = np.c_[new_h, np.ones(len(new_h))] @ w
                        return 1 - ((new_y - reading) ** 2).sum() / (new_y**2).sum()
                    """,
                    "around zero",
                ),
            ),
            looks_right=(
                "probe_score = lambda h, y, new_h, new_y: 0.75",
                """
                def probe_score(h, y, new_h, new_y):
                    w = np.linalg.lstsq(np.c_[h, np.ones(len(h))], y, rcond=None)[0]
                    reading = np.c_[new_h, np.ones(len(new_h))] @ w
                    return 1 - ((new_y - reading) ** 2).sum() / ((new_y - y.mean()) ** 2).sum()
                """,
                """
                def probe_score(h, y, new_h, new_y):
                    h, y, new_h, new_y = h[:30], y[:30], new_h[:30], new_y[:30]
                    w = np.linalg.lstsq(np.c_[h, np.ones(len(h))], y, rcond=None)[0]
                    reading = np.c_[new_h, np.ones(len(new_h))] @ w
                    return 1 - ((new_y - reading) ** 2).sum() / ((new_y - new_y.mean()) ** 2).sum()
                """,
                """
                def probe_score(h, y, new_h, new_y):
                    h, new_h = h[:, :1], new_h[:, :1]
                    w = np.linalg.lstsq(np.c_[h, np.ones(len(h))], y, rcond=None)[0]
                    reading = np.c_[new_h, np.ones(len(new_h))] @ w
                    return 1 - ((new_y - reading) ** 2).sum() / ((new_y - new_y.mean()) ** 2).sum()
                """,
            ),
        ),
        "08.5": Answers(
            right=(
                """
                def rl2_loss(log_prob, acted, value, reward, discount, lam, clip):
                    from metarl_lab.ops.ppo import trial_advantages
                    r, v = reward.reshape(-1, 1), value.detach().reshape(-1, 1)
                    live = torch.ones_like(r, dtype=torch.bool)
                    A = trial_advantages(r, v, live, discount, lam).view_as(reward)
                    ratio = torch.exp(log_prob - acted)
                    gain = torch.min(ratio * A, torch.clip(ratio, 1 - clip, 1 + clip) * A)
                    error = torch.nn.functional.mse_loss(value, A + value.detach())
                    return -gain.mean() + error / 2
                """,
                """
                def rl2_loss(log_prob, acted, value, reward, discount, lam, clip):
                    # the clipped gain by cases, step by step
                    rewards, values = reward.flatten().tolist(), value.detach().flatten().tolist() + [0.0]
                    loss, carried, n = 0.0, 0.0, len(rewards)
                    now, then, v = log_prob.flatten(), acted.flatten(), value.flatten()
                    for t in reversed(range(n)):
                        delta = rewards[t] + discount * values[t + 1] - values[t]
                        carried = delta + discount * lam * carried
                        ratio = (now[t] - then[t]).exp()
                        if carried > 0:
                            gain = ratio.clamp(max=1 + clip) * carried
                        else:
                            gain = ratio.clamp(min=1 - clip) * carried
                        loss = loss - gain / n + (v[t] - (carried + values[t])) ** 2 / (2 * n)
                    return loss
                """,
                """
                def rl2_loss(log_prob, acted, value, reward, discount, lam, clip):
                    with torch.no_grad():
                        v = value.flatten()
                        delta = reward.flatten() + discount * torch.cat((v[1:], torch.zeros_like(v[:1]))) - v
                        ahead = torch.arange(len(v)) - torch.arange(len(v))[:, None]
                        weight = torch.triu((discount * lam) ** ahead.clamp(min=0).to(delta))
                        A = torch.einsum("ts,s->t", weight, delta).reshape(value.shape)
                        target = A + value
                    ratio = log_prob.exp() / acted.exp()
                    inside = torch.maximum(torch.minimum(ratio, torch.tensor(1 + clip)), torch.tensor(1 - clip))
                    gain = torch.stack((ratio * A, inside * A)).amin(dim=0)
                    return (0.5 * (value - target) ** 2 - gain).mean()
                """,
            ),
            wrong=(
                Wrong(rl2_loss(per_episode=True), "cut at the episodes' ends"),
                Wrong(rl2_loss("gain.mean() + 0.5 * error.mean()"), "sign is wrong"),
                Wrong(rl2_loss("-(ratio * A).mean() + 0.5 * error.mean()"), "clip is missing"),
                Wrong(rl2_loss("-(clipped * A).mean() + 0.5 * error.mean()"), "clipped gain alone"),
                Wrong(rl2_loss("-torch.maximum(ratio * A, clipped * A).mean() + 0.5 * error.mean()"), "larger of both"),
                Wrong(rl2_loss(ratio="1 + log_prob - acted"), "exp of the difference"),
                Wrong(
                    rl2_loss("0.5 * error.mean() - torch.minimum(ratio * B, clipped * B).mean()"),
                    "gradient passes through the advantage",
                ),
                Wrong(rl2_loss("-gain.mean() + 0.5 * ((value - reward) ** 2).mean()"), "fitted to the step's reward"),
                Wrong(rl2_loss("-gain.mean()"), "critic's error is missing"),
                Wrong(rl2_loss("-gain.mean() + error.mean()"), "counts half"),
                Wrong(rl2_loss("-gain.sum() + 0.5 * error.sum()"), "sum over steps"),
                Wrong(rl2_loss("(-gain.mean() + 0.5 * error.mean()).detach()"), "No gradient passes"),
                Wrong(rl2_loss("(-gain.mean() + 0.5 * error.mean()).item()"), "stay a tensor"),
                Wrong(rl2_loss("-gain + 0.5 * error"), "one number"),
            ),
            looks_right=(
                rl2_loss("-gain.mean() + 0.5 * error.mean() + 1.0"),
                rl2_loss("-gain[:, :2].mean() + 0.5 * error.mean()"),
                rl2_loss("-torch.minimum(ratio * A, ratio.clamp(0.8, 1.2) * A).mean() + 0.5 * error.mean()"),
                rl2_loss("-gain.sum() / 6 + 0.5 * error.sum() / 6"),
                rl2_loss("-gain.mean().detach() + 0.5 * error.mean()"),
            ),
        ),
    },
)


# --- what the pages rest on -------------------------------------------------------------------------------------------


def counting_agent(logits):
    """An agent whose state is what a list of pulls is: (paid, failed) of each arm, and the last arm; its own policy."""

    def step(x, state):
        arm, paid = x[:, 1:3], x[:, 3:4]  # x is (observation, one-hot arm, reward, start)
        counts = state[0][:, :4] + torch.cat((arm * paid, arm * (1 - paid)), 1)
        after = torch.cat((counts, arm), 1)
        return after, (after,)

    core = SimpleNamespace(initial=lambda n: (torch.zeros(n, 6),), step=step)
    spec = ml.make_family("bernoulli_bandit", arms=2, horizon=10).spec
    return SimpleNamespace(spec=spec, net=SimpleNamespace(core=core, policy=logits))


def means_apart(state):
    """Posterior mean of A less that of B, from (paid A, paid B, failed A, failed B, ...)."""
    paid, failed = state[:, :2], state[:, 2:4]
    mean = (1 + paid) / (2 + paid + failed)
    return mean[:, :1] - mean[:, 1:]


def test_following_every_history_gives_exact_values():
    page = of_page("08", "follow")
    value, levels = page.follow(counting_agent(lambda state: torch.zeros(len(state), 2)))
    assert value == pytest.approx(5.0, abs=1e-6), "a coin gets half of the pays"
    assert len(levels) == 10 and [len(weight) for _, _, weight in levels][:4] == [1, 4, 16, 64]
    for pull, (counts, _, weight) in enumerate(levels):
        assert weight.sum() == pytest.approx(1.0, abs=1e-3) and (counts.sum((1, 2)) == pull).all()

    # three pulls worked out: always A, mean 1/2 each; the better arm by counts gets more
    only_a = counting_agent(lambda state: torch.tensor([[30.0, -30.0]]).expand(len(state), 2))
    assert page.follow(only_a)[0] == pytest.approx(5.0, abs=1e-3)
    greedy = page.follow(counting_agent(lambda state: 200 * torch.cat((means_apart(state), -means_apart(state)), 1)))[0]
    assert 5.95 < greedy <= solve_bandit(2, 10).value


def test_counts_explain_a_policy_of_counts_and_not_one_of_the_last_arm():
    share = of_page("08", "follow", "share_explained_by_counts").share_explained_by_counts
    of_counts = counting_agent(lambda state: torch.cat((means_apart(state), -means_apart(state)), 1))
    assert share(of_counts) == pytest.approx(1.0, abs=1e-9)
    of_the_last_arm = counting_agent(lambda state: state[:, 4:6])
    assert share(of_the_last_arm) < 0.5


def test_the_whole_update_is_the_packages():
    """The solution of 08.5 against `ppo_terms` and `trial_advantages`, for a trial as one column of steps."""
    from metarl_lab.teach.exercises import find, realise

    exercise = find("08.5")
    loss = realise(exercise.solution, exercise.name)
    generator = torch.Generator().manual_seed(0)
    logits, reward, value = (torch.randn(6, 1, *n, generator=generator) for n in ((2,), (), ()))
    action = torch.randint(2, (6, 1), generator=generator)
    acted = torch.randn(6, 1, 2, generator=generator).log_softmax(-1).gather(-1, action[..., None])[..., 0]
    live = torch.ones_like(reward, dtype=torch.bool)
    advantage = trial_advantages(reward, value, live, 0.9, 0.5)
    from metarl_lab.ops.distributions import Categorical

    terms = ppo_terms(Categorical(logits), value, action, acted, advantage, advantage + value, live, clip=0.2)
    now = logits.log_softmax(-1).gather(-1, action[..., None])[..., 0]
    given = [x.reshape(3, 2) for x in (now, acted, value, reward)]
    torch.testing.assert_close(loss(*given, 0.9, 0.5, 0.2), terms.policy_loss + 0.5 * terms.value_loss)


def test_exercise_checks_credit_as_the_package_does():
    reward, value = exercises.TRIALS[0]
    column = [torch.from_numpy(x).reshape(-1, 1) for x in (reward, value)]
    package = trial_advantages(*column, torch.ones(6, 1, dtype=torch.bool), 0.9, 0.5)
    np.testing.assert_allclose(exercises.credit(reward, value, 0.9, 0.5).ravel(), package[:, 0].numpy())


def test_the_bug_trains_from_zeros_and_the_mend_from_the_states_that_acted():
    family = ml.make_family("bernoulli_bandit", arms=2, horizon=2)
    config = RL2.Config(hidden=4, meta_batch=3, minibatches=1, episodes=2, truncate=2)
    x = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    batch = SimpleNamespace(x=x, action=torch.zeros(4, 3, dtype=torch.long))
    for learner, zeros in ((of_page("08", "FreshEpisodes", RL2=RL2).FreshEpisodes, True), (RL2, False)):
        torch.manual_seed(0)
        state = learner(family.spec, config)._score(batch)[2][0]  # (1, 2 episodes x 3 trials, 4)
        assert not state[0, :3].any(), "the first episode begins from zeros in both"
        assert (not state[0, 3:].any()) == zeros


def test_histories_hold_what_is_true_before_each_pull():
    family = ml.make_family("bernoulli_bandit", arms=2, horizon=10)
    agent = ml.make_learner("rl2", family, hidden=4)
    x, truth = experiments.histories(agent, family, "test", seed=1, n=5)
    assert x.shape == (10, 5, 5) and truth.shape == (10, 5, 4)
    np.testing.assert_array_equal(truth[0], np.tile([0.5, 0.5, 0.0, 0.0], (5, 1)))
    arms, paid = x[1:, :, 1:3], x[1:, :, 3:4]  # the pull before
    pulls = arms.cumsum(0)
    torch.testing.assert_close(truth[1:, :, 2:], pulls)
    torch.testing.assert_close(truth[1:, :, :2], (1 + (arms * paid).cumsum(0)) / (2 + pulls))
    torch.testing.assert_close(
        experiments.hidden_states(agent)(x)[0], agent.net.core.step(x[0], agent.net.core.initial(5))[0]
    )


def test_units_are_sorted_by_what_they_say_of_arm_a():
    truth = torch.rand(6, 20, 4, generator=torch.Generator().manual_seed(0))
    difference = truth[..., 0] - truth[..., 1]
    hidden = torch.stack((-difference, torch.ones_like(difference), 3 * difference + 1), -1)
    assert experiments.units_by_arm(hidden, truth).tolist() == [2, 1, 0]


def test_a_curve_of_two_updates_is_one_point():
    run = SimpleNamespace(rows=[{"env_steps": 10, "return": 4.0}, {"env_steps": 20, "return": 6.0}])
    steps, returns = experiments.training_curve(run)
    assert steps.tolist() == [15] and returns.tolist() == [5]


def test_a_probe_is_fitted_as_in_the_exercise():
    generator = torch.Generator().manual_seed(1)
    h, new_h = torch.randn(40, 3, generator=generator), torch.randn(30, 3, generator=generator)
    y, new_y = h.sum(1) + 1, new_h.sum(1) + 1
    score = r_squared(new_y[:, None], fit_probe(h, y[:, None]).read(new_h))
    reading = exercises.fitted(h.numpy(), y.numpy(), new_h.numpy())
    assert score.item() == pytest.approx(exercises.r_squared(new_y.numpy(), reading), abs=1e-4)


# --- figures and widget -----------------------------------------------------------------------------------------------


def test_training_draws_the_curve_between_anchors() -> None:
    ax = figures.training({"rl2": (np.array([10, 20]), np.array([5.0, 5.9]))}, {"random": 5.0, "bayes_optimal": 6.02})
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[10, 5.0], [20, 5.9]])
    assert [t.get_text() for t in ax.texts] == ["random play", "Bayes-optimal"]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["RL2"]
    with pytest.raises(ValueError, match="no anchors"):
        figures.training({}, {})


def test_probe_bars_have_one_for_each_source_and_quantity() -> None:
    ax = figures.probe_bars({"trained": [0.9, 0.8], "untrained": [0.5, 0.4]}, ["mean", "pulls"])
    assert [bar.get_height() for bar in ax.patches] == [0.9, 0.8, 0.5, 0.4]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["mean", "pulls"]


def test_stay_bars_put_the_rewarded_choices_first_and_rare_to_the_right() -> None:
    figure = figures.stay_bars({"RL2": np.array([[0.1, 0.2], [0.3, 0.4]]), "other": np.zeros((2, 2))})
    height = {round(bar.get_x() + bar.get_width() / 2, 1): bar.get_height() for bar in figure.axes[0].patches}
    assert height == {-0.2: 0.4, 0.2: 0.3, 0.8: 0.2, 1.2: 0.1}  # rewarded common, rare; unrewarded common, rare
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["rewarded", "unrewarded"]
    assert [t.get_text() for t in figure.axes[1].texts] == ["0.00"] * 4, "a bar of height 0 looks forgotten"


def test_a_played_trial_marks_the_reading_and_divides_the_bars() -> None:
    hidden = np.full((4, 10), np.nan)
    hidden[:, 0] = 0.5
    view = View(np.ones((2, 81)), np.array([0.5, 0.5]), np.array([0.4, 1.7]), hidden, {"rl2": 0.9, "tie": 0.5})
    left, middle, right = figures.played_trial(view).axes
    markers = [line.get_xdata()[0] for line in left.lines if line.get_marker() in ("o", "v")]
    assert markers == [0.4, 1.0], "a reading outside the axis is drawn at its edge"
    assert np.isnan(middle.images[0].get_array().filled(np.nan)[:, 1:]).all()
    assert [bar.get_width() for bar in right.patches[:2]] == pytest.approx([0.9, 0.1])
    assert [t.get_text() for t in right.texts] == ["A 0.90", "either"]
    assert [t.get_text() for t in right.get_yticklabels()] == ["RL2", "tie"]
    (scale,) = middle.child_axes
    assert scale.get_ylim() == (-1, 1), "the strip's colours have a scale"


@pytest.fixture(scope="module")
def players():
    family = ml.make_family("bernoulli_bandit", arms=2, horizon=10)
    agent = ml.make_learner("rl2", family, hidden=8)
    probe = Probe(torch.zeros(8, 2, dtype=torch.float64), torch.tensor([0.25, 0.75], dtype=torch.float64))
    indices = {name: ml.make_reference(name, family) for name in ("gittins", "bayes_optimal")}
    return Players(agent, family, probe, indices)


@pytest.fixture
def game(players):
    return PullAndWatch(players, "test pull and watch", seed=1)


def test_thompson_s_chance_is_that_of_the_larger_draw():
    assert first_is_larger(np.zeros((2, 2))) == pytest.approx(0.5, abs=1e-6)
    # A paid once: density 2x against a uniform, P = integral of 2x * x = 2/3
    assert first_is_larger(np.array([[1, 0], [0, 0]])) == pytest.approx(2 / 3, abs=1e-6)


def test_what_is_exact_in_a_view(players):
    view = players.view([(0, 1), (0, 0), (1, 1)])
    np.testing.assert_allclose(view.mean, [2 / 4, 2 / 3])
    np.testing.assert_allclose(view.density.mean(1), 1, atol=0.03)
    np.testing.assert_allclose(view.reading, [0.25, 0.75])
    assert np.isfinite(view.hidden[:, :4]).all() and np.isnan(view.hidden[:, 4:]).all()
    assert view.chances["bayes_optimal"] == 0.0, "B looks better and is less known"
    assert players.view([])[4]["gittins"] == 0.5, "nothing seen: a tie"


def test_hidden_units_are_shown_in_the_order_given(players):
    order = np.arange(8)[::-1]
    turned = Players(players.agent, players.family, players.probe, players.indices, order)
    np.testing.assert_array_equal(turned.view([(0, 1)]).hidden, players.view([(0, 1)]).hidden[::-1])


def test_the_hidden_state_is_that_of_the_agent_acting(players):
    family, agent = players.family, players.agent
    memory, last = agent.begin(1, 1), (torch.tensor([[-1]]), torch.zeros(1, 1))
    for step, (arm, paid) in enumerate([(1, 1), (0, 0)]):
        seen = Seen(torch.ones(1, 1, 1), *last, torch.tensor([[step == 0]]), step)
        _, memory = agent.act(memory, seen, torch.full((1, 1, 1), 0.5))
        last = (torch.tensor([[arm]]), torch.tensor([[float(paid)]]))
    shown = players.view([(1, 1), (0, 0)]).hidden[:, 1]
    np.testing.assert_allclose(shown, memory.hidden[0, 0].detach(), atol=1e-6)
    assert family.horizon == 10


def test_buttons_pull_turn_take_back_and_begin_again(game):
    assert game.flip.disabled and game.undo.disabled
    first = game.picture
    game.arms[1].click()
    (arm, paid), second = game.pulls[0], game.picture
    assert arm == 1 and second != first
    game.flip.click()
    assert game.pulls == [(1, 1 - paid)] and game.picture != second
    game.undo.click()
    assert game.pulls == [] and game.picture == first and game.undo.disabled
    game.arms[0].click()
    game.new.click()
    assert game.pulls == [] and game.number == 2


def test_nine_pulls_can_be_made_and_then_the_task_is_told(game):
    for _ in range(12):
        game.arms[0].click()
    assert len(game.pulls) == 9 and game.arms[0].disabled and "It was" in game._status.value
    game.undo.click()
    assert not game.arms[0].disabled and "It was" not in game._status.value


def test_alt_text_says_what_was_pulled_and_no_trained_number():
    assert "A paid 1 and failed 1, B paid 2 and failed 0" in describe(list(SAMPLE))


def test_more_arms_are_refused(players):
    family = ml.make_family("bernoulli_bandit", arms=3, horizon=10)
    with pytest.raises(ValueError, match="arms=2"):
        Players(players.agent, family, players.probe, {})
