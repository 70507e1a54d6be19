"""An optimiser goes on from its flat tensors as if it had never stopped."""

from __future__ import annotations

import torch

from metarl_lab.ops.optimizer_state import load_optimizer_slots, optimizer_slots


def steps(optimizer: torch.optim.Optimizer, weights: list[torch.nn.Parameter], gradients: list[float]) -> None:
    for gradient in gradients:
        for weight in weights:
            weight.grad = gradient * torch.ones_like(weight)
        optimizer.step()


def parameters() -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.zeros(3))]


def test_adam_goes_on_from_its_slots_and_takes_no_other_ones() -> None:
    whole, first, rest = parameters(), parameters(), parameters()
    steps(torch.optim.Adam(whole, lr=0.1), whole, [1.0, -2.0, 0.5, 3.0])
    before, after = torch.optim.Adam(first, lr=0.1), torch.optim.Adam(rest, lr=0.1)
    steps(before, first, [1.0, -2.0])
    slots = optimizer_slots(before, "adam")
    assert slots.keys() == {f"adam.{i}.{slot}" for i in (0, 1) for slot in ("step", "exp_avg", "exp_avg_sq")}
    others = {"adam.lr": torch.tensor([7.0]), "adamant.0.exp_avg": torch.ones(2), "x": torch.ones(1)}
    load_optimizer_slots(after, "adam", slots | others)
    with torch.no_grad():
        for theirs, mine in zip(rest, first, strict=True):
            theirs.copy_(mine)
    steps(after, rest, [0.5, 3.0])
    for got, want in zip(rest, whole, strict=True):
        assert torch.equal(got, want)
    assert torch.equal(slots["adam.0.step"], torch.tensor(2.0)), "what was loaded was copied"


def test_plain_gradient_descent_has_nothing_to_keep() -> None:
    weights = parameters()
    optimizer = torch.optim.SGD(weights, lr=0.1)
    steps(optimizer, weights, [1.0])
    assert optimizer_slots(optimizer, "sgd") == {}
