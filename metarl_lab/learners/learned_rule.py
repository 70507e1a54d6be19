"""A learned update rule: what is meta-learned is not where an agent starts, but how it learns."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar, Generic, NamedTuple, TypeVar

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
    outputs,
)
from metarl_lab.ops.live import live_mean
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Metrics, Seen, Spec

_LEAST_RATE = 0.05  # of the first learning rate, where it decays
_Scalar = TypeVar("_Scalar", Tensor, float)


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


class MetaObjective(NamedTuple, Generic[_Scalar]):
    """The five terms of eq. 4, each a mean over live steps of all tasks; or the weight of each in the loss."""

    gain: _Scalar  # log pi_theta'(a_t | s_t) times advantage: its gradient is the policy gradient
    policy_entropy: _Scalar  # H(pi_theta'), nats
    prediction_entropy: _Scalar  # H(y_theta'), nats
    pi_hat_square: _Scalar  # pi_hat^2
    y_hat_square: _Scalar  # |y_hat|^2


class LearnedRule(MetaLearner):
    """theta_{k+1} = U_eta(theta_k, batch_k);  eta <- argmax sum_k J(theta_k) (Oh et al. 2020, LPG).

    U_eta is ``nets.update_rule.UpdateRule``: it says pi_hat and y_hat for every step of a batch, and ``agent_step``
    moves the agent towards them. Agents start from zero (every action equally likely) in every trial. Memory: the
    agents' own parameters; the meta-parameters are the rule's alone, and know nothing of states and actions: ``on``
    takes the same rule to another family, and its weights load into a learner of any family with discrete actions.

    Equations, algorithm and sections are numbered as in the paper's first version. What differs from it: the meta-
    gradient follows the return after *every* step of a window, not after the last one alone; a life is one iteration
    long, so the agents of a meta-step are all of one age, where the paper's population mixes ages; their step sizes
    (alpha) are fixed fields, not drawn by a bandit (section 3.4); and a baseline out of the other episodes of the task
    stands for the learned values of the outer A2C (appendix B.1).
    """

    name: ClassVar[str] = "learned_rule"
    source: ClassVar[str] = "Oh et al. 2020, arXiv 2007.08794 (LPG)"
    Config = LearnedRuleConfig
    shares_memory = True
    updates: Tensor

    def __init__(self, spec: Spec, config: LearnedRuleConfig) -> None:
        super().__init__(spec, config)
        _check_spec(spec)
        _check_config(config)
        self.rule = UpdateRule(config.categories, config.hidden, config.embedding, config.span)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def on(self, family: TaskFamily) -> LearnedRule:
        """The same rule for another family's spaces: parameters and optimiser are shared, not copied."""
        _check_spec(family.spec)
        other = copy.copy(self)
        other.spec = family.spec
        return other

    def begin(self, n_tasks: int, copies: int) -> LinearAgents:
        """theta_0: every action equally likely, every category too."""
        like, states = next(self.parameters()), self.spec.observation_size
        policy = like.new_zeros(n_tasks, states, self.spec.action_size)
        prediction = like.new_zeros(n_tasks, states, self.config.categories)
        return LinearAgents(policy, prediction)

    def act(self, memory: LinearAgents, seen: Seen, noise: Tensor) -> tuple[Tensor, LinearAgents]:
        """Every task's agent acts by its own logits."""
        logits = seen.observation.to(memory.policy.dtype) @ memory.policy  # (T, E, A)
        return Categorical(logits).sample(noise), memory

    @torch.no_grad()
    def absorb(self, memory: LinearAgents, episodes: Episodes) -> LinearAgents:
        """One step of every agent, as the rule says."""
        batch = agent_batch(episodes, memory.policy.dtype)
        stepped, _ = self.learn(memory, batch, outputs(memory, batch))
        return stepped

    def learn(self, agents: LinearAgents, batch: AgentBatch, said: Outputs) -> tuple[LinearAgents, Targets]:
        """The agents after one step (eq. 2), and the targets that moved them.

        Differentiable in the rule and in the agents. ``said`` is ``outputs(agents, batch)``.
        """
        pi, y, y_next = _read(batch, said)
        targets: Targets = self.rule(batch.reward, batch.terminated, batch.live, pi, y, y_next)
        stepped = agent_step(
            agents,
            batch,
            said,
            targets.pi_hat,
            targets.log_y_hat,
            size=self.config.agent_step,
            prediction_size=self.config.prediction_step,
        )
        return stepped, targets

    @torch.no_grad()
    def targets(self, episodes: Episodes, memory: LinearAgents) -> RuleTargets:
        """What the rule says about each step of these episodes (T, E, K, H) to the agents that acted them; N = E K."""
        batch = agent_batch(episodes, memory.policy.dtype)
        pi, y, y_next = _read(batch, outputs(memory, batch))
        pi_hat, log_y_hat = self.rule(batch.reward, batch.terminated, batch.live, pi, y, y_next)
        return RuleTargets(pi, y, y_next, pi_hat, log_y_hat.exp())

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        """Algorithm 1: one life of an agent per task, and a meta-step after each window of K steps of it.

        A batch serves twice: it shows how good the step before it was, and is what the next step learns from.
        """
        config = self.config
        # "Reset lifetime": theta ~ p(theta_0), here zeros. Its first batch is acted before there is anything to judge.
        episodes, trial = collect(self, family, tasks, begin(self, family, tasks, config.episodes), generator)
        acted = [episodes]
        reports: list[Tensor] = []  # of each window
        for first_step in range(0, config.inner_steps, config.window):
            # Section 3.3, truncated backpropagation: what the agents learned before this window is taken as given.
            agents = LinearAgents(trial.memory.policy.detach(), trial.memory.prediction.detach())
            batch = agent_batch(acted[-1], agents.policy.dtype)
            said = outputs(agents, batch)
            objectives: list[MetaObjective[Tensor]] = []  # of each step of the window

            # "Update parameters theta using eta and alpha for K times using Eq. (2)"
            steps_left = config.inner_steps - first_step
            for _ in range(min(config.window, steps_left)):
                learned_from = batch.live
                agents, targets = self.learn(agents, batch, said)
                # How good are the agents now? They act; the same episodes are what the next step learns from.
                episodes, trial = collect(self, family, tasks, trial._replace(memory=agents), generator)
                acted.append(episodes)
                batch = agent_batch(episodes, agents.policy.dtype)
                said = outputs(agents, batch)
                reward = family.training_reward(tasks, episodes)
                objectives.append(self.meta_objective(batch, said, reward, targets, learned_from))

            # "Compute meta-gradient using Eq. (4)", and "update eta using the meta-gradients averaged over all
            # lifetimes": each term is a mean over all agents' steps.
            loss, means = self.loss(objectives)
            descend(self.optimizer, loss, config.max_grad_norm)
            reports.append(torch.cat((loss.unsqueeze(0), means)).detach())
        self._decay_learning_rate()
        return _metrics(acted, reports)

    def meta_objective(
        self, batch: AgentBatch, said: Outputs, reward: Tensor, targets: Targets, learned_from: Tensor
    ) -> MetaObjective[Tensor]:
        """The terms of eq. 4 of the agents after one step: scalars that are differentiable in the rule.

        Parameters
        ----------
        batch, said
            What they acted after the step, and what they say there.
        reward : Tensor (T, E, K, H)
            What meta-training maximises along ``batch``.
        targets : Targets
            What the rule told them in the step.
        learned_from : bool Tensor (T, N, H)
            The live steps of the batch that it told them about.
        """
        gain, policy_entropy, prediction_entropy = judge(batch, said, reward, self.config.discount)
        pi_hat_square = live_mean(targets.pi_hat.square(), learned_from)
        y_hat_square = live_mean(targets.log_y_hat.exp().square().sum(-1), learned_from)
        return MetaObjective(gain, policy_entropy, prediction_entropy, pi_hat_square, y_hat_square)

    def loss(self, objectives: list[MetaObjective[Tensor]]) -> tuple[Tensor, Tensor]:
        """Minus the objective of eq. 4, the mean over a window's steps; and the mean of each term, (5,)."""
        # The signs are those of descent: what eq. 4 adds is subtracted.
        weights = MetaObjective(
            gain=-1.0,
            policy_entropy=-self.config.policy_entropy,  # beta_0
            prediction_entropy=-self.config.prediction_entropy,  # beta_1
            pi_hat_square=self.config.pi_hat_penalty,  # beta_2
            y_hat_square=self.config.y_hat_penalty,  # beta_3
        )
        means = torch.stack([torch.stack(terms) for terms in objectives]).mean(0)
        return means @ means.new_tensor(weights), means

    def _decay_learning_rate(self) -> None:
        """One iteration further along the line from the first learning rate down to a twentieth of it."""
        self.updates += 1  # in place: a rule on several families counts all their iterations
        if self.config.decay_iterations == 0:
            return
        left = 1 - int(self.updates) / self.config.decay_iterations
        self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * max(left, _LEAST_RATE)


def _read(batch: AgentBatch, said: Outputs) -> tuple[Tensor, Tensor, Tensor]:
    """What a rule reads of the agents: pi(a_t | s_t) (T, N, H), y(s_t) and y(s_{t+1}) (T, N, H, m)."""
    log_pi = said.log_pi.gather(-1, batch.action.unsqueeze(-1)).view_as(batch.reward)
    return log_pi.exp(), said.log_y.exp(), said.log_y_next.exp()


def _metrics(acted: list[Episodes], reports: list[Tensor]) -> Metrics:
    """What an iteration reports of the batches acted and of each window's loss and terms, (6,)."""
    scores = torch.stack([episodes.returns.mean((1, 2)) for episodes in acted], 1)  # (T, B)
    mean_score = scores.mean(0)
    env_steps = torch.stack([episodes.mask.sum() for episodes in acted]).sum()
    names = ("loss", *MetaObjective._fields)
    means = torch.stack(reports).mean(0).tolist()
    return Metrics(
        {
            "return": mean_score[-1].item(),
            "return_before": mean_score[0].item(),
            "env_steps": int(env_steps),
            **dict(zip(names, means, strict=True)),
        },
        scores,
    )


def _check_spec(spec: Spec) -> None:
    """Raise ValueError for actions that are not indices."""
    if not spec.discrete:
        raise ValueError("learned_rule reads the probability of an action; give a family with discrete actions")


def _check_config(config: LearnedRuleConfig) -> None:
    """Raise ValueError for a field that is out of range."""
    check_positive(
        "learned_rule",
        hidden=config.hidden,
        categories=config.categories,
        embedding=config.embedding,
        meta_batch=config.meta_batch,
        inner_steps=config.inner_steps,
        window=config.window,
        learning_rate=config.learning_rate,
    )
    if config.span < 1:
        raise ValueError(f"learned_rule: span={config.span} is not allowed; give 1 step or more")
    if config.episodes < 2:
        raise ValueError(f"learned_rule: episodes={config.episodes} leaves no baseline; give 2 or more")
