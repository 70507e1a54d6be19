"""PEARL: a posterior over the task, sampled once an episode; off-policy (Rakelly et al. 2019, arXiv 1903.08254).

An encoder reads a set of transitions and says what it believes of the task, q(z | c). Given a z, each task is an
ordinary MDP to soft actor-critic; acting on one z for a whole episode is posterior sampling. The critic's error trains
the encoder, or a contrast of sets of transitions alone does. What differs from the paper is listed in docs/learners.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.set_encoder import Factors, SetEncoder, context_size, encode_transition
from metarl_lab.nets.soft_actor_critic import SoftActorCritic
from metarl_lab.ops.contrast import cosine_scores, info_nce
from metarl_lab.ops.distributions import DiagonalGaussian
from metarl_lab.ops.soft import soft_target, target_entropy, temperature_loss
from metarl_lab.ops.transitions import Rows, any_live, halves, known_transitions, take, transition_rows
from metarl_lab.replay import Replay
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_choice, check_positive
from metarl_lab.types import Episodes, Memory, Metrics, Seen, Spec

_PARTS = ("loss", "critic_loss", "kl", "entropy", "temperature", "contrast")


@dataclass(frozen=True)
class PEARLConfig:
    """What can be chosen."""

    meta_batch: int = 16
    """New tasks per iteration."""
    copies: int = 2
    """Trials E of each new task, which explore it independently."""
    episodes: int = 0
    """Episodes per trial K; 0 takes the family's own protocol."""
    capacity: int = 400
    """Tasks in the replay buffer; a new one takes the place of the oldest."""
    gradient_steps: int = 100
    """Soft actor-critic updates per iteration."""
    batch_tasks: int = 16
    """Tasks of the replay buffer per update."""
    batch: int = 64
    """Transitions of each of them per update."""
    encoder_reads: str = "trial"
    """"trial": the first episodes of one trial, as when acting; "task": any transitions of the task's trials."""
    encoder_learns: str = "critic"
    """"critic": what lowers the critic's error; "contrast": to tell two sets of one task's trials from other tasks'."""
    contrast_temperature: float = 0.2
    """Of the contrast (InfoNCE): cosines of the z of two sets are divided by this."""
    latent: int = 5
    """Z, dimensions of the task variable."""
    hidden: tuple[int, ...] = (64, 64)
    """Units of each hidden layer, of all networks."""
    kl_weight: float = 0.002
    """Weight of KL(q(z | c), N(0, I)) per task, in units of the squared error of scaled rewards."""
    discount: float = 0.95
    """Discount per step of an episode."""
    reward_scale: float = 1.0
    """Rewards are multiplied by this for the critic; context holds them as they are."""
    temperature: float = 0.03
    """Weight of the policy's entropy, in scaled reward per nat; 0 adapts it to ``target_entropy``."""
    target_entropy: float = 0.1
    """For an adaptive temperature: the share of log A of discrete actions; of box actions, -(1 + this) A nats."""
    target_rate: float = 0.01
    """How far the target networks follow at each update."""
    learning_rate: float = 2e-3
    """Adam's step size."""
    greedy: bool = True
    """Outside of meta-training act by the policy's mode for the z that was drawn."""


class PEARLMemory(NamedTuple):
    """The posterior of each copy as its factors, the z in use, and where the last transition began."""

    precision: Tensor  # (T, E, Z)
    weighted: Tensor  # (T, E, Z)
    latent: Tensor  # (T, E, Z), constant within an episode
    observation: Tensor  # (T, E, O)
    began: Tensor  # (T, E) bool, there is a last transition
    greedy: Tensor  # (T, E) bool


class PEARL(MetaLearner):
    """See the module's first lines. Memory: the posterior over the task."""

    name: ClassVar[str] = "pearl"
    source: ClassVar[str] = "Rakelly et al. 2019, arXiv 1903.08254; SAC: Haarnoja et al. 2018, arXiv 1812.05905"
    Config = PEARLConfig
    shares_memory = False

    def __init__(self, spec: Spec, config: PEARLConfig) -> None:
        super().__init__(spec, config)
        positive = ("meta_batch", "copies", "capacity", "gradient_steps", "batch_tasks", "batch", "latent")
        check_positive(self.name, **{key: getattr(config, key) for key in (*positive, "learning_rate", "reward_scale")})
        check_choice(self.name, "encoder_reads", config.encoder_reads, ("trial", "task"))
        check_choice(self.name, "encoder_learns", config.encoder_learns, ("critic", "contrast"))
        if config.encoder_learns == "contrast" and config.copies % 2:
            raise ValueError(f"pearl: a contrast needs two halves of a task's trials; copies={config.copies} is odd")
        self.action_noise = self.noise_size
        self.noise_size += config.latent
        self.encoder = SetEncoder(context_size(spec), config.hidden, config.latent)
        self.net = SoftActorCritic(spec, spec.observation_size + config.latent, config.hidden)
        log_temperature = torch.tensor(math.log(config.temperature or 0.03 * config.reward_scale))
        if config.temperature:
            self.register_buffer("log_temperature", log_temperature)
        else:
            self.log_temperature = nn.Parameter(log_temperature)
        self.target_entropy = target_entropy(spec, config.target_entropy)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)
        self.replay = Replay(config.capacity)

    def begin(self, n_tasks: int, copies: int) -> PEARLMemory:
        """Nothing known: the prior N(0, I)."""
        zeros = torch.zeros(n_tasks, copies, self.config.latent, device=self.device)
        never = torch.zeros(n_tasks, copies, dtype=torch.bool, device=self.device)
        observation = torch.zeros(n_tasks, copies, self.spec.observation_size, device=self.device)
        return PEARLMemory(zeros, zeros, zeros, observation, never, never | self.config.greedy)

    @torch.no_grad()
    def act(self, memory: PEARLMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, PEARLMemory]:
        """Take in the last transition; at the start of an episode draw z from the posterior; act for that z."""
        noise, latent_noise = noise.split([self.action_noise, self.config.latent], -1)
        x = self._context(memory.observation, seen.action, seen.reward, seen.observation, ~seen.start)
        factors = (y * memory.began.unsqueeze(-1) for y in self.encoder.factors(x))
        total = Factors(*(old + new for old, new in zip(memory[:2], factors, strict=True)))
        drawn = self.encoder.posterior(total).sample(latent_noise)
        latent = torch.where(seen.start.unsqueeze(-1), drawn, memory.latent)
        policy = self.net.policy(torch.cat((seen.observation, latent), -1))
        greedy = memory.greedy if self.spec.discrete else memory.greedy.unsqueeze(-1)
        action = self.net.from_unit(torch.where(greedy, policy.mode(), policy.sample(noise)))
        return action, PEARLMemory(*total, latent, seen.observation, torch.ones_like(memory.began), memory.greedy)

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return memory  # every transition was taken in when the next action was chosen

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        c = self.config
        trial = begin(self, family, tasks, c.copies)
        trial = trial._replace(memory=trial.memory._replace(greedy=torch.zeros_like(trial.memory.greedy)))
        episodes, _ = collect(self, family, tasks, trial, generator, c.episodes or self.spec.episodes)
        self.replay.add(transition_rows(episodes, family.training_reward(tasks, episodes)))
        parts = torch.stack([self._step(generator) for _ in range(c.gradient_steps)]).mean(0)
        scores, values = episodes.returns.mean(1), dict(zip(_PARTS, parts.tolist(), strict=False))
        return Metrics({"return": scores.mean().item(), "env_steps": episodes.env_steps, **values}, scores)

    def context_of(self, rows: Rows, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the encoder reads of each row: transitions (T, N, F), and which of them count (T, N).

        The reward in it is the true one, as when acting; never the one that training maximises.
        """
        c, (k, h) = self.config, (self.config.episodes or self.spec.episodes, self.spec.horizon)
        index, known = known_transitions(rows["mask"], c.encoder_reads, k, h, generator)
        r = take(rows, index)
        return self._context(*(r[k] for k in ("observation", "action", "reward", "after", "followed"))), known

    def losses(self, rows: Rows, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What one update descends, and its parts (``_PARTS``), of tasks (T, M, ...)."""
        c, (n, _) = self.config, rows["mask"].shape
        noise = partial(torch.rand, n, generator=generator, device=generator.device)
        sets = halves(rows) if c.encoder_learns == "contrast" else (rows,)
        posterior, *other = [self.encoder(*self.context_of(x, generator)) for x in sets]
        kl = posterior.kl(DiagonalGaussian(*torch.zeros_like(posterior.mean).expand(2, -1, -1))).mean()
        z = posterior.sample(noise(c.latent))  # (T, Z)
        told = [info_nce(cosine_scores(z, q.sample(noise(c.latent)), c.contrast_temperature)) for q in other]
        z = (z.detach() if told else z).unsqueeze(1).expand(-1, c.batch, -1)  # (T, B, Z)
        r = take(rows, any_live(rows["mask"], c.batch, generator))
        temperature = self.log_temperature.detach().exp()
        with torch.no_grad():
            x = torch.cat((r["after"], z), -1)
            value, _ = self.net.value(x, noise(c.batch, self.action_noise), temperature, "target")
            target = soft_target(c.reward_scale * r["training_reward"], value, r["terminated"], c.discount)
        q = self.net.q_of(torch.cat((r["observation"], z), -1), self.net.to_unit(r["action"]))  # (2, T, B)
        critic = (q - target).square().mean((1, 2)).sum()
        x = torch.cat((r["observation"], z.detach()), -1)
        gain, entropy = self.net.value(x, noise(c.batch, self.action_noise), temperature, "frozen")
        loss = sum(told, critic + c.kl_weight * kl - gain.mean())
        if not c.temperature:
            loss = loss + temperature_loss(self.log_temperature, entropy, self.target_entropy)
        return loss, torch.stack([x.detach() for x in (loss, critic, kl, entropy.mean(), temperature, *told)])

    def _step(self, generator: torch.Generator) -> Tensor:
        """One update of all networks."""
        loss, parts = self.losses(self.replay.sample(self.config.batch_tasks, generator), generator)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.net.follow(self.config.target_rate)
        return parts

    def _context(self, observation: Tensor, action: Tensor, *rest: Tensor) -> Tensor:
        """The encoder's input, (..., F)."""
        return encode_transition(self.spec, observation, self.net.to_unit(action), *rest)
