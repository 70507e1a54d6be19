"""Every exercise of every chapter, and how answers of all kinds are treated."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from demo import DEMO, QUIZ

from metarl_lab import teach
from metarl_lab.teach import exercises as ex
from metarl_lab.teach.base import Exercise, Rejected, diagnose, numbers

ALL = [DEMO, *ex.every("EXERCISES").values()]
IDS = [e.id for e in ALL]
WRONG = [(e, w) for e in ALL for w in e.wrong]


@pytest.fixture
def demo(monkeypatch, tmp_path):
    """The demo exercise and quiz as if they were the only ones, with an empty state folder."""
    monkeypatch.setenv("METARL_HOME", str(tmp_path))
    found = {"EXERCISES": {DEMO.id: DEMO}, "QUIZZES": {QUIZ.id: QUIZ}}
    monkeypatch.setattr(ex, "every", lambda attribute: found[attribute])
    monkeypatch.setattr(teach, "every", lambda attribute: found[attribute])
    monkeypatch.setattr(ex, "_given", {})
    return DEMO


@pytest.mark.parametrize("exercise", ALL, ids=IDS)
def test_solution_passes(exercise):
    feedback = ex.grade(exercise, ex.realise(exercise.solution, exercise.name))
    assert feedback.passed, feedback.message


@pytest.mark.parametrize(("exercise", "wrong"), WRONG, ids=[f"{e.id}-{w.mistake[:30]}" for e, w in WRONG])
def test_wrong_answer_is_rejected_with_its_mistake_named(exercise, wrong):
    feedback = ex.grade(exercise, ex.realise(wrong.source, exercise.name))
    assert not feedback.passed
    assert len(wrong.mistake) > 5 and wrong.mistake.lower() in feedback.message.lower()
    assert "Traceback" not in feedback.message and not feedback.message.startswith(ex.BLANK)


@pytest.mark.parametrize("exercise", ALL, ids=IDS)
def test_has_three_hints_and_three_different_mistakes(exercise):
    assert len(set(exercise.hints)) == 3 and all(len(h) > 8 for h in exercise.hints)
    assert len({w.mistake for w in exercise.wrong}) >= 3
    assert exercise.prompt


def unwritten(*args, **kwargs):
    raise NotImplementedError


@pytest.mark.parametrize("exercise", ALL, ids=IDS)
@pytest.mark.parametrize("stub", [None, ..., lambda *a, **k: ..., lambda *a, **k: None, unwritten])
def test_a_stub_is_not_yet_answered(exercise, stub):
    if stub not in (None, ...) and not callable(ex.realise(exercise.solution, exercise.name)):
        pytest.skip("the answer is a value")
    feedback = ex.grade(exercise, stub)
    assert not feedback.passed and feedback.message.startswith(ex.BLANK)


@pytest.mark.parametrize("exercise", ALL, ids=IDS)
@pytest.mark.parametrize("junk", ["x", 3.5, float("nan"), [], {}, object(), lambda: 1, lambda *a, **k: "text", int])
def test_junk_is_rejected_in_words(exercise, junk):
    feedback = ex.grade(exercise, junk)
    assert not feedback.passed and feedback.message and "0x" not in feedback.message


def test_a_function_that_raises_is_told_where(demo):
    def average_return(reward):
        total = reward.sum(2)
        return total / undefined  # noqa: F821

    message = ex.grade(demo, average_return).message
    assert "raised NameError: name 'undefined' is not defined (line 3 of your function)" in message
    assert "average_return([[[1.0, 0.0, 2.0], [0.0, 4.0, 1.0]]])" in message


def test_a_forgotten_return_is_told_from_a_stub(demo):
    def average_return(reward):
        reward.sum(2).mean(1)

    assert "Is a `return` missing?" in ex.grade(demo, average_return).message


def test_an_answer_cannot_change_what_it_is_given(demo):
    def average_return(reward):
        reward *= 0
        return reward.sum(2).mean(1)

    before = ex.grade(demo, ex.realise(demo.solution, demo.name)).passed
    ex.grade(demo, average_return)
    assert before and ex.grade(demo, ex.realise(demo.solution, demo.name)).passed


def test_check_hint_solution_print_plain_deterministic_text(demo, capsys):
    teach.check("99.1", ...)
    teach.check("99.1", lambda r: r.sum((1, 2)))
    teach.hint("99.1")
    teach.hint("99.1")
    teach.hint("99.1")
    teach.hint("99.1")
    teach.hint("99.1", 1)
    teach.solution("99.1")
    teach.check("99.1", lambda r: r.sum(2).mean(1))
    teach.progress()
    lines = capsys.readouterr().out
    assert '99.1 not yet answered. Write your answer, or ask hint("99.1").\n' in lines
    assert "99.1 not yet: That is the total over episodes" in lines
    assert lines.count("hint 3 of 3: return reward") == 2 and lines.count("hint 1 of 3") == 2
    assert "def average_return(reward):\n    return" in lines
    assert "99.1 passed: right.\n" in lines
    assert "99       1 of 1  none" in lines


def test_unknown_ids_and_numbers_are_named(demo):
    with pytest.raises(ValueError, match="no exercise '99.7'; there are: 99.1"):
        teach.check("99.7", 1)
    with pytest.raises(ValueError, match="give 1, 2 or 3"):
        teach.hint("99.1", 4)
    with pytest.raises(ValueError, match="no quiz '99.b'"):
        teach.quiz("99.b")


def test_an_exercise_without_three_wrong_answers_cannot_be_written():
    fields = {f: getattr(DEMO, f) for f in DEMO.__dataclass_fields__}
    for change in ({"id": "1.2"}, {"hints": ("a", "b")}, {"wrong": DEMO.wrong[:2]}, {"name": "a b"}):
        with pytest.raises(ValueError):
            Exercise(**(fields | change))


def test_numbers_accepts_lists_tensors_and_refuses_shapes_and_nan():
    assert numbers(torch.ones(2, requires_grad=True), (2,)).tolist() == [1, 1]
    assert numbers([[1, 2]], (-1, 2)).shape == (1, 2)
    for bad in ([1, 2], "x", float("nan"), None):
        with pytest.raises(Rejected):
            numbers(bad)


def test_diagnose_refuses_a_mistake_that_gives_the_right_value():
    with pytest.raises(ValueError, match="choose inputs"):
        diagnose(1.0, 2.0, {"slip": np.float64(2.0)}, "no")


def chapter(folder, exercise_id):
    folder.mkdir()
    (folder / "__init__.py").touch()
    source = f"from types import SimpleNamespace as N\nEXERCISES = [N(id={exercise_id!r})]"
    (folder / "exercises.py").write_text(source)


def test_a_scan_finds_chapters_and_refuses_a_foreign_id(tmp_path, monkeypatch):
    package = tmp_path / "lessons"
    package.mkdir()
    (package / "__init__.py").touch()
    chapter(package / "ch01_a", "01.1")
    (package / "ch03_c").mkdir()  # a chapter without exercises yet
    (package / "ch03_c" / "__init__.py").touch()
    (package / "notes.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert list(ex.every("EXERCISES", "lessons")) == ["01.1"]
    chapter(package / "ch02_b", "01.1")
    ex.every.cache_clear()
    with pytest.raises(ValueError, match="ch02_b/exercises.py: id '01.1'"):
        ex.every("EXERCISES", "lessons")
    ex.every.cache_clear()
