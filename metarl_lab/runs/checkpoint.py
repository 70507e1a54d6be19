"""Checkpoints that are whole or absent: one safetensors file each, written atomically, verified when read.

A checkpoint holds tensors (weights, optimisers, sampler) and a description as JSON in safetensors' ``__metadata__``.
Nothing here reads or writes a pickle, so a file from a stranger can be refused but cannot run code.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import subprocess
import warnings
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from metarl_lab.catalog import make_family, make_learner
from metarl_lab.learners.base import MetaLearner
from metarl_lab.runs.files import find_folder, write_whole
from metarl_lab.samplers.base import TaskSampler
from metarl_lab.tasks.base import TaskFamily

FORMAT = "metarl_lab checkpoint 1"
_NAME = "iteration-{:08d}.safetensors"


class DamagedFileError(ValueError):
    """A file that is truncated, garbled, or not what its checksum says."""


class Checkpoint(NamedTuple):
    """``about`` is plain JSON: format, iteration, env steps, learner, family, sampler, seed, versions."""

    path: Path
    tensors: dict[str, Tensor]
    about: dict[str, Any]


def gather(learner: MetaLearner, sampler: TaskSampler) -> dict[str, Tensor]:
    """Everything that changes while training, copied: ``learner/...``, ``optimizer/...`` and ``sampler/...``."""
    parts = {"learner": learner.state_dict(), "optimizer": learner.training_state(), "sampler": sampler.state()}
    return {f"{part}/{key}": x.detach().clone() for part, state in parts.items() for key, x in state.items()}


def restore(learner: MetaLearner, sampler: TaskSampler, tensors: dict[str, Tensor], source: str = "checkpoint") -> None:
    """Inverse of ``gather``, in place; ValueError, with nothing changed, when the weights are of another shape."""
    parts: dict[str, dict[str, Tensor]] = {"learner": {}, "optimizer": {}, "sampler": {}}
    for name, x in tensors.items():
        part, key = name.split("/", 1)
        parts[part][key] = x
    restore_weights(learner, parts["learner"], source)
    learner.load_training_state(parts["optimizer"])
    sampler.load_state(parts["sampler"])


def restore_weights(learner: MetaLearner, weights: dict[str, Tensor], source: str) -> None:
    """Load weights in place; ValueError, with nothing changed, when their names or shapes are not the learner's."""
    mine = {k: tuple(v.shape) for k, v in learner.state_dict().items()}
    theirs = {k: tuple(v.shape) for k, v in weights.items()}
    if mine != theirs:
        name = sorted(k for k in mine.keys() | theirs.keys() if mine.get(k) != theirs.get(k))[0]
        raise ValueError(
            f"{source} does not fit this {learner.name}: {name} is {theirs.get(name, 'absent')} in the file and "
            f"{mine.get(name, 'absent')} in the learner; make the learner with the configuration it was saved with"
        )
    learner.load_state_dict(weights)


def describe(learner: MetaLearner, family: TaskFamily, sampler: TaskSampler | None = None) -> dict[str, Any]:
    """Names and configurations, as plain JSON values."""
    about = {"learner": {"name": learner.name, "config": asdict(learner.config)}}
    about["family"] = {"name": family.name, "config": family.config}
    if sampler is not None:
        about["sampler"] = {"name": sampler.name, "config": asdict(sampler.config)}
    return json.loads(json.dumps(about))  # so that it equals itself after a file: tuples become lists


def options(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration read from JSON as keyword arguments; configurations are frozen, so their lists were tuples."""

    def frozen(value: Any) -> Any:
        return tuple(frozen(v) for v in value) if isinstance(value, list) else value

    return {key: frozen(value) for key, value in config.items()}


def write_checkpoint(folder: Path, tensors: dict[str, Tensor], about: dict[str, Any], keep: int) -> Path:
    """Write ``iteration-XXXXXXXX.safetensors`` in ``folder`` atomically, then delete all but the last ``keep``."""
    path = folder / _NAME.format(about["iteration"])
    # a copy of each: safetensors refuses tensors that share storage (tied weights)
    whole = {name: x.detach().to("cpu", copy=True).contiguous() for name, x in tensors.items()}
    text = json.dumps(about, sort_keys=True)
    metadata = {"format": FORMAT, "about": text, "sha256": fingerprint(whole, text)}
    write_whole(path, safetensors.torch.save(whole, metadata))
    for old in list_checkpoints(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and verify one checkpoint.

    Raises
    ------
    DamagedFileError
        The file is truncated or garbled.
    ValueError
        The file is whole, but no checkpoint of this format.
    """
    raw = path.read_bytes()
    try:
        tensors = safetensors.torch.load(raw)
        # the header: its length as 8 little-endian bytes, then JSON
        metadata = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")]).get("__metadata__", {})
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedFileError(f"{path} is damaged ({error})") from error
    if metadata.get("format") != FORMAT:
        found = metadata.get("format", "none")
        raise ValueError(f"{path} is not a checkpoint that this version reads: its format is {found}, not {FORMAT!r}")
    if fingerprint(tensors, metadata.get("about", "")) != metadata.get("sha256"):
        raise DamagedFileError(f"{path} is damaged (its checksum does not match)")
    return Checkpoint(path, tensors, json.loads(metadata["about"]))


def last_checkpoint(folder: Path) -> Checkpoint:
    """The last whole checkpoint in a folder; a damaged one is skipped with a warning that names it."""
    for path in reversed(list_checkpoints(folder)):
        try:
            return read_checkpoint(path)
        except DamagedFileError as error:
            warnings.warn(f"{error}; falling back to the one before", stacklevel=2)
    raise FileNotFoundError(f"{folder} holds no whole checkpoint; the run has to start again in another folder")


def list_checkpoints(folder: Path) -> list[Path]:
    """Files named as checkpoints, oldest first."""
    return sorted(folder.glob("iteration-*.safetensors"))


def fingerprint(tensors: dict[str, Tensor], text: str = "") -> str:
    """Sha256 over names, types, shapes and bytes of all tensors, and over ``text``."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        x = tensors[name]
        digest.update(f"\n{name} {x.dtype} {tuple(x.shape)}\n".encode())
        digest.update(x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


_CARD = ("command", "seeds", "device", "wall_seconds", "env_steps", "score")
_SCORE = ("mean", "low", "high", "measured")


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
    absent = [k for k in _CARD if k not in card] + [f"score.{k}" for k in _SCORE if k not in card.get("score", {})]
    if absent:
        raise ValueError(f"the card of {folder} lacks {', '.join(absent)}; a stored agent says how it was made")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {k: x.detach().to("cpu", copy=True).contiguous() for k, x in learner.state_dict().items()}
    data = safetensors.torch.save(weights)
    whole = {**card, **describe(learner, family), **versions(), "sha256": hashlib.sha256(data).hexdigest()}
    write_whole(folder / "weights.safetensors", data)
    write_whole(folder / "card.json", (json.dumps(whole, indent=2) + "\n").encode())
    return whole


def load(folder: str | Path) -> tuple[MetaLearner, TaskFamily, dict[str, Any]]:
    """A stored agent, the family it was trained on, and its card: ``load("data/checkpoints/maml-point_navigation")``.

    A run's folder will do too: its last whole checkpoint, with that checkpoint's description as the card. A relative
    path is looked for here and then below the repository root. ValueError when the weights are not those that the card
    was written for; FileNotFoundError, naming the agents there are, when the folder is not there.
    """
    where = find_folder(folder)
    if (where / "checkpoints").is_dir():
        last = last_checkpoint(where / "checkpoints")
        learner, family = remake(last.about)
        restore_weights(
            learner, {k[8:]: v for k, v in last.tensors.items() if k.startswith("learner/")}, str(last.path)
        )
        return learner, family, last.about
    if not (where / "card.json").is_file() or not (where / "weights.safetensors").is_file():
        there = sorted(str(p.parent) for p in find_folder("data/checkpoints").glob("*/card.json"))
        what = "lacks card.json or weights.safetensors" if where.is_dir() else "is not there"
        raise FileNotFoundError(f"{folder} {what}; stored agents: {', '.join(there) or 'none'}")
    try:
        card = json.loads((where / "card.json").read_text())
    except ValueError as error:
        raise DamagedFileError(f"{where}/card.json is corrupted ({error}); fetch it again") from error
    data = (where / "weights.safetensors").read_bytes()
    if hashlib.sha256(data).hexdigest() != card.get("sha256"):
        raise DamagedFileError(
            f"{where}/weights.safetensors is corrupted: its sha256 is not the card's; fetch it again"
        )
    learner, family = remake(card)
    restore_weights(learner, safetensors.torch.load(data), str(where))
    return learner, family, card


def remake(about: dict[str, Any]) -> tuple[MetaLearner, TaskFamily]:
    """The learner (untrained) and the family of a description."""
    family = make_family(about["family"]["name"], **options(about["family"]["config"]))
    return make_learner(about["learner"]["name"], family, **options(about["learner"]["config"])), family


def versions() -> dict[str, Any]:
    """Versions of the code (the git commit, where there is one), of the package and of torch."""
    try:
        package: str | None = importlib.metadata.version("metarl_lab")
    except importlib.metadata.PackageNotFoundError:  # run from a folder, not installed
        package = None
    return {"code_version": _commit(), "metarl_lab": package, "torch": torch.__version__}


@cache
def _commit() -> str | None:
    """The git commit of this code when it was first asked for, "-dirty" when files differ from it; None without git."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # an installed package: a repository around it is someone else's
        return None
    git = ["git", "--no-optional-locks", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(git, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
