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
from metarl_lab.ops.ppo import PPOTerms, normalised, ppo_terms, trial_advantages
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


class VariBAD(MetaLearner):
    """See the module's first lines. Memory: the posterior over the task."""

    name: ClassVar[str] = "varibad"
    source: ClassVar[str] = "Zintgraf et al. 2020, arXiv 1910.08348; PPO: Schulman et al. 2017, arXiv 1707.06347"
    Config = VariBADConfig
    shares_memory = False

    def __init__(self, spec: Spec, config: VariBADConfig) -> None:
        super().__init__(spec, config)
        sizes = ("hidden", "latent", "units", "meta_batch", "epochs", "minibatches", "vae_updates", "vae_batch", "kept")
        check_positive("varibad", **{key: getattr(config, key) for key in (*sizes, "learning_rate", "clip")})
        core, decoded = GRUCore(encoded_size(spec), config.hidden), (config.reward_model, config.reward_reads)
        self.model = TrialModel(spec, core, config.latent, config.units, *decoded, config.transition_weight > 0)
        hyper = hyper_spec(spec, config.latent)
        policy = MLPPolicy(hyper, (config.units,) * 2, output_gain=0.01)  # at first close to uniform
        self.net = HyperStateActorCritic(policy, hyper.observation_size, config.units)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=config.learning_rate, eps=1e-5)
        self.vae_optimizer = torch.optim.Adam(self.model.parameters(), lr=config.vae_learning_rate)
        self.trials = Replay(config.capacity)
        # the critic predicts values in units of the returns' spread, which is not known beforehand
        self.register_buffer("value_scale", torch.ones(()))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.value_scale: Tensor
        self.updates: Tensor

    def begin(self, n_tasks: int, copies: int) -> VariBADMemory:
        (hidden,) = self.model.encoder.core.initial(n_tasks * copies)
        prior = hidden.new_zeros(n_tasks, copies, self.config.latent)  # mean 0 and log variance 0
        return VariBADMemory(hidden.view(n_tasks, copies, -1), prior, prior)

    def act(self, memory: VariBADMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, VariBADMemory]:
        x = encode_seen(self.spec, seen).flatten(0, 1)
        mean, log_var, (hidden,) = self.model.encoder.step(x, (memory.hidden.flatten(0, 1),))
        after = VariBADMemory(*(y.unflatten(0, seen.reward.shape) for y in (hidden, mean, log_var)))
        return self.net.distribution(torch.cat((seen.observation, *after[1:]), -1)).sample(noise), after

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return memory  # the posterior took everything in as it happened

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        trial = begin(self, family, tasks)
        episodes, _ = collect(self, family, tasks, trial, generator, self.config.episodes or self.spec.episodes)
        batch = sequences(self.spec, episodes, family.training_reward(tasks, episodes))
        acted = self._improve(batch, generator)  # first: on the beliefs that acted
        inferred = self._infer(episodes, generator)  # then the encoder changes
        self._decay()
        scores = episodes.returns.mean(1)  # (T, K), over E
        return Metrics({"return": scores.mean().item(), "env_steps": episodes.env_steps, **acted, **inferred}, scores)

    def hyper_states(self, batch: Sequences) -> Tensor:
        """What the policy acts on at each step of whole trials, (L, B, O + 2 latent); no gradient."""
        with torch.no_grad():
            return torch.cat((batch.x[..., : self.spec.observation_size], *self.model.encoder(batch.x)), -1)

    def _improve(self, batch: Sequences, generator: torch.Generator) -> dict[str, float]:
        """PPO; the policy is feed-forward, so every live step stands for itself."""
        config, live, entropy = self.config, batch.live, self.config.entropy * self._left()
        hyper, time = self.hyper_states(batch), clock(batch, self.spec.horizon)
        with torch.no_grad():
            value = self.net.value(hyper, time) * self.value_scale
            old = self.net.distribution(hyper).log_prob(batch.action)
        advantage = trial_advantages(batch.reward, value, live, config.discount, config.lam)
        target = advantage + value
        # the first batch sets the scale, later ones move it slowly
        self.value_scale.lerp_(target[live].std().clamp_min(1e-3), 1.0 if int(self.updates) == 0 else 0.02)
        fields = (hyper, time, batch.action, old, normalised(advantage, live), target / self.value_scale, live)
        steps = [y[live] for y in fields]
        sums: list[Tensor] = []
        for _ in range(config.epochs):
            order = torch.randperm(len(steps[0]), generator=generator, device=generator.device)
            for chosen in order.chunk(config.minibatches):
                hyper, time, action, old, advantage, target, live = (y[chosen] for y in steps)
                policy, value = self.net.distribution(hyper), self.net.value(hyper, time)
                terms = ppo_terms(policy, value, action, old, advantage, target, live, config.clip)
                # two networks: the value error needs no weight of its own
                loss = terms.policy_loss + terms.value_loss - entropy * terms.entropy
                descend(self.optimizer, loss, config.max_grad_norm)
                sums.append(torch.stack((loss, *terms)).detach())
        return dict(zip(("loss", *PPOTerms._fields), torch.stack(sums).mean(0).tolist(), strict=True))

    def _infer(self, episodes: Episodes, generator: torch.Generator) -> dict[str, float]:
        """Some of the new trials enter the buffer; gradient steps on the ELBO of trials from it."""
        config = self.config
        self.trials.add(trial_rows(self.spec, map_tensors(lambda y: y[: config.kept], episodes)))
        sums: list[Tensor] = []
        for _ in range(config.vae_updates):
            parts = self.model.elbo(self.trials.sample(config.vae_batch, generator), config.elbo_terms, generator)
            loss = parts.reward_error + config.transition_weight * parts.transition_error
            loss = (loss + config.kl_weight * parts.posterior_kl) / episodes.mask[0, 0].numel()
            descend(self.vae_optimizer, loss, config.max_grad_norm)
            sums.append(torch.stack(parts).detach())
        return dict(zip(Elbo._fields, torch.stack(sums).mean(0).tolist(), strict=True))

    def _decay(self) -> None:
        self.updates += 1
        self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * self._left()
        self.vae_optimizer.param_groups[0]["lr"] = self.config.vae_learning_rate * self._left()

    def _left(self) -> float:
        """What is left of the schedules, 1 to 0.05."""
        total = self.config.decay_iterations
        return max(1 - int(self.updates) / total, 0.05) if total else 1.0
