"""Create .venv, or repair it, or find it ready; `make lab` and `make test` start here.

Standard library only, and written so that even Python 2.7 and 3.6 can parse it: the first thing it does is to say,
in words, that they are too old (no f-strings, no annotations, no keyword-only arguments).

What makes it safe to run at any time:
- the stamp .venv/.metarl-ready holds a digest of pyproject.toml's packages, constraints.txt and the extras;
  it is written last;
- a file lock, so that `make lab` and `make test` started together do not install over each other;
- an install that was cut short leaves packages with missing files, which pip takes for whole: these are found by
  their own RECORD lists and installed again.
"""
import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OLDEST = (3, 11)
NEWEST_TESTED = (3, 13)
# `python3` first: in an activated environment it is the one that the reader means.
CANDIDATES = ["python3", "python3.13", "python3.12", "python3.11", "python3.14", "python"]
STAMP = ".metarl-ready"

# Free space asked for, in GB. 3: measured, the environment with the CPU build of torch is 1.9 GB on Linux, and pip
# unpacks beside it. 10: an estimate for the CUDA build that PyPI serves on Linux (about 7 GB, and its downloads).
GB_CPU, GB_CUDA = 3.0, 10.0
# The site's environment holds no torch: measured 0.3 GB.
GB_SITE = 0.6
# Exit status when the package index cannot be reached: no mistake of the checkout's (sysexits' EX_UNAVAILABLE).
UNREACHABLE = 69

NETWORK_SIGNS = [
    "NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ReadTimeoutError", "ProxyError",
    "Temporary failure in name resolution", "Network is unreachable", "Connection refused", "Failed to establish",
    "Max retries exceeded", "Read timed out", "connection broken", "getaddrinfo failed", "nodename nor servname",
]
CERTIFICATE_SIGNS = ["CERTIFICATE_VERIFY_FAILED", "SSLError"]
DISK_SIGNS = ["No space left on device", "Errno 28", "Disk quota exceeded", "Errno 122"]


def say(text):
    """Print one line at once: pip's own lines come between ours."""
    print("[setup] " + text)
    sys.stdout.flush()


def fail(title, lines, status=1):
    """Stop with what is wrong and what to do about it; no traceback."""
    bar = "-" * 78
    sys.stdout.flush()
    sys.stderr.write("\n".join(["", bar, "Set-up stopped: " + title] + ["  " + line for line in lines] + [bar, ""]))
    sys.exit(status)


def version_of(python):
    """(major, minor) of an interpreter, or None where it cannot run (a pyenv shim, a broken link)."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        with open(os.devnull, "w") as quiet:
            out = subprocess.check_output([python, "-c", code], stderr=quiet)
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.match(r"(\d+)\.(\d+)", out.decode("ascii", "ignore"))
    return (int(found.group(1)), int(found.group(2))) if found else None


def find_python(wanted=None):
    """The interpreter to build .venv with: the one asked for, else the first that is new enough."""
    seen = []
    for name in [wanted] if wanted else CANDIDATES:
        version = version_of(name)
        if version is None:
            continue
        if version >= OLDEST:
            if version > NEWEST_TESTED:
                say("note: Python %d.%d is newer than the versions this workbook is tested with." % version)
            return name
        seen.append("%s is Python %d.%d" % ((name,) + version))
    fail("Python %d.%d or newer is needed." % OLDEST, [
        "Found: " + ("; ".join(seen) if seen else "no Python that runs" + (" at " + wanted if wanted else "")) + ".",
        "",
        "Install one, then run the same command again:",
        "  Debian, Ubuntu:  sudo apt install python3.12 python3.12-venv   (or python3 python3-venv on a recent one)",
        "  Fedora:          sudo dnf install python3.12",
        "  macOS:           brew install python@3.12",
        "  any system:      https://www.python.org/downloads/",
        "A Python that is not on the PATH can be named:  make lab PYTHON=/path/to/python3.12",
    ])


def venv_python(venv):
    """Path of the environment's interpreter."""
    return os.path.join(venv, "Scripts", "python.exe") if os.name == "nt" else os.path.join(venv, "bin", "python")


def read_pyproject():
    """The declared packages; called only by a Python that is new enough to have tomllib."""
    import tomllib
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as handle:
        return tomllib.load(handle)


def pins(extras):
    """The file of exact versions: the site has one of its own, since Jupyter Book wants older ones of some."""
    return "constraints-site.txt" if extras == ["site"] else "constraints.txt"


def fingerprint(extras, python_version):
    """What the stamp must say: the inputs of the set-up by content, not by file times, which git does not keep."""
    declared = read_pyproject()
    # Only what decides the installation: a change of ruff's or pytest's settings must not cost a set-up.
    deciding = [declared["build-system"], declared["project"], declared.get("tool", {}).get("setuptools")]
    digest = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode("utf-8"))
    with open(os.path.join(ROOT, pins(extras)), "rb") as handle:
        digest.update(handle.read())
    digest.update((",".join(sorted(extras)) + "|%d.%d|" % python_version + ROOT).encode("utf-8"))
    return digest.hexdigest()


def read_stamp(venv):
    """{"digest": ..., "extras": ...} of the last set-up that finished, empty where none did."""
    try:
        with open(os.path.join(venv, STAMP)) as handle:
            lines = handle.read().split("\n")
        return {"digest": lines[0], "extras": [e for e in lines[1].split(",") if e]}
    except (IOError, OSError, IndexError):
        return {}


def free_gb(path):
    """Space left on the disk that will hold `path`."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free / 1e9


def cpu_only(torch):
    """Whether the small build of torch is what pip will find: PyPI serves the CUDA build on Linux only."""
    return torch == "cpu" or not sys.platform.startswith("linux")


def check_disk(venv, torch):
    """Refuse before downloading gigabytes that cannot fit; warn where it may be close."""
    free = free_gb(venv)
    if free < GB_CPU:
        fail("the disk is too full.", disk_advice(venv, torch))
    if not cpu_only(torch) and free < GB_CUDA:
        say("note: %.1f GB free. The CUDA build of torch needs about %.0f GB in all; the CPU build needs %.0f GB:"
            % (free, GB_CUDA, GB_CPU))
        say("      if there is no NVIDIA GPU here, stop with Ctrl-C and run  make lab TORCH=cpu")


def disk_advice(venv, torch):
    """What to do when space is short."""
    lines = ["%.1f GB are free at %s; the environment needs %.0f GB (CPU build of torch)"
             % (free_gb(venv), os.path.dirname(venv), GB_CPU)
             + ("." if cpu_only(torch) else " or about %.0f GB (CUDA build)." % GB_CUDA),
             "Free some space (`pip cache purge` often helps), then run the same command again: it goes on from here."]
    if not cpu_only(torch):
        lines.append("Without an NVIDIA GPU the small build is enough:  make lab TORCH=cpu")
    lines.append("To put the environment on another disk:  make lab VENV=/other/disk/metarl-venv")
    return lines


def create(venv, python):
    """Make the virtual environment, replacing one that cannot run."""
    if os.path.isdir(venv) and not os.path.exists(os.path.join(venv, "pyvenv.cfg")) and os.listdir(venv):
        fail("%s exists and is not a virtual environment." % venv,
             ["Move it away, or choose another place:  make lab VENV=/some/other/place"])
    shutil.rmtree(venv, ignore_errors=True)
    say("creating %s with %s (Python %d.%d)" % ((os.path.relpath(venv, ROOT), python) + version_of(python)))
    try:
        subprocess.check_output([python, "-m", "venv", venv], stderr=subprocess.STDOUT)
    except subprocess.CalledProcessError as error:
        text = error.output.decode("utf-8", "replace")
        if any(sign in text for sign in DISK_SIGNS):
            fail("the disk is full.", disk_advice(venv, None))
        fail("`%s -m venv` failed." % python, text.strip().split("\n")[-6:] + [
            "", "On Debian and Ubuntu the module is a package of its own:  sudo apt install python3-venv",
        ])


def is_whole(info_dir):
    """Whether an installed package still has every file that its RECORD lists (pip writes RECORD last)."""
    record = os.path.join(info_dir, "RECORD")
    if not os.path.isfile(record):
        return False
    site = os.path.dirname(info_dir)
    with open(record, "rb") as handle:
        rows = handle.read().decode("utf-8", "replace").splitlines()
    for row in rows:
        path = row.rsplit(",", 2)[0].strip('"')
        if path and not path.endswith(".pyc") and not os.path.lexists(os.path.join(site, path)):
            return False
    return True


def forget_broken_packages(venv):
    """Drop the metadata of half-installed packages, so that pip installs them again."""
    for folder, names, _ in os.walk(os.path.join(venv, "lib")):
        if os.path.basename(folder) != "site-packages":
            continue
        for name in names:
            # "~orch" is what pip leaves when it is killed while replacing a package.
            broken = name.endswith(".dist-info") and not is_whole(os.path.join(folder, name))
            if broken or name.startswith("~"):
                say("repairing: %s was not completely installed" % name)
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        names[:] = []


def pip(venv, arguments, torch):
    """Run pip, showing the lines that tell how far it is and keeping all of them in .venv/setup.log."""
    environment = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONUNBUFFERED="1")
    for name in ["PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PYTHONPATH", "PYTHONHOME"]:
        environment.pop(name, None)
    command = [venv_python(venv), "-m", "pip", "install", "--progress-bar", "off"] + arguments
    if torch == "cpu" and sys.platform.startswith("linux"):
        command += ["--extra-index-url", "https://download.pytorch.org/whl/cpu"]
    say("pip install " + " ".join(arguments))
    lines = []
    log_path = os.path.join(venv, "setup.log")
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        with open(log_path, "ab") as log:
            for raw in process.stdout:
                log.write(raw)
                line = raw.decode("utf-8", "replace").rstrip()
                lines.append(line)
                if re.match(r"\s*(Downloading|Installing|Building|Successfully|ERROR)", line):
                    print("    " + (line.strip() if len(line) < 150 else line.strip()[:147] + "..."))
                    sys.stdout.flush()
    except (IOError, OSError):
        process.kill()
        fail("the disk is full.", disk_advice(venv, torch))
    if process.wait() != 0:
        explain(venv, lines, log_path, torch)


def explain(venv, lines, log_path, torch):
    """Turn pip's failure into what is wrong and what to do."""
    text = "\n".join(lines)
    if any(sign in text for sign in DISK_SIGNS):
        fail("the disk is full.", disk_advice(venv, torch))
    if any(sign in text for sign in CERTIFICATE_SIGNS):
        fail("the package index was reached, but its certificate is not trusted.", [
            "A company proxy often is the reason. Point pip at its certificate, then run the same command again:",
            "  export PIP_CERT=/path/to/company-ca.pem", "All of pip's output: " + log_path])
    if any(sign in text for sign in NETWORK_SIGNS):
        fail("the package index cannot be reached (no network?).", [
            "The first set-up downloads its packages; after that the workbook needs no network.",
            "  1. Check the connection, and `python3 -m pip download tqdm` as a quick trial.",
            "  2. Behind a proxy:   export HTTPS_PROXY=http://user:password@proxy:port",
            "  3. With a mirror:    export PIP_INDEX_URL=https://mirror/simple",
            "  4. With no network:  on a connected machine of the same kind run",
            "       pip download -c constraints.txt -d wheels torch '.[dev]'",
            "     bring the folder here, then  export PIP_NO_INDEX=1 PIP_FIND_LINKS=$PWD/wheels",
            "Then run the same command again: it goes on from where it stopped. All of pip's output: " + log_path],
             UNREACHABLE)
    fail("pip failed.", [line for line in lines if line.strip()][-12:] + [
        "", "All of pip's output: " + log_path, "Running the same command again repairs a half-made environment."])


class Lock(object):
    """One set-up of one environment at a time."""

    def __init__(self, venv):
        self.path = venv.rstrip(os.sep) + ".lock"

    def __enter__(self):
        self.handle = open(self.path, "w")
        try:
            import fcntl
        except ImportError:  # Windows: no lock, as there is no make to start two of them
            return self
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (IOError, OSError):
            say("another set-up of this environment is running; waiting for it")
            fcntl.flock(self.handle, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        self.handle.close()


def install(venv, extras, torch):
    """Everything between an empty environment and a ready one."""
    if extras == ["site"]:
        # An environment of its own: the book is built from stored outputs and needs no torch.
        return pip(venv, ["-c", pins(extras)] + read_pyproject()["project"]["optional-dependencies"]["site"], torch)
    pip(venv, ["-c", pins(extras), "-e", ".[%s]" % ",".join(sorted(extras))], torch)
    if "sim" in extras:
        # Its metadata asks for gymnasium 0.29 and gym 0.9.4; the parts used here import neither.
        pip(venv, ["--no-deps", "simglucose==0.2.11"], torch)
    if "dev" in extras:
        trial = subprocess.Popen([venv_python(venv), "-c", "import torch, gymnasium, pandas, jupyterlab"],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = trial.communicate()[0].decode("utf-8", "replace")
        if trial.returncode != 0:
            fail("the packages were installed but do not import.", output.strip().split("\n")[-8:] + [
                "Remove the environment and run the same command again:  rm -rf " + os.path.relpath(venv, ROOT)])


def ensure(venv, python, extras, torch):
    """Bring the environment to the state that the stamp describes; quick where it is there already."""
    inside = version_of(venv_python(venv))
    stamp = read_stamp(venv)
    # Extras that an earlier set-up added stay: `make test` must not forget what `make sim` installed.
    extras = sorted(set(extras) | set(stamp.get("extras", [])))
    if inside and stamp.get("digest") == fingerprint(extras, inside):
        return False
    with Lock(venv):
        inside = version_of(venv_python(venv))
        if inside and read_stamp(venv).get("digest") == fingerprint(extras, inside):
            return True  # the set-up we waited for has done it
        started = time.time()
        if inside is None or inside < OLDEST:
            python = find_python(python)
            if extras == ["site"]:
                if free_gb(venv) < GB_SITE:
                    fail("the disk is too full.", ["%.1f GB are free; the site's environment needs %.1f GB."
                                                   % (free_gb(venv), GB_SITE)])
                say("first set-up of the site's environment: about 60 MB to download, a minute or less")
            else:
                check_disk(venv, torch)
                say("first set-up: about 2 GB to download and 5 to 15 minutes; later starts take a second")
            create(venv, python)
            inside = version_of(venv_python(venv))
        else:
            say("the environment is not complete or not up to date; bringing it up to date")
            if os.path.exists(os.path.join(venv, STAMP)):
                os.remove(os.path.join(venv, STAMP))
            forget_broken_packages(venv)
        install(venv, extras, torch)
        with open(os.path.join(venv, STAMP + ".tmp"), "w") as handle:
            handle.write(fingerprint(extras, inside) + "\n" + ",".join(extras) + "\n")
        os.rename(os.path.join(venv, STAMP + ".tmp"), os.path.join(venv, STAMP))
        say("ready after %d s" % (time.time() - started))
    return True


def main():
    """Command line: see --help."""
    if sys.version_info < OLDEST:
        # Started by an old python3, though a newer one may be installed beside it.
        better = find_python(os.environ.get("PYTHON") or None)
        sys.exit(subprocess.call([better, os.path.abspath(__file__)] + sys.argv[1:]))
    parser = argparse.ArgumentParser(description="Create or repair the workbook's environment.")
    parser.add_argument("--venv", default=os.path.join(ROOT, ".venv"), help="where it is (default: .venv)")
    parser.add_argument("--python", default=None, help="interpreter to build it with (default: found on the PATH)")
    parser.add_argument("--extras", default="dev", help="comma-separated extras of pyproject.toml (default: dev)")
    parser.add_argument("--torch", default=None, choices=["cpu"], help="cpu: the small build, without CUDA (Linux)")
    options = parser.parse_args()
    extras = [extra for extra in options.extras.split(",") if extra]
    try:
        ensure(os.path.abspath(options.venv), options.python, extras, options.torch)
    except KeyboardInterrupt:
        fail("interrupted.", ["Nothing is lost: running the same command again goes on from here."])
    except (IOError, OSError) as error:
        if error.errno in (28, 122):
            fail("the disk is full.", disk_advice(os.path.abspath(options.venv), options.torch))
        if error.errno in (13, 30):
            fail("no permission to write %s." % error.filename, ["Clone the repository to a folder of your own."])
        raise


if __name__ == "__main__":
    main()
