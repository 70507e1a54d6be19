# %% [markdown]
# # 14 Choosing tasks: a model of how well the inner model will do
#
# **Reading time:** 35 min. **Run time:** 35 s.
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

import metarl_lab as ml
from metarl_lab.runs.files import find_folder
from metarl_lab.nets.gain_model import GainModel
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.teach.figures import figure_with_alt
from metarl_lab.chapters.ch14_choosing_tasks.figures import calibration, returns, task_space
from metarl_lab.rollout import seeded_generator
from metarl_lab.samplers.level_replay import replay_probabilities
from metarl_lab.tasks.uneven_navigation import KINDS, UnevenTasks
from metarl_lab.teach import announce, check, hint, quiz, speed, stored_or_run, verdict
from metarl_lab.chapters.ch14_choosing_tasks.widget import Course, selection_explorer

# %%
SPEED = speed()  # "peek", "quick" or "full"
torch.set_num_threads(1)  # the batches are small
announce(SPEED, {"peek": 10, "quick": 35, "full": 90})
lights = ml.make_family("uneven_navigation")
SIZES = {"meta_batch": 12, "episodes": 10, "hidden": (32, 32)}
ITERATIONS, EVERY = (100 if SPEED == "full" else 60), 10
RINGS = {"easy": lights.glow / 2, "reach": lights.reach}

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
    alt="Goals in a disc: a tiny centre is easy, a ring around it hard, and most of the disc is out of reach",
)
share = 1 - lights.impossible
print(f"of 12 tasks, {12 * share:.0f} are within reach on average; of 6, none is in {(1 - share) ** 6:.0%} of batches")

# %% [markdown]
# Three. The others return 0 whatever is done: no gradient, full price. **Limit:** this family is made to waste.
# Section 6 has one that does not.
#
# ## 2. Where a sampler sits
# A **sampler** draws the tasks of an iteration, and afterwards hears their scores: mean return *before* adaptation
# (first column) and *after* it (last). It knows neither gradients nor networks, so it serves any learner.

# %%
def meta_train(sampler, listener, seed=0):
    learner, looks, maps = ml.make_learner("maml", lights, seed=seed, **SIZES), [], []
    for i in tqdm(range(1, ITERATIONS + 1)):
        tasks = sampler.sample(lights, 12, seeded_generator("cpu", seed, i, 1))
        scores = learner.update(lights, tasks, seeded_generator("cpu", seed, i, 2)).scores  # (12, 2)
        sampler.observe(tasks, scores)
        if listener is not sampler:  # a model that hears of all tasks and chooses none
            listener.sample(lights, 1, seeded_generator("cpu", seed, i, 3))
            listener.observe(tasks, scores)
        looks.append(torch.cat((tasks.goal, scores), 1).numpy())  # (12, 4)
        if i % EVERY == 0:
            maps.append([listener.predict(grid).gain.numpy().reshape(15, 15), gain_of(learner, grid)])
    return learner, np.stack(looks), np.stack(maps)


# %% [markdown]
# The map to be learned: over a grid of goals, what one inner step really gains, and what a model says it gains.

# %%
SIDE = np.linspace(-3, 3, 15)
grid = UnevenTasks(torch.tensor(np.stack(np.meshgrid(SIDE, SIDE, indexing="ij"), -1).reshape(-1, 2)).float())
held_out = lights.sample_tasks(1500, "test", seeded_generator("cpu", 7, 1))
held_out = UnevenTasks(held_out.goal[lights.kind(held_out) < 2][:150])  # within reach
pool = lights.sample_tasks(400, "train", seeded_generator("cpu", 11, 1))  # candidates, for section 7


def returns_of(learner, tasks):  # (T, 2): before the inner step, and after it
    return ml.evaluate(learner, lights, tasks=tasks, episodes=10, batches=2).per_task


def gain_of(learner, tasks):
    return np.diff(returns_of(learner, tasks)).reshape(15, 15)


# %%
WAYS = ("predicted gain", "chance", "level replay")


def train_three():
    chooser, out = ml.make_sampler("predicted_gain"), {}
    ways = (chooser, ml.make_sampler("uniform"), ml.make_sampler("level_replay"))
    for name, sampler in zip(WAYS, ways, strict=True):
        listener = chooser if sampler is chooser else ml.make_sampler("predicted_gain", explore=1.0)
        learner, looks, maps = meta_train(sampler, listener)
        out |= {f"{name} looks": looks, f"{name} maps": maps, f"{name} held out": returns_of(learner, held_out)}
        if sampler is chooser:
            out |= {"q": chooser.probabilities(pool).numpy(), "pool": returns_of(learner, pool)[:, 1]}
    return out


runs = stored_or_run(SPEED, "14_runs", train_three)

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
heard = torch.tensor(runs["chance looks"][-50:], dtype=torch.float32)  # what uniform sampling told us in 50 iterations
x, before, after = heard.flatten(0, 1).split([2, 1, 1], 1)  # goals (600, 2), returns (600, 1)
y = torch.cat((before, after - before), 1)
age = torch.linspace(-1, 0, len(heard)).repeat_interleave(12)
torch.manual_seed(0)
model = GainModel(features=2)
model.standardise_features(x)
model.standardise_scores(y)
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for _ in tqdm(range(1000)):
    optimizer.zero_grad()
    model.loss(x, age, y).backward()
    optimizer.step()

# %%
now = model.predict(held_out.goal)
realised = np.diff(runs["chance held out"])[:, 0]
figure_with_alt(
    calibration(now.gain.numpy(), now.std.numpy(), realised, 1.645),
    alt="Realised against predicted gain of held-out goals, with 90% intervals: few points lie outside of theirs",
)

# %% tags=["nbval-ignore-output", "raw"]
inside = (np.abs(realised - now.gain.numpy()) <= 1.645 * now.std.numpy()).mean()
easy = lights.kind(held_out) == 0  # half a dozen of what it heard
correlation = np.corrcoef(now.gain.numpy(), realised)[0, 1]
print(f"correlation {correlation:.2f}; {inside:.0%} of the 90% intervals hold what happened")

# %%
verdict("correlation of predicted and realised gain, held-out goals", correlation, at_least=0.35)
verdict("share of realised gains inside 90% intervals", inside, at_least=0.8)
wider = now.std[easy].mean() / now.std[~easy].mean()
verdict("standard deviation that it states, easy goals over the others", wider, at_least=1.3)

# %% [markdown]
# 600 scores, a quarter of them of goals within reach, and the outer model tells roughly which new goals will gain. The
# points that fall at the right are *easy* goals. It has met half a dozen, and thinks that they gain; in truth a step
# loses a little there. Its intervals are widest there, as they should be. Whether a 90% interval holds
# 90% is **calibration** (校准); check it, as here, on tasks that the model never met.
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
# without it, a task once thought hopeless is never scored again, and the mistake never found.
#
# **Predict:** where will the chosen tasks lie? Then move through meta-training, and look at *chance* too.

# %%
def course(name):
    goals, maps = runs[f"{name} looks"][..., :2], runs[f"{name} maps"]  # (iterations, 12, 2), (S, 2, 15, 15)
    return Course(maps[:, 0], maps[:, 1], goals.reshape(len(maps), -1, 2))


courses = {name: course(name) for name in WAYS}
selection_explorer(courses, range(EVERY, ITERATIONS + 1, EVERY), SIDE, RINGS, top=5.0).show()

# %% tags=["nbval-ignore-output", "raw"]
last = {name: np.linalg.norm(c.picks[-1], axis=1) for name, c in courses.items()}
hopeless = {name: (r > lights.reach).mean() for name, r in last.items()}
fit = np.corrcoef(courses["predicted gain"].predicted[-1].ravel(), courses["predicted gain"].truth[-1].ravel())[0, 1]
print({name: f"{x:.0%} impossible" for name, x in hopeless.items()}, f"map: correlation {fit:.2f}")

# %%
verdict("predicted map against the truth, correlation at the end", fit, at_least=0.7)
verdict("impossible tasks, chosen by predicted gain", hopeless["predicted gain"], at_most=0.55)
verdict("impossible tasks, chosen by chance", hopeless["chance"], at_least=0.6)

# %% [markdown]
# A ring lights up where a step gains, and the circles gather on it. The centre turns violet: there the start already
# earns nearly all, and a step *loses* some. **Limit:** gain is not the only sensible signal. `progress`, how far
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
# $c-C_i$ being the iterations since task $i$ was last played: **staleness** (陈旧度) keeps old scores honest.

# %%
priority, waited = torch.tensor([0.0, 3.0, 2.0, 0.0]), torch.tensor([4, 0, 1, 3])
by_hand = 0.9 * np.array([1 / 9, 1, 1 / 4, 1 / 9]) / (1 + 1 / 4 + 2 / 9) + 0.1 * np.array([4, 0, 1, 3]) / 8
package = replay_probabilities(priority, waited, temperature=0.5, staleness=0.1).numpy()
print(pd.DataFrame({"gain": priority, "waited": waited, "by hand": by_hand, "package": package}).round(3))

# %% [markdown]
# The paper's own score is the size of the critic's errors. A sampler that serves any learner hears only returns, so
# ours uses the gain, or *regret*: the best return ever seen on the task less the last one. **Limit:** a high score
# may be luck, and luck does not repeat.
#
# ## 6. Does it pay, and when does it hurt?
# Ten seeds of each sampler, one budget, thresholds set before the runs (`tools/results/task_selection.py`). The second
# family is chapter 05's navigation: every goal in reach, every step paid. **Predict** both panels.

# %%
table = pd.read_csv(find_folder("data/results") / "task_selection.csv").sort_values("sampler", ascending=False)
REACHED = {"uneven, plain": 1.1, "point": -3.6}


def curves(study):
    rows = table[(table.study == study) & (table.quantity == "test_after")]
    out = {}
    for name, part in rows[rows.seed >= 0].groupby("sampler", sort=False):
        wide = part.pivot(index="seed", columns="iteration", values="value")
        out[name] = (part.groupby("iteration").env_steps.mean().to_numpy(), mean_interval(wide.to_numpy()))
    return out, rows[rows.seed < 0].set_index("sampler").value[["random", "oracle"]].to_dict()


figure_with_alt(
    returns({"three of four impossible": curves("uneven, plain"), "none impossible": curves("point")}),
    alt="Held-out return against env steps, a panel a family, for each way to choose tasks, with random and oracle",
)

# %%
def summary(study, threshold):
    rows = table[(table.study == study) & (table.seed >= 0)]
    lines = {}
    for name, part in rows.groupby("sampler"):
        wide = part[part.quantity == "test_after"].pivot(index="seed", columns="iteration", values="value")
        steps = part.pivot_table(index="seed", columns="iteration", values="env_steps")
        met = (wide >= threshold).to_numpy()
        first = np.where(met.any(1), met.argmax(1), -1)
        needed = steps.to_numpy()[np.arange(len(wide)), first]
        lines[name] = {"seeds": len(wide), "reached": met.any(1).sum()}
        for what, values in {"thousand env steps": needed / 1000, "last return": wide.iloc[:, -1].to_numpy()}.items():
            lines[name][what] = "{:.2f} [{:.2f}, {:.2f}]".format(*mean_interval(values))
    return pd.DataFrame(lines).T


for study, threshold in REACHED.items():
    print(f"{study}: env steps to {threshold} (the whole budget where never), last return; mean and 95% interval")
    print(summary(study, threshold).to_string())

# %% [markdown]
# **Left**, all that meet fewer impossible goals rise sooner: after some 50 thousand env steps they are where chance is
# after 80. Then most lose it again; choosing by gain does not. It ends even above the anchor that trains on reachable
# goals only: to know where a step gains is worth more than to know what is hopeless. Choosing by `progress`
# ends lowest.
#
# **Right**, it hurts. No goal is wasted there; far ones gain most; so training moves to the corners, and the test
# does not. The same arithmetic, another family: *choosing can help where tasks are wasted*.
#
# **Limit:** nor does it help every learner. The left panel's setting, small plain steps, was our third: in two with
# TRPO's, no way to choose was better. TRPO made our own three runs, above, too. **Predict:** which of the three won?

# %%
after_one = {name: runs[f"{name} held out"][:, 1].mean() for name in WAYS}

# %% tags=["nbval-ignore-output", "raw"]
print(pd.Series(after_one).round(2).to_string())

# %%
verdict("held-out return, best sampler minus worst", max(after_one.values()) - min(after_one.values()), at_most=0.45)

# %% [markdown]
# None, to speak of. Three useful tasks of twelve were enough for TRPO, and there was nothing left to save.
#
# ## 7. What the document says, and what is true
# > **The word "model-based".** Document 000 (3.2) calls this "model-based meta-RL" (基于模型的元强化学习): an outer
# > model predicts the inner model's performance, and picks the tasks most likely to raise it. The idea is sound, and
# > sections 3 and 4 are it. The name is taken: in RL, *model-based* means a model of the *dynamics*, from which one
# > plans or imagines (chapter 13). What 000 describes is a **curriculum** (课程学习).
# >
# > **Whose expectation?** 000 (4.1) maximises $J(\theta)=\mathbb E_{\tau\sim p(\tau)}[R(\tau)]$. Choosing by $q$
# > changes what is maximised, to $\mathbb E_q[R]$, and what is *reported*: the training curve is a mean over chosen
# > tasks. With weights $w=p/q$ one can undo that: $\mathbb E_p[R]=\mathbb E_q[wR]$.

# %%
q, after = runs["q"] / runs["q"].sum(), runs["pool"]  # of 400 training tasks; p gives each of them 1 / 400
rng = np.random.default_rng(0)
drawn = rng.choice(400, 3000, p=q)
three = {
    "E_p, what 000 maximises": after.mean(),
    "E_q, what training now shows": (q * after).sum(),
    "drawn from q, weighted p / q": (after[drawn] / (400 * q[drawn])).mean(),
}

# %% tags=["nbval-ignore-output", "raw"]
print(pd.Series(three).round(2).to_string())

# %%
values = list(three.values())
verdict("E_q over E_p: how much the training curve flatters", values[1] / values[0], at_least=4)
verdict("weighted mean over E_p", values[2] / values[0], at_least=0.8, at_most=1.25)

# %% [markdown]
# Same agent, same day: several times the return, by choosing the question. So report held-out returns under $p$, never
# those of the tasks chosen. (The learners here use no such weights: with them, every skipped task would come back as
# variance.)
#
# ## Exercises
# **14.1** `choose`: $q$ of every candidate, from gain and doubt.

# %%
def choose(gain, doubt, bonus, temperature, explore):
    ...


check("14.1", choose)

# %%
hint("14.1")

# %% [markdown]
# **14.2** `replay`: level replay's distribution. No two priorities are equal.

# %%
def replay(priority, waited, beta, rho):
    ...


check("14.2", replay)

# %% [markdown]
# **14.3** `fair_return`: tasks were drawn with chances `q` out of `n` candidates. What is the mean score under uniform
# $p$?

# %%
def fair_return(scores, q, n):
    ...


check("14.3", fair_return)

# %% [markdown]
# **14.4** `coverage`: does the outer model keep its 90% promises?

# %%
def coverage(gain, std, realised):
    ...


check("14.4", coverage)

# %% [markdown]
# Stuck? `hint("14.3")`, then `solution("14.3")`.
#
# ## Break it
# A colleague writes level replay in NumPy. Tasks that nobody has played yet are masked with minus infinity, so that
# they get probability 0. Later two new tasks come in, worth three times as much as the others. It runs without an
# error. **Find the bug before you read on.**

# %%
class Replay:
    def __init__(self, n):
        self.scores, self.seen = np.zeros(n), np.zeros(n, dtype=bool)

    def add(self, task, score):
        self.scores[task] = 0.5 * self.scores[task] + 0.5 * score  # scores are noisy: average them
        self.seen[task] = True

    def probabilities(self):
        scores = self.scores[:]
        scores[~self.seen] = -np.inf
        weight = np.exp(scores - scores.max())
        return weight / weight.sum()


worth, buffer, count = [1.0, 1.0, 1.0, 3.0, 3.0], Replay(5), np.zeros(5, dtype=int)
chance = np.random.default_rng(0)
for i in range(300):
    new = {0: (0, 1, 2), 100: (3, 4)}.get(i, ())
    for task in new or [chance.choice(5, p=buffer.probabilities())]:
        buffer.add(task, worth[task])
        count[task] += 1
print("played:", count)

# %%
quiz("14.b")

# %% [markdown]
# Diagnosis: look at what is stored, not at what is returned.

# %%
print("stored scores:", buffer.scores)
print("shares memory with the store:", np.shares_memory(buffer.scores[:], buffer.scores), end=", and a copy: ")
print(np.shares_memory(buffer.scores[:].copy(), buffer.scores))

# %% [markdown]
# `scores[:]` is a *view*: the mask was written into the store before the new tasks came, and half of minus infinity
# plus anything is minus infinity. [The authors' code](https://github.com/facebookresearch/level-replay) has this slip
# in one of its options. The mend is `.copy()`. The package's sampler hands out no view, and a test writes $-\infty$
# into everything that it returns.
#
# ## Summary
# - A sampler hears returns before and after adaptation, and decides what is learned next; it serves any learner.
# - An outer model predicts both from a task's parameters: fitted to recent scores, with time as an input, and with a
#   doubt that is checked by calibration.
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
