"""Checkpoints are whole or refused; nothing is ever unpickled."""

from __future__ import annotations

import ast
import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from toy import Remembering, Toy, bandit, same, state_of, toy

import metarl_lab as ml
from metarl_lab.runs import files
from metarl_lab.runs.checkpoint import (
    DamagedFileError,
    gather,
    last_checkpoint,
    read_checkpoint,
    restore,
    write_checkpoint,
)

ROOT = Path(__file__).resolve().parents[2]
TENSORS = {
    "learner/w": torch.randn(3, 4),
    "learner/flags": torch.tensor([True, False]),
    "learner/count": torch.tensor(7),
    "learner/nothing": torch.zeros(0, 5),
    "learner/half": torch.randn(5).to(torch.bfloat16),
    "sampler/big": torch.tensor([2**40]),
    "optimizer/lr": torch.tensor([0.1], dtype=torch.float64),
}


def store(folder: Path, iteration: int = 1, keep: int = 3) -> Path:
    return write_checkpoint(folder, TENSORS, {"iteration": iteration, "seed": 5}, keep)


def test_every_type_and_shape_comes_back_bit_for_bit(tmp_path: Path) -> None:
    read = read_checkpoint(store(tmp_path))
    assert same(read.tensors, TENSORS) and all(read.tensors[k].dtype == TENSORS[k].dtype for k in TENSORS)
    assert read.about == {"iteration": 1, "seed": 5}


def test_tied_weights_are_stored_twice_and_come_back(tmp_path: Path) -> None:
    w = torch.randn(2, 2)
    path = write_checkpoint(tmp_path, {"learner/a": w, "learner/b": w.T}, {"iteration": 0}, 1)
    assert torch.equal(read_checkpoint(path).tensors["learner/b"], w.T)


def test_a_file_cut_off_anywhere_is_damaged(tmp_path: Path) -> None:
    path = store(tmp_path)
    raw = path.read_bytes()
    for length in {0, 1, 7, 8, 9, 100, len(raw) // 2, len(raw) - 1, *random.Random(0).sample(range(len(raw)), 40)}:
        path.write_bytes(raw[:length])
        with pytest.raises(DamagedFileError, match=path.name):
            read_checkpoint(path)
    path.write_bytes(raw + b"\0")
    with pytest.raises(DamagedFileError):
        read_checkpoint(path)


def test_a_changed_byte_is_never_taken_for_the_original(tmp_path: Path) -> None:
    path = store(tmp_path)
    raw = bytearray(path.read_bytes())
    for i in range(0, len(raw), 3):
        raw[i] ^= 0x20
        path.write_bytes(raw)
        with pytest.raises(ValueError, match=path.name):  # damaged, or (a letter of the format's name) foreign
            read_checkpoint(path)
        raw[i] ^= 0x20


def test_a_block_of_zeros_after_a_power_cut_is_damaged(tmp_path: Path) -> None:
    path = store(tmp_path)
    raw = path.read_bytes()
    path.write_bytes(raw[:-24] + bytes(24))
    with pytest.raises(DamagedFileError, match="checksum"):
        read_checkpoint(path)


def test_damaged_checkpoints_are_skipped_by_name_and_none_left_is_an_error(tmp_path: Path) -> None:
    paths = [store(tmp_path, i) for i in (1, 2, 3)]
    paths[2].write_bytes(b"")
    paths[1].write_bytes(b"not a checkpoint at all")
    with pytest.warns(UserWarning) as warned:
        assert last_checkpoint(tmp_path).path == paths[0]
    text = [str(w.message) for w in warned]
    assert paths[2].name in text[0] and paths[1].name in text[1]
    paths[0].write_bytes(b"\x80")
    with pytest.warns(UserWarning), pytest.raises(FileNotFoundError, match="no whole checkpoint"):
        last_checkpoint(tmp_path)


def test_a_foreign_safetensors_file_is_not_skipped_but_refused(tmp_path: Path) -> None:
    store(tmp_path, 1)
    safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "iteration-00000002.safetensors")
    with pytest.raises(ValueError, match="its format is none"):
        last_checkpoint(tmp_path)
    safetensors.torch.save_file(
        {"w": torch.ones(2)}, tmp_path / "iteration-00000002.safetensors", {"format": "metarl_lab checkpoint 2"}
    )
    with pytest.raises(ValueError, match="its format is metarl_lab checkpoint 2"):
        last_checkpoint(tmp_path)


def test_state_of_another_shape_changes_nothing() -> None:
    learner, sampler = toy(), Remembering()
    before = state_of(learner)
    wide = Toy(ml.make_family("bernoulli_bandit", arms=5).spec, learner.config)
    with pytest.raises(ValueError, match=r"logits is \(5,\) in the file and \(3,\) in the learner"):
        restore(learner, sampler, gather(wide, sampler))
    assert same(before, state_of(learner))


def no_space(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_earlier_checkpoints_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(files.os, step, no_space)
        with pytest.raises(OSError, match="the disk is full: .*iteration-00000002"):
            store(tmp_path, 2, keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["iteration-00000001.safetensors"], "no half-written file is left"
    assert same(last_checkpoint(tmp_path).tensors, TENSORS)


@pytest.mark.parametrize("what", ["checkpoint", "metrics"])
def test_a_run_on_a_full_disk_says_so_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def run(during: Callable[[int, dict[str, float]], Any], out: Path | None) -> Toy:
        learner = toy()
        learner.during = during
        ml.train(learner, bandit(), 6, seed=5, device="cpu", progress=False, out=out, checkpoint_every=2)
        return learner

    def fill(iteration: int, values: dict[str, float]) -> None:
        if iteration == 4 and what == "checkpoint":
            monkeypatch.setattr(files.os, "fsync", no_space)
        if iteration == 5 and what == "metrics":
            values["late"] = 1.0  # a new column: the file is written anew
            monkeypatch.setattr(files.os, "replace", no_space)

    with pytest.raises(OSError, match="the disk is full"):
        run(fill, tmp_path / "run")
    monkeypatch.undo()
    resumed = ml.resume(tmp_path / "run", learner=toy(4), family=bandit(), progress=False)
    assert same(state_of(resumed.learner), state_of(run(lambda iteration, values: None, None)))
    assert [row["iteration"] for row in resumed.rows] == [1, 2, 3, 4, 5, 6]


def test_the_row_itself_may_be_what_does_not_fit(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    learner = toy()

    def fill(iteration: int, values: dict[str, float]) -> None:
        if iteration == 3:
            os.dup2(os.open("/dev/full", os.O_WRONLY), metrics_descriptor(tmp_path))

    learner.during = fill
    with pytest.raises(OSError, match=r"the disk is full: .*metrics\.csv"):
        ml.train(learner, bandit(), 6, seed=5, device="cpu", progress=False, out=tmp_path / "run", checkpoint_every=1)
    assert last_checkpoint(tmp_path / "run" / "checkpoints").about["iteration"] == 2


def metrics_descriptor(folder: Path) -> int:
    """The descriptor through which this process writes metrics.csv."""
    wanted = str(folder / "run" / "metrics.csv")
    return next(
        int(fd) for fd in os.listdir("/proc/self/fd") if os.path.realpath(f"/proc/self/fd/{fd}") == wanted
    )  # fmt: skip


def test_nothing_in_the_package_can_unpickle() -> None:
    """torch.load, pickle, joblib and friends are not so much as named."""
    banned = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve"}
    for path in (ROOT / "metarl_lab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not banned & {a.name.split(".")[0] for a in node.names}, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in banned, path
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in {("torch", "load"), ("np", "load"), ("torch", "save")}, path
