"""What lies in data/: every stored agent loads, is what its card says, and its command still parses."""

import json
import shlex
from pathlib import Path

import pytest

import data as recipes
import metarl_lab as ml
from metarl_lab.commands.cli import plan

ROOT = Path(__file__).resolve().parent.parent
AGENTS = sorted(p.parent for p in (ROOT / "data" / "checkpoints").glob("*/card.json"))
# what the chapters and the README load
NEEDED = {
    "rl2-bernoulli_bandit-2x10",
    "rl2-bernoulli_bandit-5x10",
    "rl2-bernoulli_bandit-10x10",
    "rl2-bernoulli_bandit-5x100",
    "maml-point_navigation",
    "finetune-point_navigation",
}


def test_the_agents_that_chapters_load_are_there() -> None:
    assert {p.name for p in AGENTS} >= NEEDED


@pytest.mark.parametrize("folder", AGENTS, ids=lambda p: p.name)
def test_card(folder: Path) -> None:
    learner, family, card = ml.load(folder)  # checks the sha256
    assert folder.name.startswith(f"{learner.name}-{family.name}")
    assert card["seeds"] and card["env_steps"] > 0 and card["code_version"]
    line = shlex.split(card["command"])
    assert line[:2] == ["metarl", "train"]
    wanted = plan(line[2:])  # the command asks for this very learner on this very family
    assert wanted.learner.config == learner.config
    assert wanted.family == family
    # agents of a learned rule start from nothing: what is stored is how they learn
    batches = 8 if learner.name == "learned_rule" else 1
    curve = ml.evaluate(learner, family, n_tasks=16, episodes=2, batches=batches)
    random = ml.evaluate(ml.make_reference("random", family), family, n_tasks=16, episodes=2)
    assert curve.mean[-1] > random.mean[0] or "point_navigation" in folder.name  # MAML starts near its origin


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_recipe(name: str) -> None:
    recipe = recipes.RECIPES[name]
    wanted = plan(shlex.split(recipes.command(recipe, 0, "runs/x"))[2:])
    assert name.startswith(f"{wanted.learner.name}-{wanted.family.name}")
    assert len(recipe.seeds) >= 3


def test_data_stays_small() -> None:
    total = sum(p.stat().st_size for p in (ROOT / "data").rglob("*") if p.is_file())
    assert total < 30 * 2**20, f"data/ holds {total / 2**20:.1f} MB; 30 MB is the limit"


def test_no_card_was_written_by_hand() -> None:
    for folder in AGENTS:
        card = json.loads((folder / "card.json").read_text())
        assert set(card["score"]) >= {"mean", "low", "high", "measured"}
