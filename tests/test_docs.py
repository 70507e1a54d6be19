"""The reference pages are whole: every learner, sampler and stored table has its place, and every command is real."""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest

from metarl_lab.catalog import entries
from metarl_lab.commands.cli import plan

ROOT = Path(__file__).resolve().parent.parent


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def training_commands(page: str) -> list[str]:
    """The `metarl train` commands of a page, with their continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", text(page))
    return re.findall(r"^ *(metarl train .+)$", joined, flags=re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/learners.md", "docs/samplers.md", "data/README.md"])
def test_training_commands_parse(page: str) -> None:
    commands = training_commands(page)
    assert commands
    for command in commands:
        plan(shlex.split(command, comments=True)[2:])


@pytest.mark.parametrize(("page", "kind"), [("docs/learners.md", "learners"), ("docs/samplers.md", "samplers")])
def test_every_part_of_the_catalog_has_its_section(page: str, kind: str) -> None:
    sections = re.findall(r"^## (\w+)$", text(page), flags=re.MULTILINE)
    assert sorted(sections) == sorted(entries(kind))


def test_every_stored_table_is_described() -> None:
    named = set(re.findall(r"`(?:results/)?([\w*.]+\.\w+)`", text("data/README.md")))
    headings = re.findall(r"^## (.+)$", text("data/README.md"), flags=re.MULTILINE)
    for heading in headings:  # `results/task_scaling.csv` and `.png`
        for stem, other in re.findall(r"`results/(\w+)\.\w+` and `(\.\w+)`", heading):
            named.add(stem + other)
    for path in (ROOT / "data" / "results").iterdir():
        assert any(fnmatch(path.name, name) for name in named), path.name
