"""Chapter NN: its widget."""

from __future__ import annotations

import numpy as np

from metarl_lab.chapters.chNN_name.figures import track
from metarl_lab.teach.widgets import Explorer, slider


def rate_explorer() -> Explorer:
    """How fast and how steadily a belief follows pay that jumps from 0 to 1, by the share of each step."""
    rewards = np.random.default_rng(0).random(60) < np.repeat([0.2, 0.8], 30)

    def draw(alpha: float):
        beliefs = [0.5]
        for reward in rewards:
            beliefs.append(beliefs[-1] + alpha * (reward - beliefs[-1]))
        return track({"belief": np.array(beliefs)}, {"before the jump": 0.2, "after the jump": 0.8})

    return Explorer(
        "NN share",
        draw,
        {"alpha": slider("share of the way", 0.05, 0.95, 0.05, value=0.1)},
        alt="The belief over sixty rewards whose mean jumps from 0.2 to 0.8 halfway, for the chosen share",
    )
