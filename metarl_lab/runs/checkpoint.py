"""Checkpoints that are whole or absent: one safetensors file each, written atomically, verified when read.

A checkpoint holds tensors (weights, optimisers, sampler) and a description as JSON in safetensors' ``__metadata__``.
Nothing here reads or writes a pickle, so a file from a stranger can be refused but cannot run code.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from metarl_lab.learners.base import MetaLearner
from metarl_lab.runs.files import write_whole
from metarl_lab.samplers.base import TaskSampler

FORMAT = "metarl_lab checkpoint 1"


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


def part_of(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """What ``gather`` put under ``part``: "learner", "optimizer" or "sampler"."""
    prefix = f"{part}/"
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}


def restore(learner: MetaLearner, sampler: TaskSampler, tensors: dict[str, Tensor], source: str = "checkpoint") -> None:
    """Inverse of ``gather``, in place; ValueError, with nothing changed, when the weights are of another shape."""
    restore_weights(learner, part_of(tensors, "learner"), source)
    learner.load_training_state(part_of(tensors, "optimizer"))
    sampler.load_state(part_of(tensors, "sampler"))


def restore_weights(learner: MetaLearner, weights: dict[str, Tensor], source: str) -> None:
    """Load weights in place; ValueError, with nothing changed, when their names or shapes are not the learner's."""
    mine = {name: tuple(x.shape) for name, x in learner.state_dict().items()}
    theirs = {name: tuple(x.shape) for name, x in weights.items()}
    different = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
    if different:
        name = different[0]
        raise ValueError(
            f"{source} does not fit this {learner.name}: {name} is {theirs.get(name, 'absent')} in the file and "
            f"{mine.get(name, 'absent')} in the learner; make the learner with the configuration it was saved with"
        )
    learner.load_state_dict(weights)


def storable(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A copy of each tensor, in main memory: safetensors refuses those that share storage (tied weights)."""
    return {name: x.detach().to("cpu", copy=True).contiguous() for name, x in tensors.items()}


def write_checkpoint(folder: Path, tensors: dict[str, Tensor], about: dict[str, Any], keep: int) -> Path:
    """Write ``iteration-XXXXXXXX.safetensors`` in ``folder`` atomically, then delete all but the last ``keep``."""
    path = folder / checkpoint_name(about["iteration"])
    whole = storable(tensors)
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
        metadata = _metadata(raw)
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedFileError(f"{path} is damaged ({error})") from error
    if metadata.get("format") != FORMAT:
        found = metadata.get("format", "none")
        raise ValueError(f"{path} is not a checkpoint that this version reads: its format is {found}, not {FORMAT!r}")
    if fingerprint(tensors, metadata.get("about", "")) != metadata.get("sha256"):
        raise DamagedFileError(f"{path} is damaged (its checksum does not match)")
    return Checkpoint(path, tensors, json.loads(metadata["about"]))


def _metadata(raw: bytes) -> dict[str, str]:
    """``__metadata__`` of a safetensors file: its header is a length, 8 little-endian bytes, then JSON."""
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]).get("__metadata__", {})


def last_checkpoint(folder: Path) -> Checkpoint:
    """The last whole checkpoint in a folder; a damaged one is skipped with a warning that names it."""
    for path in reversed(list_checkpoints(folder)):
        try:
            return read_checkpoint(path)
        except DamagedFileError as error:
            warnings.warn(f"{error}; falling back to the one before", stacklevel=2)
    raise FileNotFoundError(f"{folder} holds no whole checkpoint; the run has to start again in another folder")


def checkpoint_name(iteration: int) -> str:
    """The file of a checkpoint."""
    return f"iteration-{iteration:08d}.safetensors"


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
