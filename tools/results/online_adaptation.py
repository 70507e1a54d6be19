"""Online adaptation of the dynamics on weakening_leg: data/results/13_online_adaptation.csv and 13_agents.csv.

    python tools/results/online_adaptation.py                  # what is not there yet: three forms, five seeds, anchors
    python tools/results/online_adaptation.py --seeds 0 1

Each form of `grbal` acts the same 16,000 env steps (16 iterations of 10 training tasks, the first two at random), with
the same network, planner and updates. Then it is measured on 30 held-out tasks and 30 out of distribution, one
episode each: the return; and, around the step at which the leg weakens, the reward and how far the model's next rate of
turn is off (rad/s). Rows already in the table are kept. The models of seed 0 are stored for the chapter.

Columns: agent, seed (-1: an anchor), split, quantity, x, value. x: env steps ("learning"), steps since the leg weakened
("reward around", "error around"), else 0.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn.utils import parameters_to_vector

import metarl_lab as ml
from metarl_lab.learners.grbal import GrBAL
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.runs.files import write_whole
from metarl_lab.teach.stored import read, write
from metarl_lab.types import Episodes

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "results" / "13_online_adaptation.csv"
AGENTS = ROOT / "data" / "results" / "13_agents.csv"
FORMS = ("none", "gradient", "recurrent")
SEEDS = (0, 1, 2, 3, 4)
ITERATIONS, TASKS = 16, 30
BEFORE, AFTER = 10, 30  # steps shown around the failure
SPLITS = ("test", "ood")
FAMILY = ml.make_family("weakening_leg")


def held_out(split: str) -> Any:
    return FAMILY.sample_tasks(TASKS, split, seeded_generator("cpu", 23, 1))


def acted(agent: Any, split: str, believed: Any = None) -> Episodes:
    """One episode of each held-out task; a reference that is told tasks is told ``believed`` instead where given."""
    tasks = held_out(split)
    trial = begin(agent, FAMILY, tasks)
    trial = trial if believed is None else trial._replace(memory=believed)
    return collect(agent, FAMILY, tasks, trial, seeded_generator("cpu", 29, 1))[0]


def around(values: torch.Tensor, split: str) -> np.ndarray:
    """Means over the tasks that weaken, at each step from BEFORE before to AFTER after it; values (T, H)."""
    onset = held_out(split).onset
    weak = onset < FAMILY.horizon
    steps = onset[weak].unsqueeze(1) + torch.arange(-BEFORE, AFTER + 1)
    return values[weak].gather(1, steps).mean(0).numpy()


@torch.no_grad()
def turn_error(learner: GrBAL, episodes: Episodes) -> torch.Tensor:
    """|predicted - true rate of turn| one step ahead, as the model stood at each step, (T, H); rad/s."""
    c, rows = learner.config, {k: x[:, 0, 0] for k, x in episodes._asdict().items() if k in ("observation", "action")}
    rows["reward"] = episodes.reward[:, 0, 0]
    rows["after"] = torch.cat((rows["observation"][:, 1:], episodes.final_observation[:, 0]), 1)
    errors, latent = [], torch.zeros(TASKS, c.latent)
    for t in range(FAMILY.horizon):
        window = {k: x[:, max(t - c.window, 0) : t] for k, x in rows.items()}
        short = c.window - min(t, c.window)  # an empty place in the window: a transition that does not count
        window = {k: torch.cat((x.new_zeros(TASKS, short, *x.shape[2:]), x), 1) for k, x in window.items()}
        known = (torch.arange(c.window) >= short).expand(TASKS, -1)
        model = learner.dynamics.imagine(window, known, latent)
        here = (rows["observation"][:, t : t + 1], torch.ones(TASKS, 1))
        (then, _), _ = model(here, rows["action"][:, t : t + 1])
        errors.append((then[:, 0, 2] - rows["after"][:, t, 2]).abs())
        latent = learner.dynamics.read({k: x[:, t] for k, x in rows.items()}, latent)
    return torch.stack(errors, 1)


def rows_of(agent: str, seed: int, split: str, episodes: Episodes, error: torch.Tensor | None) -> list[dict[str, Any]]:
    fixed = {"agent": agent, "seed": seed, "split": split}
    rows = [{**fixed, "quantity": "return", "x": 0, "value": episodes.returns.mean().item()}]
    curves = {"reward around": episodes.reward[:, 0, 0]} | ({} if error is None else {"error around": error})
    for quantity, values in curves.items():
        for x, value in zip(range(-BEFORE, AFTER + 1), around(values, split), strict=True):
            rows.append({**fixed, "quantity": quantity, "x": x, "value": float(value)})
    return rows


def measured(form: str, seed: int) -> list[dict[str, Any]]:
    """Train one form and measure it."""
    learner = ml.make_learner("grbal", FAMILY, seed=seed, form=form)
    assert isinstance(learner, GrBAL)
    cpu, history, noise = time.process_time(), [], seeded_generator("cpu", seed, 31)
    for i in range(ITERATIONS):
        metrics = learner.update(FAMILY, FAMILY.sample_tasks(10, "train", noise), noise)
        steps = (i + 1) * int(metrics.values["env_steps"])
        for quantity in ("return", "error_before", "error_after"):
            name = "learning" if quantity == "return" else f"learning {quantity}"
            history.append({"quantity": name, "x": steps, "value": metrics.values[quantity]})
    cpu = time.process_time() - cpu
    rows = [{"agent": form, "seed": seed, "split": "train", **row} for row in history]
    rows.append({"agent": form, "seed": seed, "split": "train", "quantity": "cpu seconds", "x": 0, "value": cpu})
    for split in SPLITS:
        episodes = acted(learner, split)
        rows += rows_of(form, seed, split, episodes, turn_error(learner, episodes))
    if seed == 0:
        keep(form, learner)
    return rows


def keep(form: str, learner: GrBAL) -> None:
    """Store the model and its units for the chapter."""
    arrays = read(AGENTS) if AGENTS.exists() else {}
    model = learner.dynamics.model
    arrays[form] = parameters_to_vector(learner.parameters()).detach().numpy()
    arrays[f"{form} inputs"], arrays[f"{form} targets"] = model.input_moments.numpy(), model.target_moments.numpy()
    write(AGENTS, arrays)


def anchors() -> list[dict[str, Any]]:
    """Random play; planning with the true dynamics, and with those of a walker whose legs stay sound."""
    planner = ml.make_reference("model_predictive", FAMILY, candidates=128, rounds=8)
    rows = []
    for split in SPLITS:
        sound = held_out(split)
        sound = sound._replace(onset=torch.full_like(sound.onset, FAMILY.horizon))
        rows += rows_of("random", -1, split, acted(ml.make_reference("random", FAMILY), split), None)
        rows += rows_of("true model", -1, split, acted(planner, split), None)
        rows += rows_of("true model of a sound walker", -1, split, acted(planner, split, sound), None)
    return rows


def store(rows: list[dict[str, Any]]) -> None:
    """Add rows to the table, whole or not at all."""
    table = pd.DataFrame(rows)
    table["value"] = table["value"].round(4)
    table = pd.concat([pd.read_csv(TABLE), table]) if TABLE.exists() else table
    write_whole(TABLE, table.to_csv(index=False).encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)

    def there(agent: str, seed: int) -> bool:
        if not TABLE.exists():
            return False
        table = pd.read_csv(TABLE)
        return bool(((table.agent == agent) & (table.seed == seed)).any())

    if not there("random", -1):
        store(anchors())
    for seed in chosen.seeds:
        for form in FORMS:
            if not there(form, seed):
                store(measured(form, seed))
                print(form, seed, "stored", flush=True)


if __name__ == "__main__":
    main()
