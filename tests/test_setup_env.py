"""The set-up script says what is wrong in words, and repairs what an interruption left (no network is used)."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import lab
import pytest
import setup_env


def test_an_old_python_is_named_with_what_to_do(monkeypatch, capsys) -> None:
    monkeypatch.setattr(setup_env, "version_of", lambda python: (3, 9))
    with pytest.raises(SystemExit):
        setup_env.find_python()
    message = capsys.readouterr().err
    assert "python3 is Python 3.9" in message and "3.11 or newer" in message and "PYTHON=" in message


def test_a_candidate_that_cannot_run_is_passed_over(monkeypatch) -> None:
    versions = {"python3": (3, 9), "python3.13": None, "python3.12": (3, 12)}
    monkeypatch.setattr(setup_env, "version_of", versions.get)
    assert setup_env.find_python() == "python3.12"


def test_a_full_disk_is_refused_before_anything_is_downloaded(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setattr(setup_env, "free_gb", lambda path: 1.2)
    with pytest.raises(SystemExit):
        setup_env.check_disk(str(tmp_path / ".venv"), None)
    message = capsys.readouterr().err
    assert "disk is too full" in message and "1.2 GB are free" in message


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("WARNING: Retrying after NewConnectionError('Failed to establish a new connection')", "no network?"),
        ("socket.gaierror: Temporary failure in name resolution", "no network?"),
        ("ssl.SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED", "certificate is not trusted"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: ResolutionImpossible", "pip failed"),
    ],
)
def test_a_failure_of_pip_is_explained(capsys, tmp_path, line: str, title: str) -> None:
    with pytest.raises(SystemExit):
        setup_env.explain(str(tmp_path / ".venv"), ["Collecting torch", line], "setup.log", None)
    assert title in capsys.readouterr().err


def package(site: Path, name: str, record: bool) -> Path:
    """An installed package of one module."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{name}.py").write_text("x = 1\n")
    (info / "METADATA").write_text(f"Name: {name}\n")
    if record:
        (info / "RECORD").write_text(f"{name}.py,sha256=0,6\n__pycache__/{name}.pyc,,\n{info.name}/METADATA,,\n")
    return info


def test_half_installed_packages_are_forgotten_and_whole_ones_kept(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    whole, cut = package(site, "whole", record=True), package(site, "cut", record=False)
    gutted = package(site, "gutted", record=True)
    (site / "gutted.py").unlink()
    (site / "~orch").mkdir()
    setup_env.forget_broken_packages(str(tmp_path))
    assert whole.exists()
    assert not cut.exists() and not gutted.exists() and not (site / "~orch").exists()


def test_a_folder_that_is_no_environment_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SystemExit):
        setup_env.create(str(tmp_path), sys.executable)
    assert (tmp_path / "thesis.tex").exists()


def ready(venv: Path, monkeypatch) -> list[list[str]]:
    """An environment whose interpreter is pretended; returns the list that each install is written to."""
    installs: list[list[str]] = []
    venv.mkdir()
    monkeypatch.setattr(setup_env, "version_of", lambda python: (3, 11))
    monkeypatch.setattr(setup_env, "install", lambda venv, extras, torch: installs.append(extras))
    return installs


def test_the_second_run_installs_nothing_and_extras_stay(tmp_path: Path, monkeypatch) -> None:
    venv = tmp_path / ".venv"
    installs = ready(venv, monkeypatch)
    for extras in (["dev"], ["dev"], ["dev", "sim"], ["dev"]):
        setup_env.ensure(str(venv), None, extras, None)
    assert installs == [["dev"], ["dev", "sim"]]


def test_an_install_that_is_cut_short_is_done_again(tmp_path: Path, monkeypatch) -> None:
    venv = tmp_path / ".venv"
    ready(venv, monkeypatch)

    def cut(venv, extras, torch):
        raise KeyboardInterrupt

    setup_env.ensure(str(venv), None, ["dev"], None)
    with monkeypatch.context() as patch:
        patch.setattr(setup_env, "install", cut)
        with pytest.raises(KeyboardInterrupt):
            setup_env.ensure(str(venv), None, ["dev", "tools"], None)
    assert setup_env.read_stamp(str(venv)) == {}
    assert setup_env.ensure(str(venv), None, ["dev"], None) is True


def test_a_taken_port_gives_the_next_free_one_and_says_so(capsys) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        taken = server.getsockname()[1]
        chosen = lab.choose_port(taken)
    assert chosen > taken
    assert f"port {taken} is taken; using {chosen}" in capsys.readouterr().out
