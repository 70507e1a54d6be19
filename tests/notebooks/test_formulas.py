"""Formulas that tear in JupyterLab, on GitHub or on the site are found, and good ones are left in peace."""

from pathlib import Path

import formulas
import nbformat
import notebook_checks as rules
import pytest

ROOT = Path(__file__).resolve().parents[2]
GOOD = r"""The step of **MAML** is

$$
\theta_i' = \theta + \alpha\,\nabla J_i(\theta), \qquad
\begin{aligned} a_{1} &= \{1\} \\ b_{1} &= 2 \end{aligned}
$$

with a rate $\alpha$ (here $\alpha=0.1$; `cost$` and `a $$ b` are code), a policy $\pi(a|s)$ and $\theta'_i$:

- one item, $a < b$ and $\hat g_D \cdot \nabla J$,
- another, $x$-axis, $y$.

| symbol | meaning |
|---|---|
| $\mathbb E_{s\sim d}[r_t]$ | $\Vert x \Vert$ |

```
$$ code
```

<div class="alert alert-block alert-info">

**Algorithm** with $\beta$

$$
\beta
$$

</div>
"""


def test_a_good_text_has_no_problem():
    assert formulas.problems(GOOD) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("It moves an entry:\n$$\nx\n$$", "no empty line before a display formula, after: It moves an entry:"),
        ("$$\nx\n$$\nwhere x is", "no empty line after a display formula, before: where x is"),
        ("$$x$$", "not alone on its line"),
        ("so $$x$$ it is", "not alone on its line"),
        ("$$\nx$$", "not alone on its line"),
        ("- item\n\n  $$\n  x\n  $$", "not alone on its line, at the margin"),
        ("$$\nx\n\ny\n$$", "an empty line in a display formula: x y"),
        ("$$\n$$", "an empty line"),
        ("$$\nx\n+ y\n$$", "begins like a list, a heading or a quotation: x + y"),
        ("$$\nx\n=\ny\n$$", "begins like a list, a heading"),
        ("$$\nx", "not closed by a line $$"),
        ("a $x\ny$ b", "broken over two lines: $x y$"),
        ("a $ x$", "space beside a dollar sign"),
        ("a $x $", "space beside a dollar sign"),
        ("Beta$(1, 2)$", "touches a word: a$(1, 2)$"),
        ("$n$th", "touches a word: $n$t"),
        (r"a set $\{1, 2\}$", r"Markdown takes \{ \} of"),
        (r"a rate $\alpha\,x$", r"Markdown takes \, of"),
        ("$a^*$ and $b^*$", "Markdown takes _, *, < or | of $a^*$"),
        ("$)_t$ and $)_t$ $x_{(}$", "Markdown takes _, *"),
        ("$a<b>c$", "Markdown takes _, *, < or |"),
        ("| a | b |\n|---|---|\n| $P(x|y)$ | c |", "dollar sign without a partner"),
        ("It costs $5.", "dollar sign without a partner (money is written USD): It costs $5."),
        ("<td>\n$x$\n</td>", "formula inside HTML"),
        ("so\n\n\\begin{align}\nx\n\\end{align}", "formula without dollar signs"),
    ],
)
def test_what_tears_is_named(text, problem):
    found = formulas.problems(text)
    assert any(problem in line for line in found), found


def test_the_rule_looks_at_text_and_names_the_cell():
    cells = [nbformat.v4.new_code_cell("cost = '$'"), nbformat.v4.new_markdown_cell("$$x$$")]
    found = rules.formulas(nbformat.v4.new_notebook(cells=cells))
    assert found == ["cell 2: $$ is not alone on its line, at the margin: $$x$$"]


PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "notebooks/index.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: Path(page).name)
def test_the_formulas_of_a_page(page):
    assert formulas.problems((ROOT / page).read_text(encoding="utf-8")) == []
