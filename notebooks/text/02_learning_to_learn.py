# %% [markdown]
# # 02 Learning to learn: tasks, two loops, and a memory
#
# **Reading time:** 40 min. **Run time:** 25 s.
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
from metarl_lab.runs.files import find_folder
from metarl_lab.exact.bernoulli_bandit import index_policy_value, solve_bandit
from metarl_lab.exact.bandits import count_pull
from metarl_lab.ops.sampling import random_argmax
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.teach.figures import adaptation_curves, draw_anchors, figure_with_alt, look, new_figure
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.teach import announce, check, hint, quiz, show_source, speed, verdict
from metarl_lab.types import Seen
from metarl_lab.chapters.ch02_learning_to_learn.widget import memory_stepper, record_gradient, record_recurrent

torch.set_num_threads(1)  # these networks are small: more threads only wait for each other
SPEED = speed()
announce(SPEED, {"peek": 8, "quick": 25, "full": 300})

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

pd.DataFrame(tasks.mean.numpy(), columns=[f"arm {i} pays" for i in range(ARMS)]).assign(
    best_return=bandit.oracle(tasks).numpy()
).rename_axis("task").round(2)

# %% [markdown]
# Any fixed arm pays ½ on average: 5 points a trial. Someone who knew the task would get $10 E[\max_i p_i]=8.33$.
# Everything between 5 and 8.33 must be *learned within ten pulls*. Limit: here only the pay-offs differ between
# tasks. Dynamics, goals or observations can differ too.
#
# > **What the documents say, and what is true.** They use *meta-task* (元任务) in two senses. For document 000 (2.1) it
# > is the goal one level up: learning *how* to learn tasks; there is **one**. For document 002 (2.1, 3.1) meta-tasks
# > are the training tasks $T_1,\dots,T_N$ themselves; there are **many**. Research papers say *meta-objective* for
# > the first and *task* (or *meta-training task*) for the second. In this book "task" is always the second, and we
# > avoid the word meta-task.

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
        return torch.zeros(n_tasks, copies, ARMS, 2)  # memory (T, E, k, 2): nothing has paid, nothing has failed

    def act(self, memory, seen, noise):
        memory = count_pull(memory, seen.action, seen.reward)  # take in the last transition
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
    score = {c: ml.evaluate(Counter(c), bandit, "train", n_tasks=2000, seed=seed).mean[0] for c in (bonus, proposal)}
    return max(score, key=score.get)


visited = [1.0]
for iteration in range(30):
    visited.append(update(visited[-1], iteration))

# %% [markdown]
# For ten pulls all $J(c)$ can be computed *exactly*, by a sum over every possible table of counts, and so can the
# best that any agent could do (*Bayes-optimal* play, chapter 00).


# %%
def exact(c):
    return index_policy_value(ARMS, PULLS, lambda s, f, left: (1 + s) / (2 + s + f) + c / (1 + s + f))


grid = np.linspace(0, 2, 101)
J, best_possible = np.array([exact(c) for c in grid]), solve_bandit(ARMS, PULLS).value
print(f"before meta-training, c = 1:     {exact(1.0):.3f} points per trial")
print(f"another choice, c = 0.1:         {exact(0.1):.3f}")
print(f"Bayes-optimal play, any agent:   {best_possible:.3f}")

# %%
figure, ax = new_figure()
ax.plot(grid, J, **{**look(0), "marker": None}, label="exact J(c)")
ax.plot(visited, [exact(c) for c in visited], "o", color=look(1)["color"], label="visited by the outer loop")
draw_anchors(ax, {"random": 5.0, "Bayes-optimal": best_possible})
ax.set(xlabel="exploration bonus c (probability)", ylabel="return (points per trial)", xlim=(0, 2))
ax.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 0.9))
figure_with_alt(ax, "Exact return against bonus c: highest near 0.1, falling towards random as c grows to 2")

# %% tags=["nbval-ignore-output", "raw"]
tuned = visited[-1]
after, before = (ml.evaluate(Counter(c), bandit, "test", n_tasks=20_000) for c in (tuned, 1.0))
gain = mean_interval(after.per_task - before.per_task)  # paired: same tasks, same luck
print(f"meta-trained c = {tuned:.3f}: {after}\nc = 1: {before}")
print("gain on test tasks: {:.2f} [{:.2f}, {:.2f}]".format(*(float(x[0]) for x in gain)))

# %%
verdict("gain on held-out tasks, lower end of its 95% interval", gain[1][0], at_least=0.5)
verdict("distance from Bayes-optimal play", best_possible - exact(tuned), at_least=0, at_most=0.15)

# %% [markdown]
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
# | PEARL, VariBAD | a belief over the task | every episode; every step |
# | MAML, ProMP, Reptile, Meta-SGD | the task's own parameters | at `absorb` |
# | ANIL, CAVIA | the task's head; its context parameters | at `absorb` |
# | meta-Q-learning; MB-MPO, GrBAL | adapted Q-function; adapted dynamics | at `absorb` |
# | fine-tuning | ordinary parameters, *no outer loop over adaptation* | at `absorb` |
#
# Document 000 speaks of an **inner model** (内部模型), which learns the task, and an **outer model** (外部模型), which
# learns how to change the inner one; 004 of a *meta-policy* (元策略) that generates task policies. Here are both parts,
# in numbers, for three learners.

# %%
nav = ml.make_family("point_navigation", horizon=50)  # walk to a goal in the plane that only the reward reveals
maml = ml.make_learner("maml", nav, hidden=(32, 32), meta_batch=10, episodes=10)
rl2 = ml.make_learner("rl2", bandit, hidden=32, learning_rate=5e-3)


def size(learner, memory):
    """(numbers that meta-training changes, numbers that each of 10 trials carries)."""
    tensors = memory.parameters.values() if hasattr(memory, "parameters") else [memory.hidden]
    return sum(p.numel() for p in learner.parameters()), sum(x.numel() for x in tensors) // 10


rows = {"counter": (1, Counter(1.0).begin(10, 1).numel() // 10)}
rows |= {x.name: size(x, x.begin(10, 1)) for x in (rl2, maml)}
pd.DataFrame(rows, index=["outer: meta-trained", "inner: memory of a trial"]).T

# %% [markdown]
# > **What the documents say, and what is true.** 000 (2.2) says that an agent *usually contains two models*, and its
# > code hands both to one optimiser. The table shows otherwise: MAML's inner model is a **copy** of the outer
# > parameters, one for each trial, thrown away afterwards; RL2 has **one** network, whose weights are the outer part
# > and whose activations are the inner part. If one optimiser moved the inner part too, it would cross trials, and
# > there would be one loop, not two.
#
# Not all is learned, either. The counter and MAML have a fixed inner *rule* (count; one gradient step) and learn its
# constant or its starting point. RL2 learns the rule itself.
#
# ## 4. Train both, now
# **Predict:** after a minute or less of meta-training, will MAML's policy be good *before* it has adapted?

# %%
show_source(type(maml).absorb)
show_source(type(rl2).act)

# %%
if SPEED == "peek":
    maml, nav, _ = ml.load("data/checkpoints/maml-point_navigation")
    rl2, bandit, _ = ml.load("data/checkpoints/rl2-bernoulli_bandit-5x10")
else:
    more = {"quick": (20, 45), "full": (400, 800)}[SPEED]
    ml.train(maml, nav, more[0], device="cpu")
    ml.train(rl2, bandit, more[1], device="cpu")
new_maml, new_rl2 = ml.make_learner("maml", nav, hidden=(32, 32), seed=1), ml.make_learner("rl2", bandit, seed=1)

# %% [markdown]
# Now act out trials on *held-out* tasks, and look at how each does as its trial goes on: MAML by batch of 20
# episodes, absorbed one after the other; RL2 by pull.


# %%
def by_pull(agent, n_tasks=4000):
    """Mean reward of each pull, with its 95% interval over test tasks, as a curve."""
    tasks = bandit.sample_tasks(n_tasks, "test", seeded_generator("cpu", 5, 1))
    acted, _ = collect(agent, bandit, tasks, begin(agent, bandit, tasks), seeded_generator("cpu", 5, 2))
    per_task = acted.reward[:, 0, 0].double().numpy()  # (T, H)
    return ml.Curve("", "test", per_task, *mean_interval(per_task), env_steps=np.arange(PULLS))


curve, start = (ml.evaluate(x, nav, n_tasks=40, episodes=20, batches=4) for x in (maml, new_maml))
walk = ml.evaluate(ml.make_reference("random", nav), nav, n_tasks=40, episodes=20).mean[0]
best_walk = ml.evaluate(ml.make_reference("oracle", nav), nav, n_tasks=40).mean[0]
pulls = {x: by_pull(a) for x, a in (("RL2, meta-trained", rl2), ("RL2, untrained", new_rl2))}
pulls["Bayes-optimal"] = by_pull(ml.make_reference("bayes_optimal", bandit))
figure, (left, right) = new_figure(1, 2, width=9.6)
maml_curves = {"MAML, meta-trained": curve, "MAML, untrained": start}
ground = {"random": walk, "oracle": best_walk}
adaptation_curves(maml_curves, ground, x_label="batches absorbed", ax=left)
labels = {"x_label": "pulls made", "y_label": "reward per pull (points)"}
adaptation_curves(pulls, {"random": 0.5, "oracle": 5 / 6}, **labels, ax=right)
right.set_ylim(0.36, 0.86)
right.legend(frameon=False, fontsize=9, loc="lower right")
figure_with_alt(figure, "Two panels: within a trial, trained MAML and RL2 rise above their untrained copies")

# %% tags=["nbval-ignore-output", "raw"]
returns = {x: c.per_task.sum(1).mean() for x, c in pulls.items()}
print(f"MAML trained {curve}\nuntrained {start}\nrandom walk {walk:.1f}")
print("points per trial:", {x: round(float(r), 2) for x, r in returns.items()})

# %%
verdict("MAML: return after one inner step", curve.mean[1], at_least=-16)
verdict("its gain over the random walk", curve.mean[1] - walk, at_least=5)
points = returns["RL2, meta-trained"]
verdict("RL2: points per trial (random 5.00, best possible 6.66)", points, at_least=5.5, at_most=6.8)

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
# and 90% interval). Middle: the memory, one row a number. Right: how far it moved. Use the arrow keys.

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
# **Nothing crosses a trial**, and no task sees another. Both can be checked to the last bit: put another task in
# place of task 1 of 0, 1, 2, with the same noise, and ask whose memory is different; then play the first trial again.


# %%
def memory_after_a_trial(agent, family, tasks):
    trial = begin(agent, family, tasks, copies=5)
    acted, trial = collect(agent, family, tasks, trial, seeded_generator("cpu", 8))
    memory = agent.absorb(trial.memory, acted)
    return memory.hidden if hasattr(memory, "hidden") else memory.parameters["weight0"]


for agent, family, field in ((maml, nav, "goal"), (rl2, bandit, "mean")):
    tasks = family.sample_tasks(3, "test", seeded_generator("cpu", 7))
    other = getattr(tasks, field).clone()
    other[1] = 1 - other[1]  # another task in the middle; the same noise everywhere
    played = (tasks, tasks._replace(**{field: other}), tasks)
    one, two, again = (memory_after_a_trial(agent, family, x) for x in played)
    moved = [not torch.equal(a, b) for a, b in zip(one, two, strict=True)]
    print(f"{agent.name}: memories of tasks 0, 1, 2 differ: {moved}; first trial repeats: {torch.equal(one, again)}")

# %% [markdown]
# ## 6. Context is what happened
# > **What the documents say, and what is true.** 000 (2.3) calls *context* (上下文信息) task information such as a
# > game's rules or an environment's features. An agent that is *given* those need not infer anything: that is a
# > task-conditioned policy, and our oracle. In meta-RL the context is the trial's own **history** of actions and
# > rewards, and inferring the task from it is the whole problem.
#
# So probe it. Give RL2 two histories that differ in one reward.


# %%
def second_pull(agent, reward, start=False):
    """First pull; it gives `reward`; then: the agent's memory as it chooses its second pull, and the first arm."""
    memory, action, last, noise = agent.begin(1, 1), torch.tensor([[-1]]), 0.0, torch.full((1, 1, 1), 0.5)
    for last, first in ((0.0, True), (reward, start)):
        arm = action
        seen = Seen(torch.ones(1, 1, 1), action, torch.tensor([[last]]), torch.tensor([[first]]), 0)
        action, memory = agent.act(memory, seen, noise)
    return memory.hidden, arm.item()


(failed, arm), (paid, _) = second_pull(rl2, 0.0), second_pull(rl2, 1.0)
print("one reward changes the memory:", not torch.equal(failed, paid))

# %% tags=["nbval-ignore-output", "raw"]
again = [rl2.net.distribution(h).logits.softmax(-1)[0, 0, arm].item() for h in (failed, paid)]
print(f"chance of pulling the same arm again: {again[0]:.2f} after no pay, {again[1]:.2f} after pay")

# %%
verdict("rise of that chance when the arm has paid", again[1] - again[0], at_least=0.2)

# %% [markdown]
# > **What the document says, and what is true.** The diagram that closes 002's section 2.3 is about something else:
# > text corpus, pre-training, a *language model*, then fine-tuning or prompting. It has no task distribution, no
# > reward and no trial. Read charitably, it is `finetune`: pre-train on all tasks, then adapt, with *no outer loop
# > that sees the adaptation*. The difference is measurable: point navigation as published by MAML's authors.

# %%
published = pd.read_csv(find_folder("data/published") / "point_navigation.csv", index_col="method")
published.loc[["maml", "pretrained (inferred: file sens0)"], ["step0", "step1", "step2", "step3"]].round(1)

# %% [markdown]
# Both start at -40 to -41; after one gradient step MAML is at -11.7, pre-training at -19.7. (A single publication;
# that the second row is pre-training is inferred from a file's name. Chapter 05 repeats both.)
#
# ## Exercises
# **02.1** *The memory of the counter, in one go.* Write `absorb_counts(counts, action, reward)`: counts (k, 2) of
# (paid, failed), then N pulls, action (N,) and reward (N,) of 0 or 1; return the new counts.


# %%
def absorb_counts(counts, action, reward): ...


check("02.1", absorb_counts)

# %%
hint("02.1")

# %% [markdown]
# **02.2** *Which memory changes when?* A trial has 3 batches of 2 episodes of 100 steps, and `absorb` is called after
# each batch. How often does the memory change during the trial for MAML, for RL2 (which plays the episodes one after
# the other), and for random play? Three whole numbers.

# %%
changes = ...  # [maml, rl2, random]
check("02.2", changes)

# %% [markdown]
# **02.3** *What did adapting gain?* From `curve.per_task` (tasks, batches), write `adaptation_gain(per_task)`: the
# mean over tasks of last batch minus first, and its standard error (tasks are the sample; ddof = 1). Return both.


# %%
def adaptation_gain(per_task): ...


check("02.3", adaptation_gain)

# %% [markdown]
# **02.4** *Deliver the last transition.* For one trial, action (K, H) and reward (K, H): write
# `seen_at_starts(action, reward)`, returning (K, 2): the (last action, last reward) that the agent sees at the first
# step of each episode. Before a trial: (-1, 0).


# %%
def seen_at_starts(action, reward): ...


check("02.4", seen_at_starts)

# %% [markdown]
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
        return self.agent.act(memory, seen._replace(action=action, reward=reward), noise)


scores = {}
for steps in (1, 2, 5, 10):
    cut = ml.make_family("bernoulli_bandit", arms=ARMS, horizon=steps)
    agents = {"counter": Counter(0.1), "wrapped": CleanStart(Counter(0.1))}
    scores[steps] = {
        n: ml.evaluate(a, cut, n_tasks=20_000, episodes=PULLS // steps).mean[0] * PULLS / steps
        for n, a in agents.items()
    }

# %% tags=["nbval-ignore-output", "raw"]
print(pd.DataFrame(scores).T.rename_axis("pulls per episode").round(2))

# %%
verdict("wrapped, 1 pull per episode", scores[1]["wrapped"], at_least=4.9, at_most=5.1)
verdict("wrapped, 10 pulls per episode", scores[10]["wrapped"], at_least=6.55)

# %%
quiz("02.b")

# %% [markdown]
# Test your diagnosis with the probe: the two histories again, with an episode starting between them. (The
# resets of garage's RL2, ProMP's RL2 and Meta-World's recurrent wrapper return zeros in just this way; the longer the
# episodes, the less it shows.)

# %%
for name, agent in (("RL2", rl2), ("RL2, wrapped", CleanStart(rl2))):
    same = torch.equal(*(second_pull(agent, reward, start=True)[0] for reward in (0.0, 1.0)))
    print(f"{name}: is the memory the same whether the arm paid or not? {same}")

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
