"""README tables of values, objectives, models, choosing tasks and averages, from data/results (see ``readme.py``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from results import model_based as with_models

from metarl_lab.ops.statistics import mean_interval

RESULTS = Path(__file__).resolve().parent.parent / "data" / "results"
# stated before the runs, in tools/results/task_selection.py: return after one inner step
SELECTION = {"uneven, plain": 1.1, "point": -3.6}


def spread(values: np.ndarray, digits: int = 2) -> str:
    """Mean over seeds with its interval; one seed alone has none."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    mean, low, high = (float(x) for x in mean_interval(np.asarray(values, float)))
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def off_policy() -> str:
    """MQL against PEARL at equal env steps: return of a trial's first three episodes, and of the three after them."""
    table = pd.read_csv(RESULTS / "off_policy.csv")
    table = table[(table.checkpoint == table.checkpoint.max()) | (table.seed == -1)]
    lines = ["| agent | seeds | episodes 1 to 3 | 4 to 6 | 4 to 6, out of distribution |", "|---|---|---|---|---|"]
    for label, rows in table.groupby("label", sort=False):
        cells = []
        for split, late in (("test", False), ("test", True), ("ood", True)):
            chosen = rows[(rows.split == split) & ((rows.episode > 3) == late)]
            chosen = chosen if len(chosen) else rows[rows.split == split]
            cells.append(spread(chosen.groupby("seed")["mean"].mean().to_numpy()) if len(chosen) else "")
        seeds = str(rows.seed.nunique()) if rows.seed.min() >= 0 else ""
        lines.append(f"| {label} | {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines)


def discounts() -> str:
    """Hand-set and learned discounts: return on held-out tasks after ten inner steps."""
    table = pd.read_csv(RESULTS / "learned_discount.csv").dropna(subset="test_return")
    families = ("chain", "tabular_mdp")
    lines = [
        "| discount | " + " | ".join(f"{x} | ends at" for x in families) + " |",
        "|---|" + "---|---|" * len(families),
    ]
    for label in table[table.family == families[0]].label.drop_duplicates():
        cells = []
        for family in families:
            rows = table[(table.family == family) & (table.label == label)]
            learned = label.startswith("learned")
            cells += [spread(rows.test_return.to_numpy()), spread(rows.discount.to_numpy()) if learned else ""]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def rules() -> str:
    """Return at the end of an agent's life, under a learned rule and two written by hand."""
    table = pd.read_csv(RESULTS / "learned_rule.csv")
    ends = table[(table.batch == table.groupby(["rule", "family"]).batch.transform("max"))]
    names = ["random", "reinforce", "actor_critic", "learned_rule", "oracle"]
    lines = [
        "| family | | random | REINFORCE | actor-critic | learned rule | oracle |",
        "|---|---|---|---|---|---|---|",
    ]
    for (met, family), rows in ends.groupby(["met", "family"]):
        cells = [rows[rows.rule == name]["mean"].to_numpy() for name in names]
        lines.append(f"| {family} | {met} | " + " | ".join(spread(x) if len(x) else "" for x in cells) + " |")
    return "\n".join(lines)


def models() -> str:
    """Real env steps to two returns stated beforehand, with and without a model."""
    found = with_models.summary(pd.read_csv(RESULTS / "model_based.csv"))
    lines = [
        "| family | learner | seeds | env steps to half-way | to three quarters | CPU-s to half-way | last return |",
        "|---|---|---|---|---|---|---|",
    ]
    for (family, learner), rows in found.groupby(["family", "learner"]):
        half, more = (row for _, row in rows.sort_values("share").iterrows())
        cells = [_steps(half), _steps(more), f"{half.cpu_seconds:.0f}" if np.isfinite(half.cpu_seconds) else ""]
        lines.append(
            f"| {family} ({half.level:.1f}, {more.level:.1f}) | {learner} | {half.seeds} | {' | '.join(cells)} | "
            f"{half.final:.1f} after {half.budget:,.0f} |"
        )
    return "\n".join(lines)


def _steps(row: pd.Series) -> str:
    """Median env steps over seeds, and how many seeds got there."""
    if not row.reached:
        return f"none of {row.seeds}"
    median = f"{row['median']:,.0f}" if np.isfinite(row["median"]) else "-"
    return f"{median} ({row.reached} of {row.seeds})"


def drift() -> str:
    """Dynamics that adapt while a leg weakens: return, and the model's error ten to thirty steps after."""
    table = pd.read_csv(RESULTS / "13_online_adaptation.csv")
    lines = [
        "| agent | return, test | return, ood | error of the turn rate after it weakened (rad/s), test |",
        "|---|---|---|---|",
    ]
    for agent, rows in table.groupby("agent", sort=False):
        cells = []
        for split, quantity in (("test", "return"), ("ood", "return"), ("test", "error around")):
            chosen = rows[
                (rows.split == split) & (rows.quantity == quantity) & ((rows.x >= 10) | (quantity == "return"))
            ]
            values = chosen.groupby("seed").value.mean().to_numpy()
            cells.append(spread(values, 1 if quantity == "return" else 2) if len(values) else "")
        lines.append(f"| {agent} | {' | '.join(cells)} |")
    return "\n".join(lines)


def selection() -> str:
    """Env steps to a stated held-out return under different samplers, and the last return."""
    table = pd.read_csv(RESULTS / "task_selection.csv")
    lines = [
        "| study (return to reach) | sampler | seeds that reach it | median env steps | last return |",
        "|---|---|---|---|---|",
    ]
    for (study, sampler), rows in table[table.quantity == "test_after"].groupby(["study", "sampler"], sort=False):
        curves = rows.pivot(index="env_steps", columns="seed", values="value").sort_index()
        if curves.shape[1] == 1:  # an anchor
            lines.append(f"| {study} | {sampler} | | | {rows.value.iloc[-1]:.2f} |")
            continue
        first = [_first(rows[rows.seed == seed], SELECTION[study]) for seed in curves]
        reached, median = np.isfinite(first).sum(), np.median(first)
        last = rows[rows.iteration == rows.iteration.max()].value.to_numpy()
        told = f"{median:,.0f}" if np.isfinite(median) else ""
        lines.append(
            f"| {study} ({SELECTION[study]}) | {sampler} | {reached} of {len(first)} | {told} | {spread(last)} |"
        )
    return "\n".join(lines)


def _first(rows: pd.DataFrame, threshold: float) -> float:
    """Env steps at the first evaluation that meets the threshold, infinite without one."""
    there = rows[rows.value >= threshold].env_steps
    return float(there.min()) if len(there) else np.inf


def averages() -> str:
    """The average policy beside initialisations that adapt: return after 0, 1 and 3 inner steps."""
    table = pd.read_csv(RESULTS / "average_policy.csv")
    lines = ["| family | learner | before | 1 step | 3 steps |", "|---|---|---|---|---|"]
    for (family, label), rows in table.groupby(["family", "label"], sort=False):
        cells = [
            spread(rows[rows.batch == batch]["mean"].to_numpy(), 1) if (rows.batch == batch).any() else ""
            for batch in (0, 1, 3)
        ]
        lines.append(f"| {family} | {label} | {' | '.join(cells)} |")
    return "\n".join(lines)
