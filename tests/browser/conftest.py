"""A real JupyterLab on a copy of the notebooks, the built site, and a headless chromium to read them with."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "tests" / "notebooks" / "demo" / "99_demo.py"
# quiet: a chromium without them looks for updates and certificates at addresses that a closed network never answers
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]


def chromium() -> str | None:
    """The browser that METARL_CHROMIUM names, or the system's."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("METARL_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def browser():
    """A headless chromium; skips with the reason where there is none."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    if chromium() is None:
        pytest.skip("no chromium: apt install chromium, or name one with METARL_CHROMIUM=/path")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium(), args=QUIET)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def books(tmp_path_factory) -> Path:
    """A copy of the chapters, and the demonstration, built: the folder that JupyterLab serves."""
    import notebooks as tool

    folder = tmp_path_factory.mktemp("lab") / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    if (ROOT / "data").exists():
        (folder.parent / "data").symlink_to(ROOT / "data")
    (folder / "text").mkdir(exist_ok=True)
    shutil.copy(DEMO, folder / "text" / DEMO.name)
    assert tool.build(folder / "text" / DEMO.name)
    return folder


@pytest.fixture(scope="session")
def lab(books, tmp_path_factory):
    """The URL of a JupyterLab that serves `books`, with no token and a home of its own."""
    home, port = tmp_path_factory.mktemp("home"), free_port()
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    folders = {
        name: str(home / name)
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "METARL_HOME", "IPYTHONDIR")
    }
    config = {"JUPYTER_CONFIG_PATH": str(ROOT / "tools" / "jupyter"), "JUPYTER_PREFER_ENV_PATH": "1"}
    env = {**os.environ, **folders, **config, "METARL_SPEED": "quick", "PYTHONPATH": python_path, "PYTHONHASHSEED": "0"}
    options = [f"--ServerApp.port={port}", f"--ServerApp.root_dir={books}", "--IdentityProvider.token=", "--no-browser"]
    options += ["--allow-root", "--expose-app-in-browser", f"--LabApp.workspaces_dir={home / 'workspaces'}"]
    with open(home / "lab.log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env=env,
            cwd=books,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url}/api/status", server, home / "lab.log")
        yield url
    finally:
        server.send_signal(signal.SIGTERM)  # the server ends its kernels on this signal
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def wait_for(url: str, server: subprocess.Popen, log: Path, seconds: float = 90) -> None:
    """Wait until the server answers, or fail with what it wrote."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).read()
            return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def site_folder(tmp_path_factory) -> Path:
    """The site's pages: those that METARL_SITE names, or built here; skips with the reason where neither can be."""
    if os.environ.get("METARL_SITE"):
        return Path(os.environ["METARL_SITE"])
    scripts = Path(os.environ.get("METARL_SITE_VENV", ROOT / ".venv-site")) / ("Scripts" if os.name == "nt" else "bin")
    if not (scripts / "jupyter-book").exists():
        pytest.skip(f"no jupyter-book in {scripts}: run `make site` once, with a network")
    out = tmp_path_factory.mktemp("site")
    command = [str(scripts / "python"), str(ROOT / "tools" / "book.py"), "--out", str(out)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, (built.stdout + built.stderr)[-3000:]
    return out / "_build" / "html"


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and writes no line for each request."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def site(site_folder):
    """The URL of a server of the site's pages on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site_folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
