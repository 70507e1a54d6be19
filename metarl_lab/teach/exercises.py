"""Grading: find an exercise, run a reader's answer through its check, and never let a traceback reach the reader."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import math
import pkgutil
import re
import textwrap
import traceback
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import numpy as np

from .base import Exercise, Feedback, Rejected

BLANK = "not yet answered"


class Blank(Rejected):
    """The reader has not written this answer yet."""


@cache
def every(attribute: str, package: str = "metarl_lab.chapters") -> dict[str, Any]:
    """Collect `attribute` ("EXERCISES" or "QUIZZES") of `exercises.py` in every folder `chNN_name` of `package`, by id.

    Raises ValueError when two have one id, or an id does not belong to its folder's chapter.
    """
    found: dict[str, Any] = {}
    for folder in pkgutil.iter_modules(importlib.import_module(package).__path__):
        chapter = re.fullmatch(r"ch(\d\d)_\w+", folder.name)
        if not chapter or importlib.util.find_spec(f"{package}.{folder.name}.exercises") is None:
            continue
        for item in getattr(importlib.import_module(f"{package}.{folder.name}.exercises"), attribute, ()):
            if item.id in found or not item.id.startswith(chapter[1] + "."):
                raise ValueError(f"{folder.name}/exercises.py: id {item.id!r} is taken or not of chapter {chapter[1]}")
            found[item.id] = item
    return dict(sorted(found.items()))


def find(exercise_id: str) -> Exercise:
    """Return the exercise of that id, or raise ValueError with the ids that there are."""
    exercises = every("EXERCISES")
    if exercise_id not in exercises:
        near = [i for i in exercises if i.startswith(str(exercise_id)[:2])] or list(exercises)
        raise ValueError(f"no exercise {exercise_id!r}; there are: {', '.join(near) or 'none yet'}")
    found: Exercise = exercises[exercise_id]
    return found


def grade(exercise: Exercise, answer: Any) -> Feedback:
    """Grade an answer. Whatever the answer does, this returns Feedback; only an interrupt passes through."""
    if answer is None or answer is ...:
        return Feedback(False, BLANK)
    called = guarded(answer, exercise.name) if callable(answer) else answer
    try:
        result = exercise.check(called)
    except Blank as blank:
        return Feedback(False, str(blank))
    except Rejected as rejected:
        return Feedback(False, str(rejected))
    except Exception as error:  # the check could not use the answer at all, such as a number where a function is due
        kind = type(answer).__name__
        unusable = f"`{exercise.name}` is a {kind} that the check cannot use ({error})."
        return Feedback(False, f"{unusable} Wanted: {exercise.prompt}")
    if isinstance(result, Feedback):
        return result
    return Feedback(True, "right.") if result is None else Feedback(False, result)


def guarded(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Wrap a reader's function: errors become `Rejected`, unwritten is `Blank`, and its inputs are copies."""

    @wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        given = describe(args, kwargs)
        try:
            value = function(*map(duplicate, args), **{k: duplicate(v) for k, v in kwargs.items()})
        except NotImplementedError:
            raise Blank(BLANK) from None
        except Exception as error:
            raise Rejected(
                f"`{name}({given})` raised {type(error).__name__}: {error}{line_of(function, error)}"
            ) from None
        if value is None or value is ...:
            unwritten = len(getattr(getattr(function, "__code__", None), "co_code", b"")) <= len(EMPTY)
            raise Blank(BLANK if unwritten else f"{BLANK}: `{name}({given})` returned None. Is a `return` missing?")
        return value

    return call


def _empty() -> None: ...


EMPTY = _empty.__code__.co_code


def duplicate(value: Any) -> Any:
    """Return a copy of an array, tensor, list or dict; anything else as it is (generators, families, models)."""
    if isinstance(value, np.ndarray | list | dict):
        return copy.deepcopy(value)
    return value.clone() if hasattr(value, "clone") and hasattr(value, "dtype") else value


def describe(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return the arguments of a call in a few characters, the same on every machine."""

    def short(value: Any) -> str:
        shape = getattr(value, "shape", ())
        if math.prod(shape) > 8:
            return f"<{type(value).__name__} of shape {tuple(shape)}>"
        if hasattr(value, "tolist"):
            return textwrap.shorten(str(value.tolist()), 60)
        plain = isinstance(value, str | int | float | bool | list | tuple | dict | type(None))
        return textwrap.shorten(repr(value), 60) if plain else f"<{type(value).__name__}>"

    return ", ".join([*map(short, args), *(f"{key}={short(value)}" for key, value in kwargs.items())])


def line_of(function: Callable[..., Any], error: BaseException) -> str:
    """Return " (line n of your function)" if the error passed through it, else ""."""
    code = getattr(function, "__code__", None)
    inside = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code is code]
    return f" (line {inside[-1] - code.co_firstlineno + 1} of your function)." if inside and code else "."


def realise(source: str, name: str) -> Any:
    """Run `source`, a solution or a wrong answer, and return what it calls `name`.

    Raises ValueError when the source does not define `name`.
    """
    import torch

    scope: dict[str, Any] = {"math": math, "np": np, "torch": torch, "__name__": "answer"}
    exec(compile(textwrap.dedent(source), f"<{name}>", "exec"), scope)
    if name not in scope:
        raise ValueError(f"the source does not define {name!r}; it starts {source.strip()[:60]!r}")
    return scope[name]


_given: dict[str, int] = {}  # hints that this kernel has given, by exercise


def hint(exercise_id: str, number: int | None = None) -> None:
    """Print a hint: the next one on each call (a nudge, an equation, a line of code), or hint `number` (1 to 3)."""
    exercise = find(exercise_id)
    if number is None:
        number = min(_given.get(exercise_id, 0) + 1, 3)
    if number not in (1, 2, 3):
        raise ValueError(f"hint number {number!r}: there are three; give 1, 2 or 3, or no number for the next one")
    _given[exercise_id] = max(number, _given.get(exercise_id, 0))
    more = f'hint("{exercise_id}")' if number < 3 else f'solution("{exercise_id}")'
    print(f"{exercise_id} hint {number} of 3: {exercise.hints[number - 1]}\nStill stuck? {more}")


def solution(exercise_id: str) -> None:
    """Print one solution of the exercise."""
    print(f"{exercise_id}, one solution:\n\n{textwrap.dedent(find(exercise_id).solution).strip()}")
