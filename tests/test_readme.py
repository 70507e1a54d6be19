"""What README promises is so: its example runs, its commands are real, and it is a page and a half long."""

from __future__ import annotations

import re
from pathlib import Path

import chapters

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.+?)```", TEXT, flags=re.DOTALL)
    # the same calls, small
    small = {
        "arms=10, horizon=100": "arms=10, horizon=10",
        "hidden=64": "hidden=8, meta_batch=8",
        "iterations=300": "iterations=1",
        'device="auto"': 'device="cpu"',
        'out="runs/rl2-bandit"': f"out={str(tmp_path / 'run')!r}",
        "n_tasks=1000": "n_tasks=20",
        '"data/checkpoints/': f'"{ROOT.as_posix()}/data/checkpoints/',
    }
    for old, new in small.items():
        assert old in example, f"the example no longer says {old}: change this test with it"
        example = example.replace(old, new)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    curve = names["curve"]
    assert curve.mean.shape == curve.low.shape == curve.high.shape == (4,)  # type: ignore[attr-defined]
    assert curve.per_task.shape == (20, 4)  # type: ignore[attr-defined]
    assert (tmp_path / "run" / "config.json").is_file()


def test_stored_agents_that_it_loads_are_there() -> None:
    named = {word.strip('")') for word in TEXT.replace("(", " ").split() if "data/checkpoints/" in word and "-" in word}
    assert named
    for name in named:
        assert (ROOT / name / "card.json").is_file(), name


def test_every_chapter_that_exists_is_linked_once() -> None:
    for path in chapters.chapters().values():
        assert TEXT.count(f"](notebooks/{path.name})") == 1, path.name


def test_it_stays_a_front_page() -> None:
    # it grew to 582 lines once: what is long has a page of its own, linked from here
    assert len(TEXT.splitlines()) <= 130
    for page in ("docs/results.md", "docs/learners.md", "docs/samplers.md", "data/README.md", "CONTRIBUTING.md"):
        assert f"]({page})" in TEXT
