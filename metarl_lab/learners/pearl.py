"""PEARL: a posterior over the task, sampled once an episode; off-policy (Rakelly et al. 2019, arXiv 1903.08254).

An encoder reads a set of transitions and says what it believes of the task, q(z | c). Given a z, each task is an
ordinary MDP to soft actor-critic; acting on one z for a whole episode is posterior sampling. The critic's error trains
the encoder, or a contrast of sets of transitions alone does.

Comments quote the steps of the paper's two boxes: algorithm 1, meta-training (``update`` and ``losses``), and algorithm
2, meta-testing (``begin`` and ``act``). The boxes loop over tasks; here they lie side by side, on the axis T. What
differs from the paper is listed in docs/learners.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
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

_FIRST_TEMPERATURE = 0.03  # where an adaptive one starts, in reward per nat: the default of a fixed one


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
    """The posterior of each copy as its factors' product, the z in use, and where the last transition began."""

    precision: Tensor  # (T, E, Z), of all transitions of the trial so far, as in ``Factors``
    weighted: Tensor  # (T, E, Z), likewise
    latent: Tensor  # (T, E, Z), constant within an episode
    observation: Tensor  # (T, E, O)
    began: Tensor  # (T, E) bool, there is a last transition
    greedy: Tensor  # (T, E) bool


class PEARLTerms(NamedTuple):
    """What one update reports; scalars, without a gradient."""

    loss: Tensor  # what is descended
    critic_loss: Tensor  # squared error, summed over the two Q-functions
    kl: Tensor  # KL(q(z | c), N(0, I)) per task, nats
    entropy: Tensor  # of the policy, nats
    temperature: Tensor  # its weight
    contrast: Tensor  # InfoNCE, nats; 0 where the critic trains the encoder


class Inferred(NamedTuple):
    """What the encoder makes of a context of each task, and the two losses that are its own."""

    z: Tensor  # (T, Z), one draw of q(z | c) for each task
    kl: Tensor  # scalar
    contrast_loss: Tensor  # scalar


class PEARL(MetaLearner):
    """See the module's first lines. Memory: the posterior over the task."""

    name: ClassVar[str] = "pearl"
    source: ClassVar[str] = "Rakelly et al. 2019, arXiv 1903.08254; SAC: Haarnoja et al. 2018, arXiv 1812.05905"
    Config = PEARLConfig
    shares_memory = False
    log_temperature: Tensor  # a buffer where the temperature is fixed, a parameter where it adapts

    def __init__(self, spec: Spec, config: PEARLConfig) -> None:
        super().__init__(spec, config)
        _check(config)
        self.action_noise = self.noise_size  # of each step's noise this many numbers draw the action,
        self.noise_size += config.latent  # and the rest draw z

        self.encoder = SetEncoder(context_size(spec), config.hidden, config.latent)
        self.net = SoftActorCritic(spec, spec.observation_size + config.latent, config.hidden)
        if config.temperature > 0:
            self.register_buffer("log_temperature", torch.tensor(math.log(config.temperature)))
        else:
            first = _FIRST_TEMPERATURE * config.reward_scale
            self.log_temperature = nn.Parameter(torch.tensor(math.log(first)))
        self.target_entropy = target_entropy(spec, config.target_entropy)

        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)
        self.replay = Replay(config.capacity)

    def begin(self, n_tasks: int, copies: int) -> PEARLMemory:
        """Algorithm 2, "initialize context": it is empty, and the posterior of no factors is the prior N(0, I)."""
        zeros = torch.zeros(n_tasks, copies, self.config.latent, device=self.device)
        no_observation = torch.zeros(n_tasks, copies, self.spec.observation_size, device=self.device)
        never = torch.zeros(n_tasks, copies, dtype=torch.bool, device=self.device)
        return PEARLMemory(
            precision=zeros,
            weighted=zeros,
            latent=zeros,  # never acted on: the first step of an episode draws one
            observation=no_observation,
            began=never,
            greedy=never | self.config.greedy,
        )

    @torch.no_grad()
    def act(self, memory: PEARLMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, PEARLMemory]:
        """One step of algorithm 2: take in the last transition; where an episode starts, draw z; act for that z."""
        action_noise, latent_noise = noise.split([self.action_noise, self.config.latent], -1)

        # "Accumulate context": the factor of the last transition joins the product, one step at a time, so that
        # nothing is left to do at an episode's end. Before a trial's first step there is no last transition.
        last = self._context(memory.observation, seen.action, seen.reward, seen.observation, ~seen.start)
        factor = self.encoder.factors(last)
        there_is_one = memory.began.unsqueeze(-1)
        product = Factors(
            precision=memory.precision + factor.precision * there_is_one,
            weighted=memory.weighted + factor.weighted * there_is_one,
        )

        # "Sample z ~ q(z | c)", once an episode: a plan needs one hypothesis to the end of the episode
        drawn = self.encoder.posterior(product).sample(latent_noise)
        latent = torch.where(seen.start.unsqueeze(-1), drawn, memory.latent)

        # "Roll out policy pi(a | s, z)": by its mode, or, where meta-training explores, by a sample
        policy = self.net.policy(torch.cat((seen.observation, latent), -1))
        greedy = memory.greedy if self.spec.discrete else memory.greedy.unsqueeze(-1)
        action = torch.where(greedy, policy.mode(), policy.sample(action_noise))

        after = PEARLMemory(
            precision=product.precision,
            weighted=product.weighted,
            latent=latent,
            observation=seen.observation,
            began=torch.ones_like(memory.began),
            greedy=memory.greedy,
        )
        return self.net.box.from_unit(action), after

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return memory  # every transition was taken in when the next action was chosen

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        """One pass of algorithm 1's outer loop: collect data from tasks, then train on tasks of the buffer."""
        # "For each T_i: sample z ~ q(z | c), gather data from pi(a | s, z) and add to B": E trials of each task, K
        # episodes of each, every one for a z drawn from what its own trial knows. The policy is sampled here, whatever
        # ``greedy`` says: its mode alone would try nothing new.
        trial = begin(self, family, tasks, self.config.copies)
        exploring = trial.memory._replace(greedy=torch.zeros_like(trial.memory.greedy))
        episodes, _ = collect(self, family, tasks, trial._replace(memory=exploring), generator, self._episodes)
        self.replay.add(transition_rows(episodes, family.training_reward(tasks, episodes)))

        # "For step in training steps"
        steps = [torch.stack(self._train_step(generator)) for _ in range(self.config.gradient_steps)]

        means = torch.stack(steps).mean(0).tolist()  # of each term over the steps, in one read from the device
        reported = dict(zip(PEARLTerms._fields, means, strict=True))
        if self.config.encoder_learns != "contrast":
            del reported["contrast"]
        scores = episodes.returns.mean(1)  # (T, K), over E
        return Metrics({"return": scores.mean().item(), "env_steps": episodes.env_steps, **reported}, scores)

    def _train_step(self, generator: torch.Generator) -> PEARLTerms:
        """The inside of algorithm 1's "for step in training steps": the losses of some tasks, and one step down them.

        The box steps encoder, actor and critic one after the other; one Adam steps all of them here, because each loss
        reaches only the weights that it may train.
        """
        rows = self.replay.sample(self.config.batch_tasks, generator)
        loss, terms = self.losses(rows, generator)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.net.follow(self.config.target_rate)  # soft actor-critic's: the target Q-functions follow slowly
        return terms

    def losses(self, rows: Rows, generator: torch.Generator) -> tuple[Tensor, PEARLTerms]:
        """What one update descends, with a gradient, and its terms, of the transitions of each task (T, M, ...)."""
        # "Sample context c ~ S_c(B)" and "sample z ~ q(z | c)"
        if self.config.encoder_learns == "contrast":
            inferred = self._infer_by_contrast(rows, generator)
        else:
            inferred = self._infer(rows, generator)

        # "Sample RL batch b ~ B": any transitions of the same task, because the critic and the actor learn off-policy
        batch = take(rows, any_live(rows["mask"], self.config.batch, generator))
        z = inferred.z.unsqueeze(1).expand(-1, self.config.batch, -1)  # (T, B, Z)

        # "L_actor, L_critic, L_KL". The critic's error trains the encoder too, through z; the actor's does not.
        critic_loss = self._critic_loss(batch, z, generator)
        actor_loss, entropy = self._actor_loss(batch, z.detach(), generator)
        kl_loss = self.config.kl_weight * inferred.kl
        alpha_loss = self._temperature_loss(entropy)

        loss = critic_loss + kl_loss + actor_loss + inferred.contrast_loss + alpha_loss
        terms = PEARLTerms(
            loss=loss.detach(),
            critic_loss=critic_loss.detach(),
            kl=inferred.kl.detach(),
            entropy=entropy.mean().detach(),
            temperature=self._temperature(),
            contrast=inferred.contrast_loss.detach(),
        )
        return loss, terms

    def context_of(self, rows: Rows, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the encoder reads of each row: transitions (T, N, F), and which of them count (T, N).

        The reward in it is the true one, as when acting; never the one that training maximises.
        """
        index, known = known_transitions(
            rows["mask"], self.config.encoder_reads, self._episodes, self.spec.horizon, generator
        )
        chosen = take(rows, index)
        context = self._context(
            chosen["observation"], chosen["action"], chosen["reward"], chosen["after"], chosen["followed"]
        )
        return context, known

    def _infer(self, rows: Rows, generator: torch.Generator) -> Inferred:
        """One context of each task, and a z that the critic's error reaches the encoder through."""
        posterior = self.encoder(*self.context_of(rows, generator))
        kl = _kl_to_prior(posterior)
        z = posterior.sample(_uniform((len(posterior.mean), self.config.latent), generator))
        return Inferred(z, kl, contrast_loss=torch.zeros_like(kl))

    def _infer_by_contrast(self, rows: Rows, generator: torch.Generator) -> Inferred:
        """Two contexts of each task, which the encoder learns to tell together, and a z that stops the critic's error.

        They are from different trials: those of one trial would be told together by what the agent did in it.
        """
        first, second = halves(rows)
        posterior = self.encoder(*self.context_of(first, generator))
        other = self.encoder(*self.context_of(second, generator))
        kl = _kl_to_prior(posterior)
        z = posterior.sample(_uniform((len(posterior.mean), self.config.latent), generator))
        z_other = other.sample(_uniform((len(other.mean), self.config.latent), generator))

        # InfoNCE (1807.03748, eq. 4): row i's own is column i, the other tasks of the batch are its negatives
        contrast_loss = info_nce(cosine_scores(z, z_other, self.config.contrast_temperature))
        return Inferred(z.detach(), kl, contrast_loss)

    def _critic_loss(self, batch: Rows, z: Tensor, generator: torch.Generator) -> Tensor:
        """L_critic: the squared error of Q(s, a, z) against r + discount V(s', z); a mean over the batch (T, B), summed
        over the two Q-functions.

        Soft actor-critic in its later form (1812.05905): V(s', z) is the policy's, by the smaller target Q-function.
        """
        with torch.no_grad():
            after = torch.cat((batch["after"], z), -1)  # (T, B, O + Z)
            noise = _uniform((*after.shape[:2], self.action_noise), generator)
            next_value, _ = self.net.value(after, noise, self._temperature(), "target")
            reward = self.config.reward_scale * batch["training_reward"]
            target = soft_target(reward, next_value, batch["terminated"], self.config.discount)  # (T, B)
        state = torch.cat((batch["observation"], z), -1)
        q = self.net.q_of(state, self.net.box.to_unit(batch["action"]))  # (2, T, B)
        return (q - target).square().mean((1, 2)).sum()

    def _actor_loss(self, batch: Rows, z: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """L_actor: minus the soft value of the policy's own actions; and its entropy in each state, (T, B), nats.

        The paper writes KL(pi(. | s, z) || exp(Q) / normaliser), which is this up to a constant and the temperature. Q
        is held fixed: the policy is to find better actions, not to move their values.
        """
        state = torch.cat((batch["observation"], z), -1)  # (T, B, O + Z)
        noise = _uniform((*state.shape[:2], self.action_noise), generator)
        value, entropy = self.net.value(state, noise, self._temperature(), "frozen")
        return -value.mean(), entropy

    def _temperature_loss(self, entropy: Tensor) -> Tensor:
        """Of an adaptive temperature (1812.05905, eq. 18); 0 where it is fixed. entropy (T, B)."""
        if self.config.temperature > 0:
            return torch.zeros_like(self.log_temperature)
        return temperature_loss(self.log_temperature, entropy, self.target_entropy)

    def _temperature(self) -> Tensor:
        """The weight of the policy's entropy: a constant to every loss but its own."""
        return self.log_temperature.detach().exp()

    @property
    def _episodes(self) -> int:
        """K, episodes per trial."""
        return self.config.episodes or self.spec.episodes

    def _context(self, observation: Tensor, action: Tensor, reward: Tensor, after: Tensor, followed: Tensor) -> Tensor:
        """Transitions as the encoder reads them, (..., F)."""
        return encode_transition(self.spec, observation, self.net.box.to_unit(action), reward, after, followed)


def _kl_to_prior(posterior: DiagonalGaussian) -> Tensor:
    """KL(q(z | c), N(0, I)), nats, mean over tasks: the paper's limit on how much of the context z may carry."""
    zeros = torch.zeros_like(posterior.mean)
    return posterior.kl(DiagonalGaussian(mean=zeros, log_std=zeros)).mean()


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Noise on [0, 1), from which distributions draw."""
    return torch.rand(shape, generator=generator, device=generator.device)


def _check(config: PEARLConfig) -> None:
    """ValueError for a config that cannot work."""
    check_positive(
        "pearl",
        meta_batch=config.meta_batch,
        copies=config.copies,
        capacity=config.capacity,
        gradient_steps=config.gradient_steps,
        batch_tasks=config.batch_tasks,
        batch=config.batch,
        latent=config.latent,
        learning_rate=config.learning_rate,
        reward_scale=config.reward_scale,
    )
    check_choice("pearl", "encoder_reads", config.encoder_reads, ("trial", "task"))
    check_choice("pearl", "encoder_learns", config.encoder_learns, ("critic", "contrast"))
    if config.encoder_learns == "contrast" and config.copies % 2:
        raise ValueError(f"pearl: a contrast needs two halves of a task's trials; copies={config.copies} is odd")
    if config.temperature < 0:
        raise ValueError(f"pearl: temperature={config.temperature} is not allowed; give 0 to adapt it, or more")
