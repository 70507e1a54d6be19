"""The index page of the reader's copies follows each exercise that is passed, and never stands in its way."""

import os
from pathlib import Path

import pytest

from metarl_lab.teach.progress import index_page, made_body, passed, record

BASE = """# The chapters

## Part

| | Chapter |
|---|---|
| 05 | [MAML](05_maml.ipynb) |
| 06 | Later |

| a | b |
|---|---|
"""


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The index page of a reader's copies, in the folder where the kernel runs."""
    monkeypatch.setenv("METARL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    text = index_page(BASE, {"05_maml.ipynb": ["05.1", "05.2"]}, {"05_maml.ipynb": "[new](x)"})
    (tmp_path / "index.md").write_text(text, encoding="utf-8")
    return tmp_path / "index.md"


def test_a_passed_exercise_appears_on_the_index_page(page):
    assert "-->0 of 2 done; [new](x) |" in page.read_text()
    record("05.2")
    record("07.1")
    text = page.read_text()
    assert "-->1 of 2 done; [new](x) |" in text and "**Exercises: <!-- exercises 05.1 05.2 -->1 of 2 done.**" in text
    record("05.1")
    record("05.1")
    text = page.read_text()
    assert "-->2 of 2 done; [new](x) |" in text and made_body(text) is not None
    assert "| 06 | Later |  |\n\n| a | b |\n|---|---|\n" in text, "the other table has no chapters"
    assert {p.name for p in page.parent.iterdir()} == {"index.md", "home"}, "temporary files stay behind"


def test_a_page_that_lags_behind_is_mended_by_passing_again(page):
    old = page.read_text()
    record("05.1")
    page.write_text(old)
    record("05.1")
    assert "-->1 of 2 done" in page.read_text()


@pytest.mark.parametrize("change", [lambda text: "# My page\n" + text, lambda text: text + "my note\n"])
def test_a_page_that_the_reader_wrote_in_is_left(page, change):
    mine = change(page.read_text())
    page.write_text(mine)
    assert record("05.1") is None and page.read_text() == mine


def test_the_index_page_never_fails_a_right_answer(page, monkeypatch):
    record("05.1")
    real = os.replace

    def full_for_the_page(source, target):
        if Path(target).name == "index.md":
            raise OSError(28, "No space left on device")
        real(source, target)

    before = page.read_bytes()
    monkeypatch.setattr(os, "replace", full_for_the_page)
    assert record("05.2") is None and passed() == {"05.1", "05.2"} and page.read_bytes() == before
    for content in (b"", b"\xff\xfe\x00", b"# Another page"):
        page.write_bytes(content)
        assert record("05.2") is None and page.read_bytes() == content
    page.unlink()
    page.mkdir()
    assert record("05.2") is None
    gone = page.parent / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert record("06.1") is None and "06.1" in passed()
