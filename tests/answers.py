"""Answers to the exercises of a chapter, and the tests that run them.

tests/chapters/test_chNN_name.py holds the answers:

    test_answers = answer_tests("05", {
        "05.1": Answers(
            right=(...),        # three or more, in different styles: NumPy, tensors, plain loops and lists
            wrong=(Wrong("inner_step = lambda t, g, a: t - a * g", "That is descent"), ...),   # three or more
            looks_right=(...),  # three or more: a constant, a hard-coded size, one row only, off by one, detached
        ),
    })

Every exercise of the chapter must be there. What can be made from the solution alone is made here, for each exercise:
an answer that gives for every input what the first one deserves, one that cuts the gradient, and the third hint taken
for the solution; all of them must be rejected.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from metarl_lab.teach import exercises as grading
from metarl_lab.teach.base import Exercise

__all__ = ["Answers", "Wrong", "answer_tests"]


@dataclass(frozen=True)
class Wrong:
    """A typical wrong answer: `source` defines it; its rejection must contain `mistake`, the mistake's own name."""

    source: str
    mistake: str


@dataclass(frozen=True)
class Answers:
    """Sources that define the exercise's `name`; `math`, `np` and `torch` are there already."""

    right: tuple[str, ...]
    wrong: tuple[Wrong, ...]
    looks_right: tuple[str, ...]

    def __post_init__(self) -> None:
        for kind in ("right", "wrong", "looks_right"):
            if len(getattr(self, kind)) < 3:
                raise ValueError(f"{len(getattr(self, kind))} answers that are {kind}; give three or more")


def answer_tests(number: str, answers: Mapping[str, Answers]) -> Callable[..., None]:
    """A test of all these answers, for one chapter; fails to load when an exercise of the chapter has none."""
    known = {i: e for i, e in grading.every("EXERCISES").items() if i.startswith(f"{number}.")}
    if known.keys() != answers.keys():
        raise ValueError(f"chapter {number} has exercises {sorted(known)}; answers are given to {sorted(answers)}")
    cases = []
    for exercise_id, exercise in known.items():
        given = answers[exercise_id]
        cases += [pytest.param(exercise, right, None, id=f"{exercise_id}-right") for right in given.right]
        cases += [
            pytest.param(exercise, w.source, w.mistake, id=f"{exercise_id}-{w.mistake[:30]}") for w in given.wrong
        ]
        cases += [pytest.param(exercise, source, "", id=f"{exercise_id}-looks right") for source in given.looks_right]
        cases.append(pytest.param(exercise, None, None, id=f"{exercise_id}-made from the solution"))

    @pytest.mark.parametrize(("exercise", "source", "mistake"), cases)
    def test_answers(exercise: Exercise, source: str | None, mistake: str | None) -> None:
        if source is None:
            judge_made(exercise)
            return
        feedback = grading.grade(exercise, grading.realise(source, exercise.name))
        if mistake is None:
            assert feedback.passed, f"a right answer was rejected: {feedback.message}\n{source}"
            return
        assert not feedback.passed, f"a wrong answer was accepted:\n{source}"
        assert not feedback.message.startswith(grading.BLANK) and "Traceback" not in feedback.message
        assert mistake.lower() in feedback.message.lower(), feedback.message

    return test_answers


def judge_made(exercise: Exercise) -> None:
    """Reject what can be made from the solution: a constant, a cut gradient, the third hint."""
    solution = grading.realise(exercise.solution, exercise.name)
    assert_hint_is_none(exercise)
    if not callable(solution):
        return
    seen = inputs_of(exercise, solution)
    assert len(seen) >= 2, f"the check of {exercise.id} tries {len(seen)} input; two at least, which differ"
    constant: list[Any] = []

    def always_the_first(*args: Any, **kwargs: Any) -> Any:
        if not constant:
            constant.append(solution(*args, **kwargs))
        return constant[0]

    assert not grading.grade(exercise, always_the_first).passed, "a constant of the first input was accepted"
    cut: list[bool] = []

    def detached(*args: Any, **kwargs: Any) -> Any:
        value = solution(*args, **kwargs)
        if isinstance(value, torch.Tensor) and value.requires_grad:
            cut.append(True)
            return value.detach()
        return value

    passed = grading.grade(exercise, detached).passed
    assert not (cut and passed), "an answer whose gradient is cut was accepted"


def inputs_of(exercise: Exercise, solution: Callable[..., Any]) -> list[str]:
    """The different inputs that the check gives to an answer, as text."""
    seen: list[str] = []

    def spy(*args: Any, **kwargs: Any) -> Any:
        text = repr([np.asarray(a.detach()) if isinstance(a, torch.Tensor) else a for a in (*args, *kwargs.values())])
        # a function is told from another by its place only: inputs that differ in nothing else count as one
        text = re.sub(r" at 0x[0-9a-f]+", "", text)
        if text not in seen:
            seen.append(text)
        return solution(*args, **kwargs)

    feedback = grading.graded(exercise, spy)
    assert feedback.passed, feedback.message
    return seen


def assert_hint_is_none(exercise: Exercise) -> None:
    """The third hint is a first line, or a line with a gap: taken as the body of the answer it must not pass."""
    hint = exercise.hints[2].strip().strip("`")
    solution = textwrap.dedent(exercise.solution).strip()
    heads = re.findall(rf"^(def {exercise.name}\(.*?\):)", solution, re.MULTILINE | re.DOTALL)
    lambdas = re.findall(rf"^{exercise.name} = (lambda [^:]*:)", solution, re.MULTILINE)
    tries = [hint]
    for head in heads:
        tries += [f"{head}\n{textwrap.indent(hint, '    ')}", f"{head}\n    return {hint}"]
    for head in lambdas:
        tries.append(f"{exercise.name} = {head} {hint.removeprefix('return ')}")
    tries.append(f"{exercise.name} = {hint}")
    for source in tries:
        try:
            answer = grading.realise(source, exercise.name)
        except Exception:  # a line with a gap seldom is Python
            continue
        assert not grading.grade(exercise, answer).passed, f"the third hint of {exercise.id} is the solution"
