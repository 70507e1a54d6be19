#!/usr/bin/env python
"""Chapters: text (notebooks/text/NN_name.py, what an author edits) -> executed notebook (notebooks/NN_name.ipynb).

    python tools/notebooks.py build [NN ...]     execute and store; a chapter that fails keeps its old notebook
    python tools/notebooks.py check [NN ...]     the rules of DESIGN section 5, on what is stored; runs nothing
    python tools/notebooks.py run SPEED [NN ...]   execute at peek, quick or full, store nothing; only errors count
    python tools/notebooks.py static OUT [NN ...]  copies without widgets, only their pictures: for a site, no network

Contents are compared, never file times. A build executes whatever the text says, in quick mode, and the same text with
the same outputs gives the same bytes: cell ids come from the sources, widget ids from their order, nothing is dated.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import notebook_checks as rules

ROOT = Path(__file__).resolve().parent.parent
BOOKS = ROOT / "notebooks"
SECONDS = 60  # a chapter's budget in quick mode on two cores
# Boxes of the book. JupyterLab and the site know the classes "alert ..." and give them a colour, GitHub drops them and
# shows the text; the last class is ours, for the site's own look (docs/_static/lab.css).
BOXES = {
    "algorithm": "alert alert-block alert-info metarl-algorithm",
    "worked-example": "alert alert-block alert-success metarl-example",
    "document": "alert alert-block alert-warning metarl-document",
}
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def chapters(numbers: list[str], books: Path = BOOKS) -> list[Path]:
    """Return the texts of the given chapters ("01" or "1"), or of all, in order."""
    texts = sorted((books / "text").glob("[0-9][0-9]_*.py"))
    wanted = {n.zfill(2) for n in numbers}
    if missing := wanted - {t.name[:2] for t in texts}:
        raise ValueError(
            f"no chapter {', '.join(sorted(missing))}; there are: {', '.join(t.stem for t in texts) or 'none'}"
        )
    return [t for t in texts if not wanted or t.name[:2] in wanted]


def stored(text: Path) -> Path:
    """Return the notebook of a text: one folder up, .ipynb."""
    return text.parent.parent / f"{text.stem}.ipynb"


def read_text(text: Path) -> Any:
    """Read a chapter's text as a notebook without outputs, with cell ids that depend on the sources alone."""
    nb = jupytext.reads(text.read_text(encoding="utf-8"), fmt="py:percent")
    seen: dict[str, int] = {}
    for cell in nb.cells:
        key = sha256(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:10]
        seen[key] = seen.get(key, 0) + 1
        cell.id = f"{key}-{seen[key]}"
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if rules.SCAFFOLDING in tags:
            cell.metadata["jupyter"] = {"source_hidden": True}  # JupyterLab's word for what the site calls hide-input
        if box := next((BOXES[tag] for tag in tags if tag in BOXES), None):
            cell.source = f'<div class="{box}">\n\n{cell.source.strip()}\n\n</div>'
    nb.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python", "file_extension": ".py"}}
    )
    nb.nbformat, nb.nbformat_minor = 4, 5
    return nb


def execute(nb: Any, folder: Path, timeout: float = 600, speed: str = "quick") -> Any:
    """Run a notebook in `folder`, as JupyterLab would, at a speed, with no progress of the author's kept."""
    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as home:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        env = {**os.environ, "METARL_SPEED": speed, "METARL_HOME": home, "PYTHONHASHSEED": "0", "PYTHONPATH": path}
        client = NotebookClient(
            nb,
            timeout=timeout,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute(env=env)
    return tidy(nb)


def tidy(nb: Any) -> Any:
    """Take out of an executed notebook what differs from run to run: times, versions, paths, bars, widget ids."""
    nb.metadata.kernelspec = KERNEL
    nb.metadata.language_info = nbformat.from_dict({"name": "python", "file_extension": ".py"})
    for cell in nb.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [o for o in map(without_bars, merge_streams(cell.outputs)) if o is not None]
            for output in cell.outputs:
                if output.output_type == "error":
                    output.traceback = [line.replace(str(ROOT) + os.sep, "") for line in output.traceback]
    return fixed_widget_ids(nb)


def merge_streams(outputs: list[Any]) -> list[Any]:
    """Join neighbouring pieces of one stream, which arrive cut at random places."""
    merged: list[Any] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def without_bars(output: Any) -> Any | None:
    """Drop the lines of progress bars from stderr; None if nothing is left. Other lines stay, and `check` objects."""
    if output.output_type != "stream" or output.name != "stderr":
        return output
    lines = re.split(r"[\r\n]+", output.text)
    kept = [line for line in lines if line.strip() and not re.search(r"\d+%\||\bit/s|s/it|\d+it \[|^\x1b\[A$", line)]
    output.text = "\n".join(kept)
    return output if kept else None


def fixed_widget_ids(nb: Any) -> Any:
    """Number the widgets in the order in which they were made, and keep only those that an output shows.

    Explorers, games and quizzes have fixed ids already (metarl_lab.teach.base.fix_ids); those stay, as a running
    kernel uses them too.
    """
    state = nb.metadata.get("widgets", {}).get(rules.STATE, {}).get("state", {})
    if not state:
        nb.metadata.pop("widgets", None)  # GitHub refuses a file that has widgets without a state
        return nb
    roots = [
        o.data[rules.WIDGET]["model_id"]
        for c in nb.cells
        for o in c.get("outputs", [])
        if rules.WIDGET in o.get("data", {})
    ]
    needed: set[str] = set()
    todo = [r for r in roots if r in state]
    while todo:
        current = todo.pop()
        needed.add(current)
        found = re.findall(r"IPY_MODEL_(\w+)", json.dumps(state[current]))
        todo += [i for i in found if i in state and i not in needed]
    kept = {key: value for key, value in state.items() if key in needed}
    nb.metadata.widgets[rules.STATE]["state"] = kept
    whole = json.dumps(nb)
    for number, old in enumerate(k for k in kept if not k.startswith("metarl")):
        whole = whole.replace(old, f"metarlpart{number:022d}")
    return nbformat.from_dict(json.loads(whole))


def build(text: Path, timeout: float = 600) -> bool:
    """Execute one chapter and store it; return whether it stands. On failure the old notebook is left as it was."""
    out, start = stored(text), time.monotonic()
    try:
        nb = execute(read_text(text), out.parent, timeout)
        if problems := rules.raising(nb):
            raise RuntimeError("; ".join(problems))
    except Exception as error:
        kept = "the stored notebook is unchanged" if out.exists() else "nothing is stored"
        print(f"{text.stem}: FAILED, {kept}\n{str(error)[-3000:]}", file=sys.stderr)
        return False
    took = time.monotonic() - start
    content = (json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
    same = out.exists() and out.read_bytes() == content
    if not same:
        write(out, content)
    late = f"; the budget is {SECONDS} s" if took > SECONDS else ""
    print(f"{text.stem}: {'unchanged' if same else 'stored'}, {len(content):,} bytes, {took:.0f} s{late}")
    return True


def run(text: Path, speed: str, timeout: float = 600) -> bool:
    """Execute one chapter at a speed and store nothing; whether it ran to its end. What it prints is not compared."""
    start = time.monotonic()
    try:
        execute(read_text(text), stored(text).parent, timeout, speed)
    except Exception as error:
        print(f"{text.stem} at {speed}: FAILED\n{str(error)[-3000:]}", file=sys.stderr)
        return False
    print(f"{text.stem} at {speed}: ran, {time.monotonic() - start:.0f} s", flush=True)
    return True


def write(out: Path, content: bytes) -> None:
    """Replace a file in one step: a reader sees the old one or the new one, never half of one."""
    handle, temporary = tempfile.mkstemp(dir=out.parent, prefix=f".{out.stem}", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, out)
    finally:
        Path(temporary).unlink(missing_ok=True)


def check(text: Path, defined: dict[str, Any] | None = None) -> list[str]:
    """Return every problem of one stored chapter; `defined` holds the exercises that exist, by id."""
    out = stored(text)
    if not out.exists():
        return ["there is no notebook: run `make notebooks`"]
    nb, number = nbformat.read(out, as_version=4), text.name[:2]
    return [
        *rules.pairing(nb, read_text(text)),
        *rules.sizes(nb, out.stat().st_size),
        *rules.headings(nb, number),
        *rules.verified(nb),
        *rules.scaffolding(nb),
        *rules.boxes(nb),
        *rules.raising(nb),
        *rules.formulas(nb),
        *rules.alt_text(nb),
        *rules.widget_pictures(nb),
        *rules.exercises(nb, number, defined),
        *rules.names(nb, number, defined),
    ]


def without_widgets(nb: Any) -> Any:
    """Return the notebook with pictures in place of widgets: pages built from it need no script from a network."""
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(rules.WIDGET, None)
    return nb


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("build", "check", "run", "static"):
        command = commands.add_parser(name)
        if name == "static":
            command.add_argument("out", type=Path)
        if name == "run":
            command.add_argument("speed", choices=("peek", "quick", "full"))
            command.add_argument("--jobs", type=int, default=1, help="chapters at once (default: 1)")
        command.add_argument("numbers", nargs="*", metavar="NN")
    given = parser.parse_args(arguments)
    try:
        texts = chapters(given.numbers)
    except ValueError as error:
        parser.error(str(error))
    if given.command == "build":
        built = [build(text) for text in texts]  # every one, also after a failure
        return 1 - all(built)
    if given.command == "run":
        with ThreadPoolExecutor(given.jobs) as pool:  # each chapter runs in a kernel, a process of its own
            return 1 - all(list(pool.map(lambda text: run(text, given.speed), texts)))
    if given.command == "static":
        given.out.mkdir(parents=True, exist_ok=True)
        for text in texts:
            nb = without_widgets(nbformat.read(stored(text), as_version=4))
            nbformat.write(nb, given.out / stored(text).name)
        return 0
    sys.path.insert(0, str(ROOT))  # the package of this checkout, installed or not
    from metarl_lab.teach.exercises import every

    bad = 0
    for text in texts:
        problems = check(text, every("EXERCISES"))
        bad += bool(problems)
        print("\n".join([f"{text.stem}: {'good' if not problems else ''}", *problems]))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
