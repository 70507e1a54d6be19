"""VariBAD: a learned belief over tasks, and a policy that acts on it (Zintgraf et al. 2020, arXiv 1910.08348).

A GRU reads the trial and keeps a posterior N(mean, exp(log variance)) over a latent m; decoders must predict from m the
rewards (and transitions) of the *whole* trial, so that m comes to stand for the task. PPO trains a policy on
(observation, mean, log variance): it sees how sure it is, and can learn to act so as to find out. The two are apart:
no gradient of the policy reaches the encoder, none of the ELBO the policy; each has its optimiser and its data.

Re-encoding: the authors' runs go on with old trials after the encoder has changed, and must encode them anew. Here each
iteration acts whole trials from the prior, PPO trains on the beliefs of the encoder that acted, and only then does the
encoder change: no hidden state outlives the weights it came from, and what the buffer holds is trials, not beliefs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.base import Sequences, encode_seen, encoded_size, sequences
from metarl_lab.nets.hyper_state import HyperStateActorCritic, clock, hyper_spec
from metarl_lab.nets.mlp import MLPPolicy
from metarl_lab.nets.recurrent import GRUCore
from metarl_lab.nets.trial_decoder import Elbo, TrialModel, trial_rows
from metarl_lab.ops.descent import descend
from metarl_lab.ops.ppo import PPOTerms, follow_spread, normalised, ppo_terms, trial_advantages
from metarl_lab.replay import Replay
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Memory, Metrics, Seen, Spec, map_tensors


@dataclass(frozen=True)
class VariBADConfig:
    """What can be chosen."""

    hidden: int = 64
    """GRU units of the encoder."""
    latent: int = 5
    """Dimensions of m."""
    units: int = 64
    """Units of the hidden layers of policy, critic and decoders."""
    meta_batch: int = 200
    """Tasks per iteration, one trial each."""
    episodes: int = 0
    """Episodes per trial K; 0 takes the family's own protocol."""
    discount: float = 0.95
    """Discount per step, over the whole trial."""
    lam: float = 0.9
    """GAE's lambda: 0 trusts the critic, 1 the returns."""
    learning_rate: float = 1e-3
    """Adam's step size for policy and critic, at the start."""
    decay_iterations: int = 0
    """Over this many iterations learning rates and entropy bonus fall linearly to a twentieth; 0 keeps them."""
    epochs: int = 4
    """PPO's passes over each batch of trials."""
    minibatches: int = 8
    """PPO's gradient steps per pass, each on its own share of the steps."""
    clip: float = 0.2
    """PPO's clip of the probability ratio, 1 -+ clip."""
    entropy: float = 0.01
    """Weight of the entropy bonus, per nat, at the start."""
    max_grad_norm: float = 1.0
    """Gradients longer than this are scaled down to it."""
    vae_learning_rate: float = 1e-3
    """Adam's step size for encoder and decoders, at the start."""
    vae_updates: int = 10
    """Gradient steps on the ELBO per iteration."""
    vae_batch: int = 50
    """Trials per such step, drawn from the buffer."""
    elbo_terms: int = 20
    """Prefixes of each trial at which the ELBO is taken, drawn anew at each step; 0 takes all."""
    kl_weight: float = 0.05
    """Weight of KL(q_t || q_{t-1}) against the log-likelihood of the whole trial."""
    reward_model: str = "gaussian"
    """"gaussian": squared error; "binary": whether the reward is above 0, for rewards of two values."""
    reward_reads: str = "all"
    """What the reward depends on beside m: "all" (state, action, next state) or "next" (next state only)."""
    transition_weight: float = 1.0
    """Weight of the transitions' squared error; 0: no transition decoder, for dynamics that tasks share."""
    capacity: int = 4000
    """Trials that the ELBO's buffer holds."""
    kept: int = 50
    """Trials of each iteration that enter it."""


class VariBADMemory(NamedTuple):
    """The encoder's hidden state (T, E, hidden), and its posterior over m, (T, E, latent) each; N(0, I) at first."""

    hidden: Tensor
    mean: Tensor
    log_var: Tensor


class Steps(NamedTuple):
    """What PPO draws its minibatches from: N live steps of any trials. The policy is feed-forward, so a step needs none
    of those around it."""

    hyper: Tensor  # (N, O + 2 M), observation and belief, as when acting
    clock: Tensor  # (N, 2), which the critic alone reads
    action: Tensor  # (N,) int64 or (N, A)
    acted_log_prob: Tensor  # (N,), of the action when it was acted
    advantage: Tensor  # (N,), normalised
    target: Tensor  # (N,), what the critic is fitted to, in units of reward
    live: Tensor  # (N,) bool, all of them


class VariBAD(MetaLearner):
    """See the module's first lines. Memory: the posterior over the task."""

    name: ClassVar[str] = "varibad"
    source: ClassVar[str] = "Zintgraf et al. 2020, arXiv 1910.08348; PPO: Schulman et al. 2017, arXiv 1707.06347"
    Config = VariBADConfig
    shares_memory = False
    value_scale: Tensor
    updates: Tensor

    def __init__(self, spec: Spec, config: VariBADConfig) -> None:
        super().__init__(spec, config)
        _check(config)

        # encoder q(m | tau_:t) and decoders p(r | m, ...), p(s' | m, ...)
        self.model = TrialModel(
            spec,
            GRUCore(encoded_size(spec), config.hidden),
            config.latent,
            config.units,
            likelihood=config.reward_model,
            reads=config.reward_reads,
            transitions=config.transition_weight > 0,
        )
        # policy pi(a | s, q(m)) and critic
        hyper = hyper_spec(spec, config.latent)
        policy = MLPPolicy(hyper, (config.units, config.units), output_gain=0.01)  # at first close to uniform
        self.net = HyperStateActorCritic(policy, hyper.observation_size, config.units)

        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=config.learning_rate, eps=1e-5)
        self.vae_optimizer = torch.optim.Adam(self.model.parameters(), lr=config.vae_learning_rate)
        self.trials = Replay(config.capacity)
        # the critic predicts values in units of the returns' spread, which is not known beforehand
        self.register_buffer("value_scale", torch.ones(()))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def begin(self, n_tasks: int, copies: int) -> VariBADMemory:
        """The prior N(0, I): mean 0 and log variance 0."""
        (hidden,) = self.model.encoder.core.initial(n_tasks * copies)
        zeros = hidden.new_zeros(n_tasks, copies, self.config.latent)
        return VariBADMemory(hidden.view(n_tasks, copies, -1), mean=zeros, log_var=zeros)

    def act(self, memory: VariBADMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, VariBADMemory]:
        """One step: the belief takes in what was seen, and the policy acts on the observation and the belief."""
        lead = seen.reward.shape  # (T, E), which are B = T E trials to the encoder
        inputs = encode_seen(self.spec, seen).flatten(0, 1)
        mean, log_var, (hidden,) = self.model.encoder.step(inputs, (memory.hidden.flatten(0, 1),))
        belief = VariBADMemory(hidden.unflatten(0, lead), mean.unflatten(0, lead), log_var.unflatten(0, lead))
        hyper_state = torch.cat((seen.observation, belief.mean, belief.log_var), -1)  # (T, E, O + 2 M)
        return self.net.distribution(hyper_state).sample(noise), belief

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return memory  # the posterior took everything in as it happened

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        """One iteration: act, then ascend the two terms of the paper's objective, the return and the ELBO."""
        # Act one trial of each task, from the prior on: the policy sees how sure it is of the task.
        trial = begin(self, family, tasks)
        episodes_per_trial = self.config.episodes or self.spec.episodes
        episodes, _ = collect(self, family, tasks, trial, generator, episodes_per_trial)
        batch = sequences(self.spec, episodes, family.training_reward(tasks, episodes))  # (L, B, ...), end to end

        # Policy and critic first, on the beliefs that acted: the encoder's next weights would give other ones.
        policy_terms = self._improve(batch, generator)

        # Then encoder and decoders, on trials of the buffer: what a task's rewards are does not depend on the policy,
        # so old trials teach them as well as new ones.
        elbo_terms = self._infer(episodes, generator)

        self._decay()
        scores = episodes.returns.mean(1)  # (T, K), over E
        reported = {"return": scores.mean().item(), "env_steps": episodes.env_steps}
        return Metrics(reported | policy_terms | elbo_terms, scores)

    def hyper_states(self, batch: Sequences) -> Tensor:
        """What the policy acts on at each step of whole trials, (L, B, O + 2 latent); no gradient."""
        with torch.no_grad():
            mean, log_var = self.model.encoder(batch.x)
            observation = batch.x[..., : self.spec.observation_size]
            return torch.cat((observation, mean, log_var), -1)

    def _improve(self, batch: Sequences, generator: torch.Generator) -> dict[str, float]:
        """PPO's algorithm 1 in the Bayes-adaptive MDP; the mean of each term over its gradient steps."""
        steps = self._steps(batch)
        follow_spread(self.value_scale, steps.target, first=int(self.updates) == 0)
        entropy_weight = self.config.entropy * self._left()
        reported: list[Tensor] = []
        for _ in range(self.config.epochs):
            order = torch.randperm(len(steps.live), generator=generator, device=generator.device)
            for chosen in order.chunk(self.config.minibatches):
                loss, terms = self._policy_loss(_some_of(steps, chosen), entropy_weight)
                descend(self.optimizer, loss, self.config.max_grad_norm)
                reported.append(torch.stack((loss, *terms)).detach())
        means = torch.stack(reported).mean(0).tolist()  # in one read from the device
        return dict(zip(("loss", *PPOTerms._fields), means, strict=True))

    def _steps(self, batch: Sequences) -> Steps:
        """All live steps: what policy and critic said of them when they were acted, and what came of them."""
        hyper = self.hyper_states(batch)
        time = clock(batch, self.spec.horizon)
        with torch.no_grad():
            value = self.net.value(hyper, time) * self.value_scale
            acted_log_prob = self.net.distribution(hyper).log_prob(batch.action)

        # credit crosses the episodes of a trial: what an action teaches is worth what is earned with it later
        advantage = trial_advantages(batch.reward, value, batch.live, self.config.discount, self.config.lam)
        of_all = Steps(
            hyper=hyper,
            clock=time,
            action=batch.action,
            acted_log_prob=acted_log_prob,
            advantage=normalised(advantage, batch.live),
            target=advantage + value,
            live=batch.live,
        )  # (L, B, ...)
        return _some_of(of_all, batch.live)

    def _policy_loss(self, steps: Steps, entropy_weight: float) -> tuple[Tensor, PPOTerms]:
        """PPO's loss (its eq. 9 with the sign turned), and its terms. The hyper-states are constants."""
        terms = ppo_terms(
            policy=self.net.distribution(steps.hyper),
            value=self.net.value(steps.hyper, steps.clock),
            action=steps.action,
            acted_log_prob=steps.acted_log_prob,
            advantage=steps.advantage,
            target=steps.target / self.value_scale,
            live=steps.live,
            clip=self.config.clip,
        )
        # policy and critic are two networks: the value error needs no weight of its own
        loss = terms.policy_loss + terms.value_loss - entropy_weight * terms.entropy
        return loss, terms

    def _infer(self, episodes: Episodes, generator: torch.Generator) -> dict[str, float]:
        """Some new trials enter the buffer; gradient steps on the ELBO of trials from it, and the mean of its terms."""
        steps_per_trial = episodes.mask[0, 0].numel()
        kept = map_tensors(lambda column: column[: self.config.kept], episodes)
        self.trials.add(trial_rows(self.spec, kept))
        reported: list[Tensor] = []
        for _ in range(self.config.vae_updates):
            trials = self.trials.sample(self.config.vae_batch, generator)
            terms = self.model.elbo(trials, self.config.elbo_terms, generator)
            minus_elbo = (
                terms.reward_error
                + self.config.transition_weight * terms.transition_error
                + self.config.kl_weight * terms.posterior_kl
            )
            loss = minus_elbo / steps_per_trial  # so that one step size serves trials of any length
            descend(self.vae_optimizer, loss, self.config.max_grad_norm)
            reported.append(torch.stack(terms).detach())
        means = torch.stack(reported).mean(0).tolist()  # in one read from the device
        return dict(zip(Elbo._fields, means, strict=True))

    def _decay(self) -> None:
        """One iteration is over; both learning rates fall."""
        self.updates += 1
        self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * self._left()
        self.vae_optimizer.param_groups[0]["lr"] = self.config.vae_learning_rate * self._left()

    def _left(self) -> float:
        """What is left of learning rates and entropy bonus, 1 to 0.05."""
        if not self.config.decay_iterations:
            return 1.0
        return max(1 - int(self.updates) / self.config.decay_iterations, 0.05)


def _some_of(steps: Steps, chosen: Tensor) -> Steps:
    """Steps by index or mask."""
    some: Steps = map_tensors(lambda column: column[chosen], steps)
    return some


def _check(config: VariBADConfig) -> None:
    """ValueError for a config that cannot work; the trial's model checks what it decodes."""
    check_positive(
        "varibad",
        hidden=config.hidden,
        latent=config.latent,
        units=config.units,
        meta_batch=config.meta_batch,
        epochs=config.epochs,
        minibatches=config.minibatches,
        vae_updates=config.vae_updates,
        vae_batch=config.vae_batch,
        kept=config.kept,
        learning_rate=config.learning_rate,
        clip=config.clip,
    )
