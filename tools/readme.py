"""Write the README's tables from data/results: `python tools/readme.py`; a test compares.

The speed table is taken from the stored output of `metarl bench` (data/results/bench.txt), line by line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import readme_methods as methods

from metarl_lab.ops.statistics import mean_interval

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "data" / "results"
TWO_ARMS = '{"arms": 2, "horizon": 100}'


def interval(card: dict, batch: int) -> str:
    """Mean over seeds with its interval; of one seed, the interval over tasks."""
    score = card["score"]
    one = len(card["seeds"]) == 1
    mean, low, high = (score[("stored_" if one else "") + k][batch] for k in ("mean", "low", "high"))
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def bandits() -> str:
    """RL2 beside exact and classical references."""
    references = pd.read_csv(RESULTS / "bandit_references.csv")
    published = pd.read_csv(ROOT / "data" / "published" / "bandits.csv").set_index(["n", "k"])
    lines = [
        "| pulls, arms | RL2, mean of seeds | by seed | exact | Gittins | greedy | Thompson | RL2, published |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for arms, pulls in ((2, 10), (5, 10), (10, 10), (50, 10), (5, 100), (10, 100)):
        path = ROOT / "data" / "checkpoints" / f"rl2-bernoulli_bandit-{arms}x{pulls}" / "card.json"
        if not path.exists():
            continue
        card = json.loads(path.read_text())
        rows = references[(references.arms == arms) & (references.pulls == pulls)].set_index("reference")
        exact = rows.exact.get("bayes_optimal")
        told = f"{published.rl2[pulls, arms]:.1f}" if (pulls, arms) in published.index else ""
        seeds = ", ".join(f"{x[0]:.2f}" for x in card["score"]["by_seed"])
        others = " | ".join(f"{rows['mean'].get(name):.2f}" for name in ("gittins", "greedy", "thompson"))
        optimum = "" if exact is None or pd.isna(exact) else f"{exact:.3f}"
        lines.append(f"| {pulls}, {arms} | {interval(card, 0)} | {seeds} | {optimum} | {others} | {told} |")
    return "\n".join(lines)


def navigation() -> str:
    """Return after 0 to 3 inner steps on the authors' goals."""
    table = pd.read_csv(RESULTS / "point_navigation.csv", keep_default_na=False)
    table = table[table.seed.isin(["all", ""])]
    lines = [
        "| learner (inner step size) | before | 1 step | 2 steps | 3 steps |",
        "|---|---|---|---|---|",
    ]
    for (learner, size), rows in table.groupby(["learner", "inner_step"], sort=False):
        cells = [""] * 4
        for row in rows.itertuples():
            spread = "" if row.low == row.high else f" [{float(row.low):.1f}, {float(row.high):.1f}]"
            cells[int(row.step)] = f"{float(row.mean):.1f}{spread}"
        name = f"{learner} ({size})" if size else learner
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def gradient() -> str:
    """Every gradient-based learner on each family at one budget: adaptation curve and cost."""
    table = pd.read_csv(RESULTS / "gradient_family.csv")
    lines = [
        "| family | learner | before | 1 step | 2 steps | 3 steps | env steps | CPU-s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for family, rows in table.groupby("family", sort=False):
        for label, own in rows.groupby("label", sort=False):
            means = own.pivot(index="seed", columns="batch", values="mean")
            cells = [f"{x:.2f}" for x in means.mean()]
            if len(means) > 1:
                spread = zip(*mean_interval(means.to_numpy())[1:], strict=True)
                cells = [f"{x} [{low:.2f}, {high:.2f}]" for x, (low, high) in zip(cells, spread, strict=True)]
            cost = own.groupby("seed")[["env_steps", "cpu_seconds"]].first().mean()
            costs = [f"{cost.env_steps / 1e6:.2f} M", f"{cost.cpu_seconds:.0f}"] if cost.env_steps else ["", ""]
            lines.append(f"| {family} | {label} | " + " | ".join([*cells, *[""] * (4 - len(cells)), *costs]) + " |")
    return "\n".join(lines)


def trials() -> str:
    """Return of each episode of a trial: agents with a memory, beside exact and classical references."""
    agents = pd.read_csv(RESULTS / "agents.csv")
    lines = ["| family | agent | return by episode | whole trial | env steps |", "|---|---|---|---|---|"]
    for family in ("gridworld", "semicircle_navigation", "dark_room"):
        table = pd.read_csv(RESULTS / f"{family}_references.csv")
        for name, rows in table[table.episode != "all"].groupby("reference", sort=False):
            means = rows.exact.fillna(rows["mean"])
            note = " (exact)" if rows.exact.notna().all() else ""
            lines.append(f"| {family} | {name}{note} | {episodes(means)} | {means.sum():.2f} | |")
        for name, rows in agents[agents.agent.str.endswith(f"-{family}")].groupby("agent"):
            means = rows.pivot(index="seed", columns="batch", values="mean")
            total, low, high = mean_interval(means.sum(axis=1).to_numpy())
            spread = f" [{low:.2f}, {high:.2f}]" if len(means) > 1 else " (one seed)"
            steps = f"{rows.train_env_steps.mean() / 1e6:.1f} M"
            learner = name.removesuffix(f"-{family}")
            lines.append(f"| {family} | **{learner}** | {episodes(means.mean())} | {total:.2f}{spread} | {steps} |")
    return "\n".join(lines)


def episodes(means: pd.Series) -> str:
    """Returns in a row."""
    return " / ".join(f"{x:.2f}" for x in means)


def wang() -> str:
    """RL2 in the tasks of "Learning to reinforcement learn": return and regret of a trial."""
    table = pd.read_csv(RESULTS / "wang_references.csv").set_index(["family", "options", "reference"]).sort_index()
    agents, found = pd.read_csv(RESULTS / "agents.csv"), pd.read_csv(RESULTS / "memory.csv")
    lines = [
        "| task | random | Thompson | RL2, mean of seeds | by seed | exact Bayes | known task | RL2's regret "
        "| exact regret |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for title, agent, family, options in (
        ("two arms, independent, 100 pulls", "rl2-bernoulli_bandit-2x100", "bernoulli_bandit", TWO_ARMS),
        ("two arms, p2 = 1 - p1", "rl2-correlated_bandit", "correlated_bandit", '{"kind": "uniform"}'),
        ("eleven arms, one tells", "rl2-informative_bandit", "informative_bandit", "{}"),
        ("two-step task (2018)", "rl2-two_step", "two_step", "{}"),
    ):
        rows, own = table.loc[(family, options)], agents[agents.agent == agent]
        mean, low, high = mean_interval(own["mean"].to_numpy())
        lost = found[(found.agent == agent) & (found.metric == "regret")]["mean"]
        regret = "{:.2f} [{:.2f}, {:.2f}]".format(*mean_interval(lost.to_numpy())) if len(lost) > 1 else ""
        exact = rows.exact["bayes_optimal"], rows.exact_regret["bayes_optimal"]
        thompson = f"{rows['mean']['thompson']:.2f}" if "thompson" in rows.index else ""
        lines.append(
            f"| {title} | {rows['mean']['random']:.2f} | {thompson} | {mean:.2f} [{low:.2f}, {high:.2f}] | "
            f"{', '.join(f'{x:.2f}' for x in own['mean'])} | {exact[0]:.2f} | {rows.exact['oracle']:.2f} | {regret} | "
            f"{exact[1]:.2f} |"
        )
    return "\n".join(lines)


def speed() -> str:
    """The stored output of `metarl bench`; of its first table, with a row for each number of tasks, those of 100."""
    head, collected, *rest = (RESULTS / "bench.txt").read_text().rstrip().split("\n\n")
    title, *rows = collected.splitlines()
    kept = [row for row in rows if row.split()[-3] == "100"]
    return "```\n" + "\n\n".join([head, "\n".join([title, *kept]), *rest]) + "\n```"


PARTS = {
    "bandits": bandits,
    "trials": trials,
    "wang": wang,
    "navigation": navigation,
    "gradient": gradient,
    "off_policy": methods.off_policy,
    "discounts": methods.discounts,
    "rules": methods.rules,
    "models": methods.models,
    "drift": methods.drift,
    "selection": methods.selection,
    "averages": methods.averages,
    "speed": speed,
}


def render(text: str) -> str:
    """The README with its tables between the markers made anew."""
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        head, rest = text.split(begin)
        text = f"{head}{begin}\n{make()}\n{end}{rest.split(end)[1]}"
    return text


def main() -> None:
    """Rewrite README.md; with --check, only say whether it is up to date."""
    path = ROOT / "README.md"
    new = render(path.read_text())
    if "--check" in sys.argv:
        sys.exit(
            0 if new == path.read_text() else "README.md is not what data/results says; run python tools/readme.py"
        )
    path.write_text(new)


if __name__ == "__main__":
    main()
