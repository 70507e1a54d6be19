"""Chapter NN: answers to its exercises, its figures and its widget."""

import numpy as np
from answers import Answers, Wrong, answer_tests

from metarl_lab.chapters.chNN_name import figures, widget

test_answers = answer_tests(
    "NN",
    {
        "NN.1": Answers(
            right=(
                "step = lambda q, reward, alpha: (1 - alpha) * q + alpha * reward",
                "def step(q, reward, alpha):\n    return np.average([q, reward], weights=[1 - alpha, alpha])",
                "def step(q, reward, alpha):\n    q, reward = torch.tensor(q), torch.tensor(reward)\n"
                "    return torch.lerp(q, reward, alpha)",
            ),
            wrong=(
                Wrong("step = lambda q, reward, alpha: alpha * (reward - q)", "step alone"),
                Wrong("step = lambda q, reward, alpha: q - alpha * (reward - q)", "sign is turned"),
                Wrong("step = lambda q, reward, alpha: reward", "all the way"),
            ),
            looks_right=(
                "step = lambda q, reward, alpha: 0.4",
                "step = lambda q, reward, alpha: q + 0.25 * (reward - q)",
                "step = lambda q, reward, alpha: q + alpha * (1 - q)",
            ),
        ),
        "NN.2": Answers(
            right=(
                "left_of_start = lambda alpha, n: np.prod([1 - alpha] * n)",
                "left_of_start = lambda alpha, n: torch.tensor(1 - alpha).pow(n)",
                "def left_of_start(alpha, n):\n    left = 1\n    for _ in range(n):\n        left -= alpha * left\n"
                "    return left",
            ),
            wrong=(
                Wrong("left_of_start = lambda alpha, n: 1 - (1 - alpha) ** n", "what has gone"),
                Wrong("left_of_start = lambda alpha, n: 1 - n * alpha", "not of the beginning"),
                Wrong("left_of_start = lambda alpha, n: (1 - alpha) ** (n - 1)", "too few"),
            ),
            looks_right=(
                "left_of_start = lambda alpha, n: (1 - alpha) ** 2",
                "left_of_start = lambda alpha, n: 0.75 ** n",
                "left_of_start = lambda alpha, n: (1 - alpha) ** (n + 1)",
            ),
        ),
        "NN.3": Answers(
            right=(
                "def beliefs_of(rewards, start, alpha):\n    q = [start]\n    for r in rewards:\n"
                "        q.append(q[-1] + alpha * (r - q[-1]))\n    return q",
                "def beliefs_of(rewards, start, alpha):\n    q = torch.full((len(rewards) + 1,), start)\n"
                "    for n, r in enumerate(rewards):\n        q[n + 1] = q[n].lerp(torch.as_tensor(r).to(q), alpha)\n"
                "    return q",
                "def beliefs_of(rewards, start, alpha):\n    q = np.zeros(len(rewards) + 1)\n    q[0] = start\n"
                "    for n in range(len(rewards)):\n        q[n + 1] = (1 - alpha) * q[n] + alpha * rewards[n]\n"
                "    return q",
            ),
            wrong=(
                Wrong(
                    "beliefs_of = lambda rewards, start, alpha: "
                    "[start] + [start + alpha * (r - start) for r in rewards]",
                    "carry the belief on",
                ),
                Wrong(
                    "beliefs_of = lambda rewards, start, alpha: "
                    "[start] + [sum(rewards[: n + 1]) / (n + 1) for n in range(len(rewards))]",
                    "plain means",
                ),
                Wrong("beliefs_of = lambda rewards, start, alpha: list(rewards)", "shape"),
            ),
            looks_right=(
                "beliefs_of = lambda rewards, start, alpha: [0.2, 0.4, 0.3, 0.475]",
                "def beliefs_of(rewards, start, alpha):\n    q = [start]\n    for r in rewards[:3]:\n"
                "        q.append(q[-1] + alpha * (r - q[-1]))\n    return q",
                "def beliefs_of(rewards, start, alpha):\n    q = [start]\n    for r in rewards:\n"
                "        q.append(q[-1] + 0.25 * (r - q[-1]))\n    return q",
            ),
        ),
    },
)


def test_the_track_shows_every_curve_between_its_anchors():
    ax = figures.track({"belief": np.array([0.0, 0.5, 0.75])}, {"what is paid": 1.0})
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.0, 0.5, 0.75])
    assert [t.get_text() for t in ax.texts] == ["what is paid"]


def test_the_slider_changes_the_picture():
    explorer = widget.rate_explorer()
    before = explorer.picture
    explorer.controls["alpha"].value = 0.5
    assert explorer.picture != before
