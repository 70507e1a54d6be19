"""The tables of docs/results.md and README.md are those of data/results, and what the prose makes of them holds."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
import results_page
import results_tables

import data as recipes

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "data" / "results"
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def cells(markdown: str) -> list[list[str]]:
    """The rows of a Markdown table, without its header."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()[2:]]


@pytest.mark.parametrize("page", results_page.PAGES)
def test_tables_are_what_the_stored_results_say(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert results_page.render(text, results_page.PAGES[page]) == text, "run python tools/results_page.py"


def test_a_page_without_the_place_for_a_table_is_refused() -> None:
    place = "<!-- a: begin -->\nold\n<!-- a: end -->"
    assert results_page.render(f"x\n{place}\ny", {"a": lambda: "new"}) == f"x\n{place.replace('old', 'new')}\ny"
    for wrong in ("x", "<!-- a: begin -->", place + place):
        with pytest.raises(ValueError, match="once each"):
            results_page.render(wrong, {"a": lambda: "new"})


def test_no_table_of_results_is_left_out() -> None:
    marked = set(re.findall(r"<!-- (\w+): begin -->", PAGE))
    assert marked == set(results_page.PAGES["docs/results.md"])


def test_bandits_prefer_exact_figures_and_say_what_the_others_were_measured_on() -> None:
    stored = pd.read_csv(RESULTS / "bandit_references.csv").set_index(["arms", "pulls", "reference", "options"])
    names = {title: (name, options) for name, options, title in results_tables.BANDIT_RULES}
    names |= {title: (name, options) for name, options, title in results_tables.BANDIT_OPTIMA}
    seen = 0
    for arms, pulls, agent, value, measured, _ in cells(results_tables.bandits()):
        if agent == "**RL2**":
            assert re.search(r"\[.+\]", value) and measured.startswith("50,000 tasks, 3 seeds")
            continue
        row = stored.loc[(int(arms), int(pulls), *names[agent])]
        if pd.notna(row.exact):
            assert (value, measured) == (f"{row.exact:.3f}", "exact")
        else:
            assert value == f"{row['mean']:.2f} [{row.low:.2f}, {row.high:.2f}]"
            assert measured == f"{int(row.tasks):,} tasks"
        seen += 1
    assert seen == 4 * 7 - 1  # four settings, seven rules each; five arms and 100 pulls are too large for exact play


@pytest.mark.parametrize("name", [*results_page.PAGES["docs/results.md"], "reach"])
def test_no_figure_is_missing_or_infinite(name: str) -> None:
    make = {**results_page.PAGES["docs/results.md"], **results_page.PAGES["README.md"]}[name]
    assert not re.search(r"\b(nan|inf|None)\b", make())


def test_commands_of_the_page_are_real() -> None:
    lines = [line.split("#")[0].strip() for line in re.findall(r"^    (\S.*)$", PAGE, flags=re.MULTILINE)]
    assert len(lines) > 15
    for line in lines:
        words = shlex.split(line)
        if words[:2] == ["make", "data"]:
            named = words[2].removeprefix("ARGS=").split()
            assert named and set(named) <= set(recipes.RECIPES), line
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file(), line
        else:
            assert words[0] == "metarl", line


def test_the_contents_list_every_section() -> None:
    sections = re.findall(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    assert re.findall(r"^- \[(.+)\]\(#", PAGE, flags=re.MULTILINE) == sections


# What the prose says of the tables. When a table is made anew and one of these fails, the prose is to be read again.


def bounds(value: str) -> tuple[float, float, float]:
    """Mean, low and high of "6.62 [6.58, 6.67]"."""
    mean, low, high = (float(x) for x in re.match(r"(\S+) \[(\S+), (\S+)\]", value).groups())  # type: ignore[union-attr]
    return mean, low, high


def overlap(a: str, b: str) -> bool:
    """Whether two intervals have a point in common."""
    return bounds(a)[1] <= bounds(b)[2] and bounds(b)[1] <= bounds(a)[2]


def test_what_is_said_of_the_bandits() -> None:
    rows = {(row[0], row[1], row[2]): row[3] for row in cells(results_tables.bandits())}
    for arms in ("2", "5"):
        _, low, high = bounds(rows[arms, "10", "**RL2**"])
        assert low <= float(rows[arms, "10", "greedy"]) < float(rows[arms, "10", "Bayes-optimal"]) <= high
    _, low, high = bounds(rows["10", "10", "**RL2**"])
    assert low <= float(rows["10", "10", "greedy"]) <= high < float(rows["10", "10", "Bayes-optimal"])
    agents = pd.read_csv(RESULTS / "agents.csv")
    by_seed = sorted(agents[agents.agent == "rl2-bernoulli_bandit-5x100"]["mean"])
    means = {name: bounds(rows["5", "100", name])[0] for name in ("Gittins index", "UCB1, constant 0.2", "greedy")}
    assert by_seed[-1] < min(means["Gittins index"], means["UCB1, constant 0.2"])
    assert by_seed[0] < bounds(rows["5", "100", "Thompson sampling"])[0] < means["greedy"] < by_seed[1]


def test_what_is_said_of_agents_with_a_memory() -> None:
    rows = {(row[0], row[1]): row[3] for row in cells(results_tables.trials())}
    best = float(rows["gridworld", "bayes_optimal"])
    for learner in ("**rl2**", "**varibad**"):
        _, low, high = bounds(rows["gridworld", learner])
        assert float(rows["gridworld", "psrl"]) < low <= best <= high
    assert float(rows["gridworld", "random"]) < float(rows["gridworld", "**pearl**"])
    share = bounds(rows["semicircle_navigation", "**pearl**"])[0] / float(rows["semicircle_navigation", "oracle"])
    assert 1 / 4 < share < 1 / 3
    assert 1.9 < float(rows["dark_room", "**rl2**"]) / bounds(rows["dark_room", "psrl"])[0] < 2.3
    mdps = [(row[0], bounds(row[1])[0]) for row in cells(results_tables.tabular())]
    assert [name for name, _ in sorted(mdps, key=lambda row: row[1])][:2] == ["random", "**RL2**"]


def test_what_is_said_of_the_gradient_based_learners() -> None:
    table = {(row[0], row[1]): row[2:6] for row in cells(results_tables.gradient())}
    trained = sorted({name for _, name in table} - {"random", "oracle", "scratch"})

    def ranked(family: str, step: int) -> list[str]:
        return sorted(trained, key=lambda name: -bounds(table[family, name][step])[0])

    assert ranked("cartpole", 1)[0] == "meta_sgd" and ranked("corner_navigation", 1)[0] == "cavia"
    assert ranked("tabular_mdp", 1)[0] == "promp" and ranked("tabular_mdp", 3)[-1] == "cavia"
    assert set(ranked("point_navigation", 1)[:2]) == {"finetune", "maml, first order"}
    for family in ("cartpole", "corner_navigation", "point_navigation", "tabular_mdp"):
        assert {"maml", "anil", "meta_sgd"} <= set(ranked(family, 3)[:5])
        assert "hypernetwork" in ranked(family, 1)[-2:]
    ahead = [
        (table[family, "promp"][1], table[family, "maml, ppo"][1]) for family in dict.fromkeys(f for f, _ in table)
    ]
    assert all(bounds(promp)[0] > bounds(naive)[0] for promp, naive in ahead)
    assert sum(overlap(promp, naive) for promp, naive in ahead) == 2
    for name in ("finetune", "reptile", "cavia"):
        assert bounds(table["tabular_mdp", name][3])[0] < bounds(table["tabular_mdp", "scratch"][3])[0]


def test_what_is_said_of_navigation() -> None:
    rows = {row[0]: row[1:] for row in cells(results_tables.navigation())}
    assert not overlap(rows["maml (0.5)"][1], rows["finetune (0.5)"][1])
    assert overlap(rows["maml (0.5)"][1], rows["finetune (0.15)"][1])
    assert overlap(rows["maml (0.3)"][3], rows["finetune (0.1)"][3])
    maml = {name: row for name, row in rows.items() if name.startswith("maml")}
    assert max(maml, key=lambda name: bounds(maml[name][3])[0]) == "maml (0.3)"
    assert all(bounds(row[2])[2] < -3.3 for row in maml.values())  # published after two steps
    reach = results_tables.reach().splitlines()[-1]
    assert rows["finetune (0.15)"][1] in reach and rows["maml (0.5)"][1] in reach


def test_what_is_said_of_chapters_11_to_15() -> None:
    mql = {row[0]: row[2:] for row in cells(results_tables.off_policy())}
    assert not overlap(mql["mql, no adaptation"][0], mql["pearl"][0])
    assert all(overlap(mql["mql"][i], mql[name][i]) for name in mql if name.startswith("mql,") for i in range(3))
    discounts = {row[0]: row[1:] for row in cells(results_tables.discounts())}
    by_hand = [row[2] for name, row in discounts.items() if name.startswith("discount")]
    assert all(bounds(discounts["learned with lambda"][2])[1] > bounds(value)[2] for value in by_hand)
    for row in cells(results_tables.rules()):
        family, (random, reinforce, critic, rule, _) = row[0], (bounds(x)[0] for x in row[2:])
        assert (rule > max(reinforce, critic)) == (family in ("tabular_mdp", "bernoulli_bandit"))
        assert (rule < random) == family.startswith("chain")
    drift = {row[0]: row[1:] for row in cells(results_tables.drift())}
    for form in ("gradient", "recurrent"):
        assert overlap(drift[form][0], drift["none"][0]) and not overlap(drift[form][2], drift["none"][2])
    averages = {(row[0], row[1]): row[2:] for row in cells(results_tables.averages())}
    for after in (1, 2):
        scratch, average = averages["cartpole", "scratch"][after], averages["cartpole", "average policy"][after]
        assert bounds(average)[0] < bounds(scratch)[0]
    encoders = {row[0]: row[2:] for row in cells(results_tables.contrast())}
    critic, contrast = (encoders[f"encoder learns from the {name}"] for name in ("critic", "contrast"))
    assert bounds(contrast[1])[0] < bounds(critic[1])[0] and overlap(contrast[1], critic[1])


def test_the_ratios_of_speed_are_those_of_their_two_columns() -> None:
    for there, here, ratio in re.findall(r"\| ([\d,.]+) ms \| ([\d,.]+) ms \| ([\d.]+) \|", PAGE):
        assert abs(float(there) / float(here) - float(ratio)) < 0.006
    rates = re.findall(r"\| (?:about )?([\d,]+) env steps/s \| ([\d,]+) env steps/s [^|]*\| (\d+) \|", PAGE)
    assert len(rates) == 2
    for there, here, ratio in rates:
        assert round(float(here.replace(",", "")) / float(there.replace(",", ""))) == int(ratio)
