"""Meta-gradient RL: the discount and lambda of an actor-critic, learned online by the gradient of the next batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.inner_loop import trial_metrics
from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.task_actor_critic import ActorCritic, Kept, TaskActorCritic, held, live_share, steps_along
from metarl_lab.ops.descent import descend
from metarl_lab.ops.lambda_returns import episode_returns
from metarl_lab.rollout import begin, collect, count_tasks
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Metrics, Seen, Spec, map_tensors

_LARGEST_LOGIT = 16.0  # sigmoid(16) = 1 - 1e-7: 0 and 1 can be set by hand, and stay finite
_LONGEST = 10.0  # norm of the meta-gradient


@dataclass(frozen=True)
class MetaGradientRLConfig:
    """What can be chosen."""

    hidden: tuple[int, ...] = (32,)
    """Units of each hidden layer, of policy and value functions alike; () is tabular, for one-hot observations."""
    activation: str = "tanh"
    """"tanh" or "relu"."""
    meta_batch: int = 20
    """Tasks per iteration: agents that learn side by side, and share one discount and lambda."""
    episodes: int = 10
    """Episodes of each task per batch."""
    inner_steps: int = 10
    """Inner steps of each agent per iteration; every one is followed by a new batch."""
    through: int = 1
    """Inner steps that one meta-gradient looks back through; it divides inner_steps. 1 is the published form."""
    inner_step: float = 1.0
    """Step size of the policy, per unit of the mean over live steps of advantage times grad log pi."""
    value_step: float = 1.0
    """Step size of the value functions, per unit of the mean over live steps of error times grad v."""
    longest: float = 1.0
    """Norm to which a longer gradient of one task's policy, or of one of its value functions, is cut down."""
    entropy_weight: float = 0.0
    """Weight of the policy's entropy in the inner step, reward per nat."""
    discount: float = 0.9
    """Initial inner discount per step, 0 to 1."""
    lam: float = 0.9
    """Initial inner lambda, 0 to 1."""
    learn_discount: bool = True
    """Learn the inner discount; otherwise it stays what ``discount`` says."""
    learn_lambda: bool = True
    """Learn the inner lambda; otherwise it stays what ``lam`` says."""
    outer_discount: float = 0.99
    """Discount per step of what the meta-gradient maximises; fixed."""
    outer_lambda: float = 1.0
    """Lambda of the outer returns; fixed. Below 1 they bootstrap from the outer value function within the episode."""
    outer_value: str = "own"
    """Value function of the outer returns: "own", trained at the outer discount; or "inner", the agent's at the inner
    discount. "inner" is a known error, kept to show it: the meta-gradient becomes as short-sighted as the agent."""
    learning_rate: float = 0.03
    """Adam's step size, for the logits of discount and lambda (and the initial weights)."""
    persist: bool = False
    """Agents live on from iteration to iteration, row i on row i of the tasks given: give a sampler that gives the same
    tasks every time. Otherwise each iteration is a new trial, from the initial weights."""
    learn_init: bool = False
    """Learn the initial weights of policy and inner value function too (needs through = inner_steps, persist off)."""


class MetaGradientRL(MetaLearner):
    """theta' = theta + f(theta, tau; eta), eta <- eta + beta grad_eta J'(theta'(eta), tau'), eta = (discount, lambda).

    f = step (g - v) grad log pi + value_step (g - v) grad v + entropy, g the lambda-return at eta of the batch tau (Xu,
    van Hasselt & Silver 2018, section 1.2); J' is the policy gradient's objective on the *next* batch tau', acted by
    theta', with the fixed outer discount. eta is the sigmoid of two logits, shared by all tasks and learned online.

    Memory: each task's own parameters. Absorbing a batch is one inner step with the discount and lambda learned so far.
    """

    name: ClassVar[str] = "meta_gradient"
    source: ClassVar[str] = "Xu, van Hasselt & Silver 2018, Meta-gradient reinforcement learning, arXiv 1805.09801"
    Config = MetaGradientRLConfig
    shares_memory = True

    def __init__(self, spec: Spec, config: MetaGradientRLConfig) -> None:
        _check(config)
        super().__init__(spec, config)
        c = config
        self.nets = TaskActorCritic(spec, c.hidden, c.activation)
        self.discount_logit = torch.nn.Parameter(_logit(c.discount), requires_grad=c.learn_discount)
        self.lambda_logit = torch.nn.Parameter(_logit(c.lam), requires_grad=c.learn_lambda)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=c.learning_rate)
        self.living = Kept(self.nets.initial(c.meta_batch)) if c.persist else None

    def eta(self) -> tuple[Tensor, Tensor]:
        """The inner discount per step and the inner lambda, () each."""
        return self.discount_logit.sigmoid(), self.lambda_logit.sigmoid()

    def begin(self, n_tasks: int, copies: int) -> ActorCritic:
        """Every task starts from the initial weights."""
        first: ActorCritic = map_tensors(lambda w: w.detach().clone(), self.nets.initial(n_tasks))
        return first

    def act(self, memory: ActorCritic, seen: Seen, noise: Tensor) -> tuple[Tensor, ActorCritic]:
        """Every task acts by its own policy."""
        return self.nets.policy(memory.policy, seen.observation).sample(noise), memory

    def absorb(self, memory: ActorCritic, episodes: Episodes) -> ActorCritic:
        """One inner step of every task, at the discount and lambda learned so far."""
        after: ActorCritic = held(self.improved(held(memory, trainable=True), episodes, episodes.reward))
        return after

    def improved(self, agent: ActorCritic, episodes: Episodes, reward: Tensor) -> ActorCritic:
        """theta'(eta): one inner step of every task, differentiable in eta and in the agent's weights.

        reward (T, E, K, H) is what the outer value function predicts; the inner step goes by the reward seen.
        """
        c, nets = self.config, self.nets
        share = live_share(episodes)
        value, next_value = nets.values(agent.value, episodes)
        error = share * (episode_returns(episodes, episodes.reward, next_value, *self.eta()) - value)
        policy = nets.policy(agent.policy, episodes.observation.flatten(1, 3))
        gain = policy.log_prob(episodes.action.flatten(1, 3)), error.flatten(1)
        bonus = policy.entropy(), c.entropy_weight * share.flatten(1)
        outer = held(agent.outer_value, trainable=True)
        outer_value, next_value = nets.values(outer, episodes)
        target = episode_returns(episodes, reward, next_value, c.outer_discount, c.outer_lambda)
        outer_error = (share * (target - outer_value)).detach()
        return ActorCritic(
            steps_along(agent.policy, c.inner_step, c.longest, gain, bonus),
            steps_along(agent.value, c.value_step, c.longest, (value, error)),
            held(steps_along(outer, c.value_step, c.longest, (outer_value, outer_error))),
        )

    def outer_objective(self, agent: ActorCritic, episodes: Episodes, reward: Tensor) -> Tensor:
        """Mean over tasks and live steps of log pi_theta'(a | s) A, A the advantage at the outer discount and lambda.

        Its gradient is the policy gradient of the outer return at theta', where ``episodes`` were acted by theta'.
        reward (T, E, K, H) is what is to be maximised.
        """
        c = self.config
        with torch.no_grad():
            weights = agent.outer_value if c.outer_value == "own" else agent.value
            value, next_value = self.nets.values(weights, episodes)
            advantage = episode_returns(episodes, reward, next_value, c.outer_discount, c.outer_lambda) - value
        policy = self.nets.policy(agent.policy, episodes.observation.flatten(1, 3))
        gain = policy.log_prob(episodes.action.flatten(1, 3)) * (live_share(episodes) * advantage).flatten(1)
        return gain.sum(1).mean()

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        c = self.config
        trial = begin(self, family, tasks, c.episodes)
        agent = self._start(count_tasks(tasks))
        episodes, trial = collect(self, family, tasks, trial._replace(memory=held(agent)), generator)
        acted, losses = [episodes], []
        for _ in range(c.inner_steps // c.through):
            agent = agent if c.learn_init else held(agent, trainable=True)
            for _ in range(c.through):
                agent = self.improved(agent, episodes, family.training_reward(tasks, episodes))
                episodes, trial = collect(self, family, tasks, trial._replace(memory=held(agent)), generator)
                acted.append(episodes)
            loss = -self.outer_objective(agent, episodes, family.training_reward(tasks, episodes))
            losses.append(loss.detach())
            if c.learn_discount or c.learn_lambda or c.learn_init:
                descend(self.optimizer, loss, _LONGEST)
        if self.living is not None:
            self.living.save(held(agent))
        discount, lam = (x.item() for x in self.eta())
        return trial_metrics(acted, {"loss": torch.stack(losses).mean().item(), "discount": discount, "lambda": lam})

    def _start(self, n_tasks: int) -> ActorCritic:
        """The agents at the start of an iteration."""
        if self.living is None:
            return self.nets.initial(n_tasks)
        if n_tasks != len(self.living):
            raise ValueError(f"meta_gradient: {n_tasks} tasks for {len(self.living)} agents that live on; give as many")
        return self.living.load()


def _logit(x: float) -> Tensor:
    return torch.tensor(x).logit().clamp(-_LARGEST_LOGIT, _LARGEST_LOGIT)


def _check(c: MetaGradientRLConfig) -> None:
    """Raise ValueError for a field that is out of range."""
    check_positive("meta_gradient", meta_batch=c.meta_batch, episodes=c.episodes, inner_steps=c.inner_steps)
    check_positive("meta_gradient", inner_step=c.inner_step, value_step=c.value_step, longest=c.longest)
    check_positive("meta_gradient", through=c.through, learning_rate=c.learning_rate)
    for name in ("discount", "lam", "outer_discount", "outer_lambda"):
        if not 0 <= getattr(c, name) <= 1:
            raise ValueError(f"meta_gradient: {name}={getattr(c, name)!r} is not allowed; give a number from 0 to 1")
    if c.outer_value not in ("own", "inner"):
        raise ValueError(f"meta_gradient: outer_value={c.outer_value!r} is not known; choose 'own' or 'inner'")
    if c.inner_steps % c.through:
        raise ValueError(f"meta_gradient: through={c.through} does not divide inner_steps={c.inner_steps}")
    if c.learn_init and (c.persist or c.through != c.inner_steps):
        raise ValueError("meta_gradient: learn_init needs persist=False and through = inner_steps")
