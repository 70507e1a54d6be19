"""The folder of one training run: config.json, metrics.csv, checkpoints/, and TensorBoard's logs when asked."""

from __future__ import annotations

import csv
import io
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from torch import Tensor

from metarl_lab.runs.checkpoint import Checkpoint, checkpoint_name, last_checkpoint, list_checkpoints, write_checkpoint
from metarl_lab.runs.files import full_disk_explained, is_leftover, remove_leftovers, write_whole

# What a run's folder holds; a run is started in none that holds anything else.
_OURS = ("config.json", "metrics.csv", "checkpoints", "tensorboard", ".lock")

Row = dict[str, float]
"""One iteration: ``iteration`` (1, 2, ...), ``env_steps`` and ``seconds`` so far, then every metric."""


class RunFolder:
    """Owns a run's folder while it trains; made by ``create`` or ``reopen``, given up by ``close``."""

    def __init__(self, path: Path, config: dict[str, Any], rows: list[Row]) -> None:
        self.path = path
        self.config = config
        self.rows = rows
        self._lock = _lock(path)
        self._tensorboard: Any = None
        self._file: IO[str] | None = None
        remove_leftovers(path)
        remove_leftovers(path / "checkpoints")

    @classmethod
    def create(cls, path: Path, config: dict[str, Any]) -> RunFolder:
        """Claim a folder for a new run: a new one, an empty one, or one in which a run has not done an iteration yet.

        Raises ValueError, with nothing touched, for a folder that holds a run or anything else.
        """
        if path.exists() and not path.is_dir():
            raise ValueError(f"{path} is a file; choose a folder for the run")
        names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
        foreign = [name for name in names if name not in _OURS and not is_leftover(name)]
        if foreign:
            what = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
            raise ValueError(f"{path.absolute()} holds other files ({what}); choose a new folder for the run")
        if _holds_more_than_a_start(path):
            todo = f"continue it with `metarl resume {path}`, or choose another folder"
            raise ValueError(f"{path} already holds {_summary(path)}; {todo}")
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        folder = cls(path, config, [])
        for initial in list_checkpoints(path / "checkpoints"):  # of weights that nobody has trained
            initial.unlink()
        return folder

    @classmethod
    def reopen(cls, path: Path) -> tuple[RunFolder, Checkpoint]:
        """The run in a folder, put back to its last whole checkpoint, and that checkpoint."""
        config = read_config(path)
        last = last_checkpoint(path / "checkpoints")
        # rows after the checkpoint will be computed again; the last line may be half written
        rows = [r for r in _read_rows(path / "metrics.csv") if r["iteration"] <= last.about["iteration"]]
        folder = cls(path, config, rows)
        for later in list_checkpoints(path / "checkpoints"):
            if later > last.path:  # found damaged: must not count among the last few to keep
                later.rename(later.with_suffix(".damaged"))
        return folder, last

    def open(self) -> None:
        """Write the configuration and the rows so far, and start streaming."""
        write_whole(self.path / "config.json", (json.dumps(self.config, indent=2) + "\n").encode())
        self._rewrite()
        if self.config["tensorboard"]:
            from torch.utils.tensorboard import SummaryWriter  # seconds to import: only when asked

            self._tensorboard = SummaryWriter(str(self.path / "tensorboard"), purge_step=len(self.rows) + 1)

    def append(self, row: Row) -> None:
        """Stream one row; a line reaches the file at once."""
        known = self.rows[0].keys() if self.rows else ()
        self.rows.append(row)
        if row.keys() - known:
            self._rewrite()  # the first row, or a metric that was not reported before: a new header
        else:
            with full_disk_explained(self.path / "metrics.csv"):
                self._writer.writerow(row)
        if self._tensorboard is not None:
            for key, value in row.items():
                if key != "iteration":
                    self._tensorboard.add_scalar(key, value, int(row["iteration"]))

    def save(self, tensors: dict[str, Tensor], about: dict[str, Any]) -> Path:
        """Write a checkpoint; the rows that it counts on reach the disk first."""
        try:
            if self._file is not None:
                with full_disk_explained(self.path / "metrics.csv"):
                    os.fsync(self._file.fileno())
            return write_checkpoint(self.path / "checkpoints", tensors, about, self.config["keep"])
        except OSError as error:
            there = list_checkpoints(self.path / "checkpoints")
            if not there:
                raise
            raise OSError(f"{error}; then `metarl resume {self.path}` goes on from {there[-1].name}") from error

    def truncate(self, iteration: int) -> None:
        """Forget the rows after an iteration."""
        self.rows[:] = [r for r in self.rows if r["iteration"] <= iteration]
        self._rewrite()

    def close(self) -> None:
        """Give the folder up; safe to call twice."""
        for thing in (self._file, self._tensorboard, self._lock):
            if thing is not None:
                with suppress(OSError):  # a full disk has been reported where the row was written
                    thing.close()
        self._file = self._tensorboard = self._lock = None

    def _rewrite(self) -> None:
        """Write all rows anew, under a header that names every metric so far."""
        names = list(dict.fromkeys(key for row in self.rows for key in row))
        for row in self.rows:
            row.update({name: float("nan") for name in names if name not in row})
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        if names:
            writer.writeheader()
        writer.writerows(self.rows)
        path = self.path / "metrics.csv"
        write_whole(path, text.getvalue().encode())
        if self._file is not None:
            self._file.close()
        self._file = open(path, "a", newline="", buffering=1)  # noqa: SIM115 (closed by close)
        self._writer = csv.DictWriter(self._file, names, lineterminator="\n", restval=float("nan"))


def _holds_more_than_a_start(path: Path) -> bool:
    """Whether a folder holds an iteration of a run, or what cannot be told from one."""
    later = [file for file in list_checkpoints(path / "checkpoints") if file.name != checkpoint_name(0)]
    if later or (path / "tensorboard").exists():
        return True
    try:
        foreign = (path / "config.json").exists() and "learner" not in read_config(path)
        return foreign or bool(_read_rows(path / "metrics.csv"))
    except (ValueError, KeyError, TypeError):  # not ours, or damaged
        return True


def read_config(path: Path) -> dict[str, Any]:
    """config.json of a run; FileNotFoundError when there is no run."""
    file = path / "config.json"
    if not file.is_file():
        raise FileNotFoundError(f"{path} holds no run (no config.json); start one with `metarl train ... --out {path}`")
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); restore it, or start again in another folder") from error


def _read_rows(path: Path) -> list[Row]:
    """Rows of a metrics.csv, without a last line that a killed process left unfinished."""
    if not path.is_file():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(io.StringIO(whole))]
    return [{**row, "iteration": int(row["iteration"]), "env_steps": int(row["env_steps"])} for row in rows]


def _summary(path: Path) -> str:
    """The run in a folder, in words."""
    try:
        config = read_config(path)
        return f"a run ({config['learner']['name']} on {config['family']['name']}, {config['iterations']} iterations)"
    except (OSError, ValueError, KeyError):
        return "checkpoints"


def _lock(path: Path) -> IO[str] | None:
    """Hold the folder against a second process; the system lets go when the process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows: no such lock, and no second guess
        return None
    file = open(path / ".lock", "w")  # noqa: SIM115 (held as long as the run)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise ValueError(f"another process is training in {path}; wait for it, or choose another folder") from error
    except OSError:  # a file system without locks
        pass
    return file
