"""The command line: the documented forms work, every field is explained, and a mistake is one line and code 2."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import metarl_lab as ml
from metarl_lab.catalog import entries
from metarl_lab.commands.cli import main, plan

ROOT = Path(__file__).resolve().parents[2]
SMALL = "--learner.hidden 8 --learner.meta-batch 12 --family.arms 3 --family.horizon 4 --device cpu --no-progress"


def run(line: str) -> int:
    return main(line.split())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "run"
    assert run(f"train rl2 --family bernoulli_bandit --iterations 3 --seed 4 --out {out} {SMALL}") == 0
    return out


def test_train_writes_what_the_issue_says(trained: Path) -> None:
    config = json.loads((trained / "config.json").read_text())
    assert config["family"] == {"name": "bernoulli_bandit", "config": {"arms": 3, "horizon": 4}}
    assert config["learner"]["config"]["hidden"] == 8 and config["seed"] == 4
    table = pd.read_csv(trained / "metrics.csv")
    assert table["iteration"].tolist() == [1, 2, 3] and {"env_steps", "seconds", "return", "loss"} <= set(table)
    assert (trained / "checkpoints" / "iteration-00000003.safetensors").is_file()


def test_the_exact_form_of_the_readme_is_read() -> None:
    made = plan(
        [
            "rl2",
            "--family",
            "bernoulli_bandit",
            "--family.arms",
            "10",
            "--iterations",
            "300",
            "--seed",
            "0",
            "--out",
            "DIR",
        ]
    )
    assert (made.family.arms, made.family.horizon, made.options.iterations) == (10, 10, 300)  # type: ignore[attr-defined]
    assert made.out == Path("DIR") and made.learner.name == "rl2"
    assert plan(["rl2", "--family=bernoulli_bandit", "--iterations", "1"]).out == Path(
        "runs/rl2-bernoulli_bandit-seed0"
    )


def test_the_seed_fixes_the_weights_and_equals_the_python_call(trained: Path) -> None:
    family = ml.make_family("bernoulli_bandit", arms=3, horizon=4)
    learner = ml.make_learner("rl2", family, seed=4, hidden=8, meta_batch=12)
    ml.train(learner, family, 3, seed=4, device="cpu", progress=False)
    stored, _, _ = ml.load(trained)
    assert all((a == b).all() for a, b in zip(learner.state_dict().values(), stored.state_dict().values(), strict=True))


def test_resume_goes_on(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert run(f"train rl2 --family bernoulli_bandit --iterations 2 --out {out} {SMALL}") == 0
    assert run(f"resume {out} --iterations 4 --no-progress") == 0
    assert "4 iterations" in capsys.readouterr().out
    assert pd.read_csv(out / "metrics.csv")["iteration"].tolist() == [1, 2, 3, 4]


def test_a_samplers_options_are_read_kept_and_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, sampler = (
        tmp_path / "run",
        "--sampler predicted_gain --sampler.explore 0.5 --sampler.start 12 --sampler.pool 20",
    )
    assert run(f"train rl2 --family bernoulli_bandit --iterations 3 --seed 4 --out {out} {SMALL} {sampler}") == 0
    config = json.loads((out / "config.json").read_text())
    assert config["sampler"]["name"] == "predicted_gain" and config["sampler"]["config"]["explore"] == 0.5
    assert run(f"resume {out} --iterations 5 --no-progress") == 0
    family = ml.make_family("bernoulli_bandit", arms=3, horizon=4)
    learner = ml.make_learner("rl2", family, seed=4, hidden=8, meta_batch=12)
    chosen = ml.make_sampler("predicted_gain", explore=0.5, start=12, pool=20)
    ml.train(learner, family, 5, seed=4, sampler=chosen, device="cpu", progress=False)
    stored, _, _ = ml.load(out)
    assert all((a == b).all() for a, b in zip(learner.state_dict().values(), stored.state_dict().values(), strict=True))
    with pytest.raises(SystemExit):
        run("train rl2 --family bernoulli_bandit --sampler predicted_gain --help")
    text = capsys.readouterr().out
    assert all(f"--sampler.{f.name.replace('_', '-')}" in text for f in dataclasses.fields(chosen.config))


def test_a_run_of_the_time_when_samplers_had_no_options_resumes(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(f"train rl2 --family bernoulli_bandit --iterations 2 --out {out} {SMALL}") == 0
    file = out / "config.json"
    config = json.loads(file.read_text())
    assert config["sampler"] == {"name": "uniform", "config": {}}
    file.write_text(json.dumps(config | {"sampler": "uniform"}))
    assert run(f"resume {out} --iterations 3 --no-progress") == 0


@pytest.mark.parametrize("learner", sorted(entries("learners")))
@pytest.mark.parametrize("family", sorted(entries("tasks")))
def test_help_explains_every_field(learner: str, family: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(f"train {learner} --family {family} --help")
    text = capsys.readouterr().out
    assert stop.value.code == 0
    groups = {"learner": entries("learners")[learner].Config, "family": entries("tasks")[family]}  # type: ignore[attr-defined]
    for group, kind in groups.items():
        for field in dataclasses.fields(kind):
            assert f"--{group}.{field.name.replace('_', '-')}" in text
    assert (
        text.count("(default")
        == len(dataclasses.fields(groups["learner"])) + len(dataclasses.fields(groups["family"])) + 7
    )
    assert "(required)" in text


@pytest.mark.parametrize("line", ["", "--help", "train --help", "list"])
def test_a_newcomer_finds_the_way(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 0
    text = capsys.readouterr().out
    assert "rl2" in text and "bernoulli_bandit" in text


def test_list_shows_everything_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    run("list")
    text = capsys.readouterr().out
    for kind in ("tasks", "learners", "references", "samplers"):
        for name, thing in entries(kind).items():
            assert f"  {name} " in text and getattr(thing, "source", "") in text


MISTAKES = {
    "foo": "no command 'foo'; choose one of list, train, resume, evaluate, bench",
    "train": "train needs a learner",
    "train nobody --family bernoulli_bandit --iterations 3": "learner 'nobody' is not known",
    "train rl2 --iterations 3": "train needs `--family FAMILY`",
    "train rl2 --family nowhere --iterations 3": "family 'nowhere' is not known",
    "train rl2 --family": "--family needs a value",
    "train rl2 --family bernoulli_bandit": "--iterations",
    "train rl2 --family bernoulli_bandit --iterations many": "--iterations",
    "train rl2 --family bernoulli_bandit --iterations 0": "iterations=0 is not allowed",
    "train rl2 --family bernoulli_bandit --iterations 3 --learner.hiden 5": "--learner.hidden",
    "train rl2 --family bernoulli_bandit --iterations 3 --family.arms 0": "arms=0",
    "train rl2 --family bernoulli_bandit --iterations 3 --sampler nobody": "choose one of level_replay",
    "train rl2 --family bernoulli_bandit --iterations 3 --sampler.explore 1": "--sampler.explore",
    "train rl2 --family bernoulli_bandit --iterations 3 --sampler level_replay --sampler.replay 2": "replay=2.0",
    "train rl2 --family bernoulli_bandit --iterations 3 --learner.hidden 0": "hidden=0",
    "train rl2 --family bernoulli_bandit --iterations 3 --out TRAINED": "metarl resume TRAINED",
    "resume": "resume needs a run's folder",
    "resume nowhere": "nowhere holds no run",
    "resume TRAINED --iterations 1": "has done 3 iterations",
    "evaluate": "evaluate needs an agent",
    "evaluate nobody": "nobody is not there",
    "evaluate random": "needs `--family FAMILY`",
    "evaluate random --family bernoulli_bandit --split mine": "split 'mine' is not known",
    "evaluate TRAINED --family.arms 9": "make one for it",
    "list everything": "list takes no options",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_clear_line_and_code_2(
    line: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(line.replace("TRAINED", str(trained))) == 2
    said = capsys.readouterr()
    assert said.err.startswith("metarl: ") and said.err.count("\n") == 1 and said.out == ""
    assert MISTAKES[line].replace("TRAINED", str(trained)) in said.err
    assert not list(tmp_path.iterdir()), "a mistake leaves no folder behind"


def test_evaluate_prints_the_agent_beside_random_and_oracle(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "curve.csv"
    line = f"evaluate {trained} --n-tasks 50 --batches 2 --family.horizon 6 --seed 3 --device cpu --csv {table}"
    assert run(line) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "arms=3, horizon=6" in lines[0] and "50 test tasks" in lines[0]
    assert [row.split()[0] for row in lines[3:]] == ["random", "rl2", "oracle"]
    written = pd.read_csv(table)
    learner, family, _ = ml.load(trained)
    curve = ml.evaluate(learner, dataclasses.replace(family, horizon=6), n_tasks=50, batches=2, seed=3)  # type: ignore
    mine = written[written["agent"] == "rl2"]
    assert mine["mean"].tolist() == curve.mean.tolist() and mine["low"].tolist() == curve.low.tolist()
    assert (mine["low"] < mine["mean"]).all() and (mine["mean"] < mine["high"]).all()


def test_a_reference_is_evaluated_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate random --family bernoulli_bandit --n-tasks 20 --device cpu") == 0
    assert [row.split()[0] for row in capsys.readouterr().out.splitlines()[3:]] == ["random", "oracle"]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_keeps_everything(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    out = tmp_path / "run"
    line = [sys.executable, "-m", "metarl_lab.commands.cli", "train", "rl2", "--family", "bernoulli_bandit"]
    line += ["--iterations", "100000", "--out", str(out), *SMALL.split()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    metrics, patience = out / "metrics.csv", time.monotonic() + 240
    while not metrics.is_file() or len(metrics.read_bytes().splitlines()) < 4:
        assert process.poll() is None and time.monotonic() < patience, process.communicate()
        time.sleep(0.05)
    process.send_signal(sent)
    said, complaint = process.communicate(timeout=60)
    assert process.returncode == code, complaint
    assert f"go on with `metarl resume {out}`" in said and "Traceback" not in complaint
    rows = pd.read_csv(metrics)["iteration"]
    _, _, about = ml.load(out)
    assert about["iteration"] == rows.iloc[-1] == len(rows)
