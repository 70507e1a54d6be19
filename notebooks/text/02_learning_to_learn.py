# %% [markdown]
# # 02 Learning to learn: tasks, two loops, and a memory
#
# **Reading time:** 40 min. **Run time:** 35 s.
#
# ## What you will be able to do
# - say *task*, *task distribution*, *trial*, *inner loop* and *outer loop* precisely, and read papers that do not;
# - write a meta-learner: `begin`, `act`, `absorb`, and an `update` outside them;
# - name the **memory** of MAML and of RL2, say when it changes, and check that nothing crosses a trial;
# - find a bug that sat in several public RL2 programs.
#
# ## The question
# Ordinary RL learns an answer. Meta-RL learns a *way of finding* answers. What, then, does such an agent carry from
# one step to the next, what does it forget, and what did training actually change?

# %%
import numpy as np
import pandas as pd
import torch

import metarl_lab as ml
from metarl_lab.chapters.ch02_learning_to_learn import experiments, figures
from metarl_lab.chapters.ch02_learning_to_learn.widget import (
    memory_stepper,
    record_gradient,
    record_recurrent,
)
from metarl_lab.exact.bandits import count_pull
from metarl_lab.exact.bernoulli_bandit import index_policy_value, solve_bandit
from metarl_lab.ops.sampling import random_argmax
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import seeded_generator
from metarl_lab.runs.files import find_folder
from metarl_lab.teach import announce, check, claim, hint, iterations, quiz, result
from metarl_lab.teach import show_table, solution, speed
from metarl_lab.teach.figures import figure_with_alt

torch.set_num_threads(1)  # small networks: more threads only wait for each other
SPEED = speed()  # "peek", "quick" or "full"
announce(SPEED, {"peek": 12, "quick": 35, "full": 300})

# %% [markdown]
# ## 1. A task, many tasks, a trial
# A **task** (任务) is one environment: what an ordinary RL agent would spend its life in. A **task distribution**
# (任务分布) $p(\mathcal T)$ says which tasks there are and how often. A **trial** is some episodes in *one* task,
# drawn from it and never announced. Our first distribution: five slot machines ("arms"); arm $i$ pays 1 with
# probability $p_i\sim U(0,1)$, drawn anew for every trial; a trial is ten pulls.
#
# **Predict:** is there one arm that is good to pull in *every* task?
#
# $$
# J(\theta)=\mathbb E_{\mathcal T\sim p}\Big[\mathbb E\Big[\sum_{t=1}^{10} r_t\,\Big|\,\theta,\mathcal T\Big]\Big]
# $$

# %%
ARMS, PULLS = 5, 10
bandit = ml.make_family("bernoulli_bandit", arms=ARMS, horizon=PULLS)
tasks = bandit.sample_tasks(4, "train", torch.Generator().manual_seed(0))

table = pd.DataFrame(tasks.mean.numpy(), columns=[f"arm {i} pays" for i in range(ARMS)])
table["best return"] = bandit.oracle(tasks).numpy()
table.rename_axis("task").round(2)

# %% [markdown]
# Any fixed arm pays ½ on average: 5 points a trial. Someone who knew the task would get $10 E[\max_i p_i]=8.33$.
# Everything between 5 and 8.33 must be *learned within ten pulls*. Limit: here only the pay-offs differ between
# tasks. Dynamics, goals or observations can differ too.

# %% [markdown] tags=["document"]
# **What the documents say, and what is true**
#
# They use *meta-task* (元任务) in two senses. For document 000 (2.1) it
# is the goal one level up: learning *how* to learn tasks; there is **one**. For document 002 (2.1, 3.1) meta-tasks
# are the training tasks $T_1,\dots,T_N$ themselves; there are **many**. Research papers say *meta-objective* for
# the first and *task* (or *meta-training task*) for the second. In this book "task" is always the second, and we
# avoid the word meta-task.

# %%
quiz("02.a")

# %% [markdown]
# ## 2. The smallest meta-learner
# Its **memory** is a table of counts: how often each arm paid and failed *in this trial*. It pulls the arm with the
# largest
#
# $$
# \text{score}_i=\underbrace{\frac{1+s_i}{2+n_i}}_{\text{mean of the posterior}}+\;\frac{c}{1+n_i}
# $$
#
# where arm $i$ paid $s_i$ times in $n_i$ pulls. Only $c$, the bonus for rarely tried arms, is left open.
#
# **Predict:** which is better for ten pulls, $c=1$ or $c=0.1$?


# %%
class Counter:
    name, shares_memory, noise_size = "counter", False, 1

    def __init__(self, bonus):
        self.bonus = bonus  # c: the one number that meta-training may change

    def begin(self, n_tasks, copies):
        # memory (T, E, k, 2): nothing has paid, nothing has failed
        return torch.zeros(n_tasks, copies, ARMS, 2)

    def act(self, memory, seen, noise):
        # take in the last transition, then score every arm
        memory = count_pull(memory, seen.action, seen.reward)
        n = memory.sum(-1)
        score = (1 + memory[..., 0]) / (2 + n) + self.bonus / (1 + n)
        return random_argmax(score, noise[..., 0]), memory

    def absorb(self, memory, episodes):
        return memory  # act has already taken everything in


# %% [markdown]
# `begin`, `act` and `absorb` are the **inner loop** (内循环): they run within a trial and change the memory. The
# **outer loop** (外循环) runs over trials and changes $c$. Ours is as plain as can be: propose another $c$, let
# both play the same freshly drawn tasks with the same luck, keep the winner.


# %%
def update(bonus, seed):
    """One meta-training iteration: 2,000 training tasks, 10 pulls each."""
    proposal = bonus * float(np.exp(np.random.default_rng(seed).normal(0, 0.7)))
    score = {}
    for c in (bonus, proposal):
        played = ml.evaluate(Counter(c), bandit, "train", n_tasks=2000, seed=seed)
        score[c] = played.mean[0]
    return max(score, key=score.get)


visited = [1.0]
for iteration in range(30):
    visited.append(update(visited[-1], iteration))

# %% [markdown]
# For ten pulls all $J(c)$ can be computed *exactly*, by a sum over every possible table of counts, and so can the
# best that any agent could do (*Bayes-optimal* play, chapter 00).


# %%
def exact(c):
    def score(paid, failed, pulls_left):
        n = paid + failed
        return (1 + paid) / (2 + n) + c / (1 + n)

    return index_policy_value(ARMS, PULLS, score)


best_possible = solve_bandit(ARMS, PULLS).value
print(f"before meta-training, c = 1:     {exact(1.0):.3f} points per trial")
print(f"another choice, c = 0.1:         {exact(0.1):.3f}")
print(f"Bayes-optimal play, any agent:   {best_possible:.3f}")

# %%
grid = np.linspace(0, 2, 101)
figure_with_alt(
    figures.value_of_bonus(
        grid,
        np.array([exact(c) for c in grid]),
        [(c, exact(c)) for c in visited],
        {"random": 5.0, "Bayes-optimal": best_possible},
    ),
    alt="Exact return against bonus c: highest near 0.1, falling towards random as c "
    "grows to 2",
)
tuned = visited[-1]
after, before = (
    ml.evaluate(Counter(c), bandit, "test", n_tasks=20_000) for c in (tuned, 1.0)
)
# paired: both played the same tasks with the same luck
gain, low, high = (float(x[0]) for x in mean_interval(after.per_task - before.per_task))
result("gain on held-out tasks", gain, near=0.8, within=0.1, interval=(low, high))
result("lower end of its 95% interval", low, at_least=0.5)
result(
    "distance of the tuned counter from Bayes-optimal play",
    best_possible - exact(tuned),
    at_least=0,
    at_most=0.15,
)

# %% [markdown]
# The cliff is at $c = 1/3$: after one pull that paid, the arm scores $2/3 + c/2$ and an untried one $1/2 + c$, so
# above $1/3$ the counter leaves an arm that has just paid.
#
# One number, chosen over tasks, is worth about 0.8 points on tasks never seen, and ends within a hair of the best
# that *any* agent can do. Nothing about any one task was kept: only how to learn. Limit: right for *this*
# distribution and *ten* pulls; nothing makes it right elsewhere.
#
# ## 3. One contract, every algorithm
# The algorithms of chapters 05 to 13 differ, first of all, in what their memory is:
#
# | learner | its memory within a trial | changes |
# |---|---|---|
# | our counter | counts | every step |
# | RL2, in-context transformers | hidden state; history | every step |
# | PEARL, VariBAD | a belief over the task | every step (PEARL acts on one draw of it for a whole episode) |
# | MAML, ProMP, Reptile, Meta-SGD | the task's own parameters | at `absorb` |
# | ANIL, CAVIA | the task's head; its context parameters | at `absorb` |
# | meta-Q-learning | adapted Q-function | at `absorb` |
# | MB-MPO | the task's own policy parameters | at `absorb` |
# | GrBAL | dynamics adapted to the last few steps | every step |
# | fine-tuning | ordinary parameters, *no outer loop over adaptation* | at `absorb` |
#
# Document 000 speaks of an **inner model** (内部模型), which learns the task, and an **outer model** (外部模型), which
# learns how to change the inner one; 004 of a *meta-policy* (元策略) that generates task policies. Here are both parts,
# in numbers, for three learners: the next cell makes MAML, RL2 and the counter, and counts.

# %% tags=["hide-input"]
# walk to a goal in the plane that only the reward reveals
nav = ml.make_family("point_navigation", horizon=50)
maml = ml.make_learner("maml", nav, hidden=(32, 32), meta_batch=10, episodes=10)
rl2 = ml.make_learner("rl2", bandit, hidden=32, learning_rate=5e-3)
rows = {
    "counter": (1, Counter(1.0).begin(1, 1).numel()),
    "RL2": experiments.sizes(rl2),
    "MAML": experiments.sizes(maml),
}
columns = ["outer: meta-trained", "inner: memory of a trial"]
print(pd.DataFrame(rows, index=columns).T)

# %% [markdown] tags=["document"]
# **What the documents say, and what is true**
#
# 000 (2.2) says that an agent *usually contains two models*, and its
# code hands both to one optimiser. The table shows otherwise: MAML's inner model is a **copy** of the outer
# parameters, one for each trial, thrown away afterwards; RL2 has **one** network, whose weights are the outer part
# and whose activations are the inner part. If one optimiser moved the inner part too, it would cross trials, and
# there would be one loop, not two.

# %% [markdown]
# Not all is learned, either. The counter and MAML have a fixed inner *rule* (count; one gradient step) and learn its
# constant or its starting point. RL2 learns the rule itself.
#
# ## 4. Train both, now
# MAML's `absorb` is one step of the policy gradient, which chapter 01 wrote out, from the shared start and for each
# task on its own: $\theta_i' = \theta + \alpha \nabla J_i(\theta)$. Its `update` moves the start $\theta$ so that the
# return *after* that step rises (chapter 05 builds it). RL2's `act` feeds what was just seen, the last action and
# reward, into a recurrent network, whose state is all that it remembers; its `update` is policy gradient on whole
# trials (chapter 08).
#
# **Predict:** after a minute or less of meta-training, will MAML's policy be good *before* it has adapted?

# %%
if SPEED == "peek":
    maml, nav, _ = ml.load("data/checkpoints/maml-point_navigation")
    rl2, bandit, _ = ml.load("data/checkpoints/rl2-bernoulli_bandit-5x10")
else:
    ml.train(maml, nav, iterations(SPEED, quick=20, full=400), device="cpu")
    ml.train(rl2, bandit, iterations(SPEED, quick=45, full=800), device="cpu")

# %% [markdown]
# Now act out trials on *held-out* tasks, and look at how each does as its trial goes on: MAML by batch of 20
# episodes, absorbed one after the other (in training it had 10, to save time); RL2 by pull. Beside them stand
# untrained copies of both, random play, and the best that is possible.

# %%
new_maml = ml.make_learner("maml", nav, hidden=(32, 32), seed=1)
new_rl2 = ml.make_learner("rl2", bandit, seed=1)
trial = {"n_tasks": 40, "episodes": 20}
curve, start = (ml.evaluate(x, nav, **trial, batches=4) for x in (maml, new_maml))
walk, best_walk = (
    ml.evaluate(ml.make_reference(name, nav), nav, **trial).mean[0]
    for name in ("random", "oracle")
)
bayes = ml.make_reference("bayes_optimal", bandit)
agents = {"rl2": rl2, "rl2, untrained": new_rl2, "bayes_optimal": bayes}
pulls = {name: experiments.reward_by_pull(x, bandit) for name, x in agents.items()}

# %%
figure_with_alt(
    figures.within_a_trial(
        {"maml": curve, "maml, untrained": start},
        {"random": walk, "oracle": best_walk},
        pulls,
        {"random": 0.5, "oracle": 5 / 6},
    ),
    alt="Two panels: within a trial, trained MAML and RL2 rise above their untrained "
    "copies",
)

# %%
by_batch = pd.DataFrame({"trained": curve.mean, "untrained": start.mean})
by_batch.index.name = "batches absorbed"
show_table(by_batch, "MAML: return per episode", 1)
claim("MAML: trained above untrained", by_batch, "trained > untrained")
result("MAML: return before its first absorb", curve.mean[0], at_most=-14)
result("MAML: return after one inner step", curve.mean[1], at_least=-16)
result("its gain over the random walk", curve.mean[1] - walk, at_least=5)
slow = start.mean[1] - start.mean[0]
result("untrained MAML: gain of the first absorb", slow, at_least=0.5, at_most=8)

points = pulls["rl2"].per_task.sum(1).mean()
result("RL2: points per trial (best 6.66)", points, at_least=5.5, at_most=6.8)
climb = {name: c.mean[-1] - c.mean[0] for name, c in pulls.items()}
result("RL2: last pull minus first", climb["rl2"], at_least=0.08)
result("untrained: the same", climb["rl2, untrained"], near=0, within=0.05)

# %% [markdown]
# Both climb *within* a trial, on tasks they have never met. Untrained RL2 does not climb at all; untrained MAML is
# ordinary policy gradient from a random start, and climbs slowly. Trained MAML is still mediocre before its first
# `absorb`: it was never asked to be good there, only one step later. Limit: one seed each,
# seconds of training. The stored agents (chapters 05 and 08) are better, and are judged over seeds.
#
# ## 5. What is the memory doing now?
# The widget steps through a held-out trial of the MAML above and of the stored RL2 (chapter 08), which trained
# longer. **Predict:** at which moments will MAML's bars (top right) be above zero? And RL2's?
#
# Left: the world. For RL2: the chance of each pull (bars), beside what could be known exactly by then (posterior mean
# and 90% interval). Middle: the memory as a strip of colours, with one row for each number in it and one column for
# each moment. Right: how far all of it moved from one moment to the next. Use the arrow keys.

# %%
expert, _, _ = ml.load("data/checkpoints/rl2-bernoulli_bandit-5x10")
stepper = memory_stepper(record_gradient(maml, nav), record_recurrent(expert, bandit))
stepper.show()

# %% [markdown]
# MAML acts for two moments with its memory frozen, and learns in one jump: moments 3, 6, 9. RL2's memory moves at
# every pull: acting and learning are the same computation. At moment 11 another trial begins, and both strips are
# blank again. Limit: that a memory *moves* does not say that it moves *rightly*; for that, compare RL2's bars with
# the posterior (chapter 18 does).
#
# **Nothing crosses a trial**, and no task sees another. Both can be checked to the last bit. Let three tasks, 0, 1 and
# 2, play a trial side by side. Then put another task in the place of task 1, keep all the noise as it was, and play
# again: only the memory of task 1 may be different. Then play the first three once more: every memory must be what it
# was the first time.

# %%
both = (("MAML", maml, nav, "goal"), ("RL2", rl2, bandit, "mean"))
for name, agent, family, field in both:
    tasks = family.sample_tasks(3, "test", seeded_generator("cpu", 7))
    other = experiments.with_another_task(tasks, field, place=1)
    first, changed, again = (
        experiments.memory_after_a_trial(agent, family, played)
        for played in (tasks, other, tasks)
    )
    moved = [not torch.equal(a, b) for a, b in zip(first, changed, strict=True)]
    print(f"{name}: memories of tasks 0, 1, 2 differ: {moved};")
    print(f"  the first trial repeats: {torch.equal(first, again)}")

# %% [markdown]
# ## 6. Context is what happened
# An agent needs to know which task it is in. Who tells it?

# %% [markdown] tags=["document"]
# **What the documents say, and what is true**
#
# 000 (2.3) calls *context* (上下文信息) task information such as a
# game's rules or an environment's features. An agent that is *given* those need not infer anything: that is a
# task-conditioned policy, and our oracle. In meta-RL the context is the trial's own **history** of actions and
# rewards, and inferring the task from it is the whole problem.

# %% [markdown]
# So probe it. Give RL2 two histories that differ in one reward: it pulls an arm, the arm pays nothing or pays 1, and
# we look at its hidden state as it chooses its second pull.

# %%
failed, arm = experiments.after_first_pull(rl2, reward=0.0)
paid, _ = experiments.after_first_pull(rl2, reward=1.0)
print("one reward changes the memory:", not torch.equal(failed, paid))
again = [
    rl2.net.distribution(hidden).logits.softmax(-1)[0, 0, arm].item()
    for hidden in (failed, paid)
]
rise = again[1] - again[0]
result("rise of the chance to pull it again if it paid", rise, at_least=0.2)

# %% [markdown] tags=["document"]
# **What the document says, and what is true**
#
# The diagram that closes 002's section 2.3 is about something else:
# text corpus, pre-training, a *language model*, then fine-tuning or prompting. It has no task distribution, no
# reward and no trial. Read charitably, its two arms are two learners of this book. Prompting with a few examples is
# learning by memory: the examples are the history, and the network's activations hold what it makes of them, as in
# RL2 (chapter 10 trains such transformers). Fine-tuning is `finetune`: pre-train on all tasks, then adapt, with *no
# outer loop that sees the adaptation*. That difference is measurable: point navigation as published by MAML's authors.

# %%
file = find_folder("data/published") / "point_navigation.csv"
published = pd.read_csv(file, index_col="method")
methods = ["maml", "pretrained (inferred: file sens0)"]
steps = ["step0", "step1", "step2", "step3"]
published.loc[methods, steps].rename({"maml": "MAML"}).round(1)

# %% [markdown]
# Both start at -40 to -41; after one gradient step MAML is at -11.7, pre-training at -19.7. (A single publication;
# that the second row is pre-training is inferred from a file's name. Chapter 05 repeats both.)
#
# ## Exercises
# Write your answer over the `...` and run the cell. Until then it shows the task.
#
# **02.1** The memory of the counter after a whole batch, in one go: its `absorb`, if `act` did not do the work.

# %%
def absorb_counts(counts, action, reward): ...


check("02.1", absorb_counts)

# %%
hint("02.1")

# %% [markdown]
# **02.2** Which memory changes when? Count the changes during a trial for MAML, for RL2, and for random play.

# %%
def changes(batches, episodes, steps): ...


check("02.2", changes)

# %% [markdown]
# **02.3** What did adapting gain, and how sure is that? `curve.per_task` has what you need.

# %%
def adaptation_gain(per_task): ...


check("02.3", adaptation_gain)

# %% [markdown]
# **02.4** Deliver the last transition: what an agent must be shown at the first step of each episode of a trial.

# %%
def seen_at_starts(action, reward): ...


check("02.4", seen_at_starts)

# %% [markdown]
# Stuck? `hint("02.3")`, and so on, gives a nudge, and `solution("02.3")` shows one answer.
#
# ## Break it
# A colleague wraps agents so that "each episode starts cleanly". The paper's protocol calls every pull an episode,
# ten to a trial; others cut the same ten pulls into two episodes of five. The wrapped agent's scores:


# %%
class CleanStart:
    name, shares_memory, noise_size = "clean start", False, 1

    def __init__(self, agent):
        self.agent = agent
        self.begin, self.absorb = agent.begin, agent.absorb

    def act(self, memory, seen, noise):
        action = torch.where(seen.start, -1, seen.action)
        reward = torch.where(seen.start, 0.0, seen.reward)
        seen = seen._replace(action=action, reward=reward)
        return self.agent.act(memory, seen, noise)


rows = []
for steps in (1, 2, 5, 10):
    cut = ml.make_family("bernoulli_bandit", arms=ARMS, horizon=steps)
    trial = {"n_tasks": 20_000, "episodes": PULLS // steps}
    plain, wrapped = (
        ml.evaluate(agent, cut, **trial).mean[0] * PULLS / steps
        for agent in (Counter(0.1), CleanStart(Counter(0.1)))
    )
    rows.append((steps, plain, wrapped))
scores = pd.DataFrame(rows, columns=["pulls per episode", "counter", "wrapped"])
scores = scores.set_index("pulls per episode")
show_table(scores, "Points per trial of ten pulls")
result("counter", scores["counter"], near=6.66, within=0.05)
wrapped = scores["wrapped"]
result("wrapped, 1 pull per episode", wrapped[1], at_least=4.9, at_most=5.1)
result("wrapped, 10 pulls per episode", wrapped[10], at_least=6.55)
claim(
    "wrapped: more than at the next shorter episodes",
    scores,
    lambda table: table["wrapped"].diff().fillna(1) > 0,
)

# %%
quiz("02.b")

# %% [markdown]
# Test your diagnosis with the probe: the two histories again, with an episode starting between them. (The
# resets of garage's RL2, ProMP's RL2 and Meta-World's recurrent wrapper return zeros in just this way; the longer the
# episodes, the less it shows.)

# %%
for name, agent in (("RL2", rl2), ("RL2, wrapped", CleanStart(rl2))):
    failed, paid = (
        experiments.after_first_pull(agent, reward, new_episode=True)[0]
        for reward in (0.0, 1.0)
    )
    same = torch.equal(failed, paid)
    print(f"{name}: the same memory whether the arm paid or not: {same}")

# %% [markdown]
# ## Summary
# A **trial** is some episodes of one hidden task. What an agent carries through it is its **memory**; `begin`, `act`
# and `absorb` change it (inner loop), and nothing crosses to the next trial. `update` changes the parameters, over
# trials (outer loop). MAML's memory is parameters and jumps at `absorb`; RL2's is a hidden state and moves at every
# step. Context is the history, and its last transition must arrive.
#
# ## What to read
# - Beck et al. 2023, *A survey of meta-reinforcement learning*, arXiv 2301.08028: the same two loops, all algorithms.
# - Duan et al. 2016, *RL2*, arXiv 1611.02779; Finn, Abbeel and Levine 2017, *MAML*, arXiv 1703.03400.
# - Duff 2002, *Optimal learning*: the exact optimum that meta-learning approximates.
#
# ## What comes next
# Chapter 03 asks what exactly the outer loop should maximise, and how to score it honestly.
