"""Chapter 05: what its pages run and need not show. Acting, trained starts, maps of a return, sweeps.

Shapes: T tasks, E copies of each, M = E H steps acted, O observation features, A action dimensions. Parameters are
dictionaries {name: tensor}; `own` has a leading axis T, a set of parameters for each task.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.chapters.ch05_maml.figures import LABELS
from metarl_lab.chapters.ch05_maml.widget import Start
from metarl_lab.nets.mlp import MLPPolicy
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.runs.files import find_folder
from metarl_lab.tasks.point_navigation import NavigationTasks
from metarl_lab.teach.figures import display_name

Parameters = dict[str, Tensor]

nav: Any = ml.make_family("point_navigation", horizon=20)
goals = nav.published_tasks()  # the 40 test goals of MAML's paper
SIZES: dict[str, Any] = {"hidden": (32, 32), "meta_batch": 10, "episodes": 10, "max_kl": 0.03}
network = MLPPolicy(nav.spec, SIZES["hidden"])  # the function; its parameters travel beside it
_actor: Any = ml.make_learner("maml", nav, **SIZES)  # acts with whatever parameters it is given


class Batch(NamedTuple):
    """What a policy gradient needs of the steps that one task acted; of T tasks, each with one more axis in front."""

    observation: Tensor  # (M, O)
    action: Tensor  # (M, A)
    advantage: Tensor  # (M,), mean 0 and standard deviation 1 over the live steps, 0 once an episode is over
    live: Tensor  # (), steps that were not


def act(own: Parameters, tasks: NavigationTasks, seed: int, episodes: int = 20) -> tuple[Batch, Tensor]:
    """Act `episodes` episodes in every task with that task's own parameters.

    Returns the batch, and the mean return of each task (T,).
    """
    batch, acted = _acted(own, tasks, seed, episodes)
    return batch, acted.returns.mean((1, 2))


def _acted(own: Parameters, tasks: NavigationTasks, seed: int, episodes: int = 20) -> tuple[Batch, Any]:
    trial = begin(_actor, nav, tasks, episodes)
    trial = trial._replace(memory=trial.memory._replace(parameters=own))
    acted, _ = collect(_actor, nav, tasks, trial, seeded_generator("cpu", seed, 1))
    samples = _actor.samples(acted)
    return Batch(samples.observation, samples.action, samples.advantage.flatten(1), samples.live), acted


def copies(theta: Parameters, n: int) -> Parameters:
    """The same parameters for each of n tasks: {name: (n, ...)}."""
    return {name: p.detach().expand(n, *p.shape) for name, p in theta.items()}


def fresh(seed: int) -> Parameters:
    """The parameters of a new network."""
    learner = ml.make_learner("maml", nav, seed=seed, **SIZES)
    return {name: p[0] for name, p in learner.begin(1, 1).parameters.items()}


def tasks_at(places: list[tuple[float, float]]) -> NavigationTasks:
    """Tasks whose goals lie at these places, in units of length."""
    return NavigationTasks(torch.tensor(places))


def new_policy(seed: int) -> MLPPolicy:
    """A new network as a module of its own, with the parameters of `fresh`."""
    policy = MLPPolicy(nav.spec, SIZES["hidden"])
    policy.load_state_dict(fresh(seed))
    return policy


def parameters_of(policy: MLPPolicy) -> Parameters:
    """A network's parameters by name, apart from it."""
    return {name: p.detach() for name, p in policy.named_parameters()}


def new_goals(n: int, seed: int, iteration: int) -> NavigationTasks:
    """n goals to train on, drawn anew for each iteration."""
    return nav.sample_tasks(n, "train", seeded_generator("cpu", seed, iteration, 1))


def standing_still(seed: int, iterations: int) -> np.ndarray:
    """Return of who stands still, at the origin, on the ten goals of each iteration of training: (iterations,)."""
    return np.array([-20 * float(new_goals(10, seed, i).goal.norm(dim=1).mean()) for i in range(iterations)])


def _objective(theta: Parameters, batch: Batch) -> Tensor:
    """The surrogate of one task: its gradient is the policy gradient (chapter text, part 1)."""
    log_prob = functional_call(network, theta, (batch.observation,)).log_prob(batch.action)
    return (log_prob * batch.advantage).sum() / batch.live


def _inner_step(theta: Parameters, batch: Batch, alpha: Any) -> Parameters:
    """One inner step of one task (chapter text, part 2)."""
    gradient = grad(_objective)(theta, batch)
    return {name: p + alpha * gradient[name] for name, p in theta.items()}


def for_all_tasks(yours: dict[str, Any], ours: dict[str, Any]) -> list[Any]:
    """Of the parts of the loop ("surrogate", "inner_step", "after_adapting") yours where vmap runs it, else ours.

    A part may be right for one task and fail under vmap: on `float(live)`, or on `torch.autograd.grad`, which needs
    tensors that ask for a gradient. Then this says so, and the page goes on with ours.
    """
    theta, tasks = fresh(0), tasks_at([(0.3, 0.1), (-0.2, 0.4)])
    batch, _ = act(copies(theta, 2), tasks, 0, 2)
    chosen = []
    for name, part in yours.items():
        if part is ours[name]:
            chosen.append(part)
            continue
        tried = ours | {name: part}

        def objective(theta: Parameters, batch: Batch, surrogate: Any = tried["surrogate"]) -> Tensor:
            policy = functional_call(network, theta, (batch.observation,))
            value: Tensor = surrogate(policy.log_prob(batch.action), batch.advantage, batch.live)
            return value

        def meta(theta: Parameters, objective: Any = objective, tried: dict[str, Any] = tried) -> Tensor:
            def one_task(theta: Parameters, batch: Batch) -> Tensor:
                value: Tensor = tried["after_adapting"](theta, batch, batch, objective, 0.5)
                return value

            return vmap(one_task, (None, 0))(theta, batch).mean()

        def step(own: Parameters, batch: Batch, objective: Any = objective, tried: dict[str, Any] = tried) -> Any:
            return tried["inner_step"](own, objective, batch, 0.5)

        try:
            vmap(step)(copies(theta, 2), batch)
            grad(meta)(theta)
            chosen.append(part)
        except Exception as error:  # whatever the reader's code does
            reason = str(error).strip().split("\n")[0]
            print(
                f"Your {name} is right for one task, but vmap cannot run it for all at once ({reason}). From here on "
                f"the page uses ours. To use yours, keep to tensors (no float, .item or .numpy), take gradients by "
                f"`grad(objective)(theta, batch)`, and run its cell and this one again."
            )
            chosen.append(ours[name])
    return chosen


def after_steps(theta: Parameters, alpha: float = 0.5, steps: int = 3, seed: int = 1, episodes: int = 20) -> np.ndarray:
    """Return of each of the 40 test goals after 0, 1, ... inner steps of `episodes` episodes: (40, steps + 1).

    Later steps have half the rate of the first, as in the published protocol.
    """
    own, returns = copies(theta, len(goals.goal)), []
    for n in range(steps + 1):
        batch, mean_return = act(own, goals, 1000 * seed + n, episodes)
        returns.append(mean_return)
        own = vmap(_inner_step, (0, 0, None))(own, batch, alpha if n == 0 else alpha / 2)
    return torch.stack(returns, 1).double().numpy()


def anchors() -> dict[str, float]:
    """Return per episode on the 40 goals of who does not learn: random play, standing still, who knows the goal."""
    random = ml.evaluate(ml.make_reference("random", nav), nav, tasks=goals, episodes=100).mean[0]
    return {
        "random": float(random),
        "standing still": -20 * float(goals.goal.norm(dim=1).mean()),
        "oracle": float(nav.oracle(goals).mean()),
    }


def step_lengths(theta: Parameters, tasks: NavigationTasks, alpha: float) -> pd.DataFrame:
    """What the inner rate becomes on the gradient of an episode's return, for each task.

    `steps`: live steps of an episode, over which the code averages; `spread`: standard deviation of the advantages,
    by which it divides; `rate`: alpha / (steps x spread), the rate on grad J.
    """
    n = len(tasks.goal)
    trial = begin(_actor, nav, tasks, 200)
    trial = trial._replace(memory=trial.memory._replace(parameters=copies(theta, n)))
    acted, _ = collect(_actor, nav, tasks, trial, seeded_generator("cpu", 3, 1))
    samples = _actor.samples(acted)
    steps = samples.live / acted.returns[0].numel()
    table = pd.DataFrame({"steps": steps.numpy(), "spread": 1 / samples.scale.numpy()})
    table.index = pd.Index([f"({x:.1f}, {y:.1f})" for x, y in tasks.goal.tolist()], name="goal")
    return table.assign(rate=alpha / (table.steps * table.spread))


# Section 7: MAML and fine-tuning, each at every rate.


def train_both(seeds: int, rounds: int) -> dict[str, np.ndarray]:
    """Trained weights, {"maml 0": (P,), ..., "finetune 0": (P,), ...}, on equal env steps."""
    trained = {}
    for name in ("maml", "finetune"):
        for seed in range(seeds):
            # fine-tuning acts one batch where MAML acts two: before the inner step and after it
            size = SIZES | ({"episodes": 20} if name == "finetune" else {})
            learner = ml.make_learner(name, nav, seed=seed, **size)
            ml.train(learner, nav, rounds, seed=seed, device="cpu")
            trained[f"{name} {seed}"] = parameters_to_vector(learner.parameters()).detach().numpy()
    return trained


def learners_of(weights: dict[str, np.ndarray]) -> dict[str, Any]:
    """The learners of `train_both`'s weights, and a fresh network for each seed ("scratch 0", ...)."""
    learners = {}
    for key, vector in weights.items():
        learners[key] = ml.make_learner(key.split()[0], nav, **SIZES)
        vector_to_parameters(torch.as_tensor(vector, dtype=torch.float32), learners[key].parameters())
    for seed in sorted({int(key.split()[1]) for key in weights}):
        learners[f"scratch {seed}"] = ml.make_learner("scratch", nav, seed=seed, hidden=SIZES["hidden"])
    return learners


def start_of(learner: Any) -> Parameters:
    """The parameters from which a learner's trials begin."""
    return {name: p[0] for name, p in learner.begin(1, 1).parameters.items()}


def at_rate(learner: Any, rate: float, batches: int = 2) -> np.ndarray:
    """Mean return on the 40 goals after 0, 1, ... inner steps of this rate, (batches,)."""
    learner.config = dataclasses.replace(learner.config, inner_step=rate, later_inner_step=rate / 2)
    return ml.evaluate(learner, nav, tasks=goals, episodes=20, batches=batches).mean


def scan(learners: dict[str, Any], rates: tuple[float, ...]) -> pd.DataFrame:
    """Return after one step, a row for each learner, seed and rate.

    `training`: on 40 goals drawn as in training, by which a rate may be chosen; `after`: on the 40 test goals.
    """
    to_choose_by = new_goals(40, 77, 0)
    rows = []
    for key, learner in learners.items():
        name, seed = key.split()
        training, after = (after_one_step(start_of(learner), rates, tasks) for tasks in (to_choose_by, goals))
        rows.append(
            pd.DataFrame(
                {"learner": name, "seed": int(seed), "rate": rates, "training": training, "after": after},
            )
        )
    return pd.concat(rows, ignore_index=True)


def after_one_step(theta: Parameters, rates: tuple[float, ...], tasks: NavigationTasks) -> np.ndarray:
    """Mean return over `tasks` after one inner step of each rate, (R,); all rates step on the same 20 episodes."""
    n = len(tasks.goal)
    before, _ = act(copies(theta, n), tasks, 21)
    slopes = vmap(grad(_objective), (None, 0))(theta, before)
    moved = {
        name: torch.cat([p.detach() + rate * slopes[name] for rate in rates])  # (R T, ...), rate by rate
        for name, p in theta.items()
    }
    _, returns = act(moved, NavigationTasks(tasks.goal.repeat(len(rates), 1)), 22)
    return returns.reshape(len(rates), n).mean(1).double().numpy()


def at_chosen_rates(table: pd.DataFrame) -> pd.DataFrame:
    """Test return after one step, a row for each seed, a column for each learner at its chosen rate.

    A learner's rate is one for all its seeds: the best in the mean over seeds on goals drawn as in training.
    """
    chosen = table[table.rate == table.learner.map(chosen_rates(table))]
    return chosen.pivot(index="seed", columns="learner", values="after")


def chosen_rates(table: pd.DataFrame) -> pd.Series:
    """The rate of each learner that is best on goals drawn as in training, in the mean over its seeds."""
    return table.pivot_table(index="learner", columns="rate", values="training").idxmax(axis=1)


# Section 8: the plane in which steps lie, and a map of it.

ANGLES, DISTANCE = tuple(range(0, 360, 45)), 0.5
RATES_SHOWN = tuple(np.arange(1, 11) / 10)
SIDE = np.linspace(-1.5, 1.5, 21)
_FAR = 9.0  # units of length: walks to a goal out there never end early
_TURN = torch.deg2rad(torch.tensor(ANGLES, dtype=torch.float32))
ring = NavigationTasks(DISTANCE * torch.stack([_TURN.cos(), _TURN.sin()], 1))


def _flat(own: Parameters) -> Tensor:
    return torch.cat([x.flatten(1) for x in own.values()], 1)  # (T, P)


def plane_at(theta: Parameters) -> Parameters:
    """Two directions in parameter space, {name: (2, ...)}: the gradients "for right" and "for up".

    Gradients of eight goals on a circle, weighed by the cosine and by the sine of the goal's angle.
    """
    batch, _ = act(copies(theta, len(ANGLES)), ring, 5, episodes=200)
    slopes = vmap(grad(_objective), (None, 0))(theta, batch)
    weights = torch.stack([_TURN.cos(), _TURN.sin()]) / 4
    return {name: torch.tensordot(weights, slope, 1) for name, slope in slopes.items()}


def _on_plane(move: Tensor, plane: Parameters) -> tuple[Tensor, Tensor]:
    """Moves (T, P) -> coordinates on the plane (T, 2), share of the squared length that lies in it (T,)."""
    basis = _flat(plane)
    place = torch.linalg.lstsq(basis.T, move.T).solution.T
    return place, (place @ basis).square().sum(1) / move.square().sum(1)


def share_in_plane(theta: Parameters, plane: Parameters) -> float:
    """Mean share of an inner step, in squared length, that lies in the plane, over the 40 goals."""
    own = copies(theta, len(goals.goal))
    batch, _ = act(own, goals, 6)
    moved = vmap(_inner_step, (0, 0, None))(own, batch, 0.5)
    return float(_on_plane(_flat(moved) - _flat(own), plane)[1].mean())


def _returns_at(theta: Parameters, plane: Parameters, places: Tensor) -> np.ndarray:
    """Return of every goal of the ring at places (N, 2) of the plane: (G, N)."""
    own = {name: p + torch.tensordot(places, plane[name], 1) for name, p in theta.items()}
    _, acted = _acted(own, NavigationTasks(torch.full((len(places), 2), _FAR)), 7)
    place = torch.cat([acted.observation[:, :, 0, 1:], acted.final_observation], 2)  # (N, E, H, 2), after each move
    return torch.stack([-(place - goal).norm(dim=-1).sum(-1).mean(1) for goal in ring.goal]).numpy()


def _landscape(theta: Parameters, plane: Parameters) -> np.ndarray:
    grid = torch.cartesian_prod(*[torch.tensor(SIDE, dtype=torch.float32)] * 2)  # (N, 2)
    return _returns_at(theta, plane, grid).reshape(len(ANGLES), len(SIDE), len(SIDE))


def explore(theta: Parameters, plane: Parameters) -> Start:
    """Inner steps of every rate towards every goal on the circle, and the map around the start, for the widget."""
    own, rate = copies(theta, 80), torch.tensor(RATES_SHOWN).float().repeat_interleave(8)
    origin, tasks, found = _flat(own), NavigationTasks(ring.goal.repeat(10, 1)), []
    for n in range(4):
        batch, acted = _acted(own, tasks, 8 + n)
        walk = torch.where(acted.mask[..., None], acted.observation, torch.nan)[:, :4, 0]
        found.append([walk, acted.returns.mean((1, 2)), _on_plane(_flat(own) - origin, plane)[0]])
        own = vmap(_inner_step, (0, 0, 0))(own, batch, rate if n == 0 else rate / 2)
    path, returns, route = (torch.stack(x, 1).reshape(10, 8, 4, *x[0].shape[1:]).numpy() for x in zip(*found))
    return Start(path, returns, route, _landscape(theta, plane))


DIRECTIONS = np.arange(24) * 15.0  # degrees on the plane
LENGTHS = np.geomspace(0.02, 1.5, 30)  # equal factors: a hill close by is seen as finely as one far away
WALKS = -6.0  # return per episode of a policy that walks towards its goal; standing still has -10 on these goals


def rays(theta: Parameters, plane: Parameters, angles: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return of every goal of the ring along rays from the start: (G, directions, lengths).

    angles : (D,), degrees on the plane. lengths : (N,), in units of the inner rate.
    """
    turn, length = (torch.tensor(x, dtype=torch.float32) for x in (np.deg2rad(angles), lengths))
    places = torch.stack([turn.cos()[:, None] * length, turn.sin()[:, None] * length], 2).flatten(0, 1)
    return _returns_at(theta, plane, places).reshape(len(ring.goal), len(angles), len(lengths))


def hills(learners: dict[str, Any], directions: np.ndarray = DIRECTIONS, lengths: np.ndarray = LENGTHS) -> pd.DataFrame:
    """The hill of each goal around each start, a row for each learner, seed and goal. Lengths in units of inner rate.

    `height`: the highest return in any direction; `off`: angle in degrees between the goal's own gradient and that
    top. Then along the goal's own gradient alone: `top`, the distance of the highest return; `near` and `far`, where
    the return is above `WALKS` for the first and for the last time (NaN: never). `travels`: how far a step of rate
    0.5 goes.
    """
    rows = []
    for key, learner in learners.items():
        theta = start_of(learner)
        plane, (name, seed) = plane_at(theta), key.split()
        slopes = vmap(grad(_objective), (None, 0))(theta, act(copies(theta, len(ANGLES)), ring, 6, episodes=200)[0])
        own = _on_plane(_flat(slopes), plane)[0].double().numpy()  # (G, 2): each goal's gradient on the plane
        ahead = np.rad2deg(np.arctan2(own[:, 1], own[:, 0]))
        seen = rays(theta, plane, np.concatenate([directions, ahead]), lengths)
        for number, angle in enumerate(ANGLES):
            around, along = seen[number], seen[number, len(directions) + number]
            highest = np.unravel_index(around.argmax(), around.shape)[0]
            towards = np.concatenate([directions, ahead])[highest]
            walking = lengths[along > WALKS]
            rows.append(
                {
                    "learner": name,
                    "seed": int(seed),
                    "goal": angle,
                    "height": float(around.max()),
                    "off": float(abs((towards - ahead[number] + 180) % 360 - 180)),
                    "top": float(lengths[along.argmax()]),
                    "near": float(walking[0]) if len(walking) else np.nan,
                    "far": float(walking[-1]) if len(walking) else np.nan,
                    "travels": float(0.5 * np.hypot(*own[number])),
                }
            )
    return pd.DataFrame(rows).set_index(["learner", "seed", "goal"])


def over_goals(table: pd.DataFrame) -> pd.DataFrame:
    """`hills` in one row for each learner and seed.

    Means over the goals of `height`, `off` and `top`; `uneven`, the farthest top over the nearest; `broad`, the median
    of far over near; `opens` and `closes`, the shortest and the longest step that lift *all* goals above `WALKS` (NaN:
    some goal is never lifted; none does where `opens` is the larger).
    """
    groups = table.groupby(["learner", "seed"], sort=False)
    found = groups[["height", "off", "top"]].mean()
    found["uneven"] = groups.top.max() / groups.top.min()
    found["broad"] = (table.far / table.near).groupby(["learner", "seed"], sort=False).median()
    found["opens"] = groups.near.agg(lambda near: near.max(skipna=False))
    found["closes"] = groups.far.agg(lambda far: far.min(skipna=False))
    return found


# Section 9: the published size.

SETTINGS = ("maml 0.5", "maml 0.3", "finetune 0.5", "finetune 0.15", "finetune 0.1", "scratch 0.5")


def full_size() -> tuple[pd.DataFrame, dict[str, float]]:
    """Stored results at the published size: a row for each setting and step (mean, low, high over seeds, published).

    Also the anchors: random play, standing still, oracle.
    """
    stored = pd.read_csv(find_folder("data/results") / "point_navigation.csv")
    rows = []
    for setting in SETTINGS:
        name, rate = setting.split()
        mine = stored[(stored.learner == name) & (stored.inner_step == float(rate)) & (stored.seed == "all")]
        rows.append(mine[["step", "mean", "low", "high", "published"]].assign(setting=setting))
    keys = {"random": "random", "oracle": "oracle", "standing still": "staying at the origin (exact)"}
    lines = {name: float(stored[stored.learner == key]["mean"].iloc[0]) for name, key in keys.items()}
    return pd.concat(rows).set_index(["setting", "step"]), lines


def as_text(table: pd.DataFrame) -> str:
    """Mean and interval of every setting after 0 to 3 steps, and the published figures where there are any."""
    cells = {}
    for setting in SETTINGS:
        rows, (name, rate) = table.loc[setting], setting.split()
        bands = rows[["mean", "low", "high"]].to_numpy()
        cells[f"{display_name(name)} at {rate}"] = [f"{m:.1f} [{low:.1f}, {high:.1f}]" for m, low, high in bands]
        if rows.published.notna().all():
            cells[f"  {display_name(name)}, published"] = [f"{value:.1f}" for value in rows.published]
    return pd.DataFrame(cells, [f"step {n}" for n in range(4)]).T.to_string()


def full_size_by_seed(step: int) -> pd.DataFrame:
    """Return after `step` inner steps, a row for each seed; a column for each setting, such as "maml_0.5"."""
    stored = pd.read_csv(find_folder("data/results") / "point_navigation.csv")
    rows = stored[stored.seed.apply(lambda seed: str(seed).isdigit()) & (stored.step == step)]
    named = rows.assign(setting=rows.learner + "_" + rows.inner_step.astype(str))
    return named.pivot(index="seed", columns="setting", values="mean")


def lead_at_full_size(step: int, first: str, second: str) -> tuple[np.ndarray, tuple[float, float, float]]:
    """By how much `first` leads `second` after `step` inner steps: in each seed, and the mean with its interval.

    The interval is Student's, of the differences within a seed. Settings as in `full_size_by_seed`.
    """
    found = full_size_by_seed(step)
    return lead(found[first].to_numpy(), found[second].to_numpy())


def lead(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, tuple[float, float, float]]:
    """First minus second, seed by seed (S,), and the mean of that with its 95% interval (mean, low, high)."""
    ahead = np.asarray(first) - np.asarray(second)
    mean, low, high = mean_interval(ahead)
    return ahead, (float(mean), float(low), float(high))


# Section 10: three knobs.

KNOBS: dict[str, tuple[float, ...]] = {
    "meta_batch": (2, 5, 10, 20, 40),
    "inner_step": (0.1, 0.25, 0.5, 1.0, 2.0, 4.0),
    "inner_steps": (1, 2, 3),
}
USUAL: dict[str, Any] = {"meta_batch": 10, "inner_step": 0.5, "inner_steps": 1}
_ENV_STEPS = 1200  # batches of 10 episodes of 20 steps: 240,000 env steps for every setting


def _small_run(seed: int, meta_batch: int, inner_step: float, inner_steps: int, most: int | None) -> np.ndarray:
    options = SIZES | {"meta_batch": meta_batch, "inner_step": inner_step, "inner_steps": inner_steps}
    options |= {"later_inner_step": inner_step / 2, "outer": "plain", "learning_rate": 0.01}
    learner = ml.make_learner("maml", nav, seed=seed, **options)
    rounds = _ENV_STEPS // (meta_batch * (inner_steps + 1))
    ml.train(learner, nav, min(rounds, most or rounds), seed=seed, device="cpu", progress=False)
    return at_rate(learner, inner_step, batches=4)


def sweep(most: int | None = None) -> dict[str, np.ndarray]:
    """Return after 0 to 3 steps of every setting, {"10 0.5 1": (seeds, 4)}; 2 minutes on a core.

    `most` cuts every training to that many iterations.
    """
    settings = {tuple((USUAL | {knob: value}).items()) for knob, values in KNOBS.items() for value in values}
    found = {}
    for setting in tqdm(sorted(settings), desc="settings"):
        runs = [_small_run(seed, **dict(setting), most=most) for seed in range(5)]
        found[" ".join(str(value) for _, value in setting)] = np.stack(runs)
    return found


def knob_table(swept: dict[str, np.ndarray]) -> pd.DataFrame:
    """A row for each knob, value and seed: return after one, two and three steps."""
    rows = []
    for knob, values in KNOBS.items():
        for value in values:
            runs = swept[" ".join(str(x) for x in (USUAL | {knob: value}).values())]
            for seed, run in enumerate(runs):
                rows.append({"knob": knob, "value": value, "seed": seed, "one": run[1], "two": run[2], "three": run[3]})
    return pd.DataFrame(rows)


def knob_means(table: pd.DataFrame) -> str:
    """Mean over seeds for every knob and value, in words."""
    means = table.replace({"knob": LABELS}).groupby(["knob", "value"], sort=False)[["one", "two", "three"]].mean()
    means.columns = pd.Index(["after one", "after two", "after three"])
    means.index = pd.Index([f"{knob}: {value:g}" for knob, value in means.index])
    return means.round(1).to_string()


def knob_differences(table: pd.DataFrame) -> pd.DataFrame:
    """Every setting against the usual one, seed by seed: rows (setting, after), columns mean, low, high.

    `after` is "one" or "three" steps; low and high bound Student's 95% interval of the mean difference.
    """
    rows = []
    for knob, values in KNOBS.items():
        mine = table[table.knob == knob]
        for value in values:
            if value == USUAL[knob]:
                continue
            for after in ("one", "three"):
                runs = mine.pivot(index="seed", columns="value", values=after)
                _, (mean, low, high) = lead(runs[value].to_numpy(), runs[USUAL[knob]].to_numpy())
                setting = f"{LABELS[knob]}: {value:g}"
                rows.append({"setting": setting, "after": after, "mean": mean, "low": low, "high": high})
    return pd.DataFrame(rows).set_index(["setting", "after"])


def differences_as_text(differences: pd.DataFrame) -> str:
    """`knob_differences` as mean and half of the interval, in words."""
    cells = [f"{row['mean']:+.2f} +- {(row.high - row.low) / 2:.2f}" for _, row in differences.iterrows()]
    shown = pd.Series(cells, differences.index).unstack("after", sort=False)
    shown.columns = pd.Index([f"after {after}" for after in shown.columns])
    shown.index.name = None
    return shown.to_string()
