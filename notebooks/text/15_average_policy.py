# %% [markdown]
# # 15 The average policy: contrast, KL and distillation across meta-tasks
#
# **Reading time:** 35 min. **Run time:** 25 s.
#
# ## What you will be able to do
# - Read a log-ratio loss as a KL, and say which way round it runs and where its minimum is.
# - Take a loss apart that has no gradient, and mend it.
# - Distil an average policy from task policies, and say what it keeps and what it loses.
# - Judge an average policy beside an initialisation that adapts.
# - Write InfoNCE, and say why it can never tell more than $\log N$.
#
# ## The question
# Document 002 (3.1) builds meta-reinforcement learning from **meta-tasks** (元任务), an **average policy** (平均策略)
# over them, and a **contrastive loss** (对比损失) that measures how far a task's policy is from the average. Chapters
# 05 to 07 learned a start that *adapts*. Is the average of what all tasks do a good start too?

# %%
import math

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

import metarl_lab as ml
from metarl_lab.runs.files import find_folder
from metarl_lab.learners.average_policy import AveragePolicy
from metarl_lab.ops import contrast as divergence
from metarl_lab.ops.contrast import arithmetic_average, geometric_average
from metarl_lab.exact.distral import soft_value_iteration
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.chapters.ch15_average_policy.figures import panels, policy_maps
from metarl_lab.teach.figures import figure_with_alt
from metarl_lab.teach import announce, check, hint, quiz, show_source, solution, speed, verdict
from metarl_lab.chapters.ch15_average_policy.widget import average_explorer

SPEED = speed()  # "peek", "quick" or "full"
torch.set_num_threads(1)
announce(SPEED, {"peek": 10, "quick": 25, "full": 900})

# %% [markdown]
# ## 1. A contrast is a divergence
# The document's loss for task $i$ (its 4.2), with actions drawn by the task's own policy:
#
# $$
# \mathcal L_i=\mathbb E_{(s,a)\sim\pi_i}\left[\log\frac{\pi_i(a|s)}{\pi(a|s)}\right]
# =\mathbb E_{s\sim\pi_i}\big[\mathrm{KL}(\pi_i(\cdot|s)\,\|\,\pi(\cdot|s))\big]
# $$
#
# It is a **KL divergence** (KL 散度), in nats. **Predict:** can it be below 0? And what happens to it when $\pi$ gives
# an action of the task a probability near 0?

# %%
task = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)  # pi_i over three actions
for rest in (0.2, 1e-2, 1e-4, 1e-8):
    average = torch.tensor([rest, 0.9 * (1 - rest), 0.1 * (1 - rest)], dtype=torch.float64)
    contrast, other_way = (task * (task / average).log()).sum(), (average * (average / task).log()).sum()
    print(f"pi(first) = {rest:<6g}  KL(task || average) = {contrast:6.3f}   KL(average || task) = {other_way:.3f}")
print("against itself:", (task * (task / task).log()).sum().item())

# %% [markdown]
# It is 0 only where the two agree, and has no upper end: the document *maximises* it over $\pi$, which would drive the
# average away from every task, for ever. The two directions differ: the first punishes $\pi$ for missing what the
# task does, the second for doing what the task does not.
#
# Where actions are too many to sum, the mean runs over draws. The log-ratio $\ell$ itself is unbiased, and often
# negative; so is $e^{-\ell}-1+\ell$ (Schulman's "k3"), which is never negative. **Predict** which scatters less for
# policies that are close.

# %%
show_source(divergence.kl_k3)
close = torch.tensor([0.66, 0.22, 0.12], dtype=torch.float64)
ratio = (task / close).log()
for name, estimate in {"log-ratio": ratio, "k3": divergence.kl_k3(ratio)}.items():
    mean = (task * estimate).sum()
    print(f"{name:9}  mean {mean:.5f}  standard deviation {(task * (estimate - mean) ** 2).sum().sqrt():.5f}")

# %% [markdown]
# Same mean, a far smaller spread. **Limit:** k3's spread grows without bound where $\pi$ does what the task never does.
#
# ## 2. Which average?
# Sum the contrast over tasks and look for the best $\pi$. Set the derivative to 0, with $d_i(s)$ for how often task $i$
# is in $s$:
#
# $$
# \arg\min_\pi\sum_i\mathbb E_{d_i}\mathrm{KL}(\pi_i\|\pi):\ \pi=\frac{\sum_i d_i\pi_i}{\sum_i d_i}\qquad
# \arg\min_\pi\sum_i\mathbb E_{d_i}\mathrm{KL}(\pi\|\pi_i):\ \pi\propto\prod_i\pi_i^{\,d_i/\sum_j d_j}
# $$
#
# The contrast's minimum *is* the average policy, visits and all. The reverse has the geometric mean.
# Below, `A` prefers left, `B` right, `C` down, and all three find `up` second best.

# %%
quiz("15.a")

# %%
LIKES = {"A": [2.0, -2.0, 1.2, -2.0], "B": [-2.0, 2.0, 1.2, -2.0], "C": [-2.0, -2.0, 1.2, 2.0]}
average_explorer(LIKES, ["left", "right", "up", "down"]).show()

# %% [markdown]
# Slide the candidate from 0 (geometric: all three agree on `up`) to 1 (arithmetic: a bit of everything); the stars stay
# where theory puts them. Lower the temperature: the more decided the tasks, the further apart the two averages. Now let
# gradient descent look for them:

# %%
policies = (torch.tensor(list(LIKES.values()), dtype=torch.float64) / 0.6).softmax(-1)
even, found = torch.ones(3, dtype=torch.float64), {}
for name in ("KL(task || average)", "KL(average || task)"):
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.05)
    for _ in range(600):
        pi = logits.softmax(-1)
        above, below = (policies, pi) if name.startswith("KL(task") else (pi, policies)
        loss = (above * (above / below).log()).sum(-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found[name] = logits.detach().softmax(-1)
    print(f"{name}: {found[name].numpy().round(3)}  loss {loss:.3f}")
print("arithmetic:", arithmetic_average(policies, even).numpy().round(3))
print("geometric: ", geometric_average(policies, even).numpy().round(3))

# %% [markdown]
# **Limit:** neither loss reaches 0. What is left is how far the tasks lie apart, and no single policy can mend that.
#
# ## 3. A loss without a gradient
# Document 002 (5.2) implements its contrast in TensorFlow. The same lines in PyTorch. **Predict** what fails first.

# %%
policy, state = nn.Linear(2, 1), torch.tensor([[0.3, -0.7]])
with torch.no_grad():
    policy.weight.copy_(torch.tensor([[1.0, -0.5]]))
    policy.bias.zero_()


def as_written(state):
    logits = torch.sigmoid(policy(state)).detach()  # tf.stop_gradient
    logits = torch.cat((logits, torch.zeros_like(logits)), -1)
    target = logits.detach()
    target = torch.cat((target, torch.zeros_like(target)), -1)
    return logits, target


print("logits and target:", *(tuple(x.shape) for x in as_written(state)))

# %% [markdown]
# The two shapes do not fit, since `target` is lengthened twice; the call it then makes is gone from TensorFlow 2; and
# its `self.policy = None` hides the method `policy`. Suppose all that mended:


# %%
def cross_entropy(logits, target):
    return -(target * logits.log_softmax(-1)).sum(-1).mean()


logits, _ = as_written(state)
loss = cross_entropy(logits, logits.softmax(-1))
print(f"1. as written: loss {loss:.4f}, depends on a parameter: {loss.requires_grad}")

logits = torch.cat((torch.sigmoid(policy(state)), torch.zeros(1, 1)), -1)  # the first stop removed
loss = cross_entropy(logits, logits.softmax(-1).detach())
gradient = torch.autograd.grad(loss, policy.weight)[0]
print(f"2. only the target stopped: loss {loss:.4f}, gradient {gradient.abs().max():.4f}")

logits = torch.cat((torch.sigmoid(policy(state)), torch.zeros(1, 1)), -1)
task_policy = torch.tensor([[0.9, 0.1]])  # the policy of a meta-task: something to learn from
loss = cross_entropy(logits, task_policy)
gradient = torch.autograd.grad(loss, policy.weight)[0]
print(f"3. target: the task's policy: loss {loss:.4f}, gradient {gradient.abs().max():.4f}")

# %% [markdown]
# In 1, `stop_gradient` cuts every path to the parameters. In 2 a path exists, and its gradient is 0: of all logits,
# those that match the target have the lowest cross-entropy, and the target is themselves. A contrast needs *two*
# policies. In 3 there are two.
#
# > **What the document says, and what is true.** 4.1 defines $L_i$ as *minus* the return and takes its arg max: the
# > worst agent. 4.2 maximises a KL that is to be minimised (section 1). It calls $il$ "the number of negative samples"
# > (负采样数量), but in $\mathcal L_{il}$ it is a label, and no negative sample occurs in the loss (section 6 has real
# > ones). 4.3 presents "DeepMind's Meta Environment Framework (ME Framework)": we found no such paper or code. The
# > loss of 5.2 cannot move a parameter. Sections 1 and 3 show the second and the last; here is the first:

# %%
returns = {"good agent": 10.0, "idle agent": 0.0, "harmful agent": -10.0}
losses = {name: -value for name, value in returns.items()}
print("arg max of the loss:", max(losses, key=losses.get), " arg min:", min(losses, key=losses.get))

# %% [markdown]
# ## 4. Distillation: hold, and be held
# **Distral** ([Teh et al. 2017](https://arxiv.org/abs/1707.04175)) trains both sides at once. Task policies are held
# to the shared policy $\pi_0$, and it is **distilled** (蒸馏) from them:
#
# $$
# \max\ \sum_i\mathbb E_{\pi_i}\Big[\sum_t\gamma^t\Big(r_t-c_{KL}\log\frac{\pi_i}{\pi_0}-c_{Ent}\log\pi_i\Big)\Big]
# \ \Rightarrow\ \pi_i\propto\pi_0^{\alpha}e^{\beta Q_i},\quad\alpha=\tfrac{c_{KL}}{c_{KL}+c_{Ent}},\
# \beta=\tfrac1{c_{KL}+c_{Ent}}
# $$
#
# and for $\pi_0$ the average of section 2. In a small known world both steps are exact: a corridor of four cells, a
# fork, and a goal at its upper end (task A) or its lower end (task B). **Predict** the average policy in the corridor,
# and at the fork.

# %%
STATES, ACTIONS = ["1", "2", "3", "4", "fork", "up end", "low end"], ["up", "down", "left", "right"]
NEXT = [[0, 0, 0, 1], [1, 1, 0, 2], [2, 2, 1, 3], [3, 3, 2, 4], [5, 6, 3, 4], [5, 5, 5, 5], [6, 6, 6, 6]]
MOVE = F.one_hot(torch.tensor(NEXT), 7).double().expand(2, 7, 4, 7)  # (T, S, A, S)
REWARD, H = torch.zeros(2, 7, 4, dtype=torch.float64), 10
REWARD[0, 4, 0] = REWARD[1, 4, 1] = 1  # A: up at the fork; B: down


def visits_of(policy):  # (H, T, S, A) -> chance of being in each state at each step, (H + 1, T, S)
    visits = [F.one_hot(torch.zeros(2, dtype=torch.int64), 7).double()]
    for pi in policy:
        visits.append(torch.einsum("ts,tsa,tsap->tp", visits[-1], pi, MOVE))
    return torch.stack(visits)


shared, rounds = torch.full((7, 4), 0.25, dtype=torch.float64), []
for _ in range(10):
    rounds.append(shared)
    plan = soft_value_iteration(MOVE, REWARD, shared.log(), H, kl_weight=0.1, entropy_weight=0.02, discount=0.9)
    policy = plan.log_policy.exp()  # pi_i, best for its task and near the shared policy
    visits = visits_of(policy)[:H]
    shared = arithmetic_average(policy.flatten(0, 1), visits.flatten(0, 1))

# %%
figure_with_alt(
    policy_maps(
        {f"shared, round {n}": rounds[n][:5] for n in (0, 1, 5)} | {"task A": policy[4, 0, :5]}, STATES[:5], ACTIONS
    ),
    alt="Action probabilities in five states: the shared policy turns right in the corridor and is split at the fork",
)
for n in (0, 1, 2, 5, 9):
    reached = visits_of(rounds[n].expand(H, 2, 7, 4))[H, 0]
    print(f"round {n}: the shared policy alone reaches the upper end in {H} steps with probability {reached[5]:.3f}")

# %% [markdown]
# What the tasks share is kept (walk right), what they differ in is spread (a coin at the fork). For a new task with one
# of the two goals the coin is a fine start: 0.5 instead of 0.03. **Limit:** an average is only as wide as its tasks. A
# third goal, to the *right* of the fork, it hardly tries:

# %%
print(f"probability of going right at the fork: at first {rounds[0][4, 3]:.2f}, after 9 rounds {rounds[9][4, 3]:.4f}")

# %% [markdown]
# ## 5. The average against an initialisation that adapts
# Now with networks and sampled episodes: the package's `average_policy`. A task policy starts at the shared one, takes
# three policy-gradient steps on the regularised reward, and the shared policy descends the KL in the states that the
# task policies visit. These are the lines that make it:

# %%
show_source(AveragePolicy.regularised)
show_source(AveragePolicy.distil)

# %% [markdown]
# Live, on cart-poles with hidden physics whose two pushes are never swapped (`flip=False`): 22 steps for random play,
# 200 for the oracle. **Predict:** does the shared policy balance poles, before any step on a new task?

# %%
family = ml.make_family("cartpole", flip=False)
options = {"hidden": (32,), "episodes": 10, "inner_step": 2.0, "later_inner_step": 2.0}
learner = ml.make_learner("average_policy", family, seed=0, **options)
untrained = ml.evaluate(learner, family, n_tasks=20, episodes=10)
ml.train(learner, family, iterations=10, seed=0, device="cpu", progress=False)
trained = ml.evaluate(learner, family, n_tasks=20, episodes=10)

# %% tags=["nbval-ignore-output", "raw"]
print(f"steps balanced by the shared policy: untrained {untrained.mean[0]:.1f}, after 10 rounds {trained.mean[0]:.1f}")

# %%
verdict("shared policy, steps balanced before any adaptation", trained.mean[0], at_least=55)

# %% [markdown]
# What all tasks have in common has reached the shared policy through nothing but averages of task policies. Now two
# families of chapter 07, stored: five seeds, 200 held-out tasks, the same number of episodes for every learner, 0 to 3
# inner steps. In `cartpole` half of the tasks *swap* the pushes; `tabular_mdp` draws every task afresh. **Predict** the
# order before you look.

# %%
table = pd.read_csv(find_folder("data/results") / "average_policy.csv")
SHOWN = ["scratch", "finetune", "reptile", "maml", "average policy"]
curves, anchors = {}, {}
for name, rows in table.groupby("family", sort=False):
    runs = {label: rows[rows["label"] == label].pivot(index="seed", columns="batch", values="mean") for label in SHOWN}
    curves[name] = {label: (np.arange(4), mean_interval(run.to_numpy())) for label, run in runs.items()}
    fixed = rows[rows["seed"] < 0].set_index("label")["mean"]
    anchors[name] = {who: float(fixed[who]) for who in ("random", "oracle")}
figure_with_alt(
    panels(curves, anchors, "inner steps on a new task", ["return per episode"]),
    alt="Return after 0 to 3 inner steps on three families, five learners with intervals, random play and the oracle",
)

# %%
cells = {}
for (name, label), rows in table[table["seed"] >= 0].groupby(["family", "label"], sort=False):
    for steps in (0, 1, 3):
        mean, low, high = mean_interval(rows.loc[rows["batch"] == steps, "mean"].to_numpy())
        cells[label, f"{name}: {steps}"] = f"{mean:.1f} [{low:.1f}, {high:.1f}]"
print("return after 0, 1 and 3 inner steps, mean over five seeds and its interval")
print(pd.Series(cells).unstack(sort=False).fillna("").to_string())

# %% [markdown]
# On `cartpole` the average of "push left" and "push right" is a coin: the shared policy does no better than random
# play, and three steps from it lead less far than three steps from scratch. MAML's start looks as bad before a step,
# and one step takes it to 176: it was trained for what a *step* does. On `tabular_mdp` there is nothing in common to
# keep; the average policy, Reptile and fine-tuning all end *below* an untrained network, and holding the task policies
# loosely ($c_{KL}=0$) or tightly (30) makes no difference that five seeds can show. **An average answers "what do my
# tasks share?", an initialisation that adapts "where does a step go far?".** **Limit:** short runs, one network;
# Distral's own claim, that multi-task training gets faster and steadier, we did not measure.
#
# ## 6. Contrast between tasks
# A contrast in today's sense has **negative samples** (负样本): of $N$ candidates, which one belongs with $x_i$?
# **InfoNCE** ([van den Oord et al. 2018](https://arxiv.org/abs/1807.03748)), with a score $f$ for each pair:
#
# $$
# \mathcal L=-\frac1N\sum_i\log\frac{e^{f_{ii}}}{\sum_j e^{f_{ij}}},\qquad \log N-\mathcal L\le I(x;y)
# $$
#
# It bounds the **mutual information** (互信息) of $x$ and $y$ from below. **Predict:** $x$ and $y$ share 5 nats. What
# does the best possible score report with $N=16$?

# %%
D, RHO = 6, 0.9005  # six pairs of correlated normal numbers
information = -0.5 * D * np.log(1 - RHO**2)
SIZES = 2 ** np.arange(1, 10)


def told(n, generator):  # log N - loss of the best score, log p(y|x) - log p(y)
    x = torch.randn(n, D, generator=generator)
    y = RHO * x + np.sqrt(1 - RHO**2) * torch.randn(n, D, generator=generator)
    gap = y.unsqueeze(0) - RHO * x.unsqueeze(1)  # (N, N, D)
    scores = 0.5 * (y**2 - gap**2 / (1 - RHO**2)).sum(-1)
    return np.log(n) - divergence.info_nce(scores).item()


# %%
generator = torch.Generator().manual_seed(0)
estimates = np.array([[told(int(n), generator) for n in SIZES] for _ in range(12)])
ceiling = np.log(SIZES)
lines = {"InfoNCE, best score": (SIZES, mean_interval(estimates)), "log N": (SIZES, (ceiling,) * 3)}
figure_with_alt(
    panels(
        {"": lines},
        {"": {"true information": information}},
        "N, the positive and N - 1 negatives",
        ["nats"],
        log_x=True,
    ),
    alt="Information that InfoNCE reports against N: it follows log N from below and approaches 5 nats at large N",
)
verdict(f"reported at N = 16, of {information:.2f} nats (log 16 = 2.77)", estimates.mean(0)[3], at_most=2.77)
verdict("reported at N = 512", estimates.mean(0)[-1], at_least=4, at_most=5.1)

# %% [markdown]
# It can never report more than $\log N$, however good the score: few tasks in a batch, little to tell apart.
#
# ### A contrastive task encoder
# PEARL's encoder (chapter 09) learns what the critic's error asks for. Instead, let two sets of transitions of one
# task, from different trials, be a positive pair and the other tasks of the batch negatives; the critic's error then
# stops at $z$. Nearest to it are CORRO ([Yuan & Lu 2022](https://arxiv.org/abs/2206.10442)) and FOCAL
# ([Li et al. 2020](https://arxiv.org/abs/2010.01112)), both offline. In the package it is one option,
# `encoder_learns="contrast"`, and five lines:
#
# ```python
# posterior, other = (encoder(*context_of(half, generator)) for half in halves(rows))
# z, z_other = posterior.sample(noise), other.sample(noise)        # (T, Z): one row a task
# encoder_loss = info_nce(cosine_scores(z, z_other, temperature))  # row i's own is column i
# z = z.detach()                                                   # the critic's error stops here
# ```
#
# Stored: three seeds on a bandit of five arms, ten pulls an episode, two episodes a trial, same env steps. A linear
# probe (chapter 08) reads the arms off $z$ after ten random pulls. **Predict:** whose $z$ tells more? Who earns more?

# %%
table = pd.read_csv(find_folder("data/results") / "contrastive_context.csv")
runs = table[table["seed"] >= 0]
pulls = np.arange(11)  # of one arm, out of ten: Bayes' rule leaves 2 / (n + 2) of a uniform arm's variance
chance = np.array([math.comb(10, n) * 0.2**n * 0.8 ** (10 - n) for n in pulls])
RETURN, PROBE = "return, second episode", "probe of the arms, R²"
anchors = {
    RETURN: dict(table[table["seed"] < 0].set_index("label")["second"]),
    PROBE: {"all that ten pulls tell": chance @ (pulls / (pulls + 2))},
}

# %%
curves = {}
for title, column in {RETURN: "second", PROBE: "probe"}.items():
    curves[title] = {}
    for label, rows in runs.groupby("label"):
        run = rows.pivot(index="seed", columns="env_steps", values=column)
        band = run.mean().to_numpy(), run.min().to_numpy(), run.max().to_numpy()  # from the least seed to the most
        curves[title][f"by {label}"] = (run.columns.to_numpy() / 1000, band)
figure_with_alt(
    panels(curves, anchors, "thousand env steps", ["return per episode", "share of variance"]),
    alt="Return of the second episode and a linear probe of the arms against env steps, critic against contrast",
)
last = runs[runs["iteration"] == runs["iteration"].max()]
print("at the end, each seed\n" + last[["label", "seed", "first", "second", "probe"]].round(2).to_string(index=False))

# %% [markdown]
# Both encoders learn to tell arms apart, and both agents earn more in the second episode than in the first. But the
# critic's agent earns more, in all three seeds, and its $z$ tells more in two: a contrast asks for whatever differs
# between tasks, the critic's error for what is paid. **Limit:** three seeds, one short run, one family: enough to see
# that it works, not to rank. CORRO and FOCAL argue for the contrast where data are offline and the critic's error
# misleads.
#
# ## Break it
# A colleague distils two task policies into one with PyTorch's own `kl_div`. The loss falls, nothing complains.
# **Find the bug before you read on.**

# %%
tasks = torch.tensor([[0.90, 0.05, 0.05], [0.30, 0.65, 0.05]])


def distil(student, steps=400):
    logits = torch.zeros(3, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.05)
    for step in range(steps + 1):
        loss = F.kl_div(student(logits).expand(2, 3), tasks, reduction="batchmean")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 200 == 0:
            print(f"step {step:3}: loss {loss:.3f}")
    return logits.detach().softmax(-1)


print("average:", distil(lambda logits: logits.softmax(-1)).numpy().round(2), " tasks' mean:", tasks.mean(0).numpy())

# %%
quiz("15.b")

# %%
print("average:", distil(lambda logits: logits.log_softmax(-1)).numpy().round(2))

# %% [markdown]
# A KL below 0 is no KL: that number was the alarm. `kl_div(input, target)` computes
# $\sum\text{target} (\log\text{target}-\text{input})$, so `input` must be a log-probability, and the result is
# KL(target || input), in an order that surprises many
# ([documentation](https://pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html)). The bug put everything on the
# action with the largest mean. **Check any divergence on a pair that you can compute by hand, and at equality.**
#
# ## Exercises
# **15.1** `contrast(task, average)`: the document's loss in each state, (S, A), (S, A) -> (S,), nats.


# %%
def contrast(task, average): ...


check("15.1", contrast)

# %%
hint("15.1")

# %% [markdown]
# **15.2** `average(policies, visits)`: the policy that minimises the sum of 15.1 over tasks; (N, S, A), (N, S).


# %%
def average(policies, visits): ...


check("15.2", average)

# %% [markdown]
# **15.3** `task_policy(prior, q, c_kl, c_ent)`: Distral's best answer in one state, (A,).


# %%
def task_policy(prior, q, c_kl, c_ent): ...


check("15.3", task_policy)

# %% [markdown]
# **15.4** `info_nce(scores)`: (N, N) -> a number.


# %%
def info_nce(scores): ...


check("15.4", info_nce)

# %%
solution("15.4")

# %% [markdown]
# ## Summary
# - A log-ratio averaged over a task's own actions is a KL: minimise it; its minimum is the average, weighted by visits.
# - The forward KL covers what any task does; the reverse keeps what all do.
# - A loss of a policy against itself, or behind `stop_gradient`, teaches nothing: print the gradient.
# - Distillation keeps what tasks share and flips a coin where they differ; on families that share nothing the average
#   was no better a start than an untrained network.
# - InfoNCE needs real negatives, and reports at most $\log N$.
#
# ## What to read
# - [Teh et al. 2017](https://arxiv.org/abs/1707.04175): Distral, and why a shared *policy* beats shared parameters.
# - [Ghosh et al. 2018](https://arxiv.org/abs/1711.09874): divide and conquer, the same pull between local policies.
# - [van den Oord et al. 2018](https://arxiv.org/abs/1807.03748), and
#   [Poole et al. 2019](https://arxiv.org/abs/1905.06922) on what such bounds cannot do.
#
# ## What comes next
# Chapter 16 asks how any of these agents is tested: new tasks, shifted tasks, and plain transfer beside them.
