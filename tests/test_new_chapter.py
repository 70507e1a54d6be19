"""Starting a chapter touches its own places and its line in the index, and what is started stands at once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import chapters
import pytest

ROOT = Path(__file__).resolve().parents[1]
STEM = "77_drift"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the checkout without data, stored notebooks and texts of other chapters."""
    root = tmp_path_factory.mktemp("checkout")
    ignore = shutil.ignore_patterns("__pycache__", "*.ipynb", ".ipynb_checkpoints")
    for name in ("metarl_lab", "tests", "tools"):
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    (root / "notebooks" / "text").mkdir(parents=True)
    for name in ("notebooks/index.md", "notebooks/conftest.py", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    index = root / "notebooks" / "index.md"
    index.write_text(index.read_text().replace("| 27 |", "| 77 | To be named |\n| 27 |"))
    return root


def contents(root: Path) -> dict[str, bytes]:
    files = (
        p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts and ".pytest_cache" not in p.parts
    )
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


def run(root: Path, *command: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "METARL_SPEED": "quick"}
    done = subprocess.run([sys.executable, *command], cwd=root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done


@pytest.mark.slow
def test_a_chapter_is_started_built_and_passes_in_its_three_places(checkout):
    before = contents(checkout)
    run(checkout, "tools/chapters.py", "new", "77", "drift", "Following drift")
    run(checkout, "tools/notebooks.py", "build", "77")
    run(checkout, "tools/chapters.py", "links")
    assert "good" in run(checkout, "tools/notebooks.py", "check", "77").stdout
    after = contents(checkout)
    changed = {path for path in after if after[path] != before.get(path)}
    own = {path for path in changed if path.startswith(("notebooks/text/", f"metarl_lab/chapters/ch{STEM}/"))}
    own |= {f"tests/chapters/test_ch{STEM}.py", f"notebooks/{STEM}.ipynb"}
    assert changed - own <= {"notebooks/index.md", "README.md"}, "the pages that list chapters, and nothing else"
    assert before.keys() <= after.keys()
    assert f"| 77 | [Following drift]({STEM}.ipynb) |" in after["notebooks/index.md"].decode()
    run(
        checkout,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"tests/chapters/test_ch{STEM}.py",
        "tests/test_layers.py",
    )
    nbval = ("--nbval", "--nbval-current-env", "--nbval-sanitize-with=tests/notebooks/sanitize.cfg")
    run(checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", *nbval, f"notebooks/{STEM}.ipynb")
    mine = [f"metarl_lab/chapters/ch{STEM}", f"tests/chapters/test_ch{STEM}.py", f"notebooks/text/{STEM}.py"]
    run(checkout, "-m", "ruff", "check", "--no-cache", *mine)
    run(checkout, "-m", "ruff", "format", "--no-cache", "--check", *mine[:2])


@pytest.mark.parametrize(
    ("number", "name", "title", "problem"),
    [
        ("7", "drift", "Drift", "two digits"),
        ("77", "Drift", "Drift", "small letters"),
        ("77", "2drift", "Drift", "small letters"),
        ("77", "drift", "Drift | more", "without"),
        ("77", "drift", " ", "give words"),
        ("78", "drift", "Drift", "has no row for 78"),
        ("05", "drift", "Drift", "chapter 05 exists"),
    ],
)
def test_what_cannot_be_started_is_said_before_anything_is_written(checkout, number, name, title, problem):
    before = contents(checkout)
    with pytest.raises(ValueError, match=problem):
        chapters.new(number, name, title, checkout)
    assert contents(checkout) == before


def test_links_follow_the_chapters_that_exist(tmp_path):
    (tmp_path / "notebooks").mkdir()
    page = tmp_path / "notebooks" / "index.md"
    page.write_text(
        "## Part one\n\n| 01 | First: more |\n| 02 | [Second](02_gone.ipynb) |\n\n## Part two\n\n| 03 | Third |\n"
    )
    (tmp_path / "notebooks" / "01_first.ipynb").touch()
    assert "| 01 | [First: more](01_first.ipynb) |\n| 02 | Second |" in chapters.linked(page, tmp_path)
    (tmp_path / "README.md").write_text(f"a\n{chapters.BEGIN}\nold\n{chapters.END}\nb\n")
    text = chapters.readme(tmp_path)
    assert "| Part one | [01 First](notebooks/01_first.ipynb) · 02 Second |\n| Part two | 03 Third |" in text
    assert text.startswith("a\n") and text.endswith("\nb\n") and "old" not in text
