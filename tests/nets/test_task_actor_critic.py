"""Every task's own step: its length, its limit, and what it is a function of."""

from __future__ import annotations

import pytest
import torch

import metarl_lab as ml
from metarl_lab.nets.task_actor_critic import Kept, TaskActorCritic, held, steps_along
from metarl_lab.types import Spec

SPEC = ml.make_family("tabular_mdp", states=3, actions=2).spec
BOX = ml.make_family("point_navigation").spec


def test_a_long_gradient_is_cut_down_task_by_task() -> None:
    """Gradients (3, 4) and (0.3, 0.4): the first has norm 5 and becomes 1 long, the other stays as it is."""
    w = torch.zeros(2, 2, requires_grad=True)
    slope = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    after = steps_along({"w": w}, 2.0, 1.0, ((w * slope).sum(1), torch.ones(2)))["w"]
    assert after.tolist() == [pytest.approx([1.2, 1.6]), pytest.approx([0.6, 0.8])]


def test_the_weights_of_the_sum_are_constants_to_the_step_and_not_to_what_comes_after() -> None:
    w, eta = torch.tensor([[2.0]], requires_grad=True), torch.tensor(3.0, requires_grad=True)
    after = steps_along({"w": w}, 1.0, 1e9, (w.square().sum(1), (eta * w).sum(1)))["w"]  # step: (eta w) 2 w
    assert after.item() == pytest.approx(2 + 3 * 2 * 2 * 2)
    assert torch.autograd.grad(after.sum(), eta)[0].item() == pytest.approx(2 * 2 * 2)


@pytest.mark.parametrize("spec", [SPEC, BOX], ids=["discrete", "box"])
def test_kept_weights_come_back_as_copies(spec: Spec) -> None:
    """Of a box policy too, whose ``log_std`` has an underscore in its own name, as ``outer_value`` has."""
    nets = TaskActorCritic(spec, (4,), "tanh")
    kept = Kept(held(nets.initial(3)))
    first = kept.load()
    assert len(kept) == 3
    for part, weights in nets.initial(3)._asdict().items():
        loaded = getattr(first, part)
        assert loaded.keys() == weights.keys() and all(torch.equal(loaded[name], weights[name]) for name in weights)
    changed = first._replace(value={k: w + 1 for k, w in first.value.items()})
    kept.save(changed)
    assert torch.equal(kept.load().value["bias1"], first.value["bias1"] + 1)
    assert torch.equal(kept.load().outer_value["weight0"], nets.outer_critic.weight0.expand(3, -1, 4))
