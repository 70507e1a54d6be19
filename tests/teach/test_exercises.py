"""Every exercise of every chapter, and how answers of all kinds are treated."""

import inspect
import re
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


@pytest.mark.parametrize("exercise", ALL, ids=IDS)
def test_has_three_hints_and_a_task_of_which_each_argument_is_told(exercise):
    assert len(set(exercise.hints)) == 3 and all(len(h) > 8 for h in exercise.hints)
    answer = ex.realise(exercise.solution, exercise.name)
    task = exercise.task_text
    assert exercise.name in task and "\n" in task
    if callable(answer):
        told = [name for name in inspect.signature(answer).parameters if not re.search(rf"^ +{name}\b", task, re.M)]
        assert not told, f"the task says nothing of {told}, on a line that begins with the name"
        assert re.search(r"^ +returns\b", task, re.M), "the task does not say what is returned"


def test_every_chapter_of_the_book_tests_its_answers():
    tested = {p.name[7:9] for p in (Path(__file__).parents[1] / "chapters").glob("test_ch[0-9][0-9]_*.py")
              if "answer_tests(" in p.read_text()}  # fmt: skip
    assert {e.id[:2] for e in ALL if e is not DEMO} == tested


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
    teach.check("99.1", lambda r: print(end=""))
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
    assert "99.1 not yet answered.\n\nWrite average_return(reward)" in lines and "  reward   (T, E, H)" in lines
    assert "`average_return([[[1.0, 0.0, 2.0], [0.0, 4.0, 1.0]]])` returned None. Is a `return` missing?" in lines
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


def test_an_exercise_that_lacks_a_part_cannot_be_written():
    fields = {f: getattr(DEMO, f) for f in DEMO.__dataclass_fields__}
    for change in ({"id": "1.2"}, {"hints": ("a", "b")}, {"name": "a b"}):
        with pytest.raises(ValueError):
            Exercise(**(fields | change))


STYLED = {
    "arrays": "def average_return(reward):\n    return np.asarray(reward).sum(axis=2).mean(axis=1)",
    "array methods": "average_return = lambda reward: reward.sum(axis=-1, keepdims=True).mean(axis=(1, 2))",
    "tensor methods": "average_return = lambda reward: reward.sum(dim=2, keepdim=True).flatten(1).mean(dim=1)",
    "tensor functions": "average_return = lambda reward: torch.einsum('teh->te', reward).mean(-1)",
    "mixed with float32": "average_return = lambda reward: (reward @ torch.ones(reward.shape[-1])).mean(-1)",
    "half precision": "average_return = lambda reward: torch.as_tensor(reward).bfloat16().sum(2).mean(1)",
    "lists": "average_return = lambda reward: [sum(sum(map(float, e)) for e in t) / len(t) for t in reward]",
    "a list of tensors": "average_return = lambda reward: [torch.as_tensor(t).sum(1).mean() for t in reward]",
}


@pytest.mark.parametrize("source", STYLED.values(), ids=STYLED)
def test_a_right_answer_in_any_style_is_right(source):
    feedback = ex.grade(DEMO, ex.realise(source, DEMO.name))
    assert feedback.passed, feedback.message


def test_a_wrong_answer_in_another_style_is_diagnosed_and_an_error_of_the_reader_told():
    wrong = ex.realise("average_return = lambda reward: reward.sum(dim=(1, 2))", DEMO.name)
    assert "total over episodes" in ex.grade(DEMO, wrong).message
    broken = ex.realise("average_return = lambda reward: reward.sum(2).mean(1) / nobody", DEMO.name)
    assert "NameError: name 'nobody'" in ex.grade(DEMO, broken).message


def test_a_function_among_the_inputs_takes_and_gives_the_readers_arrays():
    def check(answer):
        for x in (np.array([1.0, 2.0]), np.array([3.0, -1.0, 0.5])):
            got = numbers(answer(lambda v: 2 * np.asarray(v), x), (len(x),), "twice(f, x)")
            if not np.allclose(got, 4 * x):
                return "not f of f of x"
        return None

    twice = Exercise("99.2", "twice", "write twice(f, x)", check, ("ab", "bc", "cd"), "twice = lambda f, x: f(f(x))")
    for source in (
        "lambda f, x: f(f(x))",
        "lambda f, x: f(f(torch.as_tensor(x)).clone())",
        "lambda f, x: f(f(x).abs() * x.sign())",
    ):
        feedback = ex.grade(twice, ex.realise(f"twice = {source}", "twice"))
        assert feedback.passed, (source, feedback.message)


def test_gradients_pass_through_and_are_missed_when_cut():
    def check(answer):
        for size in (2, 3):
            x = torch.arange(1.0, size + 1, dtype=torch.float64, requires_grad=True)
            value = answer(x)
            if not isinstance(value, torch.Tensor) or not value.requires_grad:
                return "the loss has no gradient"
            got = numbers(torch.autograd.grad(value, x)[0], (size,))
            if message := diagnose(got, 2 * x.detach().numpy(), {}, "not the gradient of the sum of squares"):
                return message
        return None

    loss = Exercise("99.3", "loss", "write loss(x)", check, ("ab", "bc", "cd"), "loss = lambda x: (x * x).sum()")
    assert ex.grade(loss, lambda x: (x**2).sum()).passed
    assert "no gradient" in ex.grade(loss, lambda x: (x.detach() ** 2).sum()).message
    assert "no gradient" in ex.grade(loss, lambda x: float((x**2).sum())).message


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
