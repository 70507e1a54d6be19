"""Stored agents: weights, and a card that says how they were made and what they score."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch

from metarl_lab.learners.base import MetaLearner
from metarl_lab.runs.checkpoint import DamagedFileError, last_checkpoint, part_of, restore_weights, storable
from metarl_lab.runs.description import describe, remake, versions
from metarl_lab.runs.files import find_folder, write_whole
from metarl_lab.tasks.base import TaskFamily

_WEIGHTS, _CARD = "weights.safetensors", "card.json"
_CARD_SAYS = ("command", "seeds", "device", "wall_seconds", "env_steps", "score")
_SCORE_SAYS = ("mean", "low", "high", "measured")


def save_agent(folder: str | Path, learner: MetaLearner, family: TaskFamily, card: dict[str, Any]) -> dict[str, Any]:
    """Store an agent for readers: ``weights.safetensors`` and ``card.json``.

    Parameters
    ----------
    folder
        ``data/checkpoints/LEARNER-FAMILY[-SIZE]``.
    card : dict
        ``command`` that remakes it, ``seeds``, ``device``, ``wall_seconds``, ``env_steps`` of its training, and
        ``score``: a dict of ``mean``, ``low``, ``high`` (numbers or lists, return per episode) and ``measured``, a
        sentence that says how (tasks, split, episodes, seed, interval).

    Returns
    -------
    dict
        The card as stored: with learner, family, versions and the sha256 of the weights added.
    """
    _check_card(folder, card)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = safetensors.torch.save(storable(learner.state_dict()))
    whole = {**card, **describe(learner, family), **versions(), "sha256": hashlib.sha256(data).hexdigest()}
    write_whole(folder / _WEIGHTS, data)
    write_whole(folder / _CARD, (json.dumps(whole, indent=2) + "\n").encode())
    return whole


def _check_card(folder: str | Path, card: dict[str, Any]) -> None:
    """Raise ValueError for a card that leaves something out."""
    absent = [key for key in _CARD_SAYS if key not in card]
    absent += [f"score.{key}" for key in _SCORE_SAYS if key not in card.get("score", {})]
    if absent:
        raise ValueError(f"the card of {folder} lacks {', '.join(absent)}; a stored agent says how it was made")


def load(folder: str | Path) -> tuple[MetaLearner, TaskFamily, dict[str, Any]]:
    """A stored agent, the family it was trained on, and its card: ``load("data/checkpoints/maml-point_navigation")``.

    A run's folder will do too: its last whole checkpoint, with that checkpoint's description as the card. A relative
    path is looked for here and then below the repository root. ValueError when the weights are not those that the card
    was written for; FileNotFoundError, naming the agents there are, when the folder is not there.
    """
    where = find_folder(folder)
    if (where / "checkpoints").is_dir():
        return _load_run(where)
    if not (where / _CARD).is_file() or not (where / _WEIGHTS).is_file():
        there = sorted(str(path.parent) for path in find_folder("data/checkpoints").glob(f"*/{_CARD}"))
        problem = f"lacks {_CARD} or {_WEIGHTS}" if where.is_dir() else "is not there"
        raise FileNotFoundError(f"{folder} {problem}; stored agents: {', '.join(there) or 'none'}")
    return _load_stored(where)


def _load_run(where: Path) -> tuple[MetaLearner, TaskFamily, dict[str, Any]]:
    """The agent of a run's last whole checkpoint."""
    last = last_checkpoint(where / "checkpoints")
    learner, family = remake(last.about)
    restore_weights(learner, part_of(last.tensors, "learner"), str(last.path))
    return learner, family, last.about


def _load_stored(where: Path) -> tuple[MetaLearner, TaskFamily, dict[str, Any]]:
    """The agent of a folder with a card, its weights checked against it."""
    try:
        card = json.loads((where / _CARD).read_text())
    except ValueError as error:
        raise DamagedFileError(f"{where}/{_CARD} is corrupted ({error}); fetch it again") from error
    data = (where / _WEIGHTS).read_bytes()
    if hashlib.sha256(data).hexdigest() != card.get("sha256"):
        raise DamagedFileError(f"{where}/{_WEIGHTS} is corrupted: its sha256 is not the card's; fetch it again")
    learner, family = remake(card)
    restore_weights(learner, safetensors.torch.load(data), str(where))
    return learner, family, card
