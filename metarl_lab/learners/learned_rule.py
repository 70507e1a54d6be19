"""A learned update rule: what is meta-learned is not where an agent starts, but how it learns."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.update_rule import Targets, UpdateRule
from metarl_lab.ops.descent import descend
from metarl_lab.ops.distributions import Categorical
from metarl_lab.ops.linear_agents import (
    AgentBatch,
    LinearAgents,
    Outputs,
    agent_batch,
    agent_step,
    judge,
    live_mean,
    outputs,
)
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Metrics, Seen, Spec, map_tensors


@dataclass(frozen=True)
class LearnedRuleConfig:
    """What can be chosen. The defaults train on small tabular families on a CPU; published values in brackets."""

    hidden: int = 32
    """GRU units of the rule [an LSTM of 256]."""
    span: float = 1.0
    """Steps that its slowest unit remembers at first (see ``UpdateRule``): more makes far credit easier to find."""
    categories: int = 8
    """m, the size of an agent's prediction of a state [30]."""
    embedding: int = 16
    """Units of the hidden layer that embeds a prediction [16]."""
    meta_batch: int = 32
    """Tasks per iteration, one agent each."""
    episodes: int = 8
    """Episodes of each task per batch, 2 or more; an agent takes one step per batch."""
    inner_steps: int = 20
    """Steps of an agent's life in meta-training, each on a batch of its own."""
    window: int = 5
    """Agent steps that a meta-gradient looks through; a meta-step follows each window of a life [5 or 20]."""
    agent_step: float = 1.0
    """Step size of an agent's policy, per mean over episodes of the sum over steps; the rule learns a scale too."""
    prediction_step: float = 4.0
    """Step size of an agent's predictions, idem."""
    discount: float = 1.0
    """Discount per step of the outer objective; the rule itself has none."""
    learning_rate: float = 3e-3
    """Adam's step size for the rule, at the start."""
    decay_iterations: int = 0
    """Over this many iterations it falls linearly to a twentieth; 0 keeps it."""
    policy_entropy: float = 0.02
    """Weight of the agents' policy entropy in the outer objective, per nat [0.05]."""
    prediction_entropy: float = 1e-3
    """Weight of the entropy of the agents' predictions, per nat [0.001]."""
    pi_hat_penalty: float = 2e-3
    """Weight of the mean square of pi_hat [0.001]. With less, agents settle too early."""
    y_hat_penalty: float = 1e-3
    """Weight of the mean squared length of y_hat [0.001]."""
    max_grad_norm: float = 1.0
    """Meta-gradients longer than this are scaled down to it."""


class RuleTargets(NamedTuple):
    """What a rule makes of a batch, step by step, beside what it read: (T, N, H), and (T, N, H, m) for y, y_hat."""

    pi: Tensor
    y: Tensor
    y_next: Tensor
    pi_hat: Tensor
    y_hat: Tensor


class LearnedRule(MetaLearner):
    """theta_{k+1} = U_eta(theta_k, batch_k);  eta <- argmax sum_k J(theta_k) (Oh et al. 2020, LPG).

    U_eta is ``nets.update_rule.UpdateRule``: it says pi_hat and y_hat for every step of a batch, and ``agent_step``
    moves the agent towards them. Agents start from zero (every action equally likely) in every trial. Memory: the
    agents' own parameters; the meta-parameters are the rule's alone, and know nothing of states and actions: ``on``
    takes the same rule to another family, and its weights load into a learner of any family with discrete actions.
    """

    name: ClassVar[str] = "learned_rule"
    source: ClassVar[str] = "Oh et al. 2020, arXiv 2007.08794 (LPG)"
    Config = LearnedRuleConfig
    shares_memory = True

    def __init__(self, spec: Spec, config: LearnedRuleConfig) -> None:
        super().__init__(spec, config)
        _check_spec(spec)
        sizes = ("hidden", "categories", "embedding", "meta_batch", "inner_steps", "window", "learning_rate")
        check_positive("learned_rule", **{key: getattr(config, key) for key in sizes})
        if config.span < 1:
            raise ValueError(f"learned_rule: span={config.span} is not allowed; give 1 step or more")
        if config.episodes < 2:
            raise ValueError(f"learned_rule: episodes={config.episodes} leaves no baseline; give 2 or more")
        self.rule = UpdateRule(config.categories, config.hidden, config.embedding, config.span)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.updates: Tensor

    def on(self, family: TaskFamily) -> LearnedRule:
        """The same rule for another family's spaces: parameters and optimiser are shared, not copied."""
        _check_spec(family.spec)
        other = copy.copy(self)
        other.spec = family.spec
        return other

    def begin(self, n_tasks: int, copies: int) -> LinearAgents:
        weight, spec = next(self.parameters()), self.spec
        shapes = (spec.action_size, self.config.categories)
        return LinearAgents(*(weight.new_zeros(n_tasks, spec.observation_size, size) for size in shapes))

    def act(self, memory: LinearAgents, seen: Seen, noise: Tensor) -> tuple[Tensor, LinearAgents]:
        return Categorical(seen.observation.to(memory.policy.dtype) @ memory.policy).sample(noise), memory

    @torch.no_grad()
    def absorb(self, memory: LinearAgents, episodes: Episodes) -> LinearAgents:
        """One step of every agent, as the rule says."""
        batch = agent_batch(episodes, memory.policy.dtype)
        return self.learn(memory, batch, outputs(memory, batch))[0]

    def learn(self, agents: LinearAgents, batch: AgentBatch, said: Outputs) -> tuple[LinearAgents, Targets]:
        """The agents after one step, and the targets that moved them; differentiable in the rule and the agents."""
        sizes = (self.config.agent_step, self.config.prediction_step)
        targets: Targets = self.rule(batch.reward, batch.terminated, batch.live, *_read(batch, said))
        return agent_step(agents, batch, said, targets.pi_hat, targets.log_y_hat, *sizes), targets

    @torch.no_grad()
    def targets(self, episodes: Episodes, memory: LinearAgents) -> RuleTargets:
        """What the rule says about each step of these episodes (T, E, K, H) to the agents that acted them; N = E K."""
        batch = agent_batch(episodes, memory.policy.dtype)
        read = _read(batch, outputs(memory, batch))
        pi_hat, log_y_hat = self.rule(batch.reward, batch.terminated, batch.live, *read)
        return RuleTargets(*read, pi_hat, log_y_hat.exp())

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        """One life of an agent per task; a meta-step after each window, on how the agents act after each of its steps.

        A batch serves twice: it shows how good the step before it was, and is what the next step learns from.
        """
        config = self.config
        episodes, trial = collect(self, family, tasks, begin(self, family, tasks, config.episodes), generator)
        acted, sums = [episodes], []
        for first in range(0, config.inner_steps, config.window):
            agents = map_tensors(lambda x: x.detach(), trial.memory)
            batch = agent_batch(acted[-1], agents.policy.dtype)
            said, terms = outputs(agents, batch), []
            for _ in range(min(config.window, config.inner_steps - first)):
                learned_from = batch.live
                agents, targets = self.learn(agents, batch, said)
                episodes, trial = collect(self, family, tasks, trial._replace(memory=agents), generator)
                acted.append(episodes)
                batch = agent_batch(episodes, agents.policy.dtype)
                said = outputs(agents, batch)
                how_good = judge(batch, said, family.training_reward(tasks, episodes), config.discount)
                squares = (targets.pi_hat.square(), targets.log_y_hat.exp().square().sum(-1))
                terms.append(torch.stack((*how_good, *(live_mean(x, learned_from) for x in squares))))
            mean = torch.stack(terms).mean(0)  # (5,)
            signs = (-1.0, -config.policy_entropy, -config.prediction_entropy)
            loss = mean @ mean.new_tensor((*signs, config.pi_hat_penalty, config.y_hat_penalty))
            descend(self.optimizer, loss, config.max_grad_norm)
            sums.append(torch.cat((loss.unsqueeze(0), mean)).detach())
        self._decay()
        names = ("loss", "gain", "policy_entropy", "prediction_entropy", "pi_hat_square", "y_hat_square")
        values = dict(zip(names, torch.stack(sums).mean(0).tolist(), strict=True))
        scores = torch.stack([e.returns.mean((1, 2)) for e in acted], 1)  # (T, B)
        steps = int(torch.stack([e.mask.sum() for e in acted]).sum())
        before, after = scores.mean(0)[[0, -1]].tolist()
        return Metrics({"return": after, "return_before": before, "env_steps": steps, **values}, scores)

    def _decay(self) -> None:
        self.updates += 1  # in place: a rule on several families counts all their iterations
        total = self.config.decay_iterations
        left = max(1 - int(self.updates) / total, 0.05) if total else 1.0
        self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * left


def _read(batch: AgentBatch, said: Outputs) -> tuple[Tensor, Tensor, Tensor]:
    """What a rule reads of the agents: pi(a_t | s_t) (T, N, H), y(s_t) and y(s_{t+1}) (T, N, H, m)."""
    pi = said.log_pi.gather(-1, batch.action.unsqueeze(-1)).view_as(batch.reward)
    return pi.exp(), said.log_y.exp(), said.log_y_next.exp()


def _check_spec(spec: Spec) -> None:
    """Raise ValueError for actions that are not indices."""
    if not spec.discrete:
        raise ValueError("learned_rule reads the probability of an action; give a family with discrete actions")
