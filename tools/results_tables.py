"""The tables of docs/results.md and of README.md, each one function that reads data/results and returns Markdown.

``results_page.py`` puts them into the pages. How a figure is written, everywhere:

- ``6.006``: computed exactly (dynamic programming, or a closed form); an exact figure is preferred to a simulated one;
- ``5.69 [5.65, 5.72]``: a mean with its 95% interval (Student's t), over training seeds for what was trained, over
  tasks for what was not; the table or the text around it says over what;
- a mean alone: one seed, or an anchor whose table stores no interval.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from results import model_based

from metarl_lab.exact.informative_bandit import search_value
from metarl_lab.ops.statistics import mean_interval

DATA = Path(__file__).resolve().parent.parent / "data"
RESULTS = DATA / "results"

# What bandit_references.csv calls an agent, with the options of the row that is shown, and what the table calls it.
# In the order of the table: RL2 comes between the rules of thumb and what is optimal.
BANDIT_RULES = (
    ("random", "{}", "random"),
    ("thompson", "{}", "Thompson sampling"),
    ("greedy", "{}", "greedy"),
    ("ucb1", '{"c": 0.2, "pseudo_counts": 1.0}', "UCB1, constant 0.2"),
)
BANDIT_OPTIMA = (
    ("gittins", "{}", "Gittins index"),
    ("bayes_optimal", "{}", "Bayes-optimal"),
    ("oracle", "{}", "oracle, told the arms"),
)
# return after one inner step that a sampler must reach; stated before the runs, in tools/results/task_selection.py
SELECTION_LEVEL = {"uneven, plain": 1.1, "point": -3.6}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def with_interval(mean: float, low: float, high: float, digits: int = 2) -> str:
    """A mean and its interval."""
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def over_seeds(values: np.ndarray | pd.Series, digits: int = 2) -> str:
    """Mean over training seeds with its interval; of one value, the value. Nothing of none."""
    values = np.asarray(values, float)
    if len(values) == 0:
        return ""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return with_interval(*(float(x) for x in mean_interval(values)), digits)


def of_reference(row: pd.Series, digits: int = 2, exact_digits: int = 3) -> str:
    """An untrained agent's figure: the exact one where there is one, else the simulated one with its interval."""
    if pd.notna(row.exact):
        return f"{row.exact:.{exact_digits}f}"
    return with_interval(row["mean"], row.low, row.high, digits)


def measured_on(row: pd.Series) -> str:
    """How ``of_reference`` came by its figure."""
    return "exact" if pd.notna(row.exact) else f"{int(row.tasks):,} tasks"


def seeds_of(count: int) -> str:
    """A number of training seeds in words."""
    return "one seed" if count == 1 else f"{count} seeds"


# chapters 00 and 08 to 10: agents with a memory


def bandits() -> str:
    """RL2 on Bernoulli bandits, beside rules that are not learned and beside what is optimal."""
    references = pd.read_csv(RESULTS / "bandit_references.csv")
    published = pd.read_csv(DATA / "published" / "bandits.csv").set_index(["n", "k"]).rl2
    agents = pd.read_csv(RESULTS / "agents.csv")
    lines = []
    for (arms, pulls), here in references.groupby(["arms", "pulls"], sort=False):
        own = agents[agents.agent == f"rl2-bernoulli_bandit-{arms}x{pulls}"]
        by_seed = ", ".join(f"{x:.2f}" for x in own["mean"])
        rl2 = [
            "**RL2**",
            over_seeds(own["mean"]),
            f"{own.tasks.iloc[0]:,} tasks, {seeds_of(len(own))}: {by_seed}",
            f"{published[pulls, arms]:.1f}" if (pulls, arms) in published.index else "",
        ]
        agents_here = [*_bandit_references(here, BANDIT_RULES), rl2, *_bandit_references(here, BANDIT_OPTIMA)]
        lines += [[str(arms), str(pulls), *cells] for cells in agents_here]
    return table(["arms", "pulls", "agent", "reward of a trial", "measured on", "published"], lines)


def _bandit_references(here: pd.DataFrame, known: Sequence[tuple[str, str, str]]) -> list[list[str]]:
    """Those of the named references that were measured at one setting of the bandit."""
    by_name = here.set_index(["reference", "options"])
    found = [
        (title, by_name.loc[(name, options)]) for name, options, title in known if (name, options) in by_name.index
    ]
    return [
        [title, of_reference(row), measured_on(row), f"{row.published:.1f}" if pd.notna(row.published) else ""]
        for title, row in found
    ]


def trials() -> str:
    """Return of each episode of a trial: agents with a memory, beside exact and classical references."""
    agents = pd.read_csv(RESULTS / "agents.csv")
    lines = []
    for family in ("gridworld", "semicircle_navigation", "dark_room"):
        references = pd.read_csv(RESULTS / f"{family}_references.csv")
        for name, rows in references.groupby("reference", sort=False):
            if name == "value_iteration":  # plans with the task known: row for row the oracle
                continue
            episodes = rows[rows.episode != "all"]
            whole = rows[rows.episode == "all"].iloc[0]
            by_episode = episodes.exact.fillna(episodes["mean"])
            lines.append([family, str(name), slashed(by_episode), of_reference(whole, 2, 2), measured_on(whole), ""])
        for name, rows in agents[agents.agent.str.endswith(f"-{family}")].groupby("agent"):
            curves = rows.pivot(index="seed", columns="batch", values="mean")
            lines.append(
                [
                    family,
                    f"**{str(name).removesuffix(f'-{family}')}**",
                    slashed(curves.mean()),
                    over_seeds(curves.sum(axis=1)),
                    f"{rows.tasks.iloc[0]:,} tasks, {seeds_of(len(curves))}",
                    f"{rows.train_env_steps.mean() / 1e6:.1f} M",
                ]
            )
    header = ["family", "agent", "return by episode", "whole trial", "measured on", "env steps of training"]
    return table(header, lines)


def slashed(means: pd.Series) -> str:
    """Returns of successive episodes in a row."""
    return " / ".join(f"{x:.2f}" for x in means)


def wang() -> str:
    """RL2 in the tasks of "Learning to reinforcement learn": return and regret of a trial."""
    references = pd.read_csv(RESULTS / "wang_references.csv").set_index(["family", "options", "reference"])
    references = references.sort_index()
    agents, found = pd.read_csv(RESULTS / "agents.csv"), pd.read_csv(RESULTS / "memory.csv")
    lines = []
    for title, agent, family, options in (
        (
            "two arms, independent, 100 pulls",
            "rl2-bernoulli_bandit-2x100",
            "bernoulli_bandit",
            '{"arms": 2, "horizon": 100}',
        ),
        ("two arms, p2 = 1 - p1", "rl2-correlated_bandit", "correlated_bandit", '{"kind": "uniform"}'),
        ("eleven arms, one tells", "rl2-informative_bandit", "informative_bandit", "{}"),
        ("two-step task (2018)", "rl2-two_step", "two_step", "{}"),
    ):
        rows = references.loc[(family, options)]
        own = agents[agents.agent == agent]["mean"]
        regret = found[(found.agent == agent) & (found.metric == "regret")]["mean"]
        lines.append(
            [
                title,
                of_reference(rows.loc["random"], exact_digits=2),
                of_reference(rows.loc["thompson"], exact_digits=2) if "thompson" in rows.index else "",
                over_seeds(own),
                ", ".join(f"{x:.2f}" for x in own),
                f"{rows.exact['bayes_optimal']:.2f}",
                f"{rows.exact['oracle']:.2f}",
                over_seeds(regret),
                f"{rows.exact_regret['bayes_optimal']:.2f}",
            ]
        )
    header = [
        "task", "random", "Thompson", "RL2, mean of seeds", "RL2 by seed", "exact Bayes", "known task", "RL2's regret",
        "exact Bayes' regret",
    ]  # fmt: skip
    return table(header, lines)


def tabular() -> str:
    """Ten episodes of a random MDP (10 states, 5 actions): total reward."""
    references = pd.read_csv(RESULTS / "tabular_references.csv")
    references = references[(references.episodes == 10) & (references.reference != "value_iteration")]
    lines = []
    for row in references.to_dict("records"):
        options = json.loads(row["options"])
        told = [row["reference"]]
        told += [f"prior mean {options['reward_prior_mean']:.0f}"] if "reward_prior_mean" in options else []
        told += [f"epsilon {options['epsilon']}"] if "epsilon" in options else []
        told += ["plans at every step"] if options.get("replan") else []
        published = f"{row['published']:.1f}" if pd.notna(row["published"]) else ""
        value = with_interval(row["mean"], row["low"], row["high"], 1)
        lines.append([", ".join(told), value, f"{row['tasks']:,} tasks", published])
    agents = pd.read_csv(RESULTS / "agents.csv").set_index("agent")
    # one batch of ten episodes, stored as the mean of them; a single seed, so the interval is over tasks
    own = agents.loc["rl2-tabular_mdp"]
    value = with_interval(*(10 * own[x] for x in ("mean", "low", "high")), 1)
    printed = pd.read_csv(DATA / "published" / "tabular_mdp.csv").set_index("n").rl2[10]
    lines.insert(-1, ["**RL2**", value, f"{int(own.tasks):,} tasks, one seed", f"{printed:.1f}"])
    return table(["agent", "reward of ten episodes", "measured on", "published"], lines)


# chapters 05 to 07: learners that adapt by gradient


def navigation() -> str:
    """Return after 0 to 3 inner steps on the MAML authors' goals, for a range of sizes of the first step."""
    stored = pd.read_csv(RESULTS / "point_navigation.csv", keep_default_na=False)
    stored = stored[stored.seed.isin(["all", ""])]  # the mean over seeds; anchors have none
    lines = []
    for (learner, size), rows in stored.groupby(["learner", "inner_step"], sort=False):
        cells = [""] * 4
        for row in rows.itertuples():
            exact = row.low == row.high
            cells[int(row.step)] = f"{row.mean:.1f}" if exact else with_interval(row.mean, row.low, row.high, 1)
        lines.append([f"{learner} ({size})" if size else str(learner), *cells])
    return table(["learner (inner step size)", "before", "1 step", "2 steps", "3 steps"], lines)


def gradient() -> str:
    """Every gradient-based learner on each family at one budget: adaptation curve and cost."""
    stored = pd.read_csv(RESULTS / "gradient_family.csv")
    lines = []
    for family, learners in stored.groupby("family", sort=False):
        for label, rows in learners.groupby("label", sort=False):
            curves = rows.pivot(index="seed", columns="batch", values="mean")
            cells = [over_seeds(curves[batch]) if batch in curves else "" for batch in range(4)]
            cost = rows.groupby("seed")[["env_steps", "cpu_seconds"]].first().mean()
            trained = cost.env_steps > 0
            costs = [f"{cost.env_steps / 1e6:.2f} M", f"{cost.cpu_seconds:.0f}"] if trained else ["", ""]
            lines.append([str(family), str(label), *cells, *costs])
    return table(["family", "learner", "before", "1 step", "2 steps", "3 steps", "env steps", "CPU-s"], lines)


# chapters 11 to 15


def off_policy() -> str:
    """MQL against PEARL at equal env steps: return of a trial's first three episodes, and of the three after them."""
    stored = pd.read_csv(RESULTS / "off_policy.csv")
    anchor = stored.seed == -1
    stored = stored[anchor | (stored.checkpoint == stored.checkpoint.max())]
    lines = []
    for label, rows in stored.groupby("label", sort=False):
        cells = []
        for split, late in (("test", False), ("test", True), ("ood", True)):
            episodes = rows[(rows.split == split) & ((rows.episode > 3) == late)]
            if episodes.empty:  # an anchor has one figure a split
                episodes = rows[rows.split == split]
            cells.append(over_seeds(episodes.groupby("seed")["mean"].mean()))
        lines.append([str(label), str(rows.seed.nunique()) if rows.seed.min() >= 0 else "", *cells])
    return table(["agent", "seeds", "episodes 1 to 3", "4 to 6", "4 to 6, out of distribution"], lines)


def discounts() -> str:
    """Hand-set and learned discounts: return on held-out tasks after ten inner steps."""
    stored = pd.read_csv(RESULTS / "learned_discount.csv").dropna(subset="test_return")
    families = ("chain", "tabular_mdp")
    lines = []
    for label in stored[stored.family == families[0]].label.drop_duplicates():
        cells = [label]
        for family in families:
            rows = stored[(stored.family == family) & (stored.label == label)]
            learned = label.startswith("learned")
            cells += [over_seeds(rows.test_return), over_seeds(rows.discount) if learned else ""]
        lines.append(cells)
    header = ["discount", *(title for family in families for title in (family, "the discount ends at"))]
    return table(header, lines)


def rules() -> str:
    """Return at the end of an agent's life, under a learned rule and two written by hand."""
    stored = pd.read_csv(RESULTS / "learned_rule.csv")
    ends = stored[stored.batch == stored.groupby(["rule", "family"]).batch.transform("max")]
    columns = {
        "random": "random", "reinforce": "REINFORCE", "actor_critic": "actor-critic", "learned_rule": "learned rule",
        "oracle": "oracle",
    }  # fmt: skip
    lines = []
    for (met, family), rows in ends.groupby(["met", "family"]):
        cells = []
        for name in columns:
            own = rows[rows.rule == name]
            if name == "learned_rule":
                cells.append(over_seeds(own["mean"]))
            else:  # not trained: the interval is over tasks
                cells.append(with_interval(*(float(own[x].iloc[0]) for x in ("mean", "low", "high"))))
        lines.append([str(family), str(met), *cells])
    return table(["family", "met in training?", *columns.values()], lines)


def models() -> str:
    """Real env steps to two returns stated beforehand, with and without a model."""
    stored = pd.read_csv(RESULTS / "model_based.csv")
    lines = []
    for (family, learner), rows in model_based.summary(stored).groupby(["family", "learner"]):
        half, three_quarters = (row for _, row in rows.sort_values("share").iterrows())
        curves = stored[(stored.family == family) & (stored.learner == learner)]
        last = curves[curves.iteration == curves.iteration.max()]["mean"]
        lines.append(
            [
                f"{family} ({half.level:.1f}, {three_quarters.level:.1f})",
                str(learner),
                str(half.seeds),
                steps_to_level(half),
                steps_to_level(three_quarters),
                f"{half.cpu_seconds:.0f}" if np.isfinite(half.cpu_seconds) else "",
                f"{over_seeds(last, 1)} after {half.budget:,.0f}",
            ]
        )
    header = [
        "family (the two returns)", "learner", "seeds", "env steps to half-way", "to three quarters",
        "CPU-s to half-way", "last return",
    ]  # fmt: skip
    return table(header, lines)


def steps_to_level(row: pd.Series) -> str:
    """Median env steps over seeds, and how many seeds got there; half of them missing, there is no median."""
    if not row.reached:
        return f"none of {row.seeds}"
    median = f"{row['median']:,.0f}" if np.isfinite(row["median"]) else "-"
    return f"{median} ({row.reached} of {row.seeds})"


def drift() -> str:
    """Dynamics that adapt while a leg weakens: return, and the model's error ten to thirty steps after."""
    stored = pd.read_csv(RESULTS / "13_online_adaptation.csv")
    lines = []
    for agent, rows in stored.groupby("agent", sort=False):
        cells = [str(agent)]
        for split, quantity, digits in (("test", "return", 1), ("ood", "return", 1), ("test", "error around", 2)):
            chosen = rows[(rows.split == split) & (rows.quantity == quantity)]
            if quantity == "error around":
                chosen = chosen[chosen.x >= 10]  # steps since the leg weakened: by then the memory is of the new leg
            cells.append(over_seeds(chosen.groupby("seed").value.mean(), digits))
        lines.append(cells)
    header = ["agent", "return, test", "return, ood", "error of the turn rate after it weakened (rad/s), test"]
    return table(header, lines)


def selection() -> str:
    """Env steps to a stated held-out return under different samplers, and the last return."""
    stored = pd.read_csv(RESULTS / "task_selection.csv")
    stored = stored[stored.quantity == "test_after"]
    lines = []
    for (study, sampler), rows in stored.groupby(["study", "sampler"], sort=False):
        level = SELECTION_LEVEL[str(study)]
        title = f"{study} ({level})"
        if rows.seed.nunique() == 1:  # an anchor
            lines.append([title, str(sampler), "", "", f"{rows.value.iloc[-1]:.2f}"])
            continue
        steps = [first_steps_at(rows[rows.seed == seed], level) for seed in rows.seed.unique()]
        reached, median = np.isfinite(steps).sum(), np.median(steps)
        last = rows[rows.iteration == rows.iteration.max()].value
        told = f"{median:,.0f}" if np.isfinite(median) else ""
        lines.append([title, str(sampler), f"{reached} of {len(steps)}", told, over_seeds(last)])
    header = ["study (return to reach)", "sampler", "seeds that reach it", "median env steps", "last return"]
    return table(header, lines)


def first_steps_at(rows: pd.DataFrame, level: float) -> float:
    """Env steps at the first evaluation that meets the level, infinite without one."""
    there = rows[rows.value >= level].env_steps
    return float(there.min()) if len(there) else np.inf


def averages() -> str:
    """The average policy beside initialisations that adapt: return after 0, 1 and 3 inner steps."""
    stored = pd.read_csv(RESULTS / "average_policy.csv")
    lines = []
    for (family, label), rows in stored.groupby(["family", "label"], sort=False):
        cells = [over_seeds(rows[rows.batch == batch]["mean"], 1) for batch in (0, 1, 3)]
        lines.append([str(family), str(label), *cells])
    return table(["family", "learner", "before", "1 step", "3 steps"], lines)


def contrast() -> str:
    """PEARL's encoder trained by the critic's error or by a contrast: at the end of training, and the anchors."""
    stored = pd.read_csv(RESULTS / "contrastive_context.csv")
    stored = stored[(stored.seed == -1) | (stored.iteration == stored.iteration.max())]
    lines = []
    for label, rows in stored.groupby("label", sort=False):
        trained = rows.seed.min() >= 0
        lines.append(
            [
                f"encoder learns from the {label}" if trained else str(label),
                str(rows.seed.nunique()) if trained else "",
                over_seeds(rows["first"]),
                over_seeds(rows.second),
                over_seeds(rows.probe.dropna()),
            ]
        )
    return table(["agent", "seeds", "first episode", "second episode", "R^2 of the probe"], lines)


def speed() -> str:
    """The stored output of `metarl bench`; of its first table, with a row for each number of tasks, those of 100."""
    head, collected, *rest = (RESULTS / "bench.txt").read_text(encoding="utf-8").rstrip().split("\n\n")
    title, *rows = collected.splitlines()
    kept = [row for row in rows if row.split()[-3] == "100"]
    return "```\n" + "\n\n".join([head, "\n".join([title, *kept]), *rest]) + "\n```"


# the README's one table


def reach() -> str:
    """What the main learners reach beside random play, a method that is not meta-learned, and what is optimal."""
    header = [
        "task, and what is counted", "random", "not meta-learned", "meta-learned", "best possible",
        "best if told the task",
    ]  # fmt: skip
    return table(header, [_reach_jackpot(), _reach_bandit(), _reach_gridworld(), _reach_navigation()])


def _reach_jackpot() -> list[str]:
    rows = pd.read_csv(RESULTS / "wang_references.csv")
    rows = rows[rows.family == "informative_bandit"].set_index("reference")
    agents = pd.read_csv(RESULTS / "agents.csv")
    own = agents[agents.agent == "rl2-informative_bandit"]["mean"]

    def value(name: str) -> str:
        return of_reference(rows.loc[name], exact_digits=2)

    return [
        "eleven slot machines, one of which tells where the money is, five pulls: reward",
        value("random"),
        f"never asking it {search_value(11, 5):.2f}",
        f"RL2 {over_seeds(own)}",
        value("bayes_optimal"),
        value("oracle"),
    ]


def _reach_bandit() -> list[str]:
    rows = pd.read_csv(RESULTS / "bandit_references.csv")
    rows = rows[(rows.arms == 5) & (rows.pulls == 10) & (rows.options == "{}")].set_index("reference")
    agents = pd.read_csv(RESULTS / "agents.csv")
    own = agents[agents.agent == "rl2-bernoulli_bandit-5x10"]["mean"]

    def value(name: str) -> str:
        return of_reference(rows.loc[name], exact_digits=2)

    return [
        "five slot machines, ten pulls: reward",
        value("random"),
        f"greedy {value('greedy')}; Thompson sampling {value('thompson')}",
        f"RL2 {over_seeds(own)}",
        value("bayes_optimal"),
        value("oracle"),
    ]


def _reach_gridworld() -> list[str]:
    references = pd.read_csv(RESULTS / "gridworld_references.csv")
    rows = references[references.episode == "all"].set_index("reference")
    agents = pd.read_csv(RESULTS / "agents.csv")

    def value(name: str) -> str:
        return of_reference(rows.loc[name], exact_digits=2)

    def learned(name: str) -> str:
        trial = agents[agents.agent == f"{name}-gridworld"].groupby("seed")["mean"].sum()
        return over_seeds(trial) + (" (one seed)" if len(trial) == 1 else "")

    return [
        "goal hidden in a 5 x 5 grid, four episodes: return",
        value("random"),
        f"posterior sampling {value('psrl')}",
        f"VariBAD {learned('varibad')}; RL2 {learned('rl2')}; PEARL {learned('pearl')}",
        value("bayes_optimal"),
        value("oracle"),
    ]


def _reach_navigation() -> list[str]:
    stored = pd.read_csv(RESULTS / "point_navigation.csv", keep_default_na=False)
    stored = stored[stored.seed.isin(["all", ""])]
    one_step = stored[stored.step == 1].set_index(["learner", "inner_step"])
    anchors = stored[stored.inner_step == ""].set_index("learner")

    def value(row: pd.Series) -> str:
        return with_interval(row["mean"], row.low, row.high, 1)

    sizes = one_step.loc["finetune"]["mean"]
    best = sizes.idxmax()  # on these very goals, which flatters fine-tuning; MAML has its protocol's 0.5
    return [
        "goal hidden in the plane, after one gradient step: return of an episode",
        value(anchors.loc["random"]),
        f"from scratch {value(one_step.loc[('scratch', '0.5')])}; "
        f"fine-tuning, its best step size {value(one_step.loc[('finetune', best)])}",
        f"MAML {value(one_step.loc[('maml', '0.5')])}",
        "not known",
        value(anchors.loc["oracle"]),
    ]
