"""Imports run one way through the package, and siblings stay strangers (DESIGN 1)."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "metarl_lab"

# A module may import those above it, never one below.
ORDER = [
    "types",
    "ops",
    "exact",
    "nets",
    "tasks",
    "rollout",
    "replay",
    "inner_loop",
    "learners",
    "samplers",
    "references",
    "catalog",
    "runs",
    "train",
    "evaluate",
    "commands",
    "adapters",
    "scale",
    "teach",
    "chapters",
]

# Folders in which one file is made of others (an inner step of a surrogate, an ensemble of batched perceptrons, the
# loop of a run folder). Siblings may meet there as long as it is never in a circle. Everywhere else a file is one part
# of a kind (one learner, one family), and stands alone.
LIBRARIES = {"commands", "exact", "nets", "ops", "runs", "teach"}


def imported(tree: ast.AST, module: list[str], package: str, is_init: bool) -> list[tuple[int, list[str]]]:
    """(line, dotted parts inside the package) of each import of the package's own modules, at any depth of the file."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from . import x` in pkg/a/b.py starts at pkg/a; in pkg/a/__init__.py at pkg/a too
            base = [package, *module][: len(module) + 1 - node.level + is_init] if node.level else []
            source = base + (node.module.split(".") if node.module else [])
            names = [[*source, alias.name] for alias in node.names]
        else:
            continue
        found += [(node.lineno, name[1:]) for name in names if name[0] == package]
    return found


def violations(root: Path) -> list[str]:
    """Every import that the layout does not allow, as `file:line: reason`."""
    wrong = []
    for path in sorted(root.rglob("*.py")):
        parts = list(path.relative_to(root).with_suffix("").parts)
        is_init = parts[-1] == "__init__"
        module = parts[:-1] if is_init else parts
        if not module or module == ["__main__"]:
            continue  # the public face may import anything
        where = str(path.relative_to(root.parent))
        if module[0] not in ORDER:
            wrong.append(f"{where}:1: {module[0]} has no place in ORDER; give it one")
            continue
        for line, target in imported(ast.parse(path.read_text(encoding="utf-8")), module, root.name, is_init):
            reason = judge(module, target, is_init, root)
            if reason:
                wrong.append(f"{where}:{line}: {reason}")
    return wrong


def judge(module: list[str], target: list[str], is_init: bool, root: Path) -> str:
    """Why this module may not import that one; empty when it may."""
    if not target or target[0] not in ORDER:
        name = target[0] if target else ""
        if name and ((root / f"{name}.py").exists() or (root / name).is_dir()):
            return f"{name} has no place in ORDER; give it one"
        if (
            module[0] == "chapters"
        ):  # nothing is below: what moved here from a page may call the package as the page does
            return ""
        return "import the module that defines the name, not the public face: that would be a circle"
    if target[0] != module[0]:
        if ORDER.index(target[0]) > ORDER.index(module[0]):
            return f"{module[0]} imports {target[0]}, which is below it"
        return ""
    if module[0] == "chapters":
        # A chapter is a folder of its own. Its files may meet; what two chapters use belongs in teach/.
        if target[1:2] == module[1:2]:
            return ""
        return f"{'.'.join(module)} imports another chapter, {'.'.join(target)}; what two chapters use moves to teach/"
    # The same folder: its __init__ may gather its own modules, a sibling may import only the base.
    if is_init or module[0] in LIBRARIES or (len(target) > 1 and target[1] == "base"):
        return ""
    return f"{'.'.join(module)} imports its sibling {'.'.join(target)}; only {module[0]}/base.py may be imported there"


def test_the_package_keeps_its_layers() -> None:
    assert violations(PACKAGE) == []


def circles(root: Path) -> list[str]:
    """Modules of the library folders that import each other in a circle."""
    wrong = []
    for folder in sorted(LIBRARIES):
        graph = {}
        for path in sorted((root / folder).glob("*.py")):
            if path.stem != "__init__":
                found = imported(ast.parse(path.read_text(encoding="utf-8")), [folder, path.stem], root.name, False)
                graph[path.stem] = {target[1] for _, target in found if target[:1] == [folder] and len(target) > 1}
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            wrong.append(f"{folder}: {' imports '.join(reversed(error.args[1]))}")
    return wrong


def test_formulas_never_import_each_other_in_a_circle(tmp_path: Path) -> None:
    assert circles(PACKAGE) == []
    plant(tmp_path, {"ops/a.py": "from metarl_lab.ops.b import x", "ops/b.py": "from .a import y"})
    assert len(circles(tmp_path / "metarl_lab")) == 1


def plant(tmp_path: Path, files: dict[str, str]) -> list[str]:
    """Violations of a small package made of these files."""
    root = tmp_path / "metarl_lab"
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return violations(root)


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("ops/returns.py", "from metarl_lab.learners.base import MetaLearner", "ops imports learners"),
        ("train.py", "import metarl_lab.evaluate", "train imports evaluate"),
        ("train.py", "from . import evaluate", "train imports evaluate"),
        ("learners/maml.py", "from ..train import train", "learners imports train"),
        ("learners/maml.py", "from .rl2 import RL2", "its sibling learners.rl2"),
        ("learners/maml.py", "from . import rl2", "its sibling learners.rl2"),
        ("learners/maml.py", "import metarl_lab.learners.rl2", "its sibling learners.rl2"),
        ("learners/__init__.py", "from ..teach import quiz", "learners imports teach"),
        ("learners/maml.py", "def f():\n    from metarl_lab.teach import quiz", "learners imports teach"),
        ("teach/quizzes.py", "from metarl_lab.chapters.ch05_maml.exercises import QUIZZES", "teach imports chapters"),
        ("chapters/ch05_maml/widget.py", "from metarl_lab.chapters.ch06_x.figures import f", "another chapter"),
        ("train.py", "from metarl_lab import make_family", "public face"),
        ("teach/quizzes.py", "import metarl_lab as ml", "public face"),
        ("helpers.py", "x = 1", "no place in ORDER"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, name: str, line: str, reason: str) -> None:
    wrong = plant(tmp_path, {name: line})
    assert len(wrong) == 1 and reason in wrong[0], wrong


def test_what_is_allowed_passes(tmp_path: Path) -> None:
    files = {
        "__init__.py": "from .widgets import game\nfrom .train import train",
        "learners/__init__.py": "from .maml import MAML",
        "ops/inner_step.py": "from metarl_lab.ops.surrogates import surrogate",
        "learners/maml.py": "from metarl_lab.learners.base import A\nfrom . import base\nfrom ..ops import returns",
        "evaluate.py": "import torch\nfrom metarl_lab.train import train\nfrom .types import Episodes",
        "chapters/ch05_maml/widget.py": "from metarl_lab.chapters.ch05_maml.figures import curve",
        "chapters/ch05_maml/figures.py": "from ...teach.figures import look",
        "chapters/ch05_maml/experiments.py": "import metarl_lab as ml",
        "teach/quizzes.py": "from .base import show",
    }
    assert plant(tmp_path, files) == []
