"""A result is a number with its claim; a claim over a table counts every row."""

import numpy as np
import pandas as pd
import pytest
import torch

from metarl_lab.teach import claim, result, show_table


@pytest.mark.parametrize(
    ("value", "band", "line"),
    [
        (-12, {"at_least": -12}, "r: -12 (expected at least -12: yes)\n"),
        (-12.01, {"at_least": -12}, "r: -12.01 (expected at least -12: no)\n"),
        (float("nan"), {"at_least": -12}, "r: nan (expected at least -12: no)\n"),
        (1, {"at_most": 0.5}, "r: 1 (expected at most 0.5: no)\n"),
        (0.3, {"at_least": 0, "at_most": 0.5}, "r: 0.3 (expected from 0 to 0.5: yes)\n"),
        (0.523, {"near": 0.524, "within": 0.01}, "r: 0.523 (expected 0.524 within 0.01: yes)\n"),
        (0.5, {"near": 0.524, "within": 0.01}, "r: 0.5 (expected 0.524 within 0.01: no)\n"),
        ([1.0, 2.0], {"at_least": 1}, "r: 1, 2 (expected each at least 1: yes)\n"),
        (np.array([1.0, 0.9]), {"at_least": 1}, "r: 1, 0.9 (expected each at least 1: no)\n"),
        (torch.tensor(2.5), {"at_least": 1, "unit": "m"}, "r: 2.5 m (expected at least 1: yes)\n"),
        (92380.0, {"at_most": 1e5}, "r: 92,380 (expected at most 100000: yes)\n"),
        (6.62, {"at_least": 6, "interval": (6.59, 6.65)}, "r: 6.62 [6.59, 6.65] (expected at least 6: yes)\n"),
    ],
)
def test_the_number_and_the_verdict_stand_together(capsys, value, band, line):
    result("r", value, **band)
    assert capsys.readouterr().out == line


@pytest.mark.parametrize(
    ("band", "problem"),
    [
        ({}, "claims nothing"),
        ({"at_least": 2, "at_most": 1}, "is empty"),
        ({"near": 1}, "go together"),
        ({"near": 1, "within": 0}, "no room"),
        ({"near": 1, "within": 1, "at_least": 0}, "two bands"),
    ],
)
def test_a_result_needs_one_band(band, problem):
    with pytest.raises(ValueError, match=problem):
        result("r", 1, **band)


def test_a_result_needs_a_number():
    with pytest.raises(ValueError, match="no number"):
        result("r", [], at_least=0)


@pytest.fixture
def table():
    """Five seeds on two families: ahead in all on the first, in two of five on the second."""
    maml = [16.3, 16.1, 16.5, 16.2, 16.4, -20.0, -21.0, -19.0, -23.0, -22.0]
    first = [15.0, 15.1, 14.9, 15.2, 15.3, -19.5, -20.0, -19.6, -22.5, -22.4]
    index = pd.MultiIndex.from_product([["mdp", "walk"], range(5)], names=["family", "seed"])
    return pd.DataFrame({"maml": maml, "first_order": first}, index=index)


def test_a_claim_counts_every_row_and_names_those_against_it(capsys, table):
    claim("maml ahead", table, "maml > first_order")
    said = "maml ahead: 7 of 10 rows, not walk 0; walk 1; walk 3 (expected every: no)\n"
    assert capsys.readouterr().out == said
    claim("maml ahead", table, lambda t: t.maml > t.first_order, "most")
    assert "7 of 10 rows, not walk 0; walk 1; walk 3 (expected most: yes)" in capsys.readouterr().out


def test_a_claim_speaks_of_every_group(capsys, table):
    claim("maml ahead", table, "maml > first_order", {"mdp": "every", "walk": "some"}, by="family")
    assert capsys.readouterr().out == (
        "maml ahead, by family\n"
        "  mdp : 5 of 5 (expected every: yes)\n"
        "  walk: 2 of 5, not walk 0; walk 1; walk 3 (expected some: yes)\n"
    )
    with pytest.raises(ValueError, match="say of every group"):
        claim("maml ahead", table, "maml > first_order", {"mdp": "every"}, by="family")
    with pytest.raises(ValueError, match="needs by="):
        claim("maml ahead", table, "maml > first_order", {"mdp": "every"})


@pytest.mark.parametrize(
    ("truth", "holds", "verdict"),
    [
        ([True, True], "every", "yes"),
        ([True, False], "every", "no"),
        ([True, False, True], "most", "yes"),
        ([True, False], "most", "no"),
        ([True, True], "some", "no"),
        ([False, True], "some", "yes"),
        ([False, False], "some", "no"),
        ([False, False], "none", "yes"),
        ([False, True], "none", "no"),
        ([False, True, True], 2, "yes"),
        ([False, False, True], 2, "no"),
    ],
)
def test_what_holds_is_held_to(capsys, truth, holds, verdict):
    claim("c", {"x": truth}, "x == True", holds)
    assert capsys.readouterr().out.endswith(f": {verdict})\n")


def test_a_row_with_nan_speaks_against(capsys):
    claim("c", {"x": [1.0, np.nan]}, "x > 0")
    assert "1 of 2 rows, not 1 (expected every: no)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("condition", "holds", "problem"),
    [
        ("x + 1", "every", "truth value for each of 2 rows"),
        (lambda t: t.x[:1] > 0, "every", "truth value for each of 2 rows"),
        ("x > 0", "always", "give one of every, most, some, none"),
        ("x > 0", 3, "from 1 to 2"),
    ],
)
def test_a_claim_that_cannot_be_counted_is_refused(condition, holds, problem):
    with pytest.raises(ValueError, match=problem):
        claim("c", {"x": [1.0, 2.0]}, condition, holds)
    with pytest.raises(ValueError, match="no rows"):
        claim("c", {"x": []}, "x > 0")


def test_a_table_shows_its_numbers_and_compares_its_names(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: shown.append(data))
    show_table(pd.DataFrame({"mean": [1.234], "n": [5]}, index=["maml"]), "Scores <of> one seed", digits=1)
    (data,) = shown
    assert data["text/plain"] == "[table] Scores <of> one seed\ncolumns: mean, n\nrows: maml"
    assert "<td>1.2</td>" in data["text/html"] and "Scores &lt;of&gt;" in data["text/html"]
