"""A chapter's own code: what its page defines, for the tests of what the page says of it."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace

TEXTS = Path(__file__).resolve().parent.parent / "notebooks" / "text"


def of_page(number: str, *names: str, **given: object) -> SimpleNamespace:
    """Functions, classes and constants of these names from the text of chapter `number` ("04"), with its imports.

    Nothing else of the page is run; `given` stands for what they read of it. Raises NameError for a name that the page
    does not define.
    """
    (text,) = TEXTS.glob(f"{number}_*.py")
    kept: list[ast.stmt] = []
    for node in ast.parse(text.read_text(encoding="utf-8")).body:
        targets = [name for target in getattr(node, "targets", ()) for name in getattr(target, "elts", [target])]
        assigned = [name.id for name in targets if isinstance(name, ast.Name)]
        if isinstance(node, ast.Import | ast.ImportFrom) or {getattr(node, "name", None), *assigned} & set(names):
            kept.append(node)
    scope: dict[str, object] = dict(given)
    exec(compile(ast.Module(kept, []), str(text), "exec"), scope)
    if missing := [name for name in names if name not in scope]:
        raise NameError(f"{text.name} does not define {', '.join(missing)}")
    return SimpleNamespace(**scope)
