"""The ways to install agree with each other, and the commands that the pages promise exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def ranges(lines: list[str]) -> dict[str, str]:
    """Package -> version range, in one spelling."""
    parsed = [Requirement(line) for line in lines]
    names = [canonicalize_name(requirement.name) for requirement in parsed]
    assert len(set(names)) == len(names), f"named twice: {sorted(n for n in names if names.count(n) > 1)}"
    return {name: str(requirement.specifier) for name, requirement in zip(names, parsed)}


def declared() -> dict[str, str]:
    return ranges(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"])


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return ranges([line for line in lines if line and not line.startswith("#")])


def test_environment_yml_equals_pyproject() -> None:
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    listed = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    assert "-c constraints.txt" in listed and "-e ." in listed
    assert ranges([line for line in listed if not line.startswith("-")]) == declared()
    python = next(entry for entry in conda if isinstance(entry, str) and entry.startswith("python"))
    assert Requirement(python).specifier == Requirement(f"python{PROJECT['requires-python']}").specifier


def test_every_declared_package_has_an_exact_pin_inside_its_range() -> None:
    exact = pins()
    assert all(re.fullmatch(r"==[^*,]+", version) for version in exact.values())
    for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]:
        requirement = Requirement(line)
        version = exact.get(canonicalize_name(requirement.name), "").removeprefix("==")
        assert version and requirement.specifier.contains(version), f"{line}: pinned to {version or 'nothing'}"


def test_every_range_is_bounded_on_both_sides() -> None:
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    for line in PROJECT["dependencies"] + extras:
        operators = {specifier.operator for specifier in Requirement(line).specifier}
        assert {">=", "<"} <= operators, f"{line}: give a lower and an upper bound"


def test_the_core_still_allows_the_torch_of_gpu_machines() -> None:
    torch = next(Requirement(line) for line in PROJECT["dependencies"] if line.startswith("torch"))
    assert torch.specifier.contains("2.11.0") and torch.specifier.contains("2.13.0")


def test_the_extras_of_the_design_exist() -> None:
    assert set(PROJECT["optional-dependencies"]) == {"sim", "tools", "scale", "site", "dev"}
    assert PROJECT["scripts"] == {"metarl": "metarl_lab.commands.cli:main"}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "notebooks/index.md"])
def test_a_make_command_that_a_page_names_exists(page: str) -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^ {0,4}|&& )make ([a-z-]+)", text, flags=re.MULTILINE))
    assert named <= known, f"{page} names make targets that do not exist: {sorted(named - known)}"


def test_chapter_links_are_up_to_date() -> None:
    answer = subprocess.run(
        [sys.executable, "tools/chapters.py", "links", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout


def test_the_chapter_index_lists_28_chapters() -> None:
    page = (ROOT / "notebooks" / "index.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\d\d) \|", page, flags=re.MULTILINE) == [f"{number:02}" for number in range(28)]
