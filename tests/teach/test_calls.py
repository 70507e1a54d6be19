"""Progress file, speed switch, quizzes and shown source."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from demo import QUIZ

from metarl_lab.teach import announce, at_speed, base, iterations, quizzes, result, source, speed
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


def test_what_belongs_to_a_speed(monkeypatch):
    assert [at_speed(s, quick=3, full=10) for s in ("peek", "quick", "full")] == [3, 3, 10]
    assert at_speed("peek", peek=1, quick=3, full=10) == 1
    with pytest.raises(ValueError, match="give one of peek"):
        at_speed("fast", quick=3, full=10)


def test_full_training_can_be_cut_short_and_no_other(monkeypatch):
    monkeypatch.delenv("METARL_MOST_ITERATIONS", raising=False)
    assert iterations("quick", quick=45, full=800) == 45 and iterations("full", quick=45, full=800) == 800
    monkeypatch.setenv("METARL_MOST_ITERATIONS", "2")
    assert iterations("quick", quick=45, full=800) == 45 and iterations("full", quick=45, full=800) == 2
    assert iterations("full", quick=1, full=1) == 1
    for wrong in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv("METARL_MOST_ITERATIONS", wrong)
        with pytest.raises(ValueError, match="METARL_MOST_ITERATIONS is"):
            iterations("full", quick=45, full=800)


@pytest.mark.parametrize("quiz", [QUIZ, *every("QUIZZES").values()], ids=lambda q: q.id)
def test_quiz_reads_without_a_kernel_and_explains_every_option(quiz):
    page, text = quizzes.as_html(quiz), quizzes.as_text(quiz)
    assert "<details>" in page and page.count("<li>") == 2 * len(quiz.options)
    assert quiz.question in text
    widget = quizzes.build(quiz)
    for number, option in enumerate(quiz.options, 1):
        widget.choice.index = number - 1
        assert base.paragraph(option.why) in widget.answer.value
        assert widget.answer.value.count("Right.") == option.right, "a right answer says so once"
        assert not re.match(r"(Yes|No|Right|Wrong|Correct)[:,.;!]", option.why), "the kit says whether it is right"
    assert page.count("<b>Right.</b>") == 1
    with pytest.raises(ValueError, match="give 1 to"):
        quizzes.reply(quiz, 0)


def test_source_is_shown_without_its_docstring():
    text = source.source_of(result)
    assert text.startswith("def result(") and '"""' not in text and "read_band" in text
    assert '"""' in source.source_of(result, docstring=True)
    with pytest.raises(ValueError, match="no source"):
        source.source_of(3)
