"""What exercises and quizzes are made of, and how a widget is shown to readers without a kernel.

A chapter file `chapter_NN.py` imports from here only, and defines `EXERCISES` and, if it has any, `QUIZZES`.
"""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


class Rejected(Exception):
    """An answer is wrong; the message is shown to the reader as it stands."""


@dataclass(frozen=True)
class Feedback:
    """The verdict on one answer: `passed`, and one or two sentences for the reader."""

    passed: bool
    message: str


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    `check(answer)` returns Feedback, a message (then the answer is wrong) or None (then it is right), or raises
    `Rejected`. It calls the answer with two inputs at least, of different sizes where there are sizes, so that nothing
    hard-coded passes. `solution` is Python that defines a variable called `name`; `math`, `np` and `torch` are there
    already. Answers that must pass, and answers that must not, are in `tests/chapters/`.
    """

    id: str  # "01.2": chapter, dot, number
    name: str  # what the reader's function or value is called in the notebook
    task: str  # what to write: a sentence, then each argument and the result with its shape and unit
    check: Callable[[Any], Feedback | str | None]
    hints: tuple[str, str, str]  # a nudge, the idea, and a first line or a line with a gap ("..."): never the solution
    solution: str

    @property
    def task_text(self) -> str:
        """The task as it is shown: without the indentation of the file that it is written in."""
        return inspect.cleandoc(self.task)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d\d\.\d+", self.id):
            raise ValueError(f"exercise id {self.id!r}: give chapter and number, as in '01.2'")
        if len(self.hints) != 3 or not all(self.hints):
            raise ValueError(f"exercise {self.id}: {len(self.hints)} hints; give a nudge, the idea and a first line")
        if not self.name.isidentifier():
            raise ValueError(f"exercise {self.id}: name {self.name!r} is not a Python name; give the variable's name")


@dataclass(frozen=True)
class Option:
    """One answer of a quiz, with the reason why it is right or wrong."""

    text: str
    why: str
    right: bool = False


@dataclass(frozen=True)
class Quiz:
    """A multiple-choice question with exactly one right option. `id` is chapter, dot, letter: "01.a"."""

    id: str
    question: str
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d\d\.[a-z]", self.id):
            raise ValueError(f"quiz id {self.id!r}: give chapter and letter, as in '01.a'")
        if len(self.options) < 2 or sum(o.right for o in self.options) != 1:
            raise ValueError(f"quiz {self.id}: give two options or more, exactly one of them right")
        if not all(o.why for o in self.options):
            raise ValueError(f"quiz {self.id}: every option needs a `why`")


def numbers(value: Any, shape: tuple[int, ...] = (), what: str = "your answer") -> np.ndarray:
    """Read an answer as finite numbers of `shape`, or raise `Rejected` with what is wrong with it.

    Lists, NumPy arrays, tensors (detached for the reader) and plain numbers are all accepted. A -1 in `shape` allows
    any length on that axis. What comes back has the precision of the answer (float64, float32 or float16), by which
    `close` knows how near to the right value an answer of that kind can come.
    """
    try:
        array = as_array(value)
    except (TypeError, ValueError, RuntimeError):
        raise Rejected(f"{what} is a {type(value).__name__}; numbers are needed, of shape {shape}.") from None
    fits = len(shape) == array.ndim and all(want in (-1, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits:
        wanted = f"shape {shape}" if shape else "one number"
        raise Rejected(f"{what} has shape {array.shape}; {wanted} is needed.")
    if not np.isfinite(array).all():
        raise Rejected(f"{what} holds NaN or infinity.")
    return array


def as_array(value: Any) -> np.ndarray:
    """A nesting of numbers, arrays and tensors as one array of float64, or of float32 or float16 if any part is."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if value.dtype.itemsize == 2:  # bfloat16 too, which NumPy does not know
            return np.asarray(value.double().numpy(), dtype=np.float16)
        return as_array(value.numpy())
    if isinstance(value, list | tuple) and any(hasattr(x, "dtype") or isinstance(x, list | tuple) for x in value):
        parts = [as_array(x) for x in value]
        return np.stack(parts).astype(min(x.dtype for x in parts))
    array = np.asarray(value)
    return array if array.dtype in (np.float32, np.float16) else np.asarray(array, dtype=np.float64)


# How near to the right value a correct computation comes: rounding, summed over the few steps of an exercise.
ROUNDING = {"float64": 1e-6, "float32": 1e-4, "float16": 2e-2}


def close(got: Any, want: Any, tolerance: float = 1e-6) -> bool:
    """Whether two arrays agree within `tolerance`, absolute for values below 1 and relative above.

    The tolerance is never below what rounding costs at the precision of `got` (see `numbers`).
    """
    got = np.asarray(got)
    tolerance = max(tolerance, ROUNDING.get(got.dtype.name, 0.0))
    return bool(np.allclose(got.astype(np.float64), np.asarray(want), rtol=tolerance, atol=tolerance))


def diagnose(got: Any, want: Any, mistakes: Mapping[str, Any], otherwise: str, tolerance: float = 1e-6) -> str | None:
    """Return None if `got` is right, else the message of the first of `mistakes` (message -> its value) that it equals.

    Raises ValueError when a mistake's value cannot be told from the right one: that check would reject nothing.
    """
    for message, value in mistakes.items():
        if close(value, want, max(tolerance, ROUNDING["float32"])):
            raise ValueError(f"mistake {message!r} gives the right value here; choose inputs that tell them apart")
    if close(got, want, tolerance):
        return None
    return next((message for message, value in mistakes.items() if close(got, value, tolerance)), otherwise)


def show(widget: Any, picture_html: str, plain: str, png: bytes | None = None) -> None:
    """Display a widget in an output that also holds a picture of it.

    JupyterLab takes the widget; GitHub, a printed page and other readers without widgets take `picture_html` or `png`.
    nbval compares `plain` alone, so `plain` must say in words and numbers what is to be seen, alike on every machine.
    """
    from IPython.display import display

    data: dict[str, Any] = {"text/plain": plain, "text/html": picture_html}
    metadata: dict[str, Any] = {}
    if png is not None:
        data["image/png"] = png
        metadata["image/png"] = {"alt": plain}
    if widget is not None:
        data["application/vnd.jupyter.widget-view+json"] = {
            "version_major": 2,
            "version_minor": 0,
            "model_id": widget.model_id,
        }
    display(data, metadata=metadata, raw=True)


_fixed: dict[str, Any] = {}  # id -> the live widget that has it


def fix_ids(widget: Any, name: str) -> None:
    """Give a widget and all its parts ids that belong to `name`, the same in every run.

    Ids are random by default. A reader who re-runs a chapter and saves it would then have outputs that point to widgets
    which the file's stored state does not know, and see "model not found" on the next opening. And JupyterLab, when it
    restores a file's widgets late, gives a live widget of the same id its stored parts: with ids that differ, those are
    dead buttons. Of two widgets of one name, the older is closed.
    """
    for number, part in enumerate(parts_first(widget)):
        identity = model_id(f"{name}/{number}" if part is not widget else name)
        if identity in _fixed:
            _fixed.pop(identity).close()
        part.close()  # an id is given when a widget is opened
        part._model_id = identity
        part.open()
        _fixed[identity] = part


def parts_first(widget: Any) -> list[Any]:
    """Every widget that this one holds (children, layouts, styles), each before what holds it; itself at the end."""
    found: list[Any] = []

    def visit(item: Any) -> None:
        if isinstance(item, tuple | list):
            for part in item:
                visit(part)
        elif hasattr(item, "comm") and not any(item is known for known in found):
            for key in item.keys:
                visit(getattr(item, key))
            found.append(item)

    visit(widget)
    return found


def model_id(name: str) -> str:
    """Return the widget id that belongs to `name`."""
    from hashlib import sha256

    return "metarl" + sha256(name.encode()).hexdigest()[:26]


def paragraph(text: str) -> str:
    """Escape `text` for HTML, with `code` and *emphasis* kept."""
    text = html.escape(text, quote=False)
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", re.sub(r"`([^`]+)`", r"<code>\1</code>", text))
