"""What chapter 15 reads from its stored tables, in the form that its figures and its claims need.

data/results/average_policy.csv: return of each learner after 0 to 3 inner steps on 200 held-out tasks, five training
seeds, two families (tools/results/average_policy.py makes it). data/results/contrastive_context.csv: PEARL on the
Bernoulli bandit with its encoder trained by the critic's error or by a contrast, three seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from metarl_lab.ops.statistics import mean_interval
from metarl_lab.runs.files import find_folder
from metarl_lab.teach.figures import display_name

Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # mean, low, high
Curves = dict[str, dict[str, tuple[np.ndarray, Band]]]  # {panel: {name: (x, band)}}

ENCODERS = ("contrast", "critic")
PULLS, ARMS = 10, 5  # random pulls that the probe is given, and arms that they are spread over


def read(name: str) -> pd.DataFrame:
    """A stored table, whole."""
    return pd.read_csv(find_folder("data/results") / f"{name}.csv")


# --- adaptation: average_policy.csv -----------------------------------------------------------------------------------


def adaptation_runs() -> pd.DataFrame:
    """Return per episode of every trained learner: rows (family, learner, seed), columns 0, 1, 2, 3 inner steps."""
    table = read("average_policy").drop(columns="learner").rename(columns={"label": "learner"})
    trained = table[table["seed"] >= 0]
    order = {name: place for place, name in enumerate(trained["learner"].unique())}
    runs = trained.pivot(index=["family", "learner", "seed"], columns="batch", values="mean").rename_axis(columns=None)
    return runs.sort_index(key=lambda level: level.map(order) if level.name == "learner" else level)


def seeds_of(runs: pd.DataFrame, family: str, learner: str) -> np.ndarray:
    """Returns (seeds, steps) of one learner on one family; no rows where the table has none."""
    families, learners = (runs.index.get_level_values(level) for level in ("family", "learner"))
    return runs[(families == family) & (learners == learner)].to_numpy()


def adaptation_anchors() -> dict[str, dict[str, float]]:
    """{family: {"random": return per episode, "oracle": ...}}."""
    table = read("average_policy")
    fixed = table[table["seed"] < 0]
    return {
        str(family): {str(who): float(mean) for who, mean in zip(rows["label"], rows["mean"], strict=True)}
        for family, rows in fixed.groupby("family", sort=False)
    }


def adaptation_curves(runs: pd.DataFrame, learners: Sequence[str]) -> Curves:
    """Mean over seeds and its 95% interval against inner steps, a panel for each family."""
    curves: Curves = {}
    for family in runs.index.get_level_values("family").unique():
        curves[str(family)] = {
            learner: (runs.columns.to_numpy(), mean_interval(seeds_of(runs, family, learner))) for learner in learners
        }
    return curves


def with_intervals(runs: pd.DataFrame, steps: Sequence[int] = (0, 1, 3)) -> pd.DataFrame:
    """Text "mean [low, high]" over seeds: a row for each learner, a column for each family and number of steps."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    families, learners = (runs.index.get_level_values(level).unique() for level in ("family", "learner"))
    for family in families:
        for n in steps:
            column = cells.setdefault((family, f"{n} step{'s' * (n != 1)}"), {})
            for learner in learners:
                returns = seeds_of(runs[[n]], family, learner)[:, 0]
                text = ""
                if len(returns):
                    mean, low, high = mean_interval(returns)
                    text = f"{mean:.1f} [{low:.1f}, {high:.1f}]"
                column[display_name(learner)] = text
    return pd.DataFrame(cells)


def beside_scratch(runs: pd.DataFrame) -> pd.DataFrame:
    """Return after the last step of each learner but `scratch`, with that of `scratch` of the same family and seed.

    Rows (family, learner, seed); columns `end`, `scratch`, and `family and learner` in words.
    """
    end = runs[runs.columns[-1]]
    scratch = end.xs("scratch", level="learner")
    others = end[end.index.get_level_values("learner") != "scratch"]
    rows = pd.DataFrame({"end": others})
    rows["scratch"] = [scratch[family, seed] for family, _, seed in others.index]
    rows["family and learner"] = [f"{family}, {display_name(learner)}" for family, learner, _ in others.index]
    return rows


def differences(runs: pd.DataFrame, family: str, learner: str, others: Sequence[str]) -> pd.DataFrame:
    """95% interval of each other learner's return minus this one's, seed by seed: rows "other, n steps"; low, high."""
    rows = {}
    for other in others:
        _, low, high = mean_interval(seeds_of(runs, family, other) - seeds_of(runs, family, learner))
        for n, step in enumerate(runs.columns):
            rows[f"{other}, {step} steps"] = {"low": low[n], "high": high[n]}
    return pd.DataFrame(rows).T


# --- task encoders: contrastive_context.csv ---------------------------------------------------------------------------


def encoder_runs() -> pd.DataFrame:
    """Rows (encoder, seed, env_steps): return of the `first` and `second` episode, and `probe`, the R² of the arms."""
    table = read("contrastive_context").rename(columns={"label": "encoder"})
    trained = table[table["seed"] >= 0].astype({"seed": int})
    return trained.set_index(["encoder", "seed", "env_steps"])[["first", "second", "probe"]].sort_index()


def encoder_anchors() -> dict[str, float]:
    """{"random": return of the second episode, "oracle": ...}."""
    table = read("contrastive_context")
    fixed = table[table["seed"] < 0]
    return {str(who): float(value) for who, value in zip(fixed["label"], fixed["second"], strict=True)}


def all_that_pulls_tell(pulls: int = PULLS, arms: int = ARMS) -> float:
    """Share of the arms' variance that `pulls` random pulls can explain.

    An arm pulled n times has n ~ Binomial(pulls, 1 / arms); of a uniform arm's variance Bayes' rule then leaves
    2 / (n + 2), so that it explains n / (n + 2).
    """
    n = np.arange(pulls + 1)
    ways = np.array([math.comb(pulls, k) for k in n])
    chance = ways * (1 / arms) ** n * (1 - 1 / arms) ** (pulls - n)
    return float(chance @ (n / (n + 2)))


def encoder_curves(runs: pd.DataFrame, titles: Mapping[str, str]) -> Curves:
    """Mean over seeds, from the least seed to the most, against thousands of env steps; titles {panel: column}."""
    curves: Curves = {}
    for title, column in titles.items():
        curves[title] = {}
        for encoder in ENCODERS:
            by_seed = runs.xs(encoder)[column].unstack("seed")
            values = by_seed.to_numpy()  # (measurements, seeds)
            band = values.mean(1), values.min(1), values.max(1)
            curves[title][f"by {encoder}"] = (by_seed.index.to_numpy() / 1000, band)
    return curves


def at_the_end(runs: pd.DataFrame) -> pd.DataFrame:
    """Rows (encoder, seed): the last measurement, with the probe of the untrained encoder beside it."""
    by_run = runs.groupby(level=["encoder", "seed"])
    last = by_run.last()
    last["probe, untrained"] = by_run["probe"].first()
    return last
