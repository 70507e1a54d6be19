"""Stored agents say how they were made, come back as they were, and are refused when they are not."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import bandit, same, toy

import metarl_lab as ml
from metarl_lab.runs.agents import save_agent
from metarl_lab.runs.checkpoint import DamagedFileError

CARD: dict[str, Any] = {
    "command": "metarl train rl2 --family bernoulli_bandit --iterations 3",
    "seeds": [0],
    "device": "cpu",
    "wall_seconds": 1.5,
    "env_steps": 300,
    "score": {"mean": 6.6, "low": 6.5, "high": 6.7, "measured": "1000 test tasks, seed 1, 95% over tasks"},
}


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    family = ml.make_family("bernoulli_bandit", arms=3, horizon=4)
    save_agent(tmp_path / "rl2-small", ml.make_learner("rl2", family, hidden=8), family, CARD)
    return tmp_path / "rl2-small"


def test_a_stored_agent_comes_back_with_its_family_and_card(agent: Path) -> None:
    family = ml.make_family("bernoulli_bandit", arms=3, horizon=4)
    original = ml.make_learner("rl2", family, hidden=8)
    learner, loaded_family, card = ml.load(agent)
    assert loaded_family == family and learner.config == original.config
    assert same(dict(learner.state_dict()), dict(original.state_dict()))
    assert card["sha256"] == hashlib.sha256((agent / "weights.safetensors").read_bytes()).hexdigest()
    assert card["torch"] == torch.__version__ and card["score"] == CARD["score"] and "code_version" in card


def test_a_corrupted_agent_is_refused(agent: Path) -> None:
    weights = agent / "weights.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-3] ^= 1
    weights.write_bytes(raw)
    with pytest.raises(DamagedFileError, match=r"weights\.safetensors is corrupted"):
        ml.load(agent)
    (agent / "card.json").write_text("{")
    with pytest.raises(DamagedFileError, match=r"card\.json is corrupted"):
        ml.load(agent)


def test_a_card_must_say_how_the_agent_was_made(tmp_path: Path) -> None:
    learner = toy()
    lacking = {k: v for k, v in CARD.items() if k != "command"} | {"score": {"mean": 1.0}}
    with pytest.raises(ValueError, match=r"lacks command, score\.low, score\.high, score\.measured"):
        save_agent(tmp_path / "x", learner, bandit(), lacking)
    assert not (tmp_path / "x").exists()


def test_a_relative_path_is_found_from_notebooks_and_a_missing_one_lists_what_there_is(
    agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = agent.parent / "book"
    (root / "notebooks").mkdir(parents=True)
    (root / "pyproject.toml").write_text("")
    (root / "data" / "checkpoints").mkdir(parents=True)
    agent.rename(root / "data" / "checkpoints" / "rl2-small")
    monkeypatch.chdir(root / "notebooks")
    ml.load("data/checkpoints/rl2-small")
    with pytest.raises(FileNotFoundError, match="is not there; stored agents: .*data/checkpoints/rl2-small"):
        ml.load("data/checkpoints/rl2-smal")


def test_a_runs_folder_loads_as_its_last_checkpoint(tmp_path: Path) -> None:
    family = ml.make_family("bernoulli_bandit", arms=3, horizon=4)
    learner = ml.make_learner("rl2", family, hidden=8, meta_batch=8)
    ml.train(learner, family, 2, out=tmp_path / "run", device="cpu", progress=False)
    loaded, loaded_family, card = ml.load(tmp_path / "run")
    assert same(dict(loaded.state_dict()), dict(learner.state_dict()))
    assert loaded_family == family and card["iteration"] == 2
