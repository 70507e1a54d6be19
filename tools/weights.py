"""Digests of every learner's weights after a short training: equal before and after a change that is for reading only.

    python tools/weights.py > /tmp/before     # on the code as it was
    python tools/weights.py > /tmp/after      # on the code as it is
    diff /tmp/before /tmp/after               # silence: weights, metrics and acted episodes are the same, bit for bit

Digests depend on the machine and on the version of torch, so nothing stores them. The sizes are those of the contract
tests; names given on the command line choose learners. To look at another checkout, put it first on PYTHONPATH.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "tests")]

from contract.cases import FAMILIES, N, act_out, family, tensors, tiny  # noqa: E402

from metarl_lab.catalog import entries, make_learner  # noqa: E402
from metarl_lab.rollout import seeded_generator  # noqa: E402

UPDATES = 3
GRADIENT: list[dict[str, Any]] = [
    {"surrogate": "dice", "inner_steps": 2},
    {"surrogate": "loaded_dice"},
    {"surrogate": "lvc", "first_order": True},
    {"baseline": "linear", "standardize": False},
    {"outer": "ppo"},
    {"outer": "plain"},
]
# Every branch that an option opens, beside the defaults; an option that a learner does not have is passed over.
VARIANTS: dict[str, list[dict[str, Any]]] = {
    **dict.fromkeys(("maml", "anil", "cavia", "emaml", "finetune", "promp", "hypernetwork"), GRADIENT),
    **dict.fromkeys(("scratch", "reptile"), GRADIENT),
    "average_policy": [{"direction": "reverse"}, {"test_kl": True}],
    "grbal": [
        {"form": "recurrent"},
        {"form": "none"},
        {"planner": "random_shooting", "random_iterations": 0},
        {"random_iterations": 0, "discount": 0.9, "copies": 2},
    ],
    "in_context": [
        {"mode": "supervised"},
        {"lam": 0.8, "random_share": 0.3, "gradient_steps": 3},
        {"mode": "supervised", "random_share": 0.5},
    ],
    "learned_rule": [{"discount": 0.9, "span": 3.0}, {"decay_iterations": 2, "policy_entropy": 0.1}],
    "meta_gradient": [
        {"learn_discount": False},
        {"learn_lambda": False},
        {"outer_value": "inner"},
        {"persist": True},
        {"learn_init": True},
        {"entropy_weight": 0.02, "persist": True, "learn_init": True},
    ],
    "meta_q": [
        {"form": "shared"},
        {"learned_rates": False},
        {"first_order": True},
        {"target_every": 2, "later_pace": 0.5, "explore_later": 0.2},
        {"hidden": ()},
        {"activation": "silu"},
    ],
    "meta_sgd": [*GRADIENT, {"rates": "layer"}],
    "mql": [{"propensity": False}, {"gradient_steps": 3}],
    "pearl": [
        {"encoder_reads": "task"},
        {"encoder_learns": "contrast"},
        {"temperature": 0.0},
        {"encoder_learns": "contrast", "encoder_reads": "task", "temperature": 0.0, "reward_scale": 2.0},
        {"greedy": False},
    ],
    "rl2": [
        {"core": "lstm"},
        {"core": "transformer"},
        {"truncate": 3},
        {"entropy": 0.05, "late_entropy": 0.0, "late_discount": 0.9, "late_lam": 0.5},
    ],
    "varibad": [
        {"reward_model": "binary"},
        {"reward_reads": "next"},
        {"transition_weight": 1.0},
        {"kl_weight": 1.0, "vae_updates": 3},
    ],
}


def variants(name: str) -> Iterator[dict[str, Any]]:
    """The defaults, and every variant whose options the learner has."""
    yield {}
    known = set(entries("learners")[name].Config.__dataclass_fields__)  # type: ignore[attr-defined]
    for options in VARIANTS.get(name, []):
        if options.keys() <= known:
            yield options


def digest(tree: Any) -> str:
    """A digest of all tensors of a nesting, by their bytes."""
    whole = sha256()
    for x in tensors(tree):
        whole.update(x.detach().cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()[:16]


def trained(name: str, family_name: str, options: dict[str, Any]) -> str:
    """Digests of one learner after some updates: weights, metrics, and episodes that it acts afterwards."""
    made = family(family_name)
    config = tiny(entries("learners")[name].Config) | options  # type: ignore[attr-defined]
    learner = make_learner(name, made, seed=1, **config)
    values: list[float] = []
    for step in range(UPDATES):
        tasks = made.sample_tasks(N, "train", seeded_generator("cpu", step, 1))
        metrics = learner.update(made, tasks, seeded_generator("cpu", step, 2))
        values += [*map(float, metrics.values.values()), *metrics.scores.flatten().tolist()]
    state = learner.state_dict()
    _, acted, trial = act_out(learner, made)
    told = learner.absorb(trial.memory, acted)
    weights = digest([state[key] for key in sorted(state)])
    return f"{weights} {digest([torch.tensor(values)])} {digest([acted.action, told])}"


def main() -> None:
    torch.set_num_threads(1)
    names = sys.argv[1:] or list(entries("learners"))
    for name in names:
        for options in variants(name):
            for family_name in FAMILIES:
                try:
                    found = trained(name, family_name, options)
                except ValueError as error:
                    found = f"refused: {error}"
                said = ",".join(f"{key}={value}" for key, value in options.items()) or "default"
                print(f"{name} {family_name} {said} {found}", flush=True)


if __name__ == "__main__":
    main()
