"""Open the workbook in JupyterLab: `make lab`.

Brings the reader's own copies of the chapters in work/ up to date (tools/work.py), chooses a free port and says so,
prints the URL, opens the index of those copies, and needs no network. An author opens notebooks/ itself: --author. The
settings it starts with (no news, no update check, Markdown opened as a page) are in tools/jupyter/ and leave the
reader's own alone.
"""

from __future__ import annotations

import argparse
import errno
import os
import secrets
import socket
import sys
import time
import webbrowser
from pathlib import Path

import work

ROOT = Path(__file__).resolve().parent.parent
READERS_INDEX = "work/index.md"
AUTHORS_INDEX = "notebooks/index.md"


def is_free(port: int) -> bool:
    """Whether both loopback addresses accept a listener on this port."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                # Without it a port that was closed a moment ago counts as taken for a minute.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            # A machine without IPv6 cannot bind ::1 at all; that says nothing about the port.
            if family == socket.AF_INET6 and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                continue
            return False
    return True


def choose_port(wanted: int) -> int:
    """The port asked for, or the next free one; says so when it is another."""
    for port in range(wanted, min(wanted + 100, 65536)):
        if is_free(port):
            if port != wanted:
                print(f"[lab] port {wanted} is taken; using {port}")
            return port
    raise SystemExit(
        f"[lab] ports {wanted} to {wanted + 99} are all taken. Close some servers, or name another port:\n"
        f"      make lab ARGS=--port=9900"
    )


def running_server() -> dict | None:
    """The server that already serves this checkout, if one runs."""
    from jupyter_server.serverapp import list_running_servers

    for server in list_running_servers():
        if Path(server["root_dir"]).resolve() == ROOT and server.get("token"):
            return server
    return None


def claim() -> bool:
    """Whether no other server of this checkout runs or is starting.

    The lock belongs to a file that stays open through exec, so it lasts exactly as long as the server does.
    """
    try:
        import fcntl
    except ImportError:
        return running_server() is None
    folder = ROOT / ".jupyter"
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / "lab.lock", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(descriptor, True)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    return True


def wait_for_server(seconds: float = 30.0) -> dict | None:
    """The other server's address, which it publishes a few seconds after its start."""
    for _ in range(int(seconds * 2)):
        server = running_server()
        if server is not None:
            return server
        time.sleep(0.5)
    return None


def can_show_browser() -> bool:
    """False on a machine without a display, where starting a browser only prints errors."""
    if not sys.platform.startswith("linux"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "BROWSER"))


def banner(url: str, note: str) -> None:
    """The one thing a reader must find in the terminal."""
    bar = "=" * 78
    print(f"\n{bar}\n  Meta-RL Lab\n\n  {url}\n\n  {note}\n{bar}\n", flush=True)


def prepare(author: bool) -> str:
    """Bring the reader's copies up to date and say what happened; return the page to open."""
    if author:
        return AUTHORS_INDEX
    work.show(work.sync(ROOT / "notebooks", ROOT / "work"))
    if not (ROOT / READERS_INDEX).is_file():
        raise SystemExit(
            "[lab] there is nowhere to put your copies of the chapters, see above.\n"
            "      The book's own files, to read: make lab ARGS=--author"
        )
    return READERS_INDEX


def parse(arguments: list[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """Our options; what we do not know goes to JupyterLab as it is."""
    parser = argparse.ArgumentParser(description="Open the workbook in JupyterLab.")
    parser.add_argument("--port", type=int, default=8888, help="port to try first (default: 8888)")
    parser.add_argument("--no-browser", action="store_true", help="print the URL, open nothing")
    parser.add_argument(
        "--author", action="store_true", help="open notebooks/ itself, not the reader's copies in work/"
    )
    parser.add_argument("--new", action="store_true", help="start a server even if one serves this folder already")
    return parser.parse_known_args(arguments)


def main() -> None:
    options, rest = parse()
    index = prepare(options.author)  # also when a server runs already: this may be the call after a `git pull`
    browser = not options.no_browser and can_show_browser()
    server = None if options.new or claim() else wait_for_server()
    if server is not None:
        url = f"{server['url']}lab/tree/{index}?token={server['token']}"
        banner(url, "The workbook is already open there. For a second server: make lab ARGS=--new")
        if browser:
            webbrowser.open(url)
        return

    port = choose_port(options.port)
    token = secrets.token_hex(16)
    environment = dict(os.environ, JUPYTER_TOKEN=token, JUPYTER_PREFER_ENV_PATH="1")
    paths = [str(ROOT / "tools" / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    environment["JUPYTER_CONFIG_PATH"] = os.pathsep.join(path for path in paths if path)
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={ROOT}",
        f"--ServerApp.port={port}",
        f"--LabApp.default_url=/lab/tree/{index}",
        # A workspace of our own: tabs left open in another project would fail to load here.
        f"--LabApp.workspaces_dir={ROOT / '.jupyter' / 'workspaces'}",
        "--log-level=WARN",
    ]
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # Jupyter refuses root otherwise; containers have no other user.
        command.append("--allow-root")
    note = "It opens by itself. Stop with Ctrl-C." if browser else "Open this address in a browser. Stop with Ctrl-C."
    banner(f"http://localhost:{port}/lab/tree/{index}?token={token}", note)
    os.chdir(ROOT)
    os.execve(sys.executable, [*command, *rest], environment)


if __name__ == "__main__":
    main()
