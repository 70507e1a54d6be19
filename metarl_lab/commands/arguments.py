"""Reading a command line: names by hand, fields by tyro, and every mistake as one ValueError."""

from __future__ import annotations

import contextlib
import io
import re
from typing import TypeVar

import tyro

Options = TypeVar("Options")


def parse(kind: type[Options], arguments: list[str], program: str, about: str) -> Options:
    """The fields of dataclass ``kind`` from ``--field value`` arguments.

    ``--help`` prints each field's docstring and default, and exits. A mistake is a ValueError of one line.
    """
    if "--help" in arguments or "-h" in arguments:
        return tyro.cli(kind, args=arguments, prog=program, description=about)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint), contextlib.redirect_stdout(complaint):
            return tyro.cli(kind, args=arguments, prog=program, description=about)
    except SystemExit as stop:
        # tyro draws its complaint in a box
        text = " ".join(re.sub(r"[\u2500-\u257f|+]|-{4,}", " ", complaint.getvalue()).split())
        text = text.split(" For full helptext")[0]
        raise ValueError(f"{text}; see `{program} --help`") from stop


def take_option(arguments: list[str], name: str) -> tuple[str | None, list[str]]:
    """The value of ``--name VALUE`` or ``--name=VALUE`` (None where absent), and the arguments without it."""
    for i, argument in enumerate(arguments):
        if argument.startswith(f"{name}="):
            return argument.split("=", 1)[1], arguments[:i] + arguments[i + 1 :]
        if argument == name:
            if i + 1 == len(arguments) or arguments[i + 1].startswith("-"):
                raise ValueError(f"{name} needs a value")
            return arguments[i + 1], arguments[:i] + arguments[i + 2 :]
    return None, arguments


def take_first(arguments: list[str], needs: str) -> tuple[str, list[str]]:
    """The first argument, which is no option, and the rest; ValueError with ``needs`` otherwise."""
    if not arguments or arguments[0].startswith("-"):
        raise ValueError(needs)
    return arguments[0], arguments[1:]


def asks_for_help(arguments: list[str]) -> bool:
    """Whether -h or --help is among the arguments."""
    return "-h" in arguments or "--help" in arguments
