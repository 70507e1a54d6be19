"""The README's numbers are those of data/results, and its commands are real."""

import shlex
from pathlib import Path

import readme

from metarl_lab.commands.cli import plan

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text()


def test_tables_are_what_the_stored_results_say() -> None:
    assert readme.render(TEXT) == TEXT, "run python tools/readme.py"


def test_train_command_parses() -> None:
    lines = [line for line in TEXT.splitlines() if line.startswith("metarl train ")]
    assert lines
    for line in lines:
        plan(shlex.split(line)[2:])


def test_stored_agents_that_it_loads_are_there() -> None:
    named = {word.strip('")') for word in TEXT.replace("(", " ").split() if "data/checkpoints/" in word and "-" in word}
    assert named
    for name in named:
        assert (ROOT / name / "card.json").is_file(), name
