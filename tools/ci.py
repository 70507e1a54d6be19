"""Run what CI runs: `make test` (everything) and `make check` (the parts that take under a minute).

Every step runs even when an earlier one failed, so that one run shows all that is wrong; the exit code is 0 only when
none failed. A step that cannot run here (no chromium) is skipped with the reason, and the summary says so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import setup_env

ROOT = Path(__file__).resolve().parent.parent
FULL = ["format", "lint", "types", "tests", "notebooks", "speeds", "site", "browser"]
CHECK = ["format", "lint", "types", "layers"]


@dataclass(frozen=True)
class Outcome:
    step: str
    verdict: str  # "passed", "FAILED" or "skipped"
    seconds: float
    note: str = ""


class Skipped(Exception):
    """This step cannot run here; the message says why and what would make it run."""


class Failed(Exception):
    """This step failed for a reason that no tool has printed."""


def run(*command: str, **extra: str) -> bool:
    """Run a tool of this environment, a module by its name, from the root of the checkout."""
    return python("-m", *command, **extra)


def python(*arguments: str, **extra: str) -> bool:
    """Run this environment's Python from the root of the checkout; whether it ended well."""
    # Quick mode, a headless backend, and a fixed hash seed: what a notebook prints must not depend on the shell.
    settings = {"METARL_SPEED": "quick", "MPLBACKEND": "agg", "PYTHONHASHSEED": "0", "JUPYTER_PLATFORM_DIRS": "1"}
    settings["OMP_NUM_THREADS"] = "1"  # the tensors of tests are small, and several tests run at once
    environment = {**os.environ, **settings, **extra}
    print("$ python", *arguments, flush=True)
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment).returncode == 0


def targets() -> list[str]:
    """Folders that ruff looks at: those that exist."""
    return [name for name in ("metarl_lab", "tests", "tools", "notebooks/text") if (ROOT / name).is_dir()]


def format_step() -> bool:
    return run("ruff", "format", "--check", *targets())


def lint_step() -> bool:
    return run("ruff", "check", *targets())


def types_step() -> bool:
    return run("mypy")


def layers_step() -> bool:
    return run("pytest", "-q", "tests/test_layers.py", "tests/test_packaging.py")


def tests_step() -> bool:
    return run("pytest", "tests", "--ignore=tests/browser", "--durations=10", "-n", jobs(), "--dist", "loadfile")


def jobs() -> str:
    """Processes at once: METARL_TEST_JOBS, else the processors, four at most."""
    return os.environ.get("METARL_TEST_JOBS") or str(min(os.cpu_count() or 1, 4))


def chapters() -> list[Path]:
    """The executed chapters; an author's text without one is a mistake, not a chapter to pass over."""
    found = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    texts = sorted((ROOT / "notebooks" / "text").glob("[0-9][0-9]_*.py"))
    missing = {text.stem for text in texts} - {chapter.stem for chapter in found}
    if missing:
        raise Failed(f"not executed yet: {', '.join(sorted(missing))}; run `make notebooks`")
    return found


def notebooks_step() -> bool:
    found = chapters()
    if not found:
        raise Skipped("no chapter exists yet")
    sanitize = ROOT / "tests" / "notebooks" / "sanitize.cfg"
    options = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=240", "--durations=5", "-q", "--timeout=900"]
    if sanitize.exists():
        options.append(f"--nbval-sanitize-with={sanitize.relative_to(ROOT)}")
    options += ["-n", jobs(), "--dist", "loadscope"]  # a chapter's cells stay in one kernel, in their order
    # pytest exits with 5 when it collects nothing, so an empty chapter set cannot pass.
    return run("pytest", *options, *[str(path.relative_to(ROOT)) for path in found])


def speeds_step() -> bool:
    """Every chapter at the other two speeds: outputs are not compared there, errors are.

    Full-speed training is cut to two iterations, so that the branch that a reader with a GPU takes is taken here too.
    """
    chapters()
    command = ("tools/notebooks.py", "run")
    peek = python(*command, "peek", "--jobs", jobs())
    full = python(*command, "full", "--jobs", jobs(), METARL_MOST_ITERATIONS="2")
    return peek and full


def site_step() -> bool:
    """Build the site in build/site with an environment of its own; the browser step then reads its pages."""
    venv = Path(os.environ.get("METARL_SITE_VENV", ROOT / ".venv-site"))
    command = [sys.executable, "tools/setup_env.py", "--venv", str(venv), "--extras", "site"]
    made = subprocess.run(command, cwd=ROOT).returncode
    if made == setup_env.UNREACHABLE:
        raise Skipped("the package index cannot be reached, and the site's environment is not there yet: `make site`")
    if made != 0:
        raise Failed("the site's environment could not be made")
    out = ROOT / "build" / "site"
    command = [setup_env.venv_python(str(venv)), "tools/book.py", "--out", str(out)]
    print("$", *command, flush=True)
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if built.returncode != 0:
        print((built.stdout + built.stderr)[-5000:])
        return False
    os.environ["METARL_SITE"] = str(out / "_build" / "html")  # for tests/browser, when they run after this
    return True


def find_chromium() -> str | None:
    """A browser for the browser tests: the system's, or the one that playwright installed."""
    if os.environ.get("METARL_CHROMIUM"):
        return os.environ["METARL_CHROMIUM"]
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if shutil.which(name):
            return shutil.which(name)
    code = "from playwright.sync_api import sync_playwright as s\nwith s() as p: print(p.chromium.executable_path)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    path = answer.stdout.strip()
    return path if answer.returncode == 0 and Path(path).exists() else None


def browser_step() -> bool:
    if not list((ROOT / "tests" / "browser").glob("test_*.py")):
        raise Skipped("no browser test exists yet")
    chromium = find_chromium()
    if chromium is None:
        raise Skipped(
            "no chromium found: `sudo apt install chromium`, or `.venv/bin/playwright install chromium`, "
            "or name one with METARL_CHROMIUM=/path"
        )
    return run("pytest", "tests/browser", "-q", METARL_CHROMIUM=chromium)


STEPS: dict[str, Callable[[], bool]] = {
    "format": format_step,
    "lint": lint_step,
    "types": types_step,
    "layers": layers_step,
    "tests": tests_step,
    "notebooks": notebooks_step,
    "speeds": speeds_step,
    "site": site_step,
    "browser": browser_step,
}


def take(step: str) -> Outcome:
    """Run one step and time it."""
    print(f"\n=== {step} ===", flush=True)
    started, note = time.monotonic(), ""
    try:
        verdict = "passed" if STEPS[step]() else "FAILED"
    except Skipped as reason:
        verdict, note = "skipped", str(reason)
    except Failed as reason:
        verdict, note = "FAILED", str(reason)
    if note:
        print(note)
    return Outcome(step, verdict, time.monotonic() - started, note)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the project's checks.")
    parser.add_argument("steps", nargs="*", help=f"steps to run: {', '.join(STEPS)}, or `check` (default: all)")
    asked = parser.parse_args().steps
    steps = CHECK if asked == ["check"] else asked or FULL
    unknown = sorted(set(steps) - set(STEPS))
    if unknown:
        raise SystemExit(f"unknown step: {', '.join(unknown)}; there are {', '.join(STEPS)}, and `check`")
    outcomes = [take(step) for step in steps]
    print("\n=== summary ===")
    for outcome in outcomes:
        print(f"{outcome.verdict:8} {outcome.step:10} {outcome.seconds:6.0f} s  {outcome.note}".rstrip())
    sys.exit(any(outcome.verdict == "FAILED" for outcome in outcomes))


if __name__ == "__main__":
    main()
