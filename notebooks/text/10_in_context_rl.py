# %% [markdown]
# # 10 In-context RL: the trial is the memory
#
# **Reading time:** 40 min. **Run time:** 25 s.
#
# ## What you will be able to do
# - Write causal attention and its cache in fifteen lines, and check them against the package.
# - Watch what a network reads of its trial, step by step.
# - Say what imitating optimal actions yields (posterior sampling), and what it never does (explore on purpose).
# - Predict how far back a window remembers.
#
# ## The question
# RL2 squeezes a trial into a hidden state, PEARL into a posterior. A **transformer** (变换器) keeps the trial itself:
# each step is one token of its **context** (上下文), where later steps look things up. No weight changes while a task
# is learned: **in-context RL** (上下文强化学习). What does it look up, and what training makes it explore?

# %%
import dataclasses
import math

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

import metarl_lab as ml
from metarl_lab.nets.base import sequences
from metarl_lab.nets.transformer import TransformerCore
from metarl_lab.exact.informative_bandit import search_value
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.ops.td import trial_targets
from metarl_lab.teach.figures import figure_with_alt
from metarl_lab.chapters.ch10_in_context_rl.figures import calibration, longer_trials, window_returns
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.dark_room import DarkRoomTasks
from metarl_lab.teach import announce, check, hint, quiz, show_source, speed, verdict
from metarl_lab.chapters.ch10_in_context_rl.widget import attention_stepper, record_attention

SPEED = speed()  # "peek", "quick" or "full"
torch.set_num_threads(1)  # the networks are small
torch.set_grad_enabled(False)  # but where we train
announce(SPEED, {"peek": 25, "quick": 25, "full": 120})

# %% [markdown]
# ## 1. Attention and its cache
# The token of step $t$ holds what the agent then sees: the observation, the *last* action and reward, whether an
# episode starts. Each layer makes a query $q_t$, a key $k_t$ and a value $v_t$ of it, and reads
#
# $$
# z_t=\sum_{i\le t}w_{ti}v_i,\qquad
# w_{ti}=\frac{\exp(q_t\cdot k_i/\sqrt d)}{\sum_{j\le t}\exp(q_t\cdot k_j/\sqrt d)}.
# $$
#
# That $i$ stops at $t$ is the **causal mask** (因果掩码). Positions enter as a rotation of $q$ and $k$, so only *how
# long ago* counts.


# %%
def forward(core, x, causal=True):  # x (L, B, I) -> out (L, B, hidden); of each layer weights (B, heads, L, L)
    steps = torch.arange(len(x))
    angle = steps[:, None] * core.rates
    y, read = core.embed(x.transpose(0, 1)), []
    for block in core.blocks:
        q, k, v = block.project(y, (angle.cos(), angle.sin()))  # (B, heads, L, width)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        if causal:
            scores = scores.masked_fill(steps > steps[:, None], -math.inf)  # nobody reads what comes later
        read.append(scores.softmax(-1))
        y = block.finish(y, read[-1] @ v)  # add what was read, then a small network step by step
    return core.norm(y).transpose(0, 1), read


# %% [markdown]
# An agent lives one step at a time. Keys and values of past steps never change, so it keeps them: the **KV cache**
# (键值缓存). No mask is needed: what comes later is not there yet.


# %%
def step(core, x, cache):  # x (B, I); cache: of each layer [keys, values], each (B, heads, steps so far, width)
    angle = cache[0][0].shape[-2] * core.rates[None]
    y = core.embed(x)[:, None]  # (B, 1, hidden)
    for block, kept in zip(core.blocks, cache, strict=True):
        q, k, v = block.project(y, (angle.cos(), angle.sin()))
        kept[:] = torch.cat((kept[0], k), -2), torch.cat((kept[1], v), -2)
        weights = (q @ kept[0].transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        y = block.finish(y, weights @ kept[1])
    return core.norm(y)[:, 0]


core, x = TransformerCore(inputs=8, hidden=32, layers=2, heads=2, context=50), torch.randn(50, 5, 8)
out, read = forward(core, x)
cache = [[torch.zeros(5, 2, 0, 16)] * 2 for _ in core.blocks]
stepped = torch.stack([step(core, now, cache) for now in x])
package, _ = core.unroll(x, core.initial(5))
pairs = {"outputs": (out, package), "weights": (torch.stack(read), torch.stack(core.attention(x)))}
for what, (mine, its) in (pairs | {"steps with a cache": (stepped, package)}).items():
    print(f"{what}: largest difference from the package below 1e-4: {bool((mine - its).abs().max() < 1e-4)}")
print("scores, 50 steps: with the cache", sum(range(51)), "a head; reading all again", sum(t**2 for t in range(51)))

# %% [markdown]
# Training reads a whole trial at once, acting reads it step by step, and both are one function. **Limit:** the memory
# grows with every step, and so does the cost of the next one.
#
# ## 2. What does it look up?
# A stored agent in a **dark room** of 5 x 5 cells: one hidden goal pays 1 a step to who stands on it; 10 steps from
# the centre, 5 episodes a trial. (How it was trained: section 3.) **Predict:** before the goal is met, what is worth
# reading? After?

# %%
agent, room, card = ml.load("data/checkpoints/in_context-dark_room-5x5")
H, K = room.horizon, room.episodes
tasks = room.sample_tasks(100, "test", seeded_generator("cpu", 6, 1))
trials = record_attention(agent, agent.core, room, tasks)
first = [int(np.flatnonzero(trial.reward)[0]) if trial.reward.any() else 50 for trial in trials]
shown = [i for i, f in enumerate(first) if H < f < 2 * H][:3]  # met in the second episode
attention_stepper([trials[i] for i in shown], step=2 * H + 1).show()


# %%
def paid_share(trial, layer):  # of attention, and of steps, that goes to steps that saw a reward: third episode on
    saw = np.append(0, trial.reward[:-1]) > 0
    rows = trial.weights[layer].mean(0)[2 * H :]
    return (rows * saw).sum(1).mean(), np.mean([saw[: t + 1].mean() for t in range(2 * H, K * H)])


met = [trial for trial, f in zip(trials, first, strict=True) if f < 2 * H]
share = np.array([[paid_share(trial, layer) for trial in met] for layer in (0, 1)]).mean(1)  # (layers, 2)

# %% tags=["nbval-ignore-output", "raw"]
print("attention to steps that saw a reward, share of such steps:", share.round(2).tolist())

# %%
verdict(
    "attention to rewarded steps over their share, the layer that reads most",
    (share[:, 0] / share[:, 1]).max(),
    at_least=1.2,
)

# %% [markdown]
# Early on it reads where it has been; once the goal has paid, the steps that saw a reward draw more than their share.
# **Limit:** attention shows what was *read*, not what was *used*; to know that, change the token and see (section 6).
#
# ## 3. Imitate the best action: posterior sampling
# Give the network histories $h$ of many tasks, and ask at each step for the action $a^\ast$ that is best in the hidden
# task: the **decision-pretrained transformer** (决策预训练变换器; Lee et al. 2023). It cannot know $a^\ast$; the least
# cross-entropy is reached by
#
# $$
# \pi(a\mid h)=P(a^*=a\mid h),
# $$
#
# the exact posterior. To act by it is **posterior sampling** (后验采样), Thompson's rule of 1933. Two arms, 8 pulls;
# histories by Thompson sampling itself. **Predict:** how close does a network get in 2 s?


# %%
def play(actor, family, tasks, seed=3):
    trial, noise = begin(actor, family, tasks), seeded_generator("cpu", seed, 1)
    return collect(actor, family, tasks, trial, noise, family.spec.episodes)[0]


def imitate(family, x, label, iterations=1000 if SPEED == "full" else 150, seed=0, read=None):
    """x (L, B, I): histories; label (L, B): actions."""
    learner = ml.make_learner("in_context", family, seed, hidden=16, heads=2, discounts=(1.0,))
    read = read or (lambda core, x: core.unroll(x, core.initial(x.shape[1]))[0])
    optimizer, noise, losses = torch.optim.Adam(learner.parameters()), seeded_generator("cpu", seed, 9), []
    for i in range(iterations):
        optimizer.param_groups[0]["lr"] = 0.006 * (1 - i / iterations)
        rows = torch.randint(x.shape[1], (128,), generator=noise)
        with torch.enable_grad():
            logits = learner.actor(read(learner.core, x[:, rows])).logits[:, :, 0]
            loss = cross_entropy(logits.flatten(0, 1), label[:, rows].flatten())
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return learner, np.array(losses)


# %%
bandit = ml.make_family("bernoulli_bandit", arms=2, horizon=8)
train = bandit.sample_tasks(5000, "train", seeded_generator("cpu", 0, 1))
test = bandit.sample_tasks(5000, "test", seeded_generator("cpu", 1, 1))
references = {name: ml.make_reference(name, bandit) for name in ("thompson", "bayes_optimal", "oracle")}
histories = {name: sequences(bandit.spec, play(actor, bandit, train)) for name, actor in references.items()}
students, losses = {}, {}
students["best arm"], losses["best arm"] = imitate(bandit, histories["thompson"].x, train.mean.argmax(1).expand(8, -1))


# %%
def posterior(x):  # (L, B, I) -> (L, B, 2): P(arm is best | pulls so far), on a grid of pay-off probabilities
    pulled, paid = x[..., 1:3], x[..., 3:4]
    wins, losses = (pulled * paid).cumsum(0)[..., None], (pulled * (1 - paid)).cumsum(0)[..., None]
    p = (torch.arange(200) + 0.5) / 200
    density = p**wins * (1 - p) ** losses  # uniform prior
    density = density / density.sum(-1, keepdim=True)
    below = density.cumsum(-1) - density / 2
    return torch.stack([(density[..., i, :] * below[..., 1 - i, :]).sum(-1) for i in (0, 1)], -1)


def policy(learner, x):
    return learner.actor(learner.core.unroll(x, learner.core.initial(x.shape[1]))[0]).logits[:, :, 0].softmax(-1)


fresh = sequences(bandit.spec, play(references["thompson"], bandit, test)).x  # histories never trained on
exact, network = posterior(fresh), policy(students["best arm"], fresh)
figure_with_alt(
    calibration({"before pulls 2 to 4": (exact[1:4], network[1:4]), "before pulls 5 to 8": (exact[4:], network[4:])}),
    alt="Two panels: the network's probability of an arm against the exact posterior; points lie along the diagonal",
)

# %% tags=["nbval-ignore-output", "raw"]
print("mean distance from the exact posterior:", (network - exact).abs().mean().item())

# %%
verdict("mean distance from the exact posterior", (network - exact).abs().mean(), at_most=0.1)

# %% [markdown]
# Points along the diagonal: a network trained on *answers* has learned to be unsure by the right amount. **Limit:** the
# posterior is that of the training tasks; other tasks, other prior.
#
# ## 4. Whom to imitate
# Three teachers, one network, one loss. (a) The best arm, as above. (b) **The final policy:** clone an expert
# who knows the task, in the histories *it* makes. (c) **The learning history** (学习历史): clone a learner from its
# first pull on, as in *algorithm distillation* (算法蒸馏; Laskin et al. 2022); ours is Bayes-optimal. **Predict** the
# order.

# %%
for name, teacher in (("final policy", "oracle"), ("learning history", "bayes_optimal")):
    students[name], losses[name] = imitate(bandit, histories[teacher].x, histories[teacher].action)
points = {name: play(student, bandit, test).returns.mean().item() for name, student in students.items()}
print(f"exact: random 4.00, Bayes-optimal {references['bayes_optimal'].value:.2f}, task known {16 / 3:.2f}")

# %% tags=["nbval-ignore-output", "raw"]
print("points in eight pulls:", points, "Thompson:", play(references["thompson"], bandit, test).returns.mean().item())

# %%
verdict("clone of the final policy", points["final policy"], at_least=3.85, at_most=4.15)
verdict("imitator of the best arm", points["best arm"], at_least=4.25, at_most=4.6)
verdict("clone of the learning history", points["learning history"], at_least=4.5, at_most=4.85)

# %%
quiz("10.a")

# %% [markdown]
# ### What imitation of the best can never do
# The informative bandit (chapter 08's): of ten arms one pays 5, nine pay 1; arm 11 pays little but *names* the good
# one. Best play asks first. An expert that knows the task never does, so $P(a^*=11\mid h)=0$ after every
# history. Act by the exact posterior, and by the exact optimum, on all ten tasks:

# %%
naming = ml.make_family("informative_bandit")
ten = naming.all_tasks()


class Imitator:  # the exact minimiser of the loss of section 3
    name, shares_memory, noise_size = "imitator", False, 1

    def begin(self, n_tasks, copies):
        return torch.ones(n_tasks, copies, 10)  # what may still be the good arm

    def act(self, possible, seen, noise):
        pulled = torch.arange(10) == seen.action[..., None]
        possible = torch.where(seen.reward[..., None] > 1, pulled.float(), possible * ~pulled)
        chance = possible / possible.sum(-1, keepdim=True)
        return (chance.cumsum(-1) < noise).sum(-1).clamp_max(9), possible

    def absorb(self, memory, episodes):
        return memory


many = type(ten)(*(y.repeat(1000) for y in ten))
sampled = play(Imitator(), naming, many).returns
print(f"exact: never asking {search_value(11, 5):.2f}, asking {ml.make_reference('bayes_optimal', naming).value:.2f}")
verdict("exact posterior sampling, 10,000 trials", sampled.mean(), at_least=10.8, at_most=11.2)

# %% [markdown]
# 11 against 20.55, and no amount of data helps: what the best action *is* says nothing about what is worth *knowing*.
# Imitation finds out only what it stumbles on.
#
# ## 5. Learn from reward: off-policy actor-critic
# So score whole trials instead. `in_context` (after AMAGO; Grigsby et al. 2024) keeps trials in a buffer, reads each
# with one causal transformer, and on its outputs trains a policy and critics, for several discounts, to
#
# $$
# y_t=r_t+\gamma\,\textstyle\min_n Q'_n(h_{t+1},\pi),\qquad y=r\text{ at the last step of the }\textit{trial}.
# $$
#
# Nothing stops at the end of an episode, so exploring in the first is credited with what it earns in the fifth
# (exercise 10.4). **Predict:** by how much does that change the worth of a search?

# %%
show_source(trial_targets)
reward = torch.tensor([0.0] * 8 + [1.0] * 2 + ([0.0] * 2 + [1.0] * 8) * 4)[:, None]  # met at step 9, then 3 steps away


def worth(reward):  # discounted return from the first step on: lam = 1 asks no critic
    blank = torch.zeros(len(reward), 1, 1)
    return trial_targets(reward, blank, reward >= 0, torch.tensor([0.99]), 1.0)[0].item()


print(f"worth of the first step: by its own episode {worth(reward[:10]):.1f}, by the whole trial {worth(reward):.1f}")

# %% [markdown]
# Searching to the last step of episode 1 hardly pays in that episode, and many times as much over the trial. A learner
# from reward can see that; an imitator cannot. In section 2's room, the agent of section 3 beside an actor-critic that
# was given nothing but reward:

# %%
rewarded = ml.load("data/checkpoints/in_context-dark_room-5x5-reward")[0]
small = {"imitation": agent, "actor-critic": rewarded, "psrl": ml.make_reference("psrl", room)}
in_small = {name: ml.evaluate(player, room, n_tasks=500, batches=K).mean for name, player in small.items()}

# %% tags=["nbval-ignore-output", "raw"]
print(pd.DataFrame(in_small, index=range(1, K + 1)).round(1).T)

# %%
fifth = {name: returns[4] for name, returns in in_small.items()}
verdict("actor-critic over psrl, fifth episode", fifth["actor-critic"] - fifth["psrl"], at_least=0.3)
verdict("actor-critic over imitation, fifth episode", fifth["actor-critic"] - fifth["imitation"], at_most=0.6)

# %% [markdown]
# Both beat posterior sampling by the episode; the actor-critic took five times the computing to get about as far.
# Reward says less than an answer. The field's test is the 9 x 9 room, with 20 steps and ten episodes. There the stored
# searcher is chapter 08's method, an LSTM trained by PPO on whole trials:

# %%
big = ml.make_family("dark_room")
known = big.oracle(DarkRoomTasks(torch.arange(81), torch.full((81,), 40))).mean()
players = {name: ml.make_reference(name, big) for name in ("random", "psrl")}
players["rl2"] = ml.load("data/checkpoints/rl2-dark_room")[0]
in_big = {name: ml.evaluate(player, big, n_tasks=400, batches=10).mean for name, player in players.items()}
print(f"9 x 9, goal known: {known:.2f} in every episode (exact)")

# %% tags=["nbval-ignore-output", "raw"]
print(pd.DataFrame(in_big, index=range(1, 11)).round(1).T)

# %%
verdict("rl2, tenth episode (goal known 16.54)", in_big["rl2"][9], at_least=10, at_most=16.9)
verdict("rl2 over psrl, tenth episode", in_big["rl2"][9] - in_big["psrl"][9], at_least=2)

# %% [markdown]
# It searches in order, as a learner from reward can. The transformer has not been taken that far: on this room its
# actor-critic needs a GPU, or hours (`metarl train in_context --family dark_room --iterations 5000`).
# **Limit:** in the buffer lie the trials of old policies. Critics bear that; the policy gradient of RL2 would not.
#
# ## 6. Longer than trained, and forgotten
# Rotations make attention depend on distance only, so trials may go on beyond the five episodes of training. Either
# the **window** (窗口) slides, as in training 50 steps long, or it grows, to distances never met. **Predict:** which
# holds in ten episodes?


# %%
def with_window(window):  # the same weights, looking back over `window` steps
    other = ml.make_learner("in_context", room, **(dataclasses.asdict(agent.config) | {"context": window}))
    other.load_state_dict(agent.state_dict())
    return other


def by_episode(actor, episodes=K, n_tasks=200):
    return ml.evaluate(actor, room, n_tasks=n_tasks, batches=episodes)


longer = {"window 50, as trained": by_episode(agent, 10), "window 100": by_episode(with_window(100), 10)}
longer["psrl"] = by_episode(ml.make_reference("psrl", room), 10)
anchors = {"random": by_episode(ml.make_reference("random", room), 1).mean[0], "known goal, 8.56": 8.56}
figure_with_alt(
    longer_trials(longer, anchors, trained=K),
    alt="Return by episode over ten episodes, five of them trained, with a window of 50 and of 100 steps, and psrl",
)

# %% tags=["nbval-ignore-output", "raw"]
for name, curve in longer.items():
    print(name, curve.mean.round(1))

# %%
slides, grows = (longer[name].mean for name in ("window 50, as trained", "window 100"))
verdict("sliding window, episode 10 minus episode 5", slides[9] - slides[4], at_least=-0.8)
verdict("sliding window, episode 10", slides[9], at_least=4, at_most=8.6)

# %% [markdown]
# Both go on rising, and coincide: what matters, the last visit to the goal, is near. (`psrl` draws a goal for an
# episode and walks to it; the imitator draws an action a step. It is ahead early, and caught by the tenth episode.)
# **Limit:** only because the agent reminds itself of the goal in every episode.
#
# What does a window forget? Exactly: change the first token of a trial, and look for the last output that moves.


# %%
def last_moved(layers, window, steps=60):
    core, x = TransformerCore(8, 32, layers, 2, window), torch.randn(steps, 1, 8)
    y = torch.cat((x[:1] + 1, x[1:]))
    moved = core.unroll(x, core.initial(1))[0] != core.unroll(y, core.initial(1))[0]
    return int(moved.any(-1).any(-1).nonzero().max())


reaches = {window: [last_moved(layers, window) for layers in (1, 2, 3)] for window in (2, 5, 10)}
pd.DataFrame(reaches, index=["1 layer", "2 layers", "3 layers"]).rename_axis("steps back / window", axis=1)

# %% [markdown]
# Beyond that nothing is left, to the last bit. So make the goal fall out: after three episodes, hold the agent at the
# start for one or two (of 10 steps), and let it go. Counted are tasks where it stood on the goal when it was taken
# away. **Predict** its return in the next episode, for windows of 2 to 50.

# %%
goals = room.sample_tasks(200, "test", seeded_generator("cpu", 6, 1))
windows = (2, 5, 10, 20, 50)


class Idle:  # reads what the actor reads, and does nothing
    shares_memory = False

    def __init__(self, actor):
        self.actor, self.noise_size = actor, actor.noise_size

    def act(self, memory, seen, noise):
        return torch.zeros_like(seen.action), self.actor.act(memory, seen, noise)[1]


def after_idling(actor, idle):  # -> mean, low, high
    trial, noise, acted = begin(actor, room, goals), seeded_generator("cpu", 7, 1), []
    for who in [actor] * 3 + [Idle(actor)] * idle + [actor]:
        episode, trial = collect(who, room, goals, trial, noise)
        acted.append(episode.reward[:, 0, 0])
    held = (acted[2][:, -1] > 0) & (goals.goal != 12)  # on the goal, which is not the start
    return np.ravel(mean_interval(acted[-1].sum(1)[held].double().numpy()[:, None]))


# %%
after = {idle: np.stack([after_idling(with_window(w), idle) for w in windows], 1) for idle in (0, 1, 2)}
figure_with_alt(
    window_returns(windows, {f"{n} idle episodes": tuple(x) for n, x in after.items()}, anchors, H),
    alt="Return of the next episode against the window, after 0, 1 and 2 idle episodes: each gap needs a longer window",
)

# %% tags=["nbval-ignore-output", "raw"]
print(pd.DataFrame({f"{n} idle": x[0] for n, x in after.items()}, index=windows).round(1))

# %%
verdict("window 10, no idle episode", after[0][0][2], at_least=7.5)
verdict("window 10, one idle episode", after[1][0][2], at_most=4)
verdict("window 20, one idle episode", after[1][0][3], at_least=7.5)
verdict("window 20, two idle episodes", after[2][0][3], at_most=4)

# %% [markdown]
# A cliff, not a slope: each gap needs a window that spans it. (Two layers of window 10 reach 18 steps back, over one
# idle episode. What *can* be passed on is not passed on unless training asked for it.)
#
# > **What the document says, and what is true.** 000 (2.3) calls context task information such as game rules, which
# > the outer model uses to *guide* the inner model's learning. Here nobody guides: no weight moves, the context is the
# > agent's own history, and without it nothing is learned. Empty it at each episode's start:


# %%
class Forgetful:
    name, shares_memory, noise_size = "forgetful", False, agent.noise_size
    begin, absorb = agent.begin, agent.absorb

    def act(self, memory, seen, noise):
        return agent.act(self.begin(*seen.reward.shape) if seen.step == 0 else memory, seen, noise)


before = {name: p.clone() for name, p in agent.state_dict().items()}
gains = {actor.name: np.ptp(by_episode(actor).mean[[0, -1]]) for actor in (agent, Forgetful())}
print("weights unchanged:", all(torch.equal(p, before[name]) for name, p in agent.state_dict().items()))

# %% tags=["nbval-ignore-output", "raw"]
print("last episode minus first:", {name: round(float(x), 2) for name, x in gains.items()})

# %%
verdict("gain within a trial", gains["in_context"], at_least=2)
verdict("gain when emptied", gains["forgetful"], at_most=0.7)

# %% [markdown]
# > 000 (8) expects progress from better algorithms, and wants richer tasks to *test* them. Section 4 had one algorithm
# > throughout: 4.0, 4.5 or 4.7 points by its *data* alone. Tasks and histories are what such learners are made of.
#
# ## Exercises
# **10.1** `attend`: causal attention in a window, one head, in NumPy.


# %%
def attend(q, k, v, window): ...


check("10.1", attend)

# %%
hint("10.1")

# %% [markdown]
# **10.2** `reach`: the formula behind section 6's table.


# %%
def reach(layers, window): ...


check("10.2", reach)

# %% [markdown]
# **10.3** `imitator`: what the ideal imitator pulls in the informative bandit.


# %%
def imitator(possible): ...


check("10.3", imitator)

# %% [markdown]
# **10.4** `targets` of section 5: rewards and values of K episodes of H steps.


# %%
def targets(reward, value, discount): ...


check("10.4", targets)

# %% [markdown]
# ## Break it
# A colleague trains section 4's clone of the learning history with attention of their own. The loss is a
# triumph. **Find the bug before you read on.**

# %%
broken, falls = imitate(
    bandit, histories["bayes_optimal"].x, histories["bayes_optimal"].action, read=lambda core, x: forward(core, x, 0)[0]
)
score = play(broken, bandit, test).returns.mean()

# %% tags=["nbval-ignore-output", "raw"]
print(f"loss {falls[-20:].mean():.3f}, ours {losses['learning history'][-20:].mean():.3f}; points {score:.2f}")

# %%
verdict("their loss over ours", falls[-20:].mean() / losses["learning history"][-20:].mean(), at_most=0.6)
verdict("their points (random 4.00)", score, at_most=4.4)

# %%
quiz("10.b")

# %% [markdown]
# The test for it takes no training: change the *last* token; no earlier output may move.

# %%
other = torch.cat((fresh[:-1], fresh[-1:] + 1))
for name, causal in (("ours", True), ("theirs", False)):
    moved = forward(broken.core, fresh, causal)[0] != forward(broken.core, other, causal)[0]
    print(f"{name}: outputs before the last step that move: {int(moved[:-1].any(-1).any(-1).sum())} of 7")

# %% [markdown]
# Without the mask each step reads the next token, which holds the action to be predicted. While acting that token does
# not exist. Whenever a sequence model trains too well, perturb its future.
#
# ## Summary
# - A transformer's memory is the trial; a mask makes training equal to acting, a cache makes acting cheap.
# - Imitating the best action yields posterior sampling, and never exploration on purpose; cloning a *learner's* history
#   yields that learner; cloning an expert yields neither.
# - Reward over the whole trial is the signal that can pay for exploring.
# - Each layer looks back window - 1 steps; what lies further back is gone to the last bit.
#
# ## What to read
# - [Laskin et al. 2022](https://arxiv.org/abs/2210.14215), algorithm distillation.
# - [Lee et al. 2023](https://arxiv.org/abs/2306.14892), decision-pretrained transformers.
# - [Grigsby et al. 2024](https://arxiv.org/abs/2310.09971), AMAGO.
# - [Ortega et al. 2021](https://arxiv.org/abs/2110.10819), *Shaking the foundations*: why clones mistake their own
#   actions for evidence.
#
# ## What comes next
# All memories so far were states of a network. Chapter 11 adapts a *value function* instead: meta-Q-learning.
