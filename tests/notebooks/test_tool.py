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


RAW = ("nbval-ignore-output", "raw")
VERDICT = executed("verdict('x', 1, at_least=0)", text="x >= 0: yes\n")


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ([executed("print(r)", RAW, text="3.1\n"), VERDICT], None),
        ([executed("print(r)", RAW, text="3.1\n")], "none of the next two"),
        ([executed("print(r)", RAW, text="3.1\n"), executed("# verdict(r)")], "none of the next two"),
        ([executed("print(r)", RAW[:1], text="3.1\n"), VERDICT], "exactly one of raw, display, machine"),
        ([executed("print(r)", ("raw",), text="3.1\n"), VERDICT], "exactly one of raw, display, machine"),
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
        ([executed("f", text="x >= 0: no\n")], "a verdict says no"),
        ([executed("f", text="x >= 0: no\n") | {"metadata": {"tags": ["verdict-no"]}}], None),
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


def test_budgets_and_headings():
    long = nbformat.v4.new_code_cell("\n".join(["x = 1"] * 41))
    words = nbformat.v4.new_markdown_cell("word " * 1801 + "`code not counted` $\\alpha \\beta$ [link](http://a.b/c-d)")
    nb = nbformat.v4.new_notebook(cells=[words, long])
    assert rules.budgets(nb, 2_000_000) == [
        "2,000,000 bytes; at most 1,000,000",
        "1802 words; at most 1800",
        "cell 2 has 41 lines; at most 40",
    ]
    assert len(rules.headings(nb, "01")) == len(rules.HEADINGS) + 2


def test_exercises_are_three_and_defined():
    nb = nbformat.v4.new_notebook(cells=[executed(f'check("01.{n}", f)') for n in (1, 2, 9)])
    assert rules.exercises(nb, "01", {"01.1": 0, "01.2": 0, "01.3": 0}) == [
        "exercise 01.9 is not defined in metarl_lab/teach",
        "exercise 01.3 is defined and not in the chapter",
    ]
    assert rules.exercises(nb, "02")[0].startswith("0 exercises")


def test_unknown_chapter_is_named():
    with pytest.raises(ValueError, match="no chapter 77"):
        tool.chapters(["77"])
