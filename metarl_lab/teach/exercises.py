"""Grading: find an exercise, run a reader's answer through its check, and never let a traceback reach the reader."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import pkgutil
import re
import sys
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


class Raised(Rejected):
    """The reader's function raised an error: with inputs of another kind it may be right."""


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
    """Grade an answer. Whatever the answer does, this returns Feedback; only an interrupt passes through.

    A function may be written for NumPy arrays or for tensors. It is tried with the inputs of the check as they are,
    then with all of them as tensors of float32 (PyTorch's own precision) and of float64, then as arrays; it is right if
    it is right in one of these. If it is right in none, the reader hears of the first in which it came to an answer.
    """
    if answer is None or answer is ...:
        return Feedback(False, BLANK)
    if not callable(answer):
        return graded(exercise, answer)
    found: list[Feedback] = []
    errors: list[Feedback] = []
    for style in STYLES:
        try:
            feedback = graded(exercise, guarded(answer, exercise.name, style))
        except Raised as error:
            errors.append(Feedback(False, str(error)))
            continue
        if feedback.passed or feedback.message.startswith(BLANK):
            return feedback
        found.append(feedback)
    return (found or errors)[0]


def graded(exercise: Exercise, answer: Any) -> Feedback:
    """Feedback on a value, or on a guarded function, of which an error passes through as `Raised`."""
    try:
        result = exercise.check(answer)
    except Raised:
        raise
    except Rejected as rejected:  # a Blank among them
        return Feedback(False, str(rejected))
    except Exception as error:  # the check could not use the answer at all, such as a number where a function is due
        kind = type(getattr(answer, "__wrapped__", answer)).__name__
        unusable = f"`{exercise.name}` is a {kind} that the check cannot use ({error})."
        return Feedback(False, f"{unusable} Wanted: {exercise.task_text}")
    if isinstance(result, Feedback):
        return result
    return Feedback(True, "right.") if result is None else Feedback(False, result)


def unchanged(value: Any) -> Any:
    """The style "as given"."""
    return value


def converted(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same nesting of lists, tuples, dicts and functions, its arrays and tensors passed through `leaf`.

    A function among the inputs (a gradient, a policy) takes the reader's kind of array and gives it back, whatever it
    was written for.
    """
    if isinstance(value, dict):
        return {key: converted(item, leaf) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(converted(item, leaf) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(converted(item, leaf) for item in value)
    if isinstance(value, np.ndarray) or is_tensor(value):
        return leaf(value)
    if inspect.isfunction(value):
        return across(value, leaf)
    return value


def across(function: Callable[..., Any], leaf: Callable[[Any], Any]) -> Callable[..., Any]:
    """A function of the check's own arrays that takes and gives the reader's."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return converted(function(*args, **kwargs), leaf)
        except (TypeError, AttributeError, RuntimeError):
            other = numpy_leaf if any(is_tensor(x) for x in args) else tensor_leaf("float64")
            args = tuple(converted(x, other) for x in args)
            return converted(function(*args, **{k: converted(v, other) for k, v in kwargs.items()}), leaf)

    return call


def is_tensor(value: Any) -> bool:
    """Whether this is a PyTorch tensor, without importing torch for a reader who uses none."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def tensor_leaf(precision: str) -> Callable[[Any], Any]:
    """Array or tensor -> tensor, its floating numbers in this precision; one that carries a gradient keeps it."""

    def leaf(value: Any) -> Any:
        import torch

        tensor = value if is_tensor(value) else torch.from_numpy(np.array(value))
        return tensor.to(getattr(torch, precision)) if tensor.is_floating_point() else tensor

    return leaf


def numpy_leaf(value: Any) -> Any:
    """Array or tensor -> array; a tensor that carries a gradient stays one."""
    return value.detach().cpu().numpy() if is_tensor(value) and not value.requires_grad else value


# In which kind of array a reader's function gets its inputs: the first is the check's own.
STYLES: tuple[Callable[[Any], Any], ...] = (
    unchanged,
    lambda value: converted(value, tensor_leaf("float32")),
    lambda value: converted(value, tensor_leaf("float64")),
    lambda value: converted(value, numpy_leaf),
)


def guarded(function: Callable[..., Any], name: str, style: Callable[[Any], Any] = unchanged) -> Callable[..., Any]:
    """Wrap a reader's function: errors become `Raised`, unwritten is `Blank`, and its inputs are copies, in a style."""

    @wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        given = describe(args, kwargs)
        try:
            value = function(
                *(style(duplicate(x)) for x in args), **{k: style(duplicate(v)) for k, v in kwargs.items()}
            )
        except NotImplementedError:
            raise Blank(BLANK) from None
        except Exception as error:
            raise Raised(
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
    """Return a copy of an array or tensor, and of lists and dicts of them; anything else as it is (models, families).

    A tensor's copy stays in the graph that it came from.
    """
    if isinstance(value, dict):
        return {key: duplicate(item) for key, item in value.items()}
    if isinstance(value, list):
        return [duplicate(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.copy()
    return value.clone() if is_tensor(value) else value


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
    """Print a hint: the next one on each call (a nudge, the idea, a first line), or hint `number` (1 to 3)."""
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
