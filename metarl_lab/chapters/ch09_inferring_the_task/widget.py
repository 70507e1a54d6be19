"""Chapter 09: its widget, a trial of any agent in the gridworld, step by step, beside two beliefs about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metarl_lab.chapters.ch09_inferring_the_task.experiments import Trials
from metarl_lab.chapters.ch09_inferring_the_task.figures import belief_pair
from metarl_lab.teach.figures import display_name
from metarl_lab.teach.widgets import Explorer, choice, slider

ALT = (
    "Two pictures of a 5 x 5 grid, shaded by how likely the goal is in each cell: the exact posterior and VariBAD's; "
    "the agent's way on both, and beside them the distance between the two beliefs, step by step"
)


def caption(trials: Trials, task: int, moment: int) -> str:
    """Where the trial stands, in a line."""
    episode, step = divmod(moment, trials.horizon)
    so_far = trials.reward[task, :moment]
    met = "goal met" if (so_far > 0).any() else "goal not met yet"
    return f"episode {episode + 1}, {step} of {trials.horizon} steps done; {met}; {so_far.sum():.1f} points so far"


def belief_stepper(recorded: Mapping[str, Trials], size: int) -> Explorer:
    """The widget: a slider over the steps of a trial, the goal, and whose trial it is.

    recorded : {agent, as the catalog names it: its trials, one for each goal}. size : cells along a side of the grid.
    """
    by_name = {display_name(agent): trials for agent, trials in recorded.items()}
    first = next(iter(by_name.values()))
    places = {f"row {g // size + 1}, column {g % size + 1}": task for task, g in enumerate(first.goal.tolist())}
    last = first.cell.shape[1] - 1
    controls = {
        "moment": slider("steps done", 0, last, 1, 7),
        "agent": choice("agent", list(by_name)),
        "place": choice("goal", list(places), value=list(places)[len(places) // 2]),
    }

    def draw(moment: int, agent: str, place: str) -> Any:
        trials, task = by_name[agent], places[place]
        start = moment - moment % trials.horizon
        return belief_pair(
            trials.exact[task, moment],
            trials.decoded[task, moment],
            path=trials.cell[task, start : moment + 1],
            goal=int(trials.goal[task]),
            distance=trials.distance[task],
            moment=moment,
            caption=f"{agent}: {caption(trials, task, moment)}",
        )

    return Explorer("09 belief stepper", draw, controls, alt=ALT, end={"moment": last})
