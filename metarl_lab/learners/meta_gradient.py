"""Meta-gradient RL: the discount and lambda of an actor-critic, learned online by the gradient of the next batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.inner_loop import trial_metrics
from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.batched_mlp import Weights
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
    """theta' = theta + f(tau, theta, eta), eta <- eta + beta grad_eta J'(tau', theta', eta'), eta = (discount, lambda).

    Symbols and numbers are those of Xu, van Hasselt & Silver 2018. f (eq. 1) is one step of an actor-critic on the
    batch tau, along (g_eta - v) grad log pi + (g_eta - v) grad v + grad entropy, each with its own step size or weight
    (section 1.3); g_eta is the lambda-return (section 1.1). J' is the policy gradient's objective on the *next* batch
    tau', acted by theta', with returns at the fixed outer eta'; its gradient reaches eta through theta' (eq. 2). eta is
    the sigmoid of two logits (section 3.1), shared by all tasks and learned online.

    Memory: each task's own parameters. Absorbing a batch is one inner step with the discount and lambda learned so far.
    """

    name: ClassVar[str] = "meta_gradient"
    source: ClassVar[str] = "Xu, van Hasselt & Silver 2018, Meta-gradient reinforcement learning, arXiv 1805.09801"
    Config = MetaGradientRLConfig
    shares_memory = True

    def __init__(self, spec: Spec, config: MetaGradientRLConfig) -> None:
        _check(config)
        super().__init__(spec, config)
        self.nets = TaskActorCritic(spec, config.hidden, config.activation)
        self.discount_logit = torch.nn.Parameter(_logit(config.discount), requires_grad=config.learn_discount)
        self.lambda_logit = torch.nn.Parameter(_logit(config.lam), requires_grad=config.learn_lambda)
        # Weights that are not learned never get a gradient, and Adam passes them over.
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)
        self.living = Kept(self.nets.initial(config.meta_batch)) if config.persist else None

    def eta(self) -> tuple[Tensor, Tensor]:
        """The inner discount per step and the inner lambda, () each."""
        return self.discount_logit.sigmoid(), self.lambda_logit.sigmoid()

    def begin(self, n_tasks: int, copies: int) -> ActorCritic:
        """Every task starts from the initial weights."""
        first: ActorCritic = map_tensors(lambda weight: weight.detach().clone(), self.nets.initial(n_tasks))
        return first

    def act(self, memory: ActorCritic, seen: Seen, noise: Tensor) -> tuple[Tensor, ActorCritic]:
        """Every task acts by its own policy."""
        return self.nets.policy(memory.policy, seen.observation).sample(noise), memory

    def absorb(self, memory: ActorCritic, episodes: Episodes) -> ActorCritic:
        """One inner step of every task, at the discount and lambda learned so far."""
        after: ActorCritic = held(self.improved(held(memory, trainable=True), episodes, episodes.reward))
        return after

    def improved(self, agent: ActorCritic, episodes: Episodes, reward: Tensor) -> ActorCritic:
        """theta' = theta + f(tau, theta, eta), eq. 1: one inner step of every task.

        Differentiable in eta and in the agent's weights. reward (T, E, K, H) is what the outer value function predicts;
        the inner step goes by the reward seen.
        """
        config = self.config
        share = live_share(episodes)  # sums over it are means over a task's live steps
        value, next_value = self.nets.values(agent.value, episodes)
        discount, lam = self.eta()
        inner_return = episode_returns(episodes, episodes.reward, next_value, discount, lam)  # g_eta(tau)
        weighted_advantage = share * (inner_return - value)  # keeps its graph: eta is to be differentiated
        return ActorCritic(
            policy=self._policy_step(agent.policy, episodes, share, weighted_advantage),
            # (g_eta - v) grad v, a semi-gradient: g_eta is held, though it is made of v too
            value=steps_along(agent.value, config.value_step, config.longest, (value, weighted_advantage)),
            outer_value=self._outer_value_step(agent.outer_value, episodes, share, reward),
        )

    def _policy_step(self, weights: Weights, episodes: Episodes, share: Tensor, weighted_advantage: Tensor) -> Weights:
        """One step along (g_eta - v) grad log pi + entropy weight grad entropy, means over live steps (section 1.3).

        ``weighted_advantage`` is a constant to the gradient in the weights, and a function of eta to the meta-gradient.
        """
        config = self.config
        policy = self.nets.policy(weights, episodes.observation.flatten(1, 3))
        policy_gradient = (policy.log_prob(episodes.action.flatten(1, 3)), weighted_advantage.flatten(1))
        entropy_bonus = (policy.entropy(), config.entropy_weight * share.flatten(1))
        return steps_along(weights, config.inner_step, config.longest, policy_gradient, entropy_bonus)

    def _outer_value_step(self, weights: Weights, episodes: Episodes, share: Tensor, reward: Tensor) -> Weights:
        """One step of the second value function towards the outer returns. It depends on no eta: no graph is kept."""
        config = self.config
        weights = held(weights, trainable=True)
        value, next_value = self.nets.values(weights, episodes)
        outer_return = episode_returns(episodes, reward, next_value, config.outer_discount, config.outer_lambda)
        error = (share * (outer_return - value)).detach()
        stepped: Weights = held(steps_along(weights, config.value_step, config.longest, (value, error)))
        return stepped

    def outer_objective(self, agent: ActorCritic, episodes: Episodes, reward: Tensor) -> Tensor:
        """J'(tau', theta', eta'): mean over tasks and live steps of log pi_theta'(a | s) A, A the outer advantage.

        Its gradient is the policy gradient of the outer return at theta', where ``episodes`` were acted by theta'
        (section 1.3). reward (T, E, K, H) is what is to be maximised.
        """
        config = self.config
        # The advantage at the outer discount and lambda, eta': a constant, as in any policy gradient.
        with torch.no_grad():
            weights = agent.outer_value if config.outer_value == "own" else agent.value
            value, next_value = self.nets.values(weights, episodes)
            discount, lam = config.outer_discount, config.outer_lambda
            outer_return = episode_returns(episodes, reward, next_value, discount, lam)
            advantage = outer_return - value

        # log pi_theta'(a | s): what theta', and through it eta, can change.
        policy = self.nets.policy(agent.policy, episodes.observation.flatten(1, 3))
        log_prob = policy.log_prob(episodes.action.flatten(1, 3))  # (T, E K H)

        weighted_advantage = (live_share(episodes) * advantage).flatten(1)
        return (log_prob * weighted_advantage).sum(1).mean()  # a mean over live steps, then over T

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        """Online cross-validation (section 1): learn from one batch, be judged on the next, then learn from that one.

        The agents take ``inner_steps`` inner steps; after every ``through`` of them Adam takes one on eta.
        """
        config = self.config
        trial = begin(self, family, tasks, config.episodes)
        agent = self._start(count_tasks(tasks))

        # The first batch tau, acted by theta.
        episodes, trial = collect(self, family, tasks, trial._replace(memory=held(agent)), generator)
        acted = [episodes]
        losses: list[Tensor] = []
        for _ in range(config.inner_steps // config.through):
            # The meta-gradient looks back no further than the last step on eta. Where the initial weights are learned
            # there is only one such step, and it looks back to them.
            if not config.learn_init:
                agent = held(agent, trainable=True)

            # theta' = theta + f(tau, theta, eta), eq. 1; then theta' acts the next batch, tau'.
            for _ in range(config.through):
                agent = self.improved(agent, episodes, family.training_reward(tasks, episodes))
                episodes, trial = collect(self, family, tasks, trial._replace(memory=held(agent)), generator)
                acted.append(episodes)

            # J'(tau', theta', eta') on the batch that theta' acted.
            loss = -self.outer_objective(agent, episodes, family.training_reward(tasks, episodes))
            losses.append(loss.detach())

            # grad_eta J', through theta' (eq. 2): descending the loss ascends J'.
            if config.learn_discount or config.learn_lambda or config.learn_init:
                descend(self.optimizer, loss, _LONGEST)

        if self.living is not None:
            self.living.save(held(agent))
        return self._metrics(acted, losses)

    def _start(self, n_tasks: int) -> ActorCritic:
        """The agents at the start of an iteration: new ones, or those that live on."""
        if self.living is None:
            return self.nets.initial(n_tasks)
        if n_tasks != len(self.living):
            raise ValueError(f"meta_gradient: {n_tasks} tasks for {len(self.living)} agents that live on; give as many")
        return self.living.load()

    def _metrics(self, acted: list[Episodes], losses: list[Tensor]) -> Metrics:
        """What the iteration reports: eta is that after it."""
        discount, lam = self.eta()
        mean_loss = torch.stack(losses).mean()
        return trial_metrics(acted, {"loss": mean_loss.item(), "discount": discount.item(), "lambda": lam.item()})


def _logit(probability: float) -> Tensor:
    """log(p / (1 - p)), within the largest logits."""
    return torch.tensor(probability).logit().clamp(-_LARGEST_LOGIT, _LARGEST_LOGIT)


def _check(config: MetaGradientRLConfig) -> None:
    """Raise ValueError for a field that is out of range."""
    check_positive(
        "meta_gradient",
        meta_batch=config.meta_batch,
        episodes=config.episodes,
        inner_steps=config.inner_steps,
        inner_step=config.inner_step,
        value_step=config.value_step,
        longest=config.longest,
        through=config.through,
        learning_rate=config.learning_rate,
    )
    for name in ("discount", "lam", "outer_discount", "outer_lambda"):
        value = getattr(config, name)
        if not 0 <= value <= 1:
            raise ValueError(f"meta_gradient: {name}={value!r} is not allowed; give a number from 0 to 1")
    if config.outer_value not in ("own", "inner"):
        raise ValueError(f"meta_gradient: outer_value={config.outer_value!r} is not known; choose 'own' or 'inner'")
    if config.inner_steps % config.through:
        raise ValueError(
            f"meta_gradient: through={config.through} does not divide inner_steps={config.inner_steps}; "
            "give a divisor of it"
        )
    if config.learn_init and (config.persist or config.through != config.inner_steps):
        raise ValueError("meta_gradient: learn_init needs persist=False and through = inner_steps")
