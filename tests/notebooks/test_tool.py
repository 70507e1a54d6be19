"""The notebook builder itself, on a demonstration chapter and on chapters of one cell."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import notebook_checks as rules
import pytest

import notebooks as tool
from metarl_lab.teach.base import Exercise

HERE = Path(__file__).parent


def chapter(folder: Path, source: str, name: str = "98_tiny") -> Path:
    """Write a chapter's text into a books folder and return its path."""
    (folder / "text").mkdir(parents=True, exist_ok=True)
    text = folder / "text" / f"{name}.py"
    text.write_text(source)
    return text


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """The demonstration chapter, built once."""
    text = chapter(tmp_path_factory.mktemp("books"), (HERE / "demo" / "99_demo.py").read_text(), "99_demo")
    assert tool.build(text)
    return text


def nbval(notebook: Path) -> subprocess.CompletedProcess:
    """Run strict nbval on a notebook, with the settings that real chapters have."""
    shutil.copy(tool.BOOKS / "conftest.py", notebook.parent / "conftest.py")
    options = [
        "--nbval",
        "--nbval-current-env",
        f"--nbval-sanitize-with={HERE / 'sanitize.cfg'}",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    env = {**os.environ, "METARL_SPEED": "quick", "PYTHONPATH": str(tool.ROOT)}
    command = [sys.executable, "-m", "pytest", *options, f"--rootdir={notebook.parent}", str(notebook)]
    return subprocess.run(command, cwd=notebook.parent, env=env, capture_output=True, text=True)


@pytest.mark.slow
def test_strict_nbval_passes_twice_with_a_widget_and_a_figure(demo):
    for _ in range(2):
        result = nbval(tool.stored(demo))
        assert result.returncode == 0, result.stdout[-3000:]


@pytest.mark.slow
def test_nbval_sees_a_changed_number_a_changed_alt_text_and_a_missing_widget(demo, tmp_path):
    nb = nbformat.read(tool.stored(demo), as_version=4)
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if output.get("text", "").startswith("a normal draw"):
                output.text = output.text.replace("yes", "no")
            elif rules.WIDGET in data:
                data["text/plain"] = data["text/plain"].replace("0.5", "0.6").replace("Yes", "Perhaps")
            elif "image/png" in data:
                data["text/plain"] = "[figure] something else"
    nbformat.write(nb, tmp_path / "99_demo.ipynb")
    result = nbval(tmp_path / "99_demo.ipynb")
    assert "4 failed" in result.stdout, result.stdout[-3000:]


@pytest.mark.parametrize(
    ("stored", "again", "same"),
    [
        ("r: -9.3 (expected at least -12: yes)", "r: -9.1, -9 s (expected at least -12: yes)", True),
        ("a: b: 5.1 [5, 5.2] (expected near: yes)", "a: b: 5.2 [5.1, 5.3] (expected near: yes)", True),
        ("r: -9.3 (expected at least -12: yes)", "r: -13 (expected at least -12: no)", False),
        ("r: -9.3 (expected at least -12: yes)", "r: -9.3 (expected at least -10: yes)", False),
        ("r: -9.3 (expected at least -12: yes)", "s: -9.3 (expected at least -12: yes)", False),
        ("exactly 3.2", "exactly 3.3", False),
        ("r: 1 (expected at most 2: yes)\nexactly 3.2", "r: 1 (expected at most 2: yes)\nexactly 3.3", False),
    ],
)
def test_nbval_leaves_out_the_number_of_a_result_and_nothing_else(stored, again, same):
    pattern = re.compile("^regex: (.*)$\n^replace: (.*)$", re.MULTILINE)  # as nbval reads it
    left = [stored, again]
    for regex, replace in pattern.findall((HERE / "sanitize.cfg").read_text()):
        left = [re.sub(regex, replace, text) for text in left]
    assert (left[0] == left[1]) == same


def test_demo_meets_every_rule_but_the_number_of_exercises(demo):
    assert tool.check(demo) == ["0 exercises of the chapter are checked; at least 3"]


@pytest.mark.slow
def test_building_again_gives_the_same_bytes(demo):
    before = tool.stored(demo).read_bytes()
    assert tool.build(demo)
    assert tool.stored(demo).read_bytes() == before


def test_widget_is_stored_with_its_picture_and_state(demo):
    nb = nbformat.read(tool.stored(demo), as_version=4)
    state = nb.metadata.widgets[rules.STATE]["state"]
    outputs = [o for c in nb.cells for o in c.get("outputs", []) if rules.WIDGET in o.get("data", {})]
    assert len(outputs) == 2
    for output in outputs:
        assert output.data[rules.WIDGET]["model_id"] in state
        assert "text/html" in output.data and "text/plain" in output.data
    pictures = [s["state"]["value"] for s in state.values() if "<img" in str(s["state"].get("value"))]
    assert len(pictures) == 1 and pictures[0] in outputs[0].data["text/html"]
    assert all(re.fullmatch(r"metarl\w+", key) for key in state), "random widget ids would change with every build"


def test_without_widgets_keeps_the_pictures(demo):
    nb = tool.without_widgets(nbformat.read(tool.stored(demo), as_version=4))
    assert "widgets" not in nb.metadata and rules.WIDGET not in str(nb)
    assert sum("<img" in o.get("data", {}).get("text/html", "") for c in nb.cells for o in c.get("outputs", [])) == 2


def test_an_edit_with_an_older_file_time_still_wins(tmp_path):
    text = chapter(tmp_path, "# %%\nprint(1)\n")
    assert tool.build(text)
    text.write_text("# %%\nprint(2)\n")
    os.utime(text, (1, 1))
    assert any("cell 1 differs" in p for p in tool.check(text))
    assert tool.build(text)
    assert nbformat.read(tool.stored(text), as_version=4).cells[0].outputs[0].text == "2\n"


def test_a_changed_tag_is_a_difference(tmp_path):
    nb = tool.read_text(chapter(tmp_path, "# %%\nprint(1)\n"))
    tagged = tool.read_text(chapter(tmp_path, '# %% tags=["raises-exception"]\nprint(1)\n'))
    assert rules.pairing(nb, tagged) and not rules.pairing(nb, nb)


@pytest.mark.parametrize("source", ["# %%\n1 / 0\n", '# %% tags=["raises-exception"]\nprint("all is well")\n'])
def test_a_failing_chapter_leaves_the_old_notebook(tmp_path, source, capsys):
    text = chapter(tmp_path, source)
    tool.stored(text).write_text("old")
    assert not tool.build(text)
    assert tool.stored(text).read_text() == "old"
    assert "FAILED, the stored notebook is unchanged" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".tmp"] == []


def test_progress_bars_leave_no_trace_and_other_warnings_do():
    bar = "\r  0%|          | 0/3 [00:00<?, ?it/s]\r100%|##########| 3/3 [00:00<00:00, 99.0it/s]\n"
    assert tool.without_bars(nbformat.v4.new_output("stream", name="stderr", text=bar)) is None
    kept = tool.without_bars(nbformat.v4.new_output("stream", name="stderr", text=bar + "UserWarning: odd\n"))
    assert kept.text == "UserWarning: odd"


def executed(source: str, tags: tuple[str, ...] = (), **output):
    """A code cell as if executed; the output is a stream `text` or a display with `data`."""
    cell = nbformat.v4.new_code_cell(source, execution_count=1, metadata={"tags": list(tags)})
    if "text" in output:
        cell.outputs = [nbformat.v4.new_output("stream", name=output.get("name", "stdout"), text=output["text"])]
    if "data" in output:
        cell.outputs = [nbformat.v4.new_output("display_data", data=output["data"])]
    return cell


MACHINE = ("nbval-ignore-output", "machine")
TABLE = {"text/plain": "[table] scores\ncolumns: mean\nrows: maml", "text/html": "<table></table>"}


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ([executed("result('x', r, at_least=0)", text="x: 3.1 (expected at least 0: yes)\n")], None),
        ([executed("show_table(t, 'scores')\nclaim('up', t, 'x > 0')", data=TABLE)], None),
        ([executed("show_table(t, 'scores')\nresult('x', 1, at_least=0)", data=TABLE)], None),
        ([executed("show_table(t, 'scores')", data=TABLE)], "of which nothing is claimed"),
        ([executed("show_table(t, 'scores')  # claim(t)", data=TABLE)], "of which nothing is claimed"),
        ([executed("print(r)", MACHINE, text="cpu\n")], None),
        ([executed("print(r)", MACHINE[:1], text="3.1\n")], "machine go together"),
        ([executed("print(r)", MACHINE[1:], text="3.1\n")], "machine go together"),
        ([executed("print(r)", (*MACHINE[:1], "raw"), text="3.1\n")], "unknown tags"),
        ([executed("# NBVAL_IGNORE_OUTPUT\nprint(r)", text="3.1\n")], "not nbval's other marks"),
        ([executed("x", ("nbval-skip",))], "not nbval's other marks"),
        ([executed("x", ("nbval_ignore_output",))], "unknown tags"),
        ([nbformat.v4.new_code_cell("print(1)")], "was not executed"),
        ([executed("f", data={"text/plain": "<Figure size 640x480 with 1 Axes>"})], "compare nothing"),
        ([executed("f", data={"text/plain": "<IPython.core.display.HTML object>"})], "compare nothing"),
        ([executed("f", data={"image/png": "AAAA"})], "compare nothing"),
        ([executed("f", data={"text/plain": "VBox(children=(FloatSlider(value=0.0"})], "compare nothing"),
        ([executed("f", text="UserWarning", name="stderr")], "wrote to stderr"),
        ([executed("f", text="saved to /home/ann/x\n")], "absolute path"),
        ([executed("f", text="x: -1 (expected at least 0: no)\n")], "a result says no"),
        ([executed("f", text="x: 1 (expected at least 0: yes)\ny: 3 of 5 (expected every: no)\n")], "says no"),
        ([executed("f", text="x: -1 (expected at least 0: no)\n") | {"metadata": {"tags": ["result-no"]}}], None),
        ([executed("f", ("nbval-ignore-output", "machine"), text="GPU\n") for _ in range(4)], "at most 3"),
    ],
)
def test_no_result_goes_unverified(cells, problem):
    found = rules.verified(nbformat.v4.new_notebook(cells=[nbformat.from_dict(c) for c in cells]))
    assert any(problem in f for f in found) if problem else found == []


def test_alt_text_is_demanded_in_text_and_outputs():
    good = "a line that rises over time"
    cells = [
        nbformat.v4.new_markdown_cell("![](a.png)"),
        nbformat.v4.new_markdown_cell(f"![{good}](a.png)"),
        executed("f", data={"text/html": "<img src='x'>", "text/plain": "x"}),
        executed("f", data={"text/html": f"<img src='x' alt='{good}'>", "text/plain": "x"}),
        executed("f", data={"image/png": "AAAA", "text/plain": "x"}),
        executed("f", data={"image/svg+xml": f"<svg aria-label='{good}'></svg>", "text/plain": "x"}),
    ]
    found = rules.alt_text(nbformat.v4.new_notebook(cells=cells))
    assert [f.split()[1] for f in found] == ["1", "3", "5"]


def test_sizes_and_headings():
    cells = [executed("x = 1\n" + "y" * 89 + "\n" + "z" * 88), nbformat.v4.new_markdown_cell("w" * 200)]
    nb = nbformat.v4.new_notebook(cells=cells)
    assert rules.sizes(nb, 2_000_000) == [
        "2,000,000 bytes; at most 1,000,000",
        "cell 1: line 2 wider than 88 characters",
    ]
    assert len(rules.headings(nb, "01")) == len(rules.HEADINGS) + 2


def text_book(*cells):
    """A notebook as the tool reads it from a text of these cells."""
    return "\n\n".join(cells) + "\n"


HIDDEN = '# %% tags=["hide-input"]\nx = 1'


@pytest.mark.parametrize(
    ("above", "problem"),
    [
        ("# %% [markdown]\n# The next cell draws the arms.", None),
        ("# %% [markdown]\n# It draws the arms, *once for all.*", None),
        ("# %% [markdown]\n# ## Drawing the arms", "no sentence above"),
        ("# %%\ny = 1", "no sentence above"),
    ],
)
def test_a_collapsed_cell_stands_under_a_sentence(tmp_path, above, problem):
    nb = tool.read_text(chapter(tmp_path, text_book(above, HIDDEN)))
    assert nb.cells[1].metadata == {"tags": ["hide-input"], "jupyter": {"source_hidden": True}}
    found = rules.scaffolding(nb)
    assert any(problem in f for f in found) if problem else found == []
    del nb.cells[1].metadata["jupyter"]
    assert any("not a collapsed cell" in f for f in rules.scaffolding(nb))
    assert rules.pairing(nb, tool.read_text(chapter(tmp_path, text_book(above, HIDDEN))))


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ('# %% [markdown] tags=["algorithm"]\n# **Algorithm 1** (Finn 2017)\n#\n# 1. Do.\n# 2. Undo.', None),
        ('# %% [markdown] tags=["worked-example"]\n# **Two tasks.** One is at 1.', None),
        ('# %% [markdown] tags=["algorithm"]\n# **Algorithm 1** (Finn 2017)\n#\n# Do, then undo.', "numbered steps"),
        ('# %% [markdown] tags=["document"]\n# It says so.', "title in bold"),
        ('# %% tags=["algorithm"]\nx = 1', "one cell of text"),
    ],
)
def test_boxes_have_a_form_of_their_own(tmp_path, cell, problem):
    nb = tool.read_text(chapter(tmp_path, text_book(cell)))
    found = rules.boxes(nb)
    assert any(problem in f for f in found) if problem else found == []
    if nb.cells[0].cell_type == "markdown":
        source = nb.cells[0].source
        assert source.startswith('<div class="alert alert-block alert-') and source.endswith("\n\n</div>")
        assert "\n\n**" in source or problem == "title in bold"


def test_words_are_measured_and_collapsed_code_is_not_open():
    words = nbformat.v4.new_markdown_cell(
        "ten words " * 5 + "`code not counted` $\\alpha \\beta$ [link](http://a.b/c-d)"
    )
    hidden = executed("a = 1\nb = 2\nc = 3", ("hide-input",))
    nb = nbformat.v4.new_notebook(cells=[words, executed("# why\nx = 1\n\ny = 2  # y\n"), hidden])
    assert rules.measure(nb) == {
        "words": 11,
        "lines": 2,
        "words a line": 5.5,
        "comments a line": 1.0,
        "longest cell": 2,
    }


def test_what_the_hints_use_is_imported():
    exercise = Exercise("01.1", "f", "write f", lambda answer: None, ("a", "b", "use np.mean"), "f = lambda: math.pi")
    nb = nbformat.v4.new_notebook(cells=[executed("import numpy as np\nimport torch")])
    assert rules.names(nb, "01", {"01.1": exercise}) == [
        "the hints of 01.1 use math, which the chapter does not import"
    ]
    assert rules.names(nb, "02", {"01.1": exercise}) == []


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("from metarl_lab.teach import check, hint, solution", []),
        ("from metarl_lab.teach import check, hint", ["solution"]),
        ("from metarl_lab.teach import check, hints\nsolution = 3", ["hint", "solution"]),
    ],
)
def test_hint_and_solution_are_imported_for_the_reader(line, missing):
    nb = nbformat.v4.new_notebook(cells=[executed(line), executed('check("01.1", f)')])
    said = [f"{name} is not imported; a reader of the exercises calls it" for name in missing]
    assert rules.names(nb, "01", {}) == said
    assert rules.names(nbformat.v4.new_notebook(cells=[executed("x = 1")]), "01", {}) == []


def test_exercises_are_three_and_defined():
    nb = nbformat.v4.new_notebook(cells=[executed(f'check("01.{n}", f)') for n in (1, 2, 9)])
    assert rules.exercises(nb, "01", {"01.1": 0, "01.2": 0, "01.3": 0}) == [
        "exercise 01.9 is not defined in metarl_lab/chapters",
        "exercise 01.3 is defined and not in the chapter",
    ]
    assert rules.exercises(nb, "02")[0].startswith("0 exercises")


def test_unknown_chapter_is_named():
    with pytest.raises(ValueError, match="no chapter 77"):
        tool.chapters(["77"])
