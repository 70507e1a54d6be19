"""A reader's own copies, for real: `make lab`, an answer, a new edition of the book, and `make lab` again."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from browser.conftest import free_port, wait_for
from browser.test_lab import DONE, NOTEBOOK, ROOT, errors, model, page, shot  # noqa: F401 (page is a fixture)

from metarl_lab.teach.exercises import find

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ANSWERED, RUN, UNTOUCHED = "05_maml.ipynb", "06_the_meta_gradient.ipynb", "00_welcome.ipynb"
EXERCISE = find("05.1")
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
STUB = f"def {EXERCISE.name}(*given):\n    ..."


def chapter(title: str) -> str:
    """A small chapter, as the book stores one: where the kernel works, an exercise, and what the check said."""
    sources = ["import os\n\nfrom metarl_lab.teach import check", "print(os.path.basename(os.getcwd()))", STUB]
    sources.append(f'check("05.1", {EXERCISE.name})' if title.startswith("MAML") else "print(2)")
    cells = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# {title}"}]
    for number, source in enumerate(sources, 1):
        cell = {"cell_type": "code", "execution_count": number, "id": f"c{number}", "metadata": {}, "outputs": []}
        cells.append({**cell, "source": source})
    notebook = {"cells": cells, "metadata": {"kernelspec": KERNEL}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1, sort_keys=True) + "\n"


class Checkout:
    """A git checkout of this repository with three chapters, and the JupyterLab that `tools/lab.py` starts in it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.home = folder / "home"
        self.home.mkdir()
        unwanted = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        for name in ("tools", "metarl_lab"):
            shutil.copytree(ROOT / name, self.root / name, ignore=unwanted)
        for name in (".gitignore", "pyproject.toml", "README.md", f"notebooks/{UNTOUCHED}", "notebooks/index.md"):
            (self.root / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.root / name)
        self.publish(ANSWERED, "MAML")
        self.publish(RUN, "The meta-gradient")
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "METARL_HOME", "IPYTHONDIR")
        self.env = {**os.environ, **{name: str(self.home / name) for name in names}, "PYTHONPATH": str(self.root)}
        self.env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        self.git("init", "-q")
        self.commit()

    def publish(self, name: str, title: str) -> None:
        (self.root / "notebooks" / name).write_text(chapter(title))

    def git(self, *arguments: str) -> str:
        who = ["-c", "user.name=author", "-c", "user.email=author@example.org"]
        answer = subprocess.run(
            ["git", *who, *arguments], cwd=self.root, env=self.env, capture_output=True, text=True, check=True
        )
        return answer.stdout

    def commit(self) -> None:
        self.git("add", ".")
        self.git("commit", "-q", "-m", "an edition")

    def make_lab(self, *options: str) -> list[str]:
        return [sys.executable, str(self.root / "tools" / "lab.py"), "--no-browser", *options]

    def start(self) -> subprocess.Popen:
        """Call `make lab` for the first time; `self.url` is the address that it prints."""
        log = self.home / "lab.log"
        options = [f"--port={free_port()}", "--expose-app-in-browser"]
        with open(log, "w") as out:
            server = subprocess.Popen(
                self.make_lab(*options), env=self.env, cwd=self.root, stdout=out, stderr=out, start_new_session=True
            )
        end = time.monotonic() + 60
        while not (found := re.search(r"http://\S+\?token=\w+", log.read_text())):
            assert time.monotonic() < end and server.poll() is None, log.read_text()
            time.sleep(0.2)
        self.url = found[0].replace("localhost", "127.0.0.1")
        wait_for(self.url.replace("/lab/tree/work/index.md", "/api/status"), server, log)
        return server

    def again(self) -> str:
        """Call `make lab` while the server runs, as after a `git pull`; return what it prints."""
        answer = subprocess.run(
            self.make_lab(), cwd=self.root, env=self.env, capture_output=True, text=True, timeout=120
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def address(self, path: str) -> str:
        return self.url.replace("work/index.md?", f"{path}?reset&")

    def titles(self, name: str) -> str:
        return "".join(json.loads((self.root / "work" / name).read_text())["cells"][0]["source"])


@pytest.fixture
def checkout(tmp_path):
    made = Checkout(tmp_path)
    server = made.start()
    try:
        yield made
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def open_copy(page, checkout, name: str) -> None:  # noqa: F811
    """Open a file of work/ and wait for its cells and its kernel."""
    page.goto(checkout.address(f"work/{name}"))
    page.wait_for_function(
        f"() => {NOTEBOOK}?.context?.path === 'work/{name}' && {NOTEBOOK}.content.widgets?.length"
        f" && {NOTEBOOK}.sessionContext?.session?.kernel?.status === 'idle'"
    )


def run_all(page) -> None:  # noqa: F811
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.wait_for_function(DONE, polling=300)


def save(page) -> None:  # noqa: F811
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function(f"() => !{NOTEBOOK}.content.model.dirty")


def open_index(page, checkout) -> str:  # noqa: F811
    """Open the index page as `make lab` does; return the text that the reader sees."""
    page.goto(checkout.address("work/index.md"))
    page.wait_for_selector(".jp-MarkdownViewer table")
    return page.locator(".jp-MarkdownViewer").inner_text()


def test_an_answer_survives_a_new_edition(page, checkout):  # noqa: F811
    work = checkout.root / "work"
    seen = open_index(page, checkout)
    assert "0 of 1 done" in seen and "<!--" not in seen and "made by make lab" in seen.replace("\n", " ")
    shot(page, "work-index")

    # From the index by its link; the kernel works in work/.
    page.locator(f".jp-MarkdownViewer table a[href*='{ANSWERED}']").click()
    page.wait_for_function(f"() => {NOTEBOOK}?.context?.path === 'work/{ANSWERED}'")
    open_copy(page, checkout, ANSWERED)
    page.evaluate(
        f"source => {NOTEBOOK}.content.widgets[3].model.sharedModel.setSource(source)", EXERCISE.solution.strip()
    )
    run_all(page)
    notebook = model(page)
    assert errors(notebook) == [] and notebook.cells[2].outputs[0].text == "work\n"
    assert "05.1 passed" in notebook.cells[4].outputs[0].text
    save(page)
    assert "-->1 of 1 done |" in (work / "index.md").read_text()

    open_copy(page, checkout, RUN)
    run_all(page)
    save(page)
    ran = (work / RUN).read_bytes()
    open_copy(page, checkout, UNTOUCHED)
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    end = time.monotonic() + 30
    while (work / UNTOUCHED).read_bytes() == (checkout.root / "notebooks" / UNTOUCHED).read_bytes():
        assert time.monotonic() < end, "JupyterLab wrote the very bytes of the book: nothing is tried here"
        time.sleep(0.2)
    assert checkout.git("status", "--porcelain") == ""

    # The book changes, as by `git pull`, and the reader calls `make lab` again.
    checkout.publish(ANSWERED, "MAML, second edition")
    checkout.publish(RUN, "The meta-gradient, second edition")
    file = checkout.root / "notebooks" / UNTOUCHED
    book = json.loads(file.read_text())
    book["cells"][0]["source"] = ["# Welcome, second edition\n"]
    file.write_text(json.dumps(book, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    checkout.commit()
    said = checkout.again()
    assert f"you changed {ANSWERED}: the new edition lies beside it, work/05_maml.edition-2.ipynb" in said
    assert f"{UNTOUCHED} brought to the new edition" in said and "already open there" in said

    seen = open_index(page, checkout)
    assert "1 of 1 done; a new edition lies beside your copy" in seen
    shot(page, "work-index-with-a-new-edition")
    page.locator(".jp-MarkdownViewer table a", has_text="a new edition").click()
    page.wait_for_function(f"() => {NOTEBOOK}?.context?.path === 'work/05_maml.edition-2.ipynb'")
    open_copy(page, checkout, ANSWERED)
    notebook = model(page)
    assert notebook.cells[3].source == EXERCISE.solution.strip() and notebook.cells[0].source == "# MAML"
    assert "05.1 passed" in notebook.cells[4].outputs[0].text
    open_copy(page, checkout, UNTOUCHED)
    assert model(page).cells[0].source.strip() == "# Welcome, second edition"
    assert checkout.titles(RUN) == "# The meta-gradient, second edition"
    assert [path.read_bytes() for path in (work / "earlier").iterdir()] == [ran]
    assert checkout.git("status", "--porcelain") == ""
    assert page.complaints == []
