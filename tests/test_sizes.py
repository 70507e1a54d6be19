"""Files and functions stay short enough to be read (STYLE)."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "metarl_lab"
FILE, LEARNER, FUNCTION = 250, 200, 40  # lines; each must stay below


def docstring_lines(node: ast.AST) -> int:
    """Lines of a function's docstring: explanation is not what makes a function long."""
    body = getattr(node, "body", [])
    first = body[0] if body else None
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return first.end_lineno - first.lineno + 1 if is_text else 0


def too_long(root: Path) -> list[str]:
    """Every file, learner and function over its limit, as `file:line: what`."""
    wrong = []
    for path in sorted(root.rglob("*.py")):
        text, where = path.read_text(encoding="utf-8"), str(path.relative_to(root.parent))
        limit = LEARNER if path.parent.name == "learners" and path.stem != "base" else FILE
        lines = len(text.splitlines())
        if lines >= limit:
            wrong.append(f"{where}:1: {lines} lines, the limit is below {limit}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = node.end_lineno - node.lineno + 1 - docstring_lines(node)
                if length >= FUNCTION:
                    wrong.append(
                        f"{where}:{node.lineno}: {node.name} has {length} lines, the limit is below {FUNCTION}"
                    )
    return wrong


def test_the_package_keeps_its_sizes() -> None:
    assert too_long(PACKAGE) == []


def test_what_is_too_long_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "metarl_lab" / "learners"
    folder.mkdir(parents=True)
    (folder / "long.py").write_text("x = 1\n" * LEARNER)
    (folder / "short.py").write_text("x = 1\n" * (LEARNER - 1))
    (folder / "deep.py").write_text("def f():\n" + "    x = 1\n" * (FUNCTION - 1))
    explained = 'def f():\n    """A.\n' + "\n" * FUNCTION + '    """\n'
    (folder / "explained.py").write_text(explained + "    x = 1\n" * (FUNCTION - 2))
    wrong = too_long(tmp_path / "metarl_lab")
    assert [line.split(":")[0] for line in wrong] == ["metarl_lab/learners/deep.py", "metarl_lab/learners/long.py"]
