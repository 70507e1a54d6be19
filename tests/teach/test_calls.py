"""Progress file, speed switch, verdicts, quizzes and shown source."""

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from demo import QUIZ

from metarl_lab.teach import announce, base, progress, quizzes, show_source, source, speed, verdict  # noqa: F401
from metarl_lab.teach.exercises import every
from metarl_lab.teach.progress import home, passed, record, table


@pytest.fixture
def state(monkeypatch, tmp_path):
    monkeypatch.setenv("METARL_HOME", str(tmp_path / "new" / "state"))
    return tmp_path / "new" / "state" / "progress.json"


def test_progress_survives_and_counts(state):
    assert passed() == set() and record("01.2") is None and record("01.2") is None and record("02.1") is None
    assert passed() == {"01.2", "02.1"} and json.loads(state.read_text())["passed"] == ["01.2", "02.1"]
    assert table(["01.1", "01.2", "02.1"]).splitlines()[1:] == ["01       1 of 2  01.1", "02       1 of 1  none"]
    assert [p.name for p in state.parent.iterdir()] == ["progress.json"], "temporary files stay behind"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"passed": 3}', "null", '"\\udc80"', "\x00\xff"])
def test_a_damaged_progress_file_is_set_aside(state, content):
    state.parent.mkdir(parents=True)
    state.write_text(content, encoding="latin-1")
    assert passed() == set()
    assert record("01.1") is None and passed() == {"01.1"}
    assert (state.parent / "progress.json.damaged").read_text(encoding="latin-1") == content


def test_a_folder_that_cannot_be_written_is_told_and_nothing_breaks(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("METARL_HOME", str(tmp_path / "file"))
    assert passed() == set() and "METARL_HOME" in record("01.1")


def test_an_interrupted_write_leaves_the_old_file(state, monkeypatch):
    record("01.1")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in record("01.2")
    assert passed() == {"01.1"} and [p.name for p in state.parent.iterdir()] == ["progress.json"]


def test_the_home_follows_the_platform(monkeypatch):
    monkeypatch.delenv("METARL_HOME", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    monkeypatch.setattr(sys, "platform", "linux")
    assert home() == Path("/x/metarl-lab")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert home().parts[-3:] == ("Library", "Application Support", "metarl-lab")


def test_speed(monkeypatch):
    monkeypatch.delenv("METARL_SPEED", raising=False)
    assert speed() == "quick" and speed("full") == "full"
    monkeypatch.setenv("METARL_SPEED", "peek")
    assert speed() == "peek"
    monkeypatch.setenv("METARL_SPEED", "fast")
    with pytest.raises(ValueError, match="METARL_SPEED is 'fast'; give one of peek, quick, full"):
        speed()


def test_announce(capsys):
    announce("quick", {"peek": 0.2, "quick": 20, "full": 7200})
    assert capsys.readouterr().out == "quick: this takes about 20 s (peek under a second, full about 2 h).\n"
    with pytest.raises(ValueError, match="each of peek"):
        announce("quick", {"quick": 3})


@pytest.mark.parametrize(
    ("value", "band", "line"),
    [
        (-12, {"at_least": -12}, "r >= -12: yes\n"),
        (-12.01, {"at_least": -12}, "r >= -12: no\n"),
        (float("nan"), {"at_least": -12}, "r >= -12: no\n"),
        (1, {"at_most": 0.5}, "r <= 0.5: no\n"),
        (0.3, {"at_least": 0, "at_most": 0.5}, "r in [0, 0.5]: yes\n"),
    ],
)
def test_verdict(capsys, value, band, line):
    verdict("r", value, **band)
    assert capsys.readouterr().out == line


def test_verdict_needs_a_band():
    with pytest.raises(ValueError, match="no band"):
        verdict("r", 1)
    with pytest.raises(ValueError, match="empty"):
        verdict("r", 1, at_least=2, at_most=1)


@pytest.mark.parametrize("quiz", [QUIZ, *every("QUIZZES").values()], ids=lambda q: q.id)
def test_quiz_reads_without_a_kernel_and_explains_every_option(quiz):
    page, text = quizzes.as_html(quiz), quizzes.as_text(quiz)
    assert "<details>" in page and page.count("<li>") == 2 * len(quiz.options)
    assert quiz.question in text
    widget = quizzes.build(quiz)
    for number, option in enumerate(quiz.options, 1):
        widget.choice.index = number - 1
        assert base.paragraph(option.why) in widget.answer.value
        assert ("Right." in widget.answer.value) == option.right or "Right." in option.why
    with pytest.raises(ValueError, match="give 1 to"):
        quizzes.reply(quiz, 0)


def test_source_is_shown_without_its_docstring():
    text = source.source_of(verdict)
    assert text.startswith("def verdict(") and '"""' not in text and "math.isnan" in text
    assert '"""' in source.source_of(verdict, docstring=True)
    with pytest.raises(ValueError, match="no source"):
        source.source_of(3)
