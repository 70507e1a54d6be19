# %% [markdown]
# # 14 Choosing tasks: a model of how well the inner model will do
#
# **Reading time:** 50 min, exercises included. **Run time:** 35 s.
#
# ## What you will be able to do
# - Say what meta-training wastes when tasks are drawn uniformly, and measure it.
# - Build an outer model that predicts a learner's return before and after adaptation, and check its word.
# - Choose tasks by predicted gain, or replay them by their last score, and explore enough.
# - Recognise when choosing hurts, and report a return that was not flattered by the choice.
#
# ## The question
# A teacher who sets ten exercises sets none that are impossible, and few that are already solved. Until now, our
# meta-learners drew tasks (任务选择, *task selection*, was left to chance). Can a model of the learner choose better?

# %%
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from metarl_lab.chapters.ch14_choosing_tasks import experiments
from metarl_lab.chapters.ch14_choosing_tasks.experiments import RINGS, held_out, lights
from metarl_lab.chapters.ch14_choosing_tasks.figures import (
    calibration,
    returns,
    task_space,
)
from metarl_lab.chapters.ch14_choosing_tasks.widget import selection_explorer
from metarl_lab.nets.gain_model import GainModel
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.uneven_navigation import KINDS
from metarl_lab.teach import announce, check, claim, hint, iterations, quiz, result
from metarl_lab.teach import show_table, solution, speed, stored_or_run
from metarl_lab.teach.figures import figure_with_alt

torch.set_num_threads(1)  # the batches are small
SPEED = speed()  # "peek", "quick" or "full"
announce(SPEED, {"peek": 10, "quick": 35, "full": 90})

# %% [markdown]
# ## 1. Three goals of four teach nothing
# A point in the plane has ten steps of length 0.15 to find a light. A step pays $\max(0, 1-d)$, with $d$ the distance
# to the light: nothing in the dark. Lights are uniform in a disc of radius 5. Near ones are **easy**: staying put
# pays. Beyond 2.5 they are **impossible**. In between they are **hard**: first find the glow, then go there.
#
# **Predict:** a meta-batch has twelve tasks. How many of them can teach anything?

# %%
drawn = lights.sample_tasks(2000, "train", seeded_generator("cpu", 0, 1))
figure_with_alt(
    task_space(drawn.goal.numpy(), lights.kind(drawn).numpy(), KINDS, RINGS),
    alt="Goals in a disc: a tiny centre is easy, a ring around it "
    "hard, and most of the disc is out of reach",
)
within = 1 - lights.impossible  # share of the goals that are within reach
print(f"of 12 tasks, {12 * within:.0f} are within reach on average")
print(f"of 6 tasks, none is within reach in {(1 - within) ** 6:.0%} of batches")

# %% [markdown]
# Three. The others return 0 whatever is done: no gradient, full price. **Limit:** this family is made to waste.
# Section 6 has one that does not.
#
# ## 2. Where a sampler sits
# A **sampler** draws the tasks of an iteration, and afterwards hears their scores: mean return *before* adaptation
# (first column) and *after* it (last). It knows neither gradients nor networks, so it serves any learner.

# %%
ITERATIONS = iterations(SPEED, quick=60, full=100)


def meta_train(learner, sampler, take_notes, seed=0):
    """Train on the tasks that the sampler chooses."""
    for iteration in tqdm(range(1, ITERATIONS + 1)):
        luck = [seeded_generator("cpu", seed, iteration, part) for part in (1, 2)]
        tasks = sampler.sample(lights, 12, luck[0])  # the sampler chooses,
        scores = learner.update(lights, tasks, luck[1]).scores  # the learner trains,
        sampler.observe(tasks, scores)  # the sampler hears: (12, 2), before and after
        take_notes(iteration, tasks, scores)


# %% [markdown]
# MAML is now trained three times: on tasks chosen by predicted gain (sections 3 and 4), by chance, and by level replay
# (section 5). Every ten iterations we draw two maps over a grid of goals: what one inner step really gains, and what a
# model says that it gains. (In the runs by chance and by level replay that model hears of all tasks and chooses
# none.)


# %%
def three_runs():
    return experiments.three_runs(meta_train, ITERATIONS)


runs = stored_or_run(SPEED, "14_runs", three_runs)

# %% [markdown]
# ## 3. The outer model
# The outer model (外部模型) here is no learner of policies. It is a regression, from the numbers that describe a task
# $x$ to what the inner model (内部模型) scores on it:
#
# $$
# x \mapsto (\hat R_\text{before},\ \hat R_\text{after}),\qquad
# \text{predicted gain } \hat g(x)=\hat R_\text{after}-\hat R_\text{before}.
# $$
#
# Two refinements matter. The learner moves, so a score grows **stale**: the model is fitted to a recent window, with
# *time* as an input, and asked about now. And it must know what it does not know: it is an **ensemble** (集成), whose
# members disagree where data are few; their spread is the *doubt*.

# %%
# what uniform sampling told us in the last 50 iterations: (50, 12, 4)
heard = torch.tensor(runs["chance looks"][-50:], dtype=torch.float32)
goal, before, after = heard.flatten(0, 1).split([2, 1, 1], dim=1)  # 600 rows each
target = torch.cat((before, after - before), 1)  # return before, and gain
age = torch.linspace(-1, 0, len(heard)).repeat_interleave(12)  # 0 is now

torch.manual_seed(0)
model = GainModel(features=2)  # five networks
model.standardise_features(goal)
model.standardise_scores(target)
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for _ in tqdm(range(1000)):
    optimizer.zero_grad()
    model.loss(goal, age, target).backward()
    optimizer.step()

# %% [markdown]
# It is asked about 150 goals within reach that it has never heard of, and its word is held against what then happened.
# A normal distribution has 90% of its mass within 1.645 standard deviations of its mean, so that is how far the
# intervals reach.

# %%
now = model.predict(held_out.goal)
realised = np.diff(runs["chance held out"])[:, 0]  # (150,), after minus before
figure_with_alt(
    calibration(now.gain.numpy(), now.std.numpy(), realised, 1.645),
    alt="Realised against predicted gain of held-out goals, with 90% intervals: few "
    "points lie outside of theirs, and many goals gain nothing",
)
inside = np.abs(realised - now.gain.numpy()) <= 1.645 * now.std.numpy()
correlation = np.corrcoef(now.gain.numpy(), realised)[0, 1]
result(
    "correlation of predicted and realised gain, held-out goals",
    correlation,
    at_least=0.35,
)
result("share of realised gains inside 90% intervals", inside.mean(), at_least=0.8)
easy = lights.kind(held_out) == 0
wider = now.std[easy].mean() / now.std[~easy].mean()
result(
    "standard deviation that it states, easy goals over the others",
    wider,
    at_least=1.3,
)

# %% [markdown]
# The same predictions, by how far the goal is from the start:

# %%
rings = experiments.by_distance(held_out, now, realised, 1.645)
show_table(rings, "Predictions for held-out goals, by the goal's distance: means")
heard_easy = (goal.norm(dim=1) < RINGS["easy"]).sum().item()
result("easy goals among the 600 that it heard of", heard_easy, at_most=15)
too_hopeful = rings["predicted gain"] - rings["realised gain"]
result(
    "predicted minus realised gain, easy goals",
    too_hopeful["easy, under 0.5"],
    at_least=0.5,
)
result(
    "share of held-out goals that gain exactly 0",
    (realised == 0).mean(),
    near=0.55,
    within=0.15,
)
far = held_out.goal.norm(dim=1).numpy() >= 1.5
result("inside their intervals, goals beyond 1.5", inside[far].mean(), at_least=0.85)
result("inside their intervals, nearer goals", inside[~far].mean(), at_least=0.6)
stated = rings["stated std"]
result(
    "standard deviation that it states, 1 to 1.5 over 1.5 to 2.5",
    stated["1 to 1.5"] / stated["1.5 to 2.5"],
    at_least=1.8,
)

# %% [markdown]
# 600 scores, a quarter of them of goals within reach, and the outer model tells roughly which new goals will gain. The
# points at the right of the picture are goals near the start. Most of them do gain, as it says. But some are *easy*
# goals, where in truth a step gains next to nothing. It has heard of a handful of those, and thinks that they gain like
# their neighbours. That its intervals are wider there than elsewhere is as it should be. Whether a 90% interval holds
# 90% is **calibration** (校准); check it, as here, on tasks that the model never met. And check it in parts: about half
# of these goals gain exactly nothing, nearly all of them beyond 1.5, where the intervals are short and hold nearly
# everything. A share over all goals says little of the nearer ones, where there is something to choose.
# **Limit:** two numbers describe a task here. Where a task's parameters are not known, there is nothing to predict
# from, and level replay (section 5) is what remains.
#
# ## 4. Which tasks to take
# Draw $N$ candidates from $p(\text{task})$, which costs no env step, and choose among them with probability
#
# $$
# q_i=(1-\varepsilon)\,\frac{e^{u_i/\lambda}}{\sum_j e^{u_j/\lambda}}+\frac{\varepsilon}{N},\qquad
# u_i=\hat g_i+\kappa\cdot\text{doubt}_i .
# $$
#
# The bonus $\kappa$ is optimism (乐观): what is not known is tried. The share $\varepsilon$ is **exploration** (探索):
# without it, a task once thought hopeless is never scored again, and the mistake never found. The temperature
# $\lambda$ says how even the choice is. (The package's sampler gives it in standard deviations of $u$ over the
# candidates.)
#
# **Predict:** where will the chosen tasks lie? Then move through meta-training, and look at *chance* too.

# %%
courses = experiments.courses_of(runs)
moments = experiments.looked_at(ITERATIONS)
selection_explorer(courses, moments, experiments.SIDE, RINGS, top=5.0).show()

# %%
end = experiments.at_the_end(courses)
show_table(end, "The last ten iterations: tasks chosen, and mean gains on the maps")
chosen, map_fit = end["impossible"], end["correlation"]
result(
    "predicted map against the truth, correlation at the end",
    map_fit["predicted gain"],
    at_least=0.7,
)
result(
    "impossible tasks, chosen by predicted gain",
    chosen["predicted gain"],
    at_most=0.55,
)
result("impossible tasks, chosen by chance", chosen["chance"], at_least=0.6)
result("impossible tasks, chosen by level replay", chosen["level replay"], at_least=0.5)
claim("a step gains in the ring from 0.5 to 1.5", end, "`measured, ring` > 1")
claim("it gains far less in the centre", end, "`measured, centre` < 1")
claim("and loses at the very start", end, "`measured, start` < 0", "most")
earned = experiments.anchors("uneven, plain", "easy_after")
result(
    "random play on easy goals, share of what can be earned",
    earned["random"] / earned["oracle"],
    near=0.66,
    within=0.01,
)

# %% [markdown]
# A ring lights up where a step gains, and the circles gather on it: of the tasks that the model chooses, about a third
# are impossible, and of those drawn by chance three quarters. (Level replay, section 5, meets nearly as many as
# chance: half of its tasks are fresh draws.) In the measured map the middle is pale, and at the very start it turns
# violet in most runs: on easy goals even random play earns two thirds of what can be earned, so a step has little to
# add, and at the start itself it *loses* some. **Limit:** gain is not the only sensible signal. `progress`, how far
# the predicted return has moved over the window, asks what the *meta*-learner is learning
# ([Graves et al. 2017](https://arxiv.org/abs/1704.03003), [Portelas et al. 2019](https://arxiv.org/abs/1910.07224)).

# %%
quiz("14.a")

# %% [markdown]
# ## 5. Without a model: replay what scored well
# **Prioritised level replay** ([Jiang et al. 2021](https://arxiv.org/abs/2010.03934)) keeps the tasks met, ranks them
# by their last score, and half of the time plays an old one:
#
# $$
# P_i=(1-\rho)\,\frac{\text{rank}_i^{-1/\beta}}{\sum_j\text{rank}_j^{-1/\beta}}
# +\rho\,\frac{c-C_i}{\sum_j(c-C_j)},
# $$
#
# $c-C_i$ being the iterations since task $i$ was last played: **staleness** (陈旧度) keeps old scores honest. Four
# tasks by hand, with $\beta=0.5$ and $\rho=0.1$:

# %%
gain = np.array([0.0, 3.0, 2.0, 0.0])  # the last score of each task
waited = np.array([4, 0, 1, 3])  # c - C_i
rank = np.array([3, 1, 2, 3])  # equal scores share a rank

by_score = rank**-2.0  # -1 / beta = -2
by_score = by_score / by_score.sum()
by_age = waited / waited.sum()
P = 0.9 * by_score + 0.1 * by_age
columns = {"gain": gain, "waited": waited, "rank": rank}
columns |= {"by score": by_score, "by age": by_age, "P": P}
print(pd.DataFrame(columns).round(3))

# %% [markdown]
# The paper's own score is the size of the critic's errors. A sampler that serves any learner hears only returns, so
# ours uses the gain, or *regret*: the best return ever seen on the task less the last one. **Limit:** a high score
# may be luck, and luck does not repeat.
#
# ## 6. Does it pay, and when does it hurt?
# Ten seeds of each sampler, one budget, thresholds set before the runs (`tools/results/task_selection.py`). The second
# family is chapter 05's navigation: every goal in reach, every step paid. **Predict** both panels.

# %%
wasteful, dense = experiments.study("uneven, plain"), experiments.study("point")
panels = {
    "three of four impossible": (experiments.curves(wasteful), wasteful.anchors),
    "none impossible": (experiments.curves(dense), dense.anchors),
}
figure_with_alt(
    returns(panels),
    alt="Held-out return against env steps, a panel a family, for each way to choose "
    "tasks, with random play and the oracle",
)

# %% [markdown]
# The numbers behind the left panel, a row a way to choose: the mean return after 48 thousand env steps ("early"),
# where its own mean curve is highest ("peak", after "peak at" thousand) and at the end ("last"), with 95% intervals
# over seeds; the thousands of env steps that it took to reach 1.1 (the whole budget where that never happened); and of
# the tasks trained on, the share that was impossible and the mean distance.

# %%
left = experiments.by_seed(wasteful, threshold=1.1, early=40)
show_table(experiments.summary(left), "Three of four impossible, ten seeds of each")
choosing = left.drop(index="chance", level="sampler")
claim(
    "above chance after 48 thousand env steps",
    choosing,
    "early > `chance, early`",
    by="sampler",
)
claim(
    "lower at the end than at its peak",
    left,
    "last < peak",
    {
        "chance": "most",
        "predicted gain": "none",
        "predicted progress": "most",
        "level replay": "most",
        "chance, reachable goals only": "most",
    },
    by="sampler",
)
ends = left["last"].unstack("sampler")  # a row a seed, a column a sampler
claim("gain ends above chance", ends, "`predicted gain` > chance", 9)
claim(
    "gain ends above chance on reachable goals only",
    ends,
    "`predicted gain` > `chance, reachable goals only`",
)
claim(
    "progress ends lowest of all five",
    ends,
    lambda table: table.idxmin(axis=1) == "predicted progress",
    "some",
)
means = left.groupby("sampler", sort=False)[["early", "peak", "peak at"]].mean()
early = means["early"].drop("chance")
result("after 48 thousand, the other four", early, near=0.98, within=0.05)
result("chance, its peak", means["peak"]["chance"], near=0.98, within=0.01)
result(
    "chance, thousand env steps until then",
    means["peak at"]["chance"],
    near=96,
    within=1,
)
reached = left["reached"].groupby("sampler").sum()
result("seeds of ten that reached 1.1, gain", reached["predicted gain"], at_least=9)
others = reached.drop("predicted gain")
result("seeds of ten that reached 1.1, the others", others, at_least=3, at_most=5)

# %% [markdown]
# The same of the right panel, where "early" is after 63 thousand env steps and the threshold is -3.6. "distance" is how
# far from the start the goals were that each trained on.

# %%
right = experiments.by_seed(dense, threshold=-3.6, early=20)
show_table(experiments.summary(right), "None impossible, ten seeds of each")
ends = right["last"].unstack("sampler")
distance = right["distance"].unstack("sampler")
claim("gain ends below chance", ends, "`predicted gain` < chance", 9)
claim("replay ends within 0.2 of chance", ends, "abs(`level replay` - chance) < 0.2")
claim("gain trains on farther goals", distance, "`predicted gain` > chance + 0.1")
reached = right["reached"].groupby("sampler").sum()
result("seeds of ten that reached -3.6, gain", reached["predicted gain"], at_most=0)
result("seeds of ten that reached -3.6, chance", reached["chance"], at_least=9)

# %% [markdown]
# **Left**, all that meet fewer impossible goals than chance rise sooner: after 48 thousand env steps they are about
# where chance is at its best, after 96, and above chance in every seed. Then most lose some of it again, chance too;
# choosing by gain does not, and reaches 1.1 in nine seeds of ten, the others in three to five. In every seed it ends
# above the anchor that trains on reachable goals only: here, to know where a step gains is worth more than to know
# what is hopeless. Choosing by `progress` ends lowest on average, though in half of the seeds only.
#
# **Right**, choosing by gain hurts: it ends below chance in nine seeds of ten, and in one of them falls apart. No goal
# is wasted there; far ones gain most; so training moves to the corners, and the test does not. Level replay, half of
# whose tasks are fresh draws, ends where chance does. The same arithmetic, another family: *choosing can help where
# tasks are wasted*.
#
# **Limit:** nor does it help every learner. In the left panel MAML's outer step is plain: small steps of Adam. That
# was the third setting that we tried. In the first two the outer step was TRPO's (chapter 05), and no way to choose was
# better than another. TRPO made our own three runs, above, too. **Predict:** which of the three won?

# %%
after_one = {way: runs[f"{way} held out"][:, 1].mean() for way in experiments.WAYS}
table = pd.DataFrame({"return after one step": after_one})
show_table(table, "Our three runs: held-out goals within reach, one seed each")
result("held-out return after one step, each", list(after_one.values()), at_least=0.8)

# %% [markdown]
# None that one run of each could show. The rounding of another machine is enough to move such a return: two builds of
# this page gave the run by chance 1.26 and 1.67. Three useful tasks of twelve seem to be enough for TRPO, and then
# there is little left to save.
#
# ## 7. The word, and whose expectation

# %% [markdown] tags=["document"]
# **What the document says, and what is true: the word "model-based".** Document 000 (3.2) calls this "model-based
# meta-RL" (基于模型的元强化学习): an outer model predicts the inner model's performance, and picks the tasks most
# likely to raise it. The idea is sound, and sections 3 and 4 are it. The name is taken: in RL, *model-based* means a
# model of the *dynamics*, from which one plans or imagines (chapter 13). What 000 describes is a **curriculum**
# (课程学习).

# %% [markdown] tags=["document"]
# **What the document says, and what is true: whose expectation?** 000 (4.1) maximises
# $J(\theta)=\mathbb E_{\tau\sim p(\tau)}[R(\tau)]$. Choosing by $q$
# changes what is maximised, to $\mathbb E_q[R]$, and what is *reported*: the training curve is a mean over chosen
# tasks. With weights $w=p/q$ one can undo that: $\mathbb E_p[R]=\mathbb E_q[wR]$. The next cell shows all three for the
# run that chose by predicted gain.

# %%
# 400 training tasks, q as it was at the end; p gives each of them 1 / 400
q, after = runs["q"] / runs["q"].sum(), runs["pool"]
drawn = np.random.default_rng(0).choice(400, 3000, p=q)
under_p = after.mean()  # E_p, what 000 maximises
under_q = (q * after).sum()  # E_q, what training now shows
weighted = (after[drawn] / (400 * q[drawn])).mean()  # drawn from q, weighed by p / q
averages = {"E_p": under_p, "E_q": under_q, "drawn from q, weighted": weighted}
table = pd.DataFrame({"return after one step": averages})
show_table(table, "One agent, three averages of its return")
result(
    "E_q over E_p: how much the training curve flatters",
    under_q / under_p,
    at_least=4,
)
result("weighted mean over E_p", weighted / under_p, at_least=0.8, at_most=1.25)

# %% [markdown]
# Same agent, same day: many times the return, by choosing the question. So report held-out returns under $p$, never
# those of the tasks chosen. (The learners here use no such weights: with them, every skipped task would come back as
# variance.)
#
# ## Exercises
# **14.1** `choose`: section 4's $q$ of every candidate, from gain and doubt. It is the sampler's whole decision.


# %%
def choose(gain, doubt, bonus, temperature, explore): ...


check("14.1", choose)

# %%
hint("14.1")

# %% [markdown]
# **14.2** `replay`: level replay's distribution (section 5), for tasks of which no two have the same score.


# %%
def replay(priority, waited, beta, rho): ...


check("14.2", replay)

# %% [markdown]
# **14.3** `fair_return`: tasks were drawn with chances `q` out of `n` candidates (section 7). What is the mean score
# under uniform $p$?


# %%
def fair_return(scores, q, n): ...


check("14.3", fair_return)

# %% [markdown]
# **14.4** `coverage`: does the outer model keep its 90% promises (section 3)?


# %%
def coverage(gain, std, realised): ...


check("14.4", coverage)

# %% [markdown]
# **14.5** `curriculum`: the whole loop. Section 2's meta-training with an outer model that chooses, from the parts
# that you wrote in 14.1 and 14.3, and with a report that does not flatter.


# %%
def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore): ...


check("14.5", curriculum)

# %% [markdown]
# Stuck? `hint("14.3")` gives a nudge, then `solution("14.3")` shows one way.
#
# ## Break it
# A colleague writes level replay in NumPy. Tasks that nobody has played yet are masked with minus infinity, so that
# they get probability 0. Later two new tasks come in, worth three times as much as the others. It runs without an
# error. **Find the bug before you read on.**


# %%
class Replay:
    def __init__(self, n):
        self.scores = np.zeros(n)
        self.seen = np.zeros(n, dtype=bool)

    def add(self, task, score):
        # scores are noisy: average them
        self.scores[task] = 0.5 * self.scores[task] + 0.5 * score
        self.seen[task] = True

    def probabilities(self):
        scores = self.scores[:]
        scores[~self.seen] = -np.inf  # nobody has played these
        weight = np.exp(scores - scores.max())
        return weight / weight.sum()


worth = [1.0, 1.0, 1.0, 3.0, 3.0]
new_at = {0: (0, 1, 2), 100: (3, 4)}  # which tasks come in at which step
buffer, played = Replay(5), np.zeros(5, dtype=int)
chance = np.random.default_rng(0)
for step in range(300):
    replayed = [] if step in new_at else [chance.choice(5, p=buffer.probabilities())]
    for task in new_at.get(step, replayed):
        buffer.add(task, worth[task])
        played[task] += 1
print("played:", played)

# %%
quiz("14.b")

# %% [markdown]
# Diagnosis: look at what is stored, not at what is returned.

# %%
print("stored scores:", buffer.scores)
view, copy = buffer.scores[:], buffer.scores[:].copy()
print("[:] shares memory with the store:", np.shares_memory(view, buffer.scores))
print("a copy does:", np.shares_memory(copy, buffer.scores))

# %% [markdown]
# `scores[:]` is a *view*: the mask was written into the store before the new tasks came, and half of minus infinity
# plus anything is minus infinity. [The authors' code](https://github.com/facebookresearch/level-replay) has this slip
# in one of its options. The mend is `.copy()`. The package's sampler hands out no view, and a test writes $-\infty$
# into everything that it returns.
#
# ## Summary
# - A sampler hears returns before and after adaptation, and decides what is learned next; it serves any learner.
# - An outer model predicts both from a task's parameters: fitted to recent scores, with time as an input, and with a
#   doubt that is checked by calibration, in parts.
# - Optimism and exploration keep the choice from believing itself.
# - Three of four tasks impossible: choosing by gain saved env steps. None impossible: it cost return.
# - Choosing makes the objective $\mathbb E_q[R]$. Report held-out tasks under $p$.
#
# ## What to read
# - [Jiang, Grefenstette and Rocktäschel 2021](https://arxiv.org/abs/2010.03934): prioritised level replay;
#   [Jiang et al. 2021](https://arxiv.org/abs/2110.02439): its robust form, and regret.
# - [Graves et al. 2017](https://arxiv.org/abs/1704.03003) and [Portelas et al. 2019](https://arxiv.org/abs/1910.07224):
#   learning progress as the signal.
# - [Lakshminarayanan et al. 2017](https://arxiv.org/abs/1612.01474): ensembles that know what they do not know.
#
# ## What comes next
# Choosing tasks decides what is learned. Chapter 15 asks what all tasks have in common: the average policy.
