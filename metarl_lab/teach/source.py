"""Show the source of a package function in the notebook, so that no idea hides behind an import."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

from .base import show


def source_of(thing: Any, docstring: bool = False) -> str:
    """Return the source of a function or class, without its docstring unless asked."""
    try:
        text = textwrap.dedent(inspect.getsource(inspect.unwrap(thing)))
    except (TypeError, OSError):
        raise ValueError(f"no source for {thing!r}; give a function, method or class of the package") from None
    doc = inspect.unwrap(thing).__doc__
    if docstring or not doc:
        return text.rstrip()
    import ast

    body = ast.parse(text).body[0]
    first = body.body[0]  # type: ignore[attr-defined]
    if len(body.body) < 2:  # type: ignore[attr-defined]
        return text.rstrip()
    lines = text.splitlines()
    return "\n".join(lines[: first.lineno - 1] + lines[first.end_lineno :]).rstrip()


def show_source(thing: Any, docstring: bool = False) -> None:
    """Display the source of a package function, method or class, highlighted, with the place it comes from."""
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
    from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

    text = source_of(thing, docstring)
    place = f"# {thing.__module__}.{thing.__qualname__}"
    text = f"{place}\n{text}"
    # Inline styles: JupyterLab and GitHub drop <style> from an output that is not trusted.
    page = highlight(text, PythonLexer(), HtmlFormatter(noclasses=True, nobackground=True, style="friendly"))
    show(None, page, text)
