# %% [markdown]
# # 00 Welcome: you against the agent
#
# **Reading time:** 30 min. **Run time:** 10 s.
#
# ## What you will be able to do
#
# - say what a task, a trial, a memory and a regret are, and why a game of slot machines is meta-reinforcement
#   learning;
# - compute the best that *anyone* can do in that game, and see how near a network comes that was never told how;
# - read an interval, and tell a result from luck;
# - use this workbook: speeds, exercises, hints, your GPU.
#
# ## The question
#
# Five machines, ten pulls, nothing known. How well can anybody play, and can playing well be *learned*?

# %%
from functools import cache

import pandas as pd
import torch
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.chapters.ch00_welcome.figures import meta_rl_picture
from metarl_lab.teach.figures import adaptation_curves, figure_with_alt
from metarl_lab.rollout import seeded_generator
from metarl_lab.teach import announce, check, hint, progress, quiz, show_source, solution, speed, verdict  # noqa: F401
from metarl_lab.train import choose_device
from metarl_lab.chapters.ch00_welcome.widget import BanditGame, deal, play, regret_of

SPEED = speed()  # "peek", "quick" or "full"
GAMES = {"peek": 5_000, "quick": 20_000, "full": 100_000}[SPEED]
announce(SPEED, {"peek": 4, "quick": 10, "full": 300})

# %% [markdown]
# ## 1. Play
#
# There are five **arms**, A to E. A pull of an arm pays 1 or 0. Each arm pays with its own probability, hidden from
# you, drawn at the start of the game: any value between 0 and 1 is equally likely. You have ten pulls. Collect as
# much as you can.
#
# Three rivals play the same arms unseen:
#
# - **RL2**, a recurrent network. Nobody told it a rule; it was trained by playing such games, and its weights no
#   longer change. (Chapter 08 builds it.)
# - **Thompson sampling**, a classic from 1933: guess a probability for each arm at random, in line with what was
#   seen, and pull the arm whose guess is highest.
# - **Bayes-optimal** play, computed exactly: nobody who does not know the arms does better on average.
#
# All four share their luck: if the second pull of arm C pays you, the second pull of arm C pays anyone.
#
# *Predict*: who wins most often, and how far behind will you be? Then run the next cell, play a few games (a mouse,
# or Tab and Enter), and look at the running score. A game takes less than two minutes.

# %%
rl2, family, card = ml.load("data/checkpoints/rl2-bernoulli_bandit-5x10")
if SPEED == "full":  # train it here instead
    rl2 = ml.make_learner("rl2", family, **card["learner"]["config"])
    rl2 = ml.train(rl2, family, iterations=800).learner.cpu()
names = ("thompson", "bayes_optimal", "greedy", "random", "oracle")
thompson, bayes, greedy, random, oracle = (ml.make_reference(name, family) for name in names)

rivals = {"RL2": rl2, "Thompson": thompson, "Bayes-optimal": bayes}
BanditGame(family, rivals, stand_in=greedy, name="00 bandit game").show()

# %% [markdown]
# When a game ends, two numbers stand beside each player. *Paid* includes luck. **Regret** (遗憾) does not: it adds
# up, over the pulls, how much less likely to pay the pulled arm $a_h$ was than the best one,
#
# $$
# R = \sum_{h=1}^{10} \bigl(\max_i p_i - p_{a_h}\bigr).
# $$
#
# Zero would mean the best arm every time. Some regret cannot be avoided: to find out, you must try. That is the
# dilemma of **exploration and exploitation** (探索与利用).
#
# The limit of all this: a few games say next to nothing about who is better. Section 3 plays thousands.

# %% [markdown]
# ## 2. Why this is meta-reinforcement learning
#
# One game is a **task** (任务): five hidden probabilities. The rule that deals games is the **task distribution**
# $p(\text{task})$. Ten pulls on the same hidden arms form a **trial**. What an agent carries from pull to pull is its
# **memory**; the Chinese articles that this book mirrors ("the documents") call what it gathers the context (上下文).
# Nothing is carried from one trial to the next, except the network's weights while it is being trained. Learning
# within a trial, by memory, was itself learned over many trials, by weights: hence *meta*-reinforcement learning
# (元强化学习).

# %%
alt = "Two loops: in a trial, agent and task exchange pulls and pay; over many trials, the weights learn"
figure_with_alt(meta_rl_picture(), alt)

# %% [markdown]
# Every agent of this book plays through the same two calls: `begin` gives its memory, `act` turns memory and what was
# last *seen* into an action and a new memory. Here is the whole game, for any agent and any number of games at once.
# Axes: `T` games, `A` arms, `H` pulls.

# %%
show_source(play)

# %%
for name, agent in rivals.items():
    memory = agent.begin(n_tasks=1, copies=1)
    tensor = memory if torch.is_tensor(memory) else memory[0]
    print(f"{name:14} remembers {tensor.numel()} numbers, shape {tuple(tensor.shape[2:])}")
print(f"RL2's weights come from {card['env_steps'] // family.horizon:,} games, none of them dealt below")

# %% [markdown]
# Thompson and Bayes remember the successes and failures of each arm: ten numbers that mean something. RL2 remembers
# 64 numbers that nobody defined. That is the one difference to keep in mind: its *way of remembering* was learned
# too. What these numbers mean, you cannot read off; chapter 18 tries.

# %% [markdown]
# ## 3. Thousands of games
#
# *Predict* the order of six players: random; **greedy** (pull the arm with the highest mean by what was seen: perhaps
# your own way); Thompson; RL2; Bayes-optimal; and the **oracle**, who is told the best arm.

# %%
games = deal(family, GAMES, seeded_generator("cpu", 0, 1))
players = {"random": random, "greedy": greedy, **rivals, "oracle": oracle}
paid, chosen, rows = {}, {}, []
for number, (name, agent) in enumerate(tqdm(players.items(), desc=f"{GAMES:,} games each"), 1):
    pulls, rewards = play(agent, family, games, seeded_generator("cpu", 0, 2, number))
    paid[name] = rewards.sum(1).double().numpy()  # (T,)
    chosen[name] = games.means.gather(1, pulls).double().numpy()  # (T, H): chance that the pulled arm pays
    mean, low, high = mean_interval(paid[name])
    regret = regret_of(games.means, pulls).mean().item()
    rows.append({"player": name, "paid": mean, "low": low, "high": high, "spread": paid[name].std(), "regret": regret})
table = pd.DataFrame(rows).set_index("player")

# %% tags=["nbval-ignore-output", "raw"]
table.round(3)

# %%
bands = {"greedy": (6.53, 6.73), "RL2": (6.55, 6.73), "Thompson": (5.7, 5.98), "Bayes-optimal": (6.56, 6.76)}
for name, (low, high) in bands.items():
    verdict(f"{name}: paid in ten pulls", table.paid[name], at_least=low, at_most=high)
share = (table.paid["RL2"] - 5) / (bayes.value - 5)
verdict("RL2's part of what Bayes-optimal gains over chance", share, at_least=0.93)

# %% [markdown]
# *Reading it*: RL2 plays almost as well as can be. So does plain greed, in ten pulls: the intervals overlap. Thompson
# sampling, made for long games, is far behind: with ten pulls it explores for a future that does not come. Duan et
# al. (2016, table 1) print 6.7 for RL2, 6.6 for greedy, 5.7 for Thompson; their 1,000 games leave about 0.14 to
# either side. With a hundred pulls greed falls behind (RL2 78.7, greedy 74.8, Thompson 74.7). *Limit*: RL2's row is
# one trained network. Three training runs from different seeds gave, on 50,000 games each:

# %%
print("RL2, by training seed:", [round(seed[0], 2) for seed in card["score"]["by_seed"]])

# %% [markdown]
# ### Why 8.33 is out of reach
#
# The oracle gets ten times the best arm's probability. All five lie below $x$ with probability $x^5$, so the best has
# mean $1 - \int_0^1 x^5 dx = 5/6$: 8.33 in ten pulls. But it was *told*. Anyone else pulls blindly at first, for
# $1/2$, and pays for what they find out.
#
# What is the best without being told? After $s$ successes and $f$ failures, an arm's probability has the distribution
# $\text{Beta}(1 + s, 1 + f)$, with mean $p = (1 + s)/(2 + s + f)$. The best total with $n$ pulls left is the best,
# over the arms, of
#
# $$
# V_n = p\,\bigl(1 + V_{n-1}(\text{one success more})\bigr) + (1 - p)\,V_{n-1}(\text{one failure more}).
# $$
#
# *Predict* the number, then compute it. Arms have no names here, so sorting them leaves a few thousand cases.

# %%
@cache
def best_total(arms, left):
    """Expected pay of perfect play: arms ((s, f), ...) sorted, pulls left."""
    if left == 0:
        return 0.0
    options = []
    for i, (s, f) in enumerate(arms):
        others, p = arms[:i] + arms[i + 1 :], (1 + s) / (2 + s + f)
        success = best_total(tuple(sorted((*others, (s + 1, f)))), left - 1)
        failure = best_total(tuple(sorted((*others, (s, f + 1)))), left - 1)
        options.append(p * (1 + success) + (1 - p) * failure)
    return max(options)


print(f"blind 5.0000, perfect play {best_total(((0, 0),) * 5, 10):.4f}, told the best arm {10 * 5 / 6:.4f}")

# %% [markdown]
# *Reading it*: 6.66. Of the 3.33 between chance and the oracle, perfect play gets half; the rest is the price of not
# knowing. Whoever beats 6.66 by more than their interval has a bug; the published 6.7 is within its 0.14. *Limit*:
# this works for a handful of arms and pulls; five arms and a hundred pulls have about $4 \cdot 10^{11}$ cases.
#
# ### Why RL2 comes so close
#
# It never saw that equation. But look at what it was trained for: the mean total of a *trial*, over games from the
# distribution (with a discount of 0.99, close to none),
#
# $$
# J(\theta) = \mathbb{E}_{\text{task} \sim p(\text{task})}\;\mathbb{E}\Bigl[\sum_{h=1}^{10} r_h\Bigr].
# $$
#
# Among all ways of turning what was seen into the next pull, the one that makes $J$ largest *is* Bayes-optimal play:
# 6.66 is the maximum of the very thing that RL2 climbs. Whether training gets there is another matter: compare the
# three runs. With its weights frozen, watch it learn within ten pulls:

# %% tags=["nbval-ignore-output", "display"]
curves = []
for name in ("greedy", *rivals):
    mean, low, high = mean_interval(chosen[name])
    curves.append(pd.DataFrame({"learner": name, "x": range(1, 11), "mean": mean, "low": low, "high": high}))
anchors = {"random": 0.5, "oracle (told the best arm)": 5 / 6}
labels = {"x_label": "pull within the trial", "y_label": "chance that the pulled arm pays"}
axes = adaptation_curves(pd.concat(curves), anchors, **labels)
axes.set_ylim(0.46, 0.87)
axes.legend(loc="lower right", bbox_to_anchor=(1, 0.14), ncols=2, frameon=False)
alt = "Chance that the pulled arm pays, by pull: RL2, greedy and Bayes-optimal rise alike, Thompson slower"
figure_with_alt(axes, alt)

# %%
verdict("chance of pay, first pull of RL2", chosen["RL2"][:, 0].mean(), at_least=0.47, at_most=0.53)
verdict("chance of pay, last pull of RL2", chosen["RL2"][:, -1].mean(), at_least=0.69, at_most=0.76)
verdict("the same of Thompson", chosen["Thompson"][:, -1].mean(), at_least=0.62, at_most=0.68)

# %% [markdown]
# *Reading it*: RL2's first pull is blind (0.50); its last pays with a chance of about 0.73. Between the two, it
# learned. *Limit*: it learned for *these* odds. On arms dealt by another rule nothing here promises anything; chapter
# 16 tests that.

# %% [markdown]
# ### How to read an interval
#
# Each row of the table has a **95% interval**: $\text{mean} \pm 1.96 s/\sqrt{n}$ for $n$ games whose totals spread
# by $s$. Repeated with new games, about 95 of 100 such intervals hold the true mean. With $s = 2.2$ it is 0.03 to
# either side for 20,000 games, and 1.4 for ten. So your running score cannot tell you from RL2. Shared luck helps:
# the *difference* of two players on the same games spreads less than that of two on games of their own.

# %% tags=["nbval-ignore-output", "raw"]
mean, low, high = mean_interval(paid["Bayes-optimal"] - paid["Thompson"])
spread = (paid["Bayes-optimal"] - paid["Thompson"]).std()
unpaired = (paid["Bayes-optimal"].var() + paid["Thompson"].var()) ** 0.5
print(f"Bayes-optimal minus Thompson: {mean:.3f} [{low:.3f}, {high:.3f}]; spread {spread:.2f}, unpaired {unpaired:.2f}")

# %%
verdict("how much better Bayes-optimal is than Thompson", low, at_least=0.6)
verdict("spread with shared games, as a part of that without", spread / unpaired, at_most=0.8)

# %%
quiz("00.a")

# %% [markdown]
# ## 4. How a chapter works
#
# Most ideas come as *predict*, equation, a few lines of code, one figure or number, one sentence that reads it, and a
# limit. Do predict: it is what makes the answer stick. Then come exercises, a program to repair, and a summary. Where
# the documents are mistaken, a box says so, with a cell that shows it.
#
# **Three speeds.** `peek` shows stored or small results, `quick` runs a small version (at most a minute), `full`
# trains everything, best on a GPU. Write `SPEED = speed("full")`, or set the environment variable `METARL_SPEED`.
#
# **Checked numbers.** Trained numbers differ a little between machines, so a line such as
# `RL2: paid in ten pulls in [6.55, 6.73]: yes` states the claim, and every change to the book is tested against it.
#
# **Is my GPU seen?**

# %% tags=["nbval-ignore-output", "machine"]
device = choose_device()
print(f"full speed trains on: {device}", f"({torch.cuda.get_device_name()})" if device.type == "cuda" else "")
print(f"torch {torch.__version__}, CUDA {torch.version.cuda}, {torch.cuda.device_count()} GPU(s)")

# %% [markdown]
# If it says `cpu` and you have a GPU: `METARL_DEVICE` may be set to `cpu`, or torch may lack CUDA (`CUDA None`).
# Chapters 00 to 03 need none.
#
# ## Exercises
#
# Write your answer over the `...`, run the cell, and read what `check` says. `hint("00.1")` gives a nudge, then an
# equation, then a line; `solution("00.1")` gives it away. Errors never harm anything.
#
# **00.1** Regret of a sequence of pulls. For means 0.2 and 0.9 and pulls 0, 1, 1 it is 0.7. `means` is an array,
# `pulls` a list of arm numbers.


# %%
def regret(means, pulls): ...


check("00.1", regret)

# %%
hint("00.1")

# %% [markdown]
# **00.2** The mean of an arm's probability after `s` successes and `f` failures, when at first every value was
# equally likely.


# %%
def posterior_mean(s, f): ...


check("00.2", posterior_mean)

# %% [markdown]
# **00.3** What is a look worth? A known arm pays with probability $p$; another one is unknown. You have two pulls.
# The first goes to the unknown arm, the second to whichever then has the higher mean. What total do you expect?
# Afterwards, compare `try_first(0.55)` with $2 \cdot 0.55$: the arm that looks worse is the better first pull.


# %%
def try_first(p): ...


check("00.3", try_first)

# %% [markdown]
# Which exercises you have passed is kept on your machine, for all chapters:

# %% tags=["nbval-ignore-output", "machine"]
progress()

# %% [markdown]
# ## Break it
#
# A real bug, found in the recurrent wrappers of three public libraries. Some protocols call every *pull* an episode
# of its own; the wrapper prepares what the agent sees when an episode starts. Same weights, same hidden state carried
# along. *Predict* the score, run it, and find the fault.


# %%
class Wrapped:
    shares_memory, noise_size = rl2.shares_memory, rl2.noise_size

    def begin(self, n_tasks, copies):
        return rl2.begin(n_tasks, copies)

    def act(self, memory, seen, noise):
        last_action, last_reward = torch.full_like(seen.action, -1), torch.zeros_like(seen.reward)
        fresh = seen._replace(action=last_action, reward=last_reward, start=torch.ones_like(seen.start))
        return rl2.act(memory, fresh, noise)


_, rewards = play(Wrapped(), family, games, seeded_generator("cpu", 0, 2, 9))
verdict("paid in ten pulls, by the wrapped RL2", rewards.sum(1).mean(), at_least=4.85, at_most=5.15)

# %%
quiz("00.b")

# %% [markdown]
# Whatever does not depend on what paid gets 5 on average, however clever. Tests that ask only whether a program runs
# do not notice.
#
# ## Summary
#
# - A task is drawn; within a trial an agent learns it by memory; over many trials its weights learn *how*.
# - Regret counts what was missed against the best arm. Perfect play of this game earns 6.66: above chance (5), below
#   the oracle (8.33).
# - RL2 comes close because its objective's maximum is Bayes-optimal play. What it does elsewhere is another question.
# - A mean without an interval and without anchors is not a result.
#
# ## What to read
#
# - Duan et al. (2016), *RL2: Fast Reinforcement Learning via Slow Reinforcement Learning*, [arXiv
#   1611.02779](https://arxiv.org/abs/1611.02779).
# - Russo et al. (2018), *A Tutorial on Thompson Sampling*, [arXiv 1707.02038](https://arxiv.org/abs/1707.02038).
# - Sutton and Barto (2018), *Reinforcement Learning*, chapter 2: bandits.
#
# ## What comes next
#
# | part | chapters | about |
# |---|---|---|
# | Foundations | 00 to 04 | what ordinary RL cannot do; tasks, memories, objectives |
# | Algorithms | 05 to 15 | MAML, RL2, PEARL, transformers, Q-learning, models, task choice |
# | Judging and understanding | 16 to 18 | generalisation, drift, looking inside |
# | Applications | 19 to 25 | robots, games, driving, recommendation, medicine, finance, energy |
# | Reference | 26 and 27 | tools; glossary in English and Chinese, errata, bibliography |
#
# The [index](index.md) lists all 28. A chapter without a link there is planned, not written yet. **Stuck?** Put the
# cursor in a name and press Shift+Tab for its documentation; restart the kernel and run all cells; then see
# "Questions" in the [README](../README.md). Next: chapter 01, what ordinary RL cannot do.
