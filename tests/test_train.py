"""Training: deterministic, killed and resumed bit for bit, interrupted and failing without losing anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import killed_runs
import pytest
import torch
from toy import Remembering, RememberingConfig, bandit, same, state_of, toy, without_time

import metarl_lab as ml
from metarl_lab.rollout import seeded_generator
from metarl_lab.runs import folder, loop
from metarl_lab.train import choose_device

HERE = Path(__file__).parent
QUIET: dict[str, Any] = {"device": "cpu", "progress": False}


def run_toy(iterations: int, **options: Any) -> ml.Run:
    return ml.train(toy(), bandit(), iterations, **{**QUIET, "seed": 5, "sampler": Remembering(), **options})


def test_the_same_seed_is_the_same_run_whatever_the_global_generator() -> None:
    learner = toy()
    torch.manual_seed(99)
    before = torch.get_rng_state()
    a = ml.train(learner, bandit(), 4, seed=5, sampler=Remembering(), **QUIET)
    assert torch.equal(before, torch.get_rng_state())
    b, other = run_toy(4), run_toy(4, seed=6)
    assert same(state_of(a.learner), state_of(b.learner)) and without_time(a.rows) == without_time(b.rows)
    assert not same(state_of(a.learner), state_of(other.learner))


def test_every_iteration_has_noise_of_its_own_and_none_is_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    learner, sampler = toy(), Remembering()
    sample, update = sampler.sample, learner.update

    def watched_sample(family: Any, n: int, generator: torch.Generator) -> Any:
        seeds.append(generator.initial_seed())
        return sample(family, n, generator)

    def watched_update(family: Any, tasks: Any, generator: torch.Generator) -> Any:
        seeds.append(generator.initial_seed())
        return update(family, tasks, generator)

    monkeypatch.setattr(sampler, "sample", watched_sample)
    learner.update = watched_update  # type: ignore[method-assign]
    ml.train(learner, bandit(), 4, seed=5, sampler=sampler, **QUIET)
    assert len(set(seeds)) == 8
    evaluation = {seeded_generator("cpu", seed, k).initial_seed() for seed in range(8) for k in range(8)}
    assert not evaluation & set(seeds)


def test_train_continues_from_the_weights_it_finds() -> None:
    learner = toy()
    learner.logits.data.fill_(7.0)
    ml.train(learner, bandit(), 1, **QUIET)
    assert (learner.logits - 7).abs().max() < 0.1  # Adam's first step is its step size, 0.05


def test_metrics_count_env_steps_and_agree_with_the_file(tmp_path: Path) -> None:
    run = run_toy(3, out=tmp_path / "run")
    assert [row["env_steps"] for row in run.rows] == [48, 96, 144]  # 6 tasks x 2 copies x 4 pulls
    table = run.metrics
    assert list(table.columns) == ["iteration", "env_steps", "seconds", "return", "loss"]
    lines = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert [float(x) for x in lines[-1].split(",")] == list(run.rows[-1].values())
    assert run.env_steps == 144 and run.iterations == 3 and not run.interrupted


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of runs that died by SIGKILL, one per way to die."""
    folder = tmp_path_factory.mktemp("killed")
    here = f"{HERE}{os.pathsep}{HERE.parent}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": here}
    line = [sys.executable, str(HERE / "killed_runs.py"), str(folder)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    # a random kill may come after the last iteration; every chosen one must have struck
    fates = dict(line.split() for line in done.stdout.splitlines())
    assert all(fates[way] == str(int(signal.SIGKILL)) for way in killed_runs.WAYS)
    return folder


@pytest.fixture(scope="module")
def whole() -> ml.Run:
    return run_toy(killed_runs.ITERATIONS)


RESUMABLE = [w for w in killed_runs.WAYS if w not in ("half_config", "first_checkpoint")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("way", RESUMABLE + [f"random{i}" for i in range(killed_runs.RANDOM_KILLS)])
def test_killed_and_resumed_equals_uninterrupted(killed: Path, whole: ml.Run, way: str) -> None:
    folder = killed / way
    resumed = ml.resume(folder, learner=toy(seed=77), family=bandit(), sampler=Remembering(), progress=False)
    assert same(state_of(resumed.learner), state_of(whole.learner))
    assert without_time(resumed.rows) == without_time(whole.rows)
    lines = (folder / "metrics.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in lines[1:]] == list(range(1, killed_runs.ITERATIONS + 1))
    assert not list(folder.rglob("*.tmp")), "what the killed process left half written is cleared away"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("way", ["half_config", "first_checkpoint"])
def test_killed_before_the_first_checkpoint_starts_again_in_the_same_folder(
    killed: Path, whole: ml.Run, way: str
) -> None:
    with pytest.raises(FileNotFoundError, match="no run|no whole checkpoint"):
        ml.resume(killed / way, learner=toy(), family=bandit(), sampler=Remembering(), progress=False)
    again = run_toy(killed_runs.ITERATIONS, out=killed / way)
    assert same(state_of(again.learner), state_of(whole.learner))


def test_a_run_can_be_made_longer(tmp_path: Path) -> None:
    run_toy(3, out=tmp_path / "run")
    objects: dict[str, Any] = {"learner": toy(1), "family": bandit(), "sampler": Remembering(), "progress": False}
    longer = ml.resume(tmp_path / "run", iterations=6, **objects)
    assert same(state_of(longer.learner), state_of(run_toy(6).learner)) and len(longer.rows) == 6
    assert json.loads((tmp_path / "run" / "config.json").read_text())["iterations"] == 6
    again = ml.resume(tmp_path / "run", **objects)
    assert again.iterations == 6 and not again.interrupted
    with pytest.raises(ValueError, match="has done 6 iterations"):
        ml.resume(tmp_path / "run", iterations=4, **objects)


def interrupt(times: int) -> None:
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):  # let Python run the handler
            pass


def test_one_interrupt_finishes_the_iteration_and_saves_it(tmp_path: Path) -> None:
    learner = toy()
    learner.during = lambda iteration, values: interrupt(1) if iteration == 4 else None
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(
        ml.Interrupted, match=r"stopped after 4 of 9 iterations, saved in .*; go on with ml.resume"
    ) as stop:
        ml.train(learner, bandit(), 9, seed=5, sampler=Remembering(), out=tmp_path / "run", **QUIET)
    assert signal.getsignal(signal.SIGINT) is handler
    run = stop.value.run
    assert run.interrupted and run.iterations == 4 and len(run.rows) == 4 and run.learner is learner
    assert same(state_of(learner), state_of(run_toy(4).learner))
    rest = ml.resume(tmp_path / "run", learner=toy(3), family=bandit(), sampler=Remembering(), progress=False)
    assert not rest.interrupted and same(state_of(rest.learner), state_of(run_toy(9).learner))


def test_two_interrupts_undo_the_iteration_in_progress(tmp_path: Path) -> None:
    learner = toy()
    learner.during = lambda iteration, values: interrupt(2) if iteration == 4 else None
    with pytest.raises(ml.Interrupted) as stop:
        ml.train(learner, bandit(), 9, seed=5, sampler=Remembering(), out=tmp_path / "run", **QUIET)
    run = stop.value.run
    assert run.interrupted and run.iterations == 3 and len(run.rows) == 3
    assert same(state_of(learner), state_of(run_toy(3).learner)), "the weights of a half-done update are gone"
    rest = ml.resume(tmp_path / "run", learner=toy(3), family=bandit(), sampler=Remembering(), progress=False)
    assert same(state_of(rest.learner), state_of(run_toy(9).learner))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_loop_over_seeds_stops_with_the_training_that_was_interrupted(number: signal.Signals) -> None:
    done = {}
    with pytest.raises(KeyboardInterrupt, match="stopped after 2 of 9 iterations; the learner keeps") as stop:
        for seed in range(3):
            learner = toy()
            if seed == 1:
                learner.during = lambda iteration, values: os.kill(os.getpid(), number) if iteration == 2 else None
            done[seed] = ml.train(learner, bandit(), 9, seed=seed, sampler=Remembering(), **QUIET)
    assert list(done) == [0] and stop.value.number == number  # type: ignore[attr-defined]


def test_an_interrupt_in_the_last_iteration_stops_the_loop_and_loses_nothing() -> None:
    learner = toy()
    learner.during = lambda iteration, values: interrupt(1) if iteration == 3 else None
    with pytest.raises(ml.Interrupted) as stop:
        ml.train(learner, bandit(), 3, seed=5, sampler=Remembering(), **QUIET)
    assert stop.value.run.iterations == 3 and not stop.value.run.interrupted


def test_a_closed_terminal_does_not_stop_a_run_that_was_told_not_to_mind() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    learner = toy()
    learner.during = lambda iteration, values: os.kill(os.getpid(), signal.SIGHUP)
    try:
        assert ml.train(learner, bandit(), 3, seed=5, sampler=Remembering(), **QUIET).iterations == 3
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("after", "kept"), [("write_checkpoint", 4), ("_remember", 4), ("truncate", 3)])
def test_no_interrupt_parts_a_checkpoint_from_its_row(
    after: str, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two presses at once, right after each thing that is done when an iteration is counted or undone."""
    places: dict[str, Any] = {"write_checkpoint": folder, "_remember": loop.Training, "truncate": folder.RunFolder}
    real = getattr(places[after], after)

    def then_interrupt(*given: Any, **named: Any) -> Any:
        result = real(*given, **named)
        interrupt(2)
        return result

    def at(iteration: int, values: dict[str, float]) -> None:
        if iteration == 4:
            monkeypatch.setattr(places[after], after, then_interrupt)
            interrupt(2 if after == "truncate" else 0)  # undoing is what two interrupts ask for

    learner = toy()
    learner.during = at
    with pytest.raises(ml.Interrupted):
        ml.train(learner, bandit(), 9, 5, out=tmp_path / "run", sampler=Remembering(), checkpoint_every=1, **QUIET)
    about, _ = last(tmp_path / "run")
    lines = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert about["iteration"] == len(lines) - 1 == kept
    monkeypatch.undo()
    rest = ml.resume(tmp_path / "run", learner=toy(3), family=bandit(), sampler=Remembering(), progress=False)
    assert [row["iteration"] for row in rest.rows] == list(range(1, 10))


def test_an_error_inside_an_update_undoes_it() -> None:
    learner = toy()

    def fail(iteration: int, values: dict[str, float]) -> None:
        if iteration == 3:
            raise RuntimeError("out of memory")

    learner.during = fail
    with pytest.raises(RuntimeError, match="out of memory"):
        ml.train(learner, bandit(), 9, seed=5, sampler=Remembering(), **QUIET)
    assert same(state_of(learner), state_of(run_toy(2).learner))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_not_finite_stops_the_run_at_its_last_good_state(tmp_path: Path, value: float) -> None:
    learner = toy()
    learner.during = lambda iteration, values: values.update(loss=value) if iteration == 3 else None
    with pytest.raises(FloatingPointError, match=r"iteration 3: loss is (nan|inf).*after iteration 2.*checkpoints"):
        ml.train(learner, bandit(), 9, seed=5, sampler=Remembering(), out=tmp_path / "run", **QUIET)
    assert same(state_of(learner), state_of(run_toy(2).learner))
    stored, _ = last(tmp_path / "run")
    assert stored["iteration"] == 2


def test_weights_that_are_not_finite_never_reach_a_checkpoint(tmp_path: Path) -> None:
    learner = toy()

    def poison(iteration: int, values: dict[str, float]) -> None:
        if iteration == 3:
            learner.logits.data[0] = float("nan")

    learner.during = poison
    with pytest.raises(FloatingPointError, match="iteration 3: a weight is not finite"):
        ml.train(learner, bandit(), 9, seed=5, sampler=Remembering(), out=tmp_path / "run", checkpoint_every=1, **QUIET)
    about, tensors = last(tmp_path / "run")
    assert about["iteration"] == 2 and tensors["learner/logits"].isfinite().all()


def last(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from metarl_lab.runs.checkpoint import last_checkpoint

    found = last_checkpoint(folder / "checkpoints")
    return found.about, found.tensors


def test_a_large_state_is_remembered_less_often_and_still_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_COPY_EACH", 0)
    learner = toy()
    learner.during = lambda iteration, values: values.update(loss=float("nan")) if iteration == 6 else None
    with pytest.raises(FloatingPointError, match="after iteration 4"):
        ml.train(learner, bandit(), 9, seed=5, sampler=Remembering(), out=tmp_path / "r", checkpoint_every=4, **QUIET)
    assert same(state_of(learner), state_of(run_toy(4).learner))
    assert len((tmp_path / "r" / "metrics.csv").read_text().splitlines()) == 1 + 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations=0 is not allowed"),
        ({"iterations": 2.5}, "iterations=2.5 is not allowed"),
        ({"seed": -1}, "seed=-1"),
        ({"checkpoint_every": 0}, "checkpoint_every=0"),
        ({"keep": 0}, "keep=0"),
        ({"sampler": "nobody"}, "choose one of level_replay"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"tensorboard": True, "out": None}, "give out="),
    ],
)
def test_what_is_impossible_is_said_before_any_work(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    learner, folder = toy(), tmp_path / "run"
    before = state_of(learner)
    settings: dict[str, Any] = {"iterations": 3, "out": folder, **QUIET, **options}
    with pytest.raises(ValueError, match=message):
        ml.train(learner, bandit(), **settings)
    assert not folder.exists() and same(before, state_of(learner))


def test_a_learner_made_for_other_spaces_is_refused() -> None:
    with pytest.raises(ValueError, match=r"actions Discrete\(3\); bernoulli_bandit has .* Discrete\(5\)"):
        ml.train(toy(), replace(bandit(), arms=5), 1, **QUIET)  # type: ignore[type-var]
    longer = replace(bandit(), horizon=9)  # type: ignore[type-var]
    ml.train(toy(), longer, 1, **QUIET)  # another horizon is no reason


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path: Path) -> None:
    run_toy(2, out=tmp_path / "run")
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match=r"holds a run \(toy on bernoulli_bandit, 2 iterations\).*metarl resume"):
        run_toy(3, out=tmp_path / "run")
    assert before == {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="is a file"):
        run_toy(3, out=tmp_path / "file")


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    learner, refused = toy(), []

    def second(iteration: int, values: dict[str, float]) -> None:
        if iteration == 2:
            with pytest.raises(ValueError, match="another process is training") as error:
                ml.resume(tmp_path / "run", learner=toy(), family=bandit(), sampler=Remembering(), progress=False)
            refused.append(error)

    learner.during = second
    run = ml.train(learner, bandit(), 3, seed=5, sampler=Remembering(), out=tmp_path / "run", **QUIET)
    assert refused and same(state_of(run.learner), state_of(run_toy(3).learner))


def test_a_foreign_learner_family_or_sampler_is_refused(tmp_path: Path) -> None:
    run_toy(2, out=tmp_path / "run")

    def resume(**changes: Any) -> ml.Run:
        objects = {"learner": toy(), "family": bandit(), "sampler": Remembering(), **changes}
        return ml.resume(tmp_path / "run", progress=False, **objects)

    for changes, key in [
        ({"learner": toy(learning_rate=0.1)}, "learner"),
        ({"family": replace(bandit(), horizon=9)}, "family"),  # type: ignore[type-var]
        ({"sampler": ml.make_sampler("uniform")}, "sampler"),
        ({"sampler": Remembering(RememberingConfig(weight=0.5))}, "sampler"),
    ]:
        with pytest.raises(ValueError, match=f"of another run: its {key} is"):
            resume(**changes)
    resume()  # and none of these touched it


def test_a_damaged_last_checkpoint_costs_only_its_own_iterations(tmp_path: Path) -> None:
    run_toy(6, out=tmp_path / "run", checkpoint_every=2)
    newest = sorted((tmp_path / "run" / "checkpoints").glob("*.safetensors"))[-1]
    newest.write_bytes(newest.read_bytes()[:-9])
    # with one to keep, the damaged file must not be the one
    config = tmp_path / "run" / "config.json"
    config.write_text(
        config.read_text().replace('"keep": 3', '"keep": 1').replace('"iterations": 6', '"iterations": 5')
    )
    objects: dict[str, Any] = {"learner": toy(2), "family": bandit(), "sampler": Remembering(), "progress": False}
    with pytest.warns(UserWarning, match=f"{newest.name} is damaged"):
        run = ml.resume(tmp_path / "run", **objects)
    assert run.iterations == 5 and same(state_of(run.learner), state_of(run_toy(5).learner))
    assert [p.name for p in (tmp_path / "run" / "checkpoints").glob("*.safetensors")] == [
        "iteration-00000005.safetensors"
    ]


def test_only_the_last_few_checkpoints_are_kept(tmp_path: Path) -> None:
    run_toy(7, out=tmp_path / "run", checkpoint_every=2, keep=2)
    names = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["iteration-00000006.safetensors", "iteration-00000007.safetensors"]


def test_a_metric_that_appears_late_gets_its_column(tmp_path: Path) -> None:
    learner = toy()
    learner.during = lambda iteration, values: values.update(late=1.5) if iteration >= 3 else None
    run = ml.train(learner, bandit(), 4, out=tmp_path / "run", **QUIET)
    assert run.metrics["late"].isna().tolist() == [True, True, False, False]
    text = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert text[0].endswith(",late") and text[1].endswith(",nan") and text[4].endswith(",1.5")


def test_tensorboard_logs_are_written_when_asked(tmp_path: Path) -> None:
    run_toy(2, out=tmp_path / "run", tensorboard=True)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("return")] == [1, 2]


def test_the_device_is_chosen_by_argument_then_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METARL_DEVICE", raising=False)
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setenv("METARL_DEVICE", "meta")
    assert choose_device("auto").type == "meta" and choose_device("cpu").type == "cpu"
    monkeypatch.setenv("METARL_DEVICE", "abacus")
    with pytest.raises(ValueError, match="METARL_DEVICE='abacus'"):
        choose_device("auto")


@pytest.mark.gpu
def test_a_learner_moves_to_the_gpu_with_its_optimiser_and_resumes_on_the_cpu(tmp_path: Path) -> None:
    learner = toy()
    ml.train(learner, bandit(), 2, **QUIET)
    ml.train(learner, bandit(), 2, device="cuda", progress=False, out=tmp_path / "run")
    assert learner.device.type == "cuda" and learner.optimizer.state[learner.logits]["exp_avg"].is_cuda
    back = ml.resume(tmp_path / "run", 3, learner=toy(1), family=bandit(), device="cpu", progress=False)
    assert back.iterations == 3 and back.learner.device.type == "cpu"
