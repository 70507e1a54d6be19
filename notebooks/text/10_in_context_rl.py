# %% [markdown]
# # 10 In-context RL: the trial is the memory
#
# **Reading time:** 90 min, exercises included. **Run time:** 35 s.
#
# ## What you will be able to do
# - Write causal attention and its cache in fifteen lines, and check what each step can see.
# - Watch what a network reads of its trial, step by step.
# - Say what imitating optimal actions yields (posterior sampling), and what it never does (explore on purpose).
# - Predict how far back a window remembers.
#
# ## The question
# RL2 squeezes a trial into a hidden state, PEARL into a posterior. A **transformer** (变换器) keeps the trial itself:
# each step is one token of its **context** (上下文), where later steps look things up. No weight changes while a task
# is learned: **in-context RL** (上下文强化学习). What does it look up, and what training makes it explore?

# %%
import math

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

import metarl_lab as ml
from metarl_lab.chapters.ch10_in_context_rl.experiments import (
    after_idling,
    first_paid,
    play,
    rewarded_attention,
    untrained,
    with_window,
)
from metarl_lab.chapters.ch10_in_context_rl.figures import (
    calibration,
    longer_trials,
    window_returns,
)
from metarl_lab.chapters.ch10_in_context_rl.widget import (
    attention_stepper,
    record_attention,
)
from metarl_lab.exact.informative_bandit import search_value
from metarl_lab.nets.base import sequences
from metarl_lab.nets.transformer import TransformerCore
from metarl_lab.ops.td import trial_targets
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.dark_room import DarkRoomTasks
from metarl_lab.teach import announce, at_speed, check, claim, hint, iterations, quiz
from metarl_lab.teach import result, show_source, show_table, solution, speed
from metarl_lab.teach.figures import display_name, figure_with_alt

SPEED = speed()  # "peek", "quick" or "full"
torch.set_num_threads(1)  # the networks are small
torch.set_grad_enabled(False)  # but where we train
announce(SPEED, {"peek": 35, "quick": 35, "full": 120})

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
# long ago* counts (**rotary position embedding**, RoPE, 旋转位置编码;
# [Su et al. 2021](https://arxiv.org/abs/2104.09864)).


# %%
def forward(core, x):
    """x (L, B, I) -> out (L, B, hidden), and each layer's weights (B, heads, L, L)."""
    steps = torch.arange(len(x))
    angle = steps[:, None] * core.rates  # of the rotation of q and k, in radians
    later = steps > steps[:, None]  # (L, L): row t, true where i > t
    y = core.embed(x.transpose(0, 1))  # (B, L, hidden)
    read = []
    for block in core.blocks:
        q, k, v = block.project(y, (angle.cos(), angle.sin()))  # (B, heads, L, width)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        # the causal mask: nobody reads what comes later
        weights = scores.masked_fill(later, -math.inf).softmax(-1)
        y = block.finish(y, weights @ v)  # add what was read, then a small network
        read.append(weights)
    return core.norm(y).transpose(0, 1), read


# %% [markdown]
# An agent lives one step at a time. Keys and values of past steps never change, so it keeps them: the **KV cache**
# (键值缓存). No mask is needed: what comes later is not there yet.


# %%
def step(core, x, cache):
    """x (B, I), the newest token -> out (B, hidden).

    cache: of each layer [keys, values], each (B, heads, steps so far, width); it grows.
    """
    number = cache[0][0].shape[-2]  # steps seen so far
    angle = number * core.rates[None]
    y = core.embed(x)[:, None]  # (B, 1, hidden)
    for block, kept in zip(core.blocks, cache, strict=True):
        q, k, v = block.project(y, (angle.cos(), angle.sin()))  # of the newest step
        kept[0] = torch.cat((kept[0], k), -2)
        kept[1] = torch.cat((kept[1], v), -2)
        scores = q @ kept[0].transpose(-1, -2) / math.sqrt(q.shape[-1])
        y = block.finish(y, scores.softmax(-1) @ kept[1])
    return core.norm(y)[:, 0]


with_cache = sum(t for t in range(51))  # step t scores itself and those before it
without = sum(t**2 for t in range(51))  # step t scores every pair of t steps again
print(f"scores of a head in 50 steps: with a cache {with_cache}, without {without}")

# %% [markdown]
# Training reads a whole trial at once (`forward`), acting reads it step by step (`step`), and both are one function;
# the tests of this chapter hold both equal to the package's. **Limit:** the memory grows with every step, and so does
# the cost of the next one.
#
# ## 2. What does it look up?
# A stored agent in a **dark room** of 5 x 5 cells: one hidden goal pays 1 a step to who stands on it; 10 steps from
# the centre, 5 episodes a trial. (How it was trained: section 3.) **Predict:** before the goal is met, what is worth
# reading? After? Shown are three tasks whose goal is met in the second episode.

# %%
agent, room, card = ml.load("data/checkpoints/in_context-dark_room-5x5")
H, K = room.horizon, room.episodes
tasks = room.sample_tasks(100, "test", seeded_generator("cpu", 6, 1))
trials = record_attention(agent, agent.core, room, tasks)
in_the_second = [trial for trial in trials if H < first_paid(trial) < 2 * H]
attention_stepper(in_the_second[:3], step=5, end=(K - 1) * H + 1).show()

# %% [markdown]
# In numbers: in all trials whose goal was met by the end of the second episode, from the third on, how much of each
# layer's attention goes to steps that saw a reward? Attention without any preference would give them their share of
# the steps. A network that was never trained reads the same trials beside it.

# %%
beginner = untrained(agent, room)
same_trials = record_attention(agent, beginner.core, room, tasks)
met = [n for n, trial in enumerate(trials) if first_paid(trial) < 2 * H]
trained, share = rewarded_attention([trials[n] for n in met], after=2 * H)
at_random, _ = rewarded_attention([same_trials[n] for n in met], after=2 * H)
reading = pd.DataFrame(
    {"trained": trained, "untrained": at_random, "share of such steps": share},
    index=["layer 1", "layer 2"],
)
show_table(reading, "Attention to steps that saw a reward")
claim(
    "the trained network reads them more than the untrained one",
    reading,
    "trained > untrained + 0.05",
)
result(
    "attention to rewarded steps over their share, the layer that reads most",
    (trained / share).max(),
    at_least=1.2,
)

# %% [markdown]
# Once the goal has paid, the steps that saw a reward draw more than their share, in both layers, and more than in an
# untrained network. Before that there is nothing to see but where it has been: move the slider.
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
def unroll(core, x):
    """The package's own reading of whole trials, x (L, B, I) -> (L, B, hidden)."""
    return core.unroll(x, core.initial(x.shape[1]))[0]


def imitate(family, x, label, read=unroll):
    """x (L, B, I): histories; label (L, B): the action to imitate at each step."""
    learner = ml.make_learner(
        "in_context", family, seed=0, hidden=16, heads=2, discounts=(1.0,)
    )
    optimizer = torch.optim.Adam(learner.parameters())
    noise = seeded_generator("cpu", 0, 9)
    updates = iterations(SPEED, quick=150, full=1000)
    losses = []
    for i in range(updates):
        optimizer.param_groups[0]["lr"] = 0.006 * (1 - i / updates)
        rows = torch.randint(x.shape[1], (128,), generator=noise)  # a batch of trials
        with torch.enable_grad():
            out = read(learner.core, x[:, rows])  # (L, 128, hidden)
            logits = learner.actor(out).logits[:, :, 0]  # (L, 128, actions)
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

# three teachers, and the histories that each of them makes
names = ("thompson", "bayes_optimal", "oracle")
teachers = {name: ml.make_reference(name, bandit) for name in names}
histories = {
    name: sequences(bandit.spec, play(teacher, bandit, train))
    for name, teacher in teachers.items()
}

best_arm = train.mean.argmax(1).expand(8, -1)  # a*, the same at every step
students, losses = {}, {}
students["best arm"], losses["best arm"] = imitate(
    bandit, histories["thompson"].x, best_arm
)


# %%
def posterior(x):
    """x (L, B, I) -> (L, B, 2): P(arm is best | pulls so far), on a grid."""
    pulled, paid = x[..., 1:3], x[..., 3:4]
    wins = (pulled * paid).cumsum(0)[..., None]  # (L, B, 2, 1)
    failures = (pulled * (1 - paid)).cumsum(0)[..., None]
    p = (torch.arange(200) + 0.5) / 200  # probabilities of paying
    density = p**wins * (1 - p) ** failures  # (L, B, 2, 200), the prior is uniform
    density = density / density.sum(-1, keepdim=True)
    below = density.cumsum(-1) - density / 2  # P(this arm pays less than p)
    one = (density[..., 0, :] * below[..., 1, :]).sum(-1)
    two = (density[..., 1, :] * below[..., 0, :]).sum(-1)
    return torch.stack([one, two], -1)


def policy(learner, x):
    """What the network would pull, (L, B, 2)."""
    return learner.actor(unroll(learner.core, x)).logits[:, :, 0].softmax(-1)


# histories never trained on
fresh = sequences(bandit.spec, play(teachers["thompson"], bandit, test)).x
exact, network = posterior(fresh), policy(students["best arm"], fresh)
figure_with_alt(
    calibration(
        {
            "before pulls 2 to 4": (exact[1:4], network[1:4]),
            "before pulls 5 to 8": (exact[4:], network[4:]),
        }
    ),
    alt="Two panels: the network's probability of an arm against the exact posterior; "
    "points scatter about the diagonal, and at its ends stay inside of it",
)
distance = (network - exact).abs().mean()
result("mean distance from the exact posterior", distance, at_most=0.1)
sure = exact < 0.05  # this arm is hardly the best
result(
    "network, mean where the exact posterior is below 0.05",
    network[sure].mean(),
    at_least=at_speed(SPEED, quick=0.08, full=0.02),
    at_most=0.15,
)

# %% [markdown]
# Points about the diagonal: a network trained on *answers* has learned how unsure to be, nearly. At the ends it is
# not sure enough: where the exact posterior gives an arm less than 0.05, the network still gives it 0.12 on average.
# That is short training, not the method: after 1,000 updates (`full`) it gives 0.05. **Limit:** the
# posterior is that of the training tasks; other tasks, other prior.
#
# ## 4. Whom to imitate
# Three teachers, one network, one loss. (a) The best arm, as above. (b) **The final policy:** clone an expert
# who knows the task, in the histories *it* makes. (c) **The learning history** (学习历史): clone a learner from its
# first pull on, as in *algorithm distillation* (算法蒸馏; Laskin et al. 2022); ours is Bayes-optimal, the best that
# there is. **Predict** the order.

# %%
for name, teacher in (
    ("final policy", "oracle"),
    ("learning history", "bayes_optimal"),
):
    made = histories[teacher]
    students[name], losses[name] = imitate(bandit, made.x, made.action)
points = {
    name: play(student, bandit, test).returns.mean().item()
    for name, student in students.items()
}
optimum = teachers["bayes_optimal"].value
print(f"exact: random 4.00, Bayes-optimal {optimum:.2f}, task known {16 / 3:.2f}")
result("clone of the final policy", points["final policy"], at_least=3.85, at_most=4.15)
result("imitator of the best arm", points["best arm"], at_least=4.25, at_most=4.6)
result(
    "clone of the learning history",
    points["learning history"],
    at_least=4.5,
    at_most=4.85,
)

# %%
quiz("10.a")

# %% [markdown]
# ### What imitation of the best can never do
# The informative bandit (chapter 08's): of ten arms one pays 5, nine pay 1; arm 11 pays little but *names* the good
# one. Best play asks first. An expert that knows the task never does, so $P(a^*=11\mid h)=0$ after every
# history. Act by the exact posterior, and by the exact optimum, on all ten tasks:


# %%
class Imitator:
    """Acts by the exact minimiser of section 3's loss, in the informative bandit."""

    name, shares_memory = "imitator", False
    noise_size = 1  # random numbers a step

    def begin(self, n_tasks, copies):
        return torch.ones(n_tasks, copies, 10)  # every arm may be the good one

    def act(self, possible, seen, noise):
        pulled = torch.arange(10) == seen.action[..., None]
        found = seen.reward[..., None] > 1
        # it was the last arm, or it was not
        possible = torch.where(found, pulled.float(), possible * ~pulled)
        chance = possible / possible.sum(-1, keepdim=True)  # P(a* = a | h)
        arm = (chance.cumsum(-1) < noise).sum(-1).clamp_max(9)  # drawn from it
        return arm, possible

    def absorb(self, memory, episodes):
        return memory


# %%
naming = ml.make_family("informative_bandit")
ten = naming.all_tasks()
many = type(ten)(*(y.repeat(1000) for y in ten))
sampled = play(Imitator(), naming, many).returns
asking = ml.make_reference("bayes_optimal", naming).value
print(f"exact: never asking {search_value(11, 5):.2f}, asking {asking:.2f}")
result(
    "exact posterior sampling, 10,000 trials",
    sampled.mean(),
    at_least=10.8,
    at_most=11.2,
)

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
# (exercise 10.4). **Predict:** the goal is met at step 9 of the first episode, and in each later one after three
# steps. By how much does the trial change the worth of that search?

# %%
show_source(trial_targets)
first_episode = [0.0] * 8 + [1.0] * 2  # met at step 9
later_episode = [0.0] * 2 + [1.0] * 8  # three steps away
reward = torch.tensor(first_episode + later_episode * 4)


def worth(reward, discount=0.99):
    """Discounted return from the first step on."""
    return (discount ** torch.arange(len(reward)) * reward).sum().item()


alone, together = worth(reward[:10]), worth(reward)
print(f"worth of step 1: by its episode {alone:.1f}, by the trial {together:.1f}")

# %% [markdown]
# Searching to the last step of episode 1 hardly pays in that episode, and many times as much over the trial. A learner
# from reward can see that; an imitator cannot. In section 2's room, the agent of section 3 beside an actor-critic that
# was given nothing but reward:

# %%
rewarded = ml.load("data/checkpoints/in_context-dark_room-5x5-reward")[0]
players = {
    "imitation": agent,
    "actor-critic": rewarded,
    "psrl": ml.make_reference("psrl", room),
}
in_small = pd.DataFrame(
    {
        display_name(name): ml.evaluate(player, room, n_tasks=500, batches=K).mean
        for name, player in players.items()
    },
    index=pd.RangeIndex(1, K + 1, name="episode"),
)
show_table(in_small, "Return of each episode, 5 x 5 room")
claim(
    "imitation ahead of posterior sampling",
    in_small,
    "imitation > `posterior sampling` + 0.3",
)
claim(
    "actor-critic ahead of posterior sampling",
    in_small,
    "`actor-critic` > `posterior sampling` + 0.3",
)
claim(
    "actor-critic ahead of imitation",
    in_small,
    "`actor-critic` > imitation + 0.1",
    "none",
)
behind = in_small["imitation"] - in_small["actor-critic"]
result("imitation over actor-critic, third episode", behind[3], at_most=0.25)
result(
    "imitation over actor-critic, fifth episode", behind[5], at_least=0.2, at_most=0.9
)

# %% [markdown]
# Both beat posterior sampling in every episode. The actor-critic, trained for about as long (17 minutes against 16,
# on one CPU) with a network twice as wide, keeps up with imitation for three episodes and falls behind in the last two:
# nowhere here does reward beat answers. Reward says less than an answer. The field's test is the 9 x 9 room, with 20
# steps and ten episodes. There the stored searcher is chapter 08's method, an LSTM trained by PPO on whole trials:

# %%
big = ml.make_family("dark_room")
centre = 40
all_goals = DarkRoomTasks(torch.arange(81), torch.full((81,), centre))
known = big.oracle(all_goals).mean()
players = {name: ml.make_reference(name, big) for name in ("random", "psrl")}
players["rl2"] = ml.load("data/checkpoints/rl2-dark_room")[0]
in_big = pd.DataFrame(
    {
        display_name(name): ml.evaluate(player, big, n_tasks=400, batches=10).mean
        for name, player in players.items()
    },
    index=pd.RangeIndex(1, 11, name="episode"),
)
print(f"9 x 9, goal known: {known:.2f} in every episode (exact)")
show_table(in_big, "Return of each episode, 9 x 9 room")
claim(
    "RL2 ahead of posterior sampling by 1 or more",
    in_big,
    "RL2 > `posterior sampling` + 1",
)
claim(
    "posterior sampling ahead of random play",
    in_big,
    "`posterior sampling` > `random play` + 0.5",
)
rl2 = in_big["RL2"]
result("RL2, tenth episode (goal known 16.54)", rl2[10], at_least=10, at_most=16.9)
result(
    "RL2 over posterior sampling, tenth episode",
    rl2[10] - in_big["posterior sampling"][10],
    at_least=2,
)
result("RL2, number of its best episode", rl2.idxmax(), at_least=5, at_most=8)
result("RL2, best episode over the tenth", rl2.max() - rl2[10], at_least=0.2)

# %% [markdown]
# A learner from reward is ahead of posterior sampling in every episode, from the first on. It is best around the sixth,
# and then loses a little again, as no ideal searcher would. The transformer has not been taken that far: on this room
# its actor-critic needs a GPU, or hours (`metarl train in_context --family dark_room --iterations 5000`).
# **Limit:** in the buffer lie the trials of old policies. Critics bear that; the policy gradient of RL2 would not.
#
# ## 6. Longer than trained, and forgotten
# Rotations make attention depend on distance only, so trials may go on beyond the five episodes of training. Either
# the **window** (窗口) slides, as in training 50 steps long, or it grows, to distances never met. **Predict:** which
# holds in ten episodes?

# %%
players = {
    "window 50, as trained": agent,
    "window 100": with_window(agent, room, 100),
    "psrl": ml.make_reference("psrl", room),
}
longer = {
    name: ml.evaluate(player, room, n_tasks=200, batches=2 * K)
    for name, player in players.items()
}
random_play = ml.evaluate(ml.make_reference("random", room), room, n_tasks=200)
centre = 12
all_goals = DarkRoomTasks(torch.arange(25), torch.full((25,), centre))
known = room.oracle(all_goals).mean().item()
anchors = {"random": random_play.mean[0], "goal known": known}
figure_with_alt(
    longer_trials(longer, anchors, trained=K),
    alt="Return by episode over ten episodes, five of them trained, with a window of "
    "50 and of 100 steps, which coincide; posterior sampling catches up at the end",
)
by_episode = pd.DataFrame(
    {display_name(name): curve.mean for name, curve in longer.items()},
    index=pd.RangeIndex(1, 2 * K + 1, name="episode"),
)
slides = by_episode["window 50, as trained"]
for name in ("window 50, as trained", "window 100"):
    claim(
        f"{name}: above the episode before",
        by_episode,
        lambda rows, name=name: rows[name] > rows[name].shift(fill_value=0),
    )
claim(
    "the two windows within 0.3 of each other",
    by_episode,
    "abs(`window 50, as trained` - `window 100`) < 0.3",
)
claim(
    "window 50 ahead of posterior sampling",
    by_episode,
    "`window 50, as trained` > `posterior sampling`",
    9,
)
result("window 50, episode 10 minus episode 5", slides[10] - slides[5], at_least=0.4)
result("window 50, episode 10", slides[10], at_least=4, at_most=8.6)
result(
    "window 50 over posterior sampling, episode 10",
    slides[10] - by_episode["posterior sampling"][10],
    at_least=-0.8,
    at_most=0.2,
)

# %% [markdown]
# Both go on rising, and coincide: what matters, the last visit to the goal, is near. (Posterior sampling draws a goal
# for an episode and walks to it; the imitator draws an action a step. The imitator is ahead in the first nine episodes,
# and caught in the tenth.)
# **Limit:** only because the agent reminds itself of the goal in every episode.
#
# What does a window forget? Exactly: change the first token of a trial, and look for the last output that moves.


# %%
def last_moved(layers, window, steps=60):
    """The last step whose output differs when the token of step 0 does."""
    core = TransformerCore(inputs=8, hidden=32, layers=layers, heads=2, context=window)
    x = torch.randn(steps, 1, 8)
    changed = torch.cat((x[:1] + 1, x[1:]))
    moved = unroll(core, x) != unroll(core, changed)  # (steps, 1, hidden)
    return int(moved.any(-1).any(-1).nonzero().max())


reaches = {
    window: [last_moved(layers, window) for layers in (1, 2, 3)]
    for window in (2, 5, 10)
}
reach_table = pd.DataFrame(reaches, index=["1 layer", "2 layers", "3 layers"])
print(reach_table.rename_axis("steps back / window", axis=1))

# %% [markdown]
# Beyond that nothing is left, to the last bit. So make the goal fall out: after three episodes, hold the agent at the
# start for one or two (of 10 steps), and let it go. Counted are tasks where it stood on the goal when it was taken
# away. **Predict** its return in the next episode, for windows of 2 to 50.

# %%
goals = room.sample_tasks(200, "test", seeded_generator("cpu", 6, 1))
after = after_idling(agent, room, goals, windows=(2, 5, 10, 20, 50), idle=(0, 1, 2))
figure_with_alt(
    window_returns(after, random_play.mean[0], H),
    alt="Return of the next episode against the window, after 0, 1 and 2 idle "
    "episodes: each gap needs a longer window",
)
claim(
    "7.5 or more where the window is longer than the idle steps, and only there",
    after,
    "(window > 10 * idle) == (earned >= 7.5)",
    {0: 4, 1: "every", 2: "every"},
    by="idle",
)
claim(
    "4 or less where it is not",
    after,
    "(window > 10 * idle) | (earned <= 4)",
)
claim(
    "either below 7.5, or within 0.5 of what knowing the goal earns",
    after,
    "(earned < 7.5) | (abs(known - earned) <= 0.5)",
)
earned = after["earned"]
result("window 10, no idle episode", earned[0, 10], at_least=7.5)
result("window 10, one idle episode", earned[1, 10], at_most=4)
result("window 20, one idle episode", earned[1, 20], at_least=7.5)
result("window 20, two idle episodes", earned[2, 20], at_most=4)
result("window 2, no idle episode", earned[0, 2], at_least=4, at_most=7.5)

# %% [markdown]
# A cliff, not a slope: each gap needs a window that is longer than it. (Two layers of window 10 reach 18 steps back,
# over one idle episode. What *can* be passed on is not passed on unless training asked for it.) One point lies between:
# without an idle episode, a window of two steps earns 6. Where the goal is remembered, the return is within half a
# point of what knowing it would earn in the same tasks.

# %% [markdown] tags=["document"]
# **What the document says, and what is true: context.** 000 (2.3) calls context task information such as game rules,
# which the outer model uses to *guide* the inner model's learning. Here nobody guides: no weight moves, the context is
# the agent's own history, and without it nothing is learned, as the next cell shows.

# %% [markdown]
# Empty the context at each episode's start:


# %%
class Forgetful:
    """Acts as the agent does, with a memory that begins anew in every episode."""

    name, shares_memory, noise_size = "forgetful", False, agent.noise_size
    begin, absorb = agent.begin, agent.absorb

    def act(self, memory, seen, noise):
        if seen.step == 0:
            memory = self.begin(*seen.reward.shape)
        return agent.act(memory, seen, noise)


# %%
before = {name: p.clone() for name, p in agent.state_dict().items()}
gains = {}
for actor in (agent, Forgetful()):
    curve = ml.evaluate(actor, room, n_tasks=200, batches=K).mean
    gains[actor.name] = curve[-1] - curve[0]  # last episode minus first
kept = all(torch.equal(p, before[name]) for name, p in agent.state_dict().items())
print("weights unchanged:", kept)
result("gain within a trial", gains["in_context"], at_least=2)
result("gain when emptied", gains["forgetful"], at_least=-0.7, at_most=0.7)

# %% [markdown] tags=["document"]
# **What the document says, and what is true: progress.** 000 (8) expects progress from better algorithms, and wants
# richer tasks to *test* them. Section 4 had one algorithm throughout: 4.0, 4.5 or 4.75 points by its *data* alone.
# Tasks and histories are what such learners are made of.

# %% [markdown]
# ## Exercises
# **10.1 Causal attention in a window.** What one head of one layer reads (section 1), when it looks back over a few
# steps only (section 6).


# %%
def attend(q, k, v, window): ...


check("10.1", attend)

# %%
hint("10.1")

# %% [markdown]
# **10.2 How far back a window reaches.** The formula behind section 6's table.


# %%
def reach(layers, window): ...


check("10.2", reach)

# %% [markdown]
# **10.3 The ideal imitator.** What it pulls in the informative bandit (section 4), and why it never asks.


# %%
def imitator(possible): ...


check("10.3", imitator)

# %% [markdown]
# **10.4 Targets over a whole trial.** What the critics of section 5 learn: nothing ends with an episode.


# %%
def targets(reward, value, discount): ...


check("10.4", targets)

# %% [markdown]
# **10.5 The whole algorithm.** Decision pretraining (section 3) from the first task to the finished policy. In place
# of the network there is a table with a row for every history: it reaches the least cross-entropy exactly, by counting.
# The check trains yours on the tasks of 10.3, among others.


# %%
def pretrain(tasks, act_out, best, n_actions): ...


check("10.5", pretrain)

# %% [markdown]
# ## Break it
# A colleague trains section 4's clone of the learning history with attention of their own, PyTorch's fused one, which
# is faster. The loss is a triumph. **Find the bug before you read on.**


# %%
def colleagues(core, x):
    """x (L, B, I) -> out (L, B, hidden)."""
    angle = torch.arange(len(x))[:, None] * core.rates
    y = core.embed(x.transpose(0, 1))  # (B, L, hidden)
    for block in core.blocks:
        q, k, v = block.project(y, (angle.cos(), angle.sin()))
        y = block.finish(y, scaled_dot_product_attention(q, k, v))
    return core.norm(y).transpose(0, 1)


made = histories["bayes_optimal"]
broken, falls = imitate(bandit, made.x, made.action, read=colleagues)
score = play(broken, bandit, test).returns.mean()
ratio = falls[-20:].mean() / losses["learning history"][-20:].mean()
result("their loss over ours", ratio, at_most=0.6)
result("their points (random 4.00)", score, at_most=4.4)

# %%
quiz("10.b")

# %% [markdown]
# The test for it takes no training: change the *last* token; no earlier output may move.


# %%
def ours(core, x):
    return forward(core, x)[0]


changed = torch.cat((fresh[:-1], fresh[-1:] + 1))
for name, read in (("ours", ours), ("theirs", colleagues)):
    moved = read(broken.core, fresh) != read(broken.core, changed)
    early = int(moved[:-1].any(-1).any(-1).sum())
    print(f"{name}: outputs before the last step that move: {early} of 7")

# %% [markdown]
# Without the mask each step reads the next token, which holds the action to be predicted. While acting that token does
# not exist. (`is_causal=True` was missing.) Whenever a sequence model trains too well, perturb its future.
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
