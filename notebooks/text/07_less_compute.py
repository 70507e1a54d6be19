# %% [markdown]
# # 07 Less compute, less data: first order, Reptile, ANIL, Meta-SGD, CAVIA
#
# **Reading time:** 100 min, exercises included. **Run time:** 30 s.
#
# ## What you will be able to do
# - Count the arithmetic of one meta-update, and say what the counter does not see.
# - Write first-order MAML, Reptile, ANIL, CAVIA and Meta-SGD, each as a change of a line or two.
# - Show a case where first order costs more than it saves.
# - Choose a learner for a budget of env steps, arithmetic or seconds, from measurements.
#
# ## The question
# MAML (chapter 05) gives every task a whole network of its own and differentiates through the step that made it.
# Document 001 wants learning under limited data and compute (有限的数据和计算资源). What can be left out of MAML, and
# what does it cost? That depends on *which* resource is short, so we measure three: env steps, arithmetic, seconds.

# %%
import copy
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

import metarl_lab as ml
from metarl_lab.chapters.ch07_less_compute import experiments
from metarl_lab.chapters.ch07_less_compute.experiments import (
    LEARNERS,
    cpu_seconds,
    make,
    one_update,
)
from metarl_lab.chapters.ch07_less_compute.figures import cost_curves, resting_places
from metarl_lab.chapters.ch07_less_compute.widget import budget_explorer
from metarl_lab.inner_loop import inner_loop
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.teach import announce, check, claim, hint, iterations, quiz, result
from metarl_lab.teach import show_table, solution, speed
from metarl_lab.teach.figures import figure_with_alt

SPEED = speed()  # "peek", "quick" or "full"
torch.set_num_threads(1)  # the batches are small
announce(SPEED, {"peek": 30, "quick": 30, "full": 600})

# %% [markdown]
# ## 1. Three currencies
# An **env step** is one step of one environment: *data*. A **FLOP** (浮点运算) is one addition or multiplication:
# *arithmetic*. **CPU seconds** are what you wait for. PyTorch can count FLOPs while a program runs; first we check what
# it sees.
#
# **Predict:** a layer multiplies inputs $(T, N, I)$ by each task's matrix $(T, I, O)$: $2 TNIO$ FLOPs, one unit.
# How many units with the gradient by the matrix? With a second derivative? For a network of three such layers? And what
# does a `tanh` count?


# %%
def count(program):
    with FlopCounterMode(display=False) as counter:
        program()
    return counter.get_total_flops()


x, bias = torch.ones(20, 400, 64), torch.ones(20, 1, 64)  # T = 20 tasks, N = 400 inputs
unit = 2 * 20 * 400 * 64 * 64  # FLOPs of one layer


def derivatives(order, layers):
    """The layers of our per-task networks, differentiated by their matrices."""
    matrices = [torch.ones(20, 64, 64, requires_grad=True) for _ in range(layers)]
    out = x
    for matrix in matrices:
        out = torch.baddbmm(bias, out, matrix).tanh()
    total = out.sum()
    for n in range(order):
        slopes = torch.autograd.grad(total, matrices, create_graph=n + 1 < order)
        total = sum(slope.square().sum() for slope in slopes)


for layers in (1, 3):
    units = []
    for order in (0, 1, 2):
        flops = count(partial(derivatives, order, layers))
        units.append(f"{flops / unit / layers:.3g}")
    print(f"layers: {layers}; value : first derivative : second =", " : ".join(units))
print("tanh of 512,000 numbers:", count(x.tanh), "FLOPs")

# %% [markdown]
# With one layer each derivative doubles the bill, because nobody asks for the gradient by its input. In a network the
# inner layers' inputs need one too, and the second derivative costs more than seven times the value. All of that is
# seen. Elementwise work, Python, and the environment cost time and count nothing. **That is the limit of FLOPs.** Now
# one update of each learner: 20 tasks, two batches of 20 episodes (fine-tuning: one of 40), and one Adam step (Reptile
# has none). The families: chapter 01's walks, and small random MDPs as in chapter 01.

# %%
FAMILIES = experiments.families()
nav, mdp = FAMILIES.values()


def flops_of(label, family):
    learner = make(label, family)  # untrained; settings are in experiments.py
    return count(partial(one_update, learner, family, seed=0, iteration=0))


flops = {
    name: {label: flops_of(label, family) for label in LEARNERS}
    for name, family in FAMILIES.items()
}
share = pd.Series(flops["point_navigation"]) / flops["point_navigation"]["MAML"]
print(experiments.bill(flops, share).to_string())

# %% [markdown]
# First order saves 24% of the arithmetic, not half. ANIL saves more, 39%, because its second derivative stops at the
# last layer. Reptile needs a third. Most learners keep 4,484 numbers for each task; ANIL 130, CAVIA five. **Predict:**
# do seconds follow?


# %%
learners = {label: make(label, nav) for label in LEARNERS}
clock = {
    label: cpu_seconds(partial(one_update, learner, nav, seed=0, iteration=0))
    for label, learner in learners.items()
}
tasks = nav.sample_tasks(20, "train", seeded_generator("cpu", 0, 0))


def act():  # one of MAML's two batches
    learner = learners["MAML"]
    trial = begin(learner, nav, tasks, 20)
    collect(learner, nav, tasks, trial, seeded_generator("cpu", 0, 1))


acting_flops = 2 * count(act) / flops["point_navigation"]["MAML"]
acting_seconds = 2 * cpu_seconds(act) / clock["MAML"]
relative = pd.DataFrame({"CPU seconds": clock}) / clock["MAML"]
show_table(relative.assign(FLOPs=share), "One update, of MAML's")
result(
    "Reptile's update, of MAML's seconds",
    relative["CPU seconds"]["Reptile"],
    at_most=0.85,
)
result("acting, of MAML's update in FLOPs", acting_flops, near=0.08, within=0.01)
result("acting, of MAML's update in CPU seconds", acting_seconds, at_most=0.6)

# %% [markdown]
# Roughly: seconds follow FLOPs, flattened by what the counter does not see. Acting is cheap because this world is a few
# tensor operations; with a real robot it is nearly all of the wait. **Limit:** seconds belong to one machine.

# %%
quiz("07.a")

# %% [markdown]
# ## 2. First order: forget that the start moved the end
# Task $i$ adapts to $\theta_i'=\theta+\alpha\nabla J_i(\theta)$. The chain rule gives the gradient of the mean return
# after adaptation; **first-order** MAML (一阶近似; [Finn et al. 2017](https://arxiv.org/abs/1703.03400), 5.2) leaves
# out the Hessian (黑塞矩阵):
#
# $$
# \nabla J^\text{meta}=\tfrac1T\sum_i\underbrace{\big(I+\alpha\nabla^2J_i(\theta)\big)}_{\text{first order: }I}
# \nabla J_i(\theta_i')
# $$
#
# In code it is one word, `detach`. The rest serves all learners of this chapter. Each rule below is a function from a
# network, the tasks' own parameters and a batch to the adapted parameters.


# %%
ALPHA, CONTEXT = 0.5, 5  # inner step size; numbers of CAVIA's context


def surrogate(network, own, batch):
    """Its gradient is the policy gradient; own: name -> (T, ...), one number a task."""
    if "context" in own:  # CAVIA, section 3: an extra bias
        shift = (own["context"].unsqueeze(1) @ own["context_weight"]).squeeze(1)
        own = own | {"bias0": own["bias0"] + shift}
    policy = network.per_task(own, batch.observation)
    log_pi = policy.log_prob(batch.action).view_as(batch.mask)
    return (log_pi * batch.advantage * batch.mask).sum((1, 2)) / batch.live


def slope(network, own, batch, names):
    """{name: gradient of each task by its own parameter of that name}."""
    total = surrogate(network, own, batch).sum()
    gradients = torch.autograd.grad(total, [own[k] for k in names], create_graph=True)
    return dict(zip(names, gradients))


def maml(network, own, batch):
    g = slope(network, own, batch, own)
    return own | {k: own[k] + ALPHA * g[k] for k in own}


def first_order(network, own, batch):
    g = slope(network, own, batch, own)
    return own | {k: own[k] + ALPHA * g[k].detach() for k in own}


def meta_gradient(adapt, learner, before, after):
    """Of the mean return after adapting, by each meta-parameter; batches of T tasks."""
    theta = learner.meta_parameters()
    tasks = len(before.mask)
    own = {k: p.expand(tasks, *p.shape) for k, p in theta.items()}
    adapted = adapt(learner.network, own, before)
    J = surrogate(learner.network, adapted, after).mean()
    return dict(zip(theta, torch.autograd.grad(J, list(theta.values()))))


# %% [markdown]
# A small learner of the package acts on three tasks, before and after adapting. How far do the two meta-gradients
# differ, on a policy that has not been trained? (The book's tests hold all five rules of this chapter equal to the
# package's learners.)

# %%
three = nav.sample_tasks(3, "train", seeded_generator("cpu", 0, 0))


def acted(name, **options):
    """A small learner, and the batches that it acted before and after adapting."""
    learner = ml.make_learner(
        name, nav, hidden=(8, 8), episodes=4, inner_step=ALPHA, **options
    )
    _, batches = inner_loop(learner, nav, three, 1, seeded_generator("cpu", 0, 1))
    return learner, *batches


learner, before, after = acted("maml")
full, first = (
    torch.cat(
        [g.flatten() for g in meta_gradient(rule, learner, before, after).values()]
    )
    for rule in (maml, first_order)
)
cosine = torch.cosine_similarity(full, first, dim=0)
result("cosine of the two meta-gradients", cosine.item(), at_least=0.9)
result(
    "length of first order's, of the other",
    (first.norm() / full.norm()).item(),
    at_least=0.7,
    at_most=1.3,
)

# %% [markdown]
# Nearly one direction, here. **What is lost?** Take two tasks with exact returns
# $J_i(\theta)=-\tfrac{a_i}2(\theta-c_i)^2$, $\theta$ one number: A is flat ($a=1$, optimum $c=0$), B is steep ($a=3$,
# optimum 1). **Predict:** to do well after one step, should the start lie nearer to A's optimum or to B's? Where does
# first order put it?
#
# **Reptile** ([Nichol et al. 2018](https://arxiv.org/abs/1803.02999)) joins here. It takes no meta-gradient at all:
# each task walks $k$ plain steps, and the start moves towards where they end,
#
# $$
# \theta\leftarrow\theta+\epsilon\,\tfrac1T\sum_i\big(\theta_i^{(k)}-\theta\big).
# $$

# %%
a, c = np.array([1.0, 3.0]), np.array([0.0, 1.0])  # tasks A and B


def uphill(theta):
    """Gradient of both returns, (2,)."""
    return -a * (theta - c)


def step(theta, alpha):
    """One inner step of both tasks, (2,)."""
    return theta + alpha * uphill(theta)


PUSH = {  # which way each method moves the start, by each task
    "fine-tuning": lambda theta, alpha: uphill(theta),
    "Reptile": lambda theta, alpha: step(step(theta, alpha), alpha) - theta,  # k = 2
    "first-order MAML": lambda theta, alpha: uphill(step(theta, alpha)),
    # 1 - alpha a is the derivative of the step
    "MAML": lambda theta, alpha: (1 - alpha * a) * uphill(step(theta, alpha)),
}


def rest(push, alpha, iterations=1500):
    """Where the start comes to rest, or NaN."""
    theta = 0.5
    for _ in range(iterations):
        theta = theta + 0.1 * push(theta, alpha).mean()
    return theta if abs(theta) < 20 else np.nan  # it runs away


# %%
sizes = np.array([0.02, 0.1, 0.2, 0.3, 0.35, 0.45, 0.5])
places = {
    name: np.array([rest(push, alpha) for alpha in sizes])
    for name, push in PUSH.items()
}
figure_with_alt(
    resting_places(
        sizes, places, {"optimum of B, steep": 1.0, "optimum of A, flat": 0.0}
    ),
    alt="Start against inner step size: all begin near 0.75; MAML falls to 0 and "
    "returns, first-order MAML falls below 0 and runs away, Reptile and fine-tuning "
    "stay high",
)


def mean_return(theta, alpha):
    return -(a / 2 * (step(theta, alpha) - c) ** 2).mean()


rows = {
    name: {
        f"alpha = {alpha}": mean_return(theta, alpha)
        for theta, alpha in zip(place, sizes)
    }
    for name, place in places.items()
}
returns = pd.DataFrame(rows).T[[f"alpha = {alpha}" for alpha in (0.1, 0.3, 0.35, 0.5)]]
print("return after one step (best possible: 0)")
print((returns.round(3) + 0.0).to_string())

# %% [markdown]
# B corrects itself in one step, so MAML starts near A. With small steps all agree: the Hessian is multiplied by
# $\alpha$. Then first order lags behind MAML, **overshoots**, and beyond 0.4 runs away. There B's step jumps over its
# optimum ($\alpha a>1$). So B's gradient *after* the step points back, away from B's optimum as the start sees it,
# while a start nearer to that optimum would overshoot less. The factor $1-\alpha a$, negative there, would turn the
# gradient round, and first order has dropped it. Reptile stays finite here, nearer to joint training. **Limit:** one
# number, two tasks; section 4 asks whether real learners show it.
#
# Reptile on a policy, one update:


# %%
def reptile(learner, family, tasks, generator, k=2, epsilon=1.0):
    """The new start, {name: parameter}."""
    trial = begin(learner, family, tasks, learner.config.episodes)
    for _ in range(k):
        episodes, trial = collect(learner, family, tasks, trial, generator)
        # a plain step of every task, from where it is
        trial = trial._replace(memory=learner.absorb(trial.memory, episodes))
    theta, ends = learner.meta_parameters(), trial.memory.parameters
    return {
        name: (p + epsilon * (ends[name].mean(0) - p)).detach()
        for name, p in theta.items()
    }


learner = ml.make_learner("reptile", nav, hidden=(8, 8), episodes=4)
start = learner.meta_parameters()
moved = reptile(learner, nav, three, seeded_generator("cpu", 0, 1))
far = sum((moved[name] - start[name]).square().sum() for name in start).sqrt()
result("how far one update moves the start", far.item(), at_least=0.01)

# %% [markdown]
# ## 3. Move less, or learn how far
# Three more changes to the inner step, each of one line.
#
# - **ANIL** ([Raghu et al. 2020](https://arxiv.org/abs/1909.09157)): only the last layer, the *head*, adapts.
# - **CAVIA** ([Zintgraf et al. 2019](https://arxiv.org/abs/1810.03642)): a *context vector* (上下文向量) $\phi$ starts
#   at zero and alone adapts; the network reads it beside the observation. As an input that does not change, it is an
#   extra bias: $b_0+\phi W$.
# - **Meta-SGD** ([Li et al. 2017](https://arxiv.org/abs/1707.09835)): everything adapts, each parameter at a learned
#   rate, $\theta'=\theta+\alpha r\odot\nabla J$. It saves nothing in training; does it save steps? Section 4 looks.
#
# **Predict:** if only the head adapts, does the body still get a meta-gradient?


# %%
def anil(network, own, batch):
    g = slope(network, own, batch, network.head)
    return own | {k: own[k] + ALPHA * g[k] for k in network.head}


def cavia(network, own, batch):
    own = own | {"context": torch.zeros(len(batch.mask), CONTEXT, requires_grad=True)}
    g = slope(network, own, batch, ["context"])
    return own | {"context": own["context"] + ALPHA * g["context"]}


def meta_sgd(network, own, batch):
    names = [k for k in own if not k.startswith("rate_")]
    g = slope(network, own, batch, names)
    return own | {k: own[k] + ALPHA * own["rate_" + k] * g[k] for k in names}


# %%
for name, rule in {"anil": anil, "cavia": cavia, "meta_sgd": meta_sgd}.items():
    learner, before, after = acted(name)
    theta = learner.meta_parameters()
    own = {k: p.expand(3, *p.shape) for k, p in theta.items()}
    adapted = rule(learner.network, own, before)
    moved = [k for k in adapted if k not in own or (adapted[k] != own[k]).any()]
    gradient = meta_gradient(rule, learner, before, after)
    taught = [k for k in gradient if gradient[k].any()]
    print(f"{name}: the step moves {', '.join(moved)}")
    print(f"  the meta-gradient reaches {len(taught)} of {len(theta)} parameters")

# %% [markdown]
# Yes: the body is what a head will be grown on. So ANIL saves most at *adaptation*, where the body is shared by all
# tasks, and in training the 39% that section 1 counted. **Limit:** a head can only recombine features that the body
# has; tasks that need other features (other dynamics, say) are out of its reach.

# %% [markdown]
# ## 4. Accuracy against all three costs
# Each learner gets the arithmetic of 60 MAML iterations; three seeds. The score: return per episode on 40 held-out
# tasks after **one** inner step from 20 episodes, at the best of five step sizes (chosen on training tasks: chapter 05
# showed that a learner scored at another's step size is wronged). The stored table was made by `sweep` of
# `metarl_lab/chapters/ch07_less_compute/experiments.py`; at full speed the next cell makes it anew.

# %%
UPDATES = iterations(SPEED, quick=experiments.ITERATIONS, full=experiments.ITERATIONS)


def live_sweep():
    return experiments.sweep(flops, UPDATES)


table = experiments.budget_table(live_sweep if SPEED == "full" else None)
anchors = {name: experiments.anchors(family) for name, family in FAMILIES.items()}
walks, mdps = anchors.values()
result("walks: random play", walks["random"], near=-9.2, within=0.3)
result("walks: oracle", walks["oracle"], near=-0.6, within=0.1)
result("random MDPs: random play", mdps["random"], near=9.8, within=0.3)
result("random MDPs: oracle", mdps["oracle"], near=17.9, within=0.3)

# %% [markdown]
# A small piece of it live, two learners for a few iterations on the random MDPs, to see that table and code agree:

# %%
live = {}
for label in ("MAML", "Reptile"):
    cost = flops["tabular_mdp"][label]
    rows = experiments.budget_run(
        label, mdp, cost, seed=100, iterations=20, stops=(0, 1)
    )
    live[label] = [row["mean"] for row in rows if row["batch"] == 1]  # after one step
shown = pd.DataFrame(live, index=["untrained", "after 20 iterations"]).T
show_table(shown, "Random MDPs, return after one step")
result("MAML after 20 iterations", live["MAML"][-1], at_least=13)

# %%
THROUGH = ["MAML", "first-order MAML", "ANIL", "Meta-SGD"]  # their networks adapt
GROUPS = {
    "with a meta-gradient": [*THROUGH, "CAVIA"],
    "without, beside MAML": ["MAML", "Reptile", "fine-tuning"],
}
for name in FAMILIES:
    curves = experiments.cost_curves(table, name)
    figure_with_alt(
        cost_curves(curves, anchors[name], "return after one step", GROUPS),
        alt=f"Return after one step on {name} against env steps, GFLOPs and CPU "
        "seconds, on log axes: seven learners in two rows, MAML in both",
    )

# %%
runs = experiments.ends(table)  # a row for each family, learner and seed
summary = runs.groupby(["family", "learner"], sort=False)[
    ["untrained", "best", "end"]
].agg(experiments.mean_with_interval)
show_table(summary, "Return after one step, three seeds: mean and interval")
walks, mdps = (
    runs[runs["family"] == name].set_index(["learner", "seed"]) for name in FAMILIES
)
claim(
    "walks: the end is within 0.5 of -3.3",
    walks,
    "abs(end + 3.3) < 0.5",
    {label: "some" if label == "fine-tuning" else "every" for label in LEARNERS},
    by="learner",
)
claim(
    "walks: fine-tuning falls after its best point",
    walks.loc[["fine-tuning"]],
    "end < best - 0.1",
)
claim("random MDPs: these end above 14", mdps.loc[THROUGH], "end > 14", by="learner")
claim(
    "random MDPs: the others end below 13.5",
    mdps.drop(index=THROUGH, level="learner"),
    "end < 13.5",
    by="learner",
)
claim(
    "random MDPs: Reptile was above 14, and has fallen by 0.9",
    mdps.loc[["Reptile"]],
    "best > 14 and end < best - 0.9",
)
claim(
    "random MDPs: fine-tuning gains less than 1",
    mdps.loc[["fine-tuning"]],
    "end < untrained + 1",
)
claim(
    "random MDPs: CAVIA, and no other, begins below 12",
    mdps,
    "(learner == 'CAVIA') == (untrained < 12)",
)

# %% [markdown]
# On the walks all end near -3.3 but fine-tuning, which *falls* after its best point; they differ in price, but for
# Meta-SGD, whose curve lies on MAML's. On the random MDPs the four that send a meta-gradient through the network's
# own parameters reach about 15. Reptile reaches 14 and falls back; fine-tuning stays near the 12.5 of an untrained
# network. These two never ask what a step will do, so more training can spoil the step. CAVIA, with five numbers to
# adapt, starts lowest and ends at 13. First order loses nothing *here*, at equal arithmetic and with one Adam step an
# iteration: section 2's disaster needs an inner step that overshoots. (The table of all learners below, with equal
# env steps and TRPO outside, shows a loss on these very MDPs.) **Limit:** three seeds, two small families, step sizes
# not tuned in training; where intervals overlap, read no winner.
#
# Now ask it the other way: what is the best learner for *your* budget?

# %%
at_budget = partial(experiments.at_budget, table)  # family, cost, amount -> returns
most = {name: experiments.whole_run(table, name, "MAML") for name in FAMILIES}
budget_explorer(at_budget, most, anchors, mean_interval).show()

# %% [markdown]
# Slide the budget, then change what is scarce, then the family. The other way round, the **price** of a return:


# %%
TARGET = {"point_navigation": -4, "tabular_mdp": 14}
prices = experiments.prices(table, TARGET)  # NaN: never
show_table(
    prices.map(experiments.price_in_words),
    "What it costs until the mean over seeds first reaches a return",
)
walks, mdps = (prices[f"{name}: {target}"] for name, target in TARGET.items())
claim(
    "walks: fine-tuning, and no other, is cheapest in GFLOPs",
    walks,
    lambda p: (p.index == "fine-tuning") == (p["GFLOPs"] == p["GFLOPs"].min()),
)
ratio = walks["env steps"] / walks["env steps"]["MAML"]
result(
    "walks: Reptile's env steps, of MAML's", ratio["Reptile"], at_least=1.8, at_most=2.4
)
result("walks: first order's", ratio["first-order MAML"], near=1, within=0.1)
result("walks: Meta-SGD's", ratio["Meta-SGD"], near=1, within=0.1)
ratio = mdps["env steps"] / mdps["env steps"]["MAML"]
result("random MDPs: Meta-SGD's", ratio["Meta-SGD"], near=1, within=0.1)
claim(
    "random MDPs: Reptile, CAVIA and fine-tuning, and no other, never get there",
    mdps,
    lambda p: p.isna().all(axis=1) == ~p.index.isin(THROUGH),
)
claim("random MDPs: ANIL is cheapest", mdps.T, lambda p: p["ANIL"] == p.min(axis=1))

# %% [markdown]
# On the walks fine-tuning is cheapest in arithmetic; first order, MAML and Meta-SGD need about as many env steps as one
# another, and Reptile pays for its cheap updates with twice the data. On the random MDPs three cannot be bought at any
# price, and ANIL is the cheapest of the rest. Meta-SGD, which learns how far to step, saved no env steps on either
# family. No learner is best in every row.

# %% [markdown]
# ### Everybody, on four families
# Stored with the package: every gradient-based learner, the same env steps within a family, five seeds, 200 held-out
# tasks, the test-time step size chosen on training tasks, the package's outer step (TRPO unless said). New here are
# `cartpole` (hidden physics; in half of the tasks the two pushes are swapped) and `corner_navigation` (one of four
# corners pays; near the start nothing does). The walks have 100 moves an episode here, not 20, so their returns are
# about seven times those above. **Predict:** where does first order cost most? Where can nothing but meta-learning do
# it?

# %%
everyone = experiments.everybody()  # a row for each family, learner and seed
show_table(
    experiments.by_family(everyone),
    "Return per episode after one step, mean over seeds and its interval",
)
pairs = experiments.side_by_side(everyone)  # a row for each family and seed
claim(
    "MAML ahead of first order",
    pairs,
    "MAML > `first-order MAML`",
    {
        "cartpole": "some",
        "corner_navigation": "every",
        "point_navigation": "none",
        "tabular_mdp": "every",
    },
    by="family",
)
claim(
    "MAML ahead of fine-tuning",
    pairs,
    "MAML > `fine-tuning`",
    {
        "cartpole": "every",
        "corner_navigation": "every",
        "point_navigation": "none",
        "tabular_mdp": "every",
    },
    by="family",
)
claim("MAML ahead of E-MAML", pairs, "MAML > `E-MAML`", by="family")
claim(
    "MAML (TRPO outside) ahead of MAML with PPO outside",
    pairs,
    "MAML > `MAML, outer PPO`",
    {
        "cartpole": "every",
        "corner_navigation": "every",
        "point_navigation": "some",
        "tabular_mdp": "most",
    },
    by="family",
)
claim(
    "ProMP ahead of MAML with PPO outside",
    pairs,
    "ProMP > `MAML, outer PPO`",
    {
        "cartpole": "every",
        "corner_navigation": "most",
        "point_navigation": "every",
        "tabular_mdp": "every",
    },
    by="family",
)

# %%
poles = everyone[everyone["family"] == "cartpole"].set_index("seed")
said = dict.fromkeys(poles["learner"], "none") | {"oracle": "every", "CAVIA": "some"}
said |= dict.fromkeys(("MAML", "first-order MAML", "MAML, DiCE"), "every")
said |= dict.fromkeys(("ANIL", "Meta-SGD"), "every")
claim("cartpole: above 160 of 200", poles, "`return` > 160", said, by="learner")
means = everyone.groupby(["family", "learner"])["return"].mean().unstack()
meta_trained = means.drop(columns=["from scratch", "random play", "oracle"])
claim(
    "the hypernetwork has the lowest mean, from scratch aside",
    meta_trained,
    lambda m: m["hypernetwork"] == m.min(axis=1),
    "most",
)

# %% [markdown]
# First order costs most on `corner_navigation` and on the random MDPs: MAML is ahead of it in all five seeds of both.
# On the walks MAML is behind in all five, and `cartpole` is undecided. So even the sign of the loss depends on the
# family. Section 4's random MDPs, where first order lost nothing, are no contradiction: there both had the same
# arithmetic, so first order acted 30% more, and the outer step was Adam's.
#
# The walks need no meta-learning at all: fine-tuning beats MAML there in every seed. On the other three families it is
# the other way round, in every seed. On `cartpole` one step takes MAML (of either order, or with DiCE), ANIL and
# Meta-SGD above 160 of 200; fine-tuning and Reptile stay far below. A fixed rule that balances both kinds of pole
# unadapted does exist (the package's tests hold one), and longer pre-training may find it: this is a statement about
# budgets.
#
# ProMP and MAML with PPO outside share their outer optimiser, Adam, which gets less far than TRPO in so few iterations
# on `cartpole` and at the corners: compare those two with each other. E-MAML, unbiased and noisy (chapter 06), is
# behind MAML in every seed of every family. The hypernetwork, which reads what a task showed and writes its whole
# policy, has most to learn: its mean is the lowest of all but learning from scratch on three of the four families.
# **Limit:** short runs, one network, nobody tuned per family.

# %% [markdown]
# ## 5. Which to choose when

# %% [markdown] tags=["document"]
# **What the document says, and what is true.** Document 003 (9): choose by the task's character, the size of the data
# and the compute: meta-Q-learning for simple tasks, meta policy gradient for complex ones. The resources belong in
# the answer. "Simple" and "complex" do not suffice: both our families are tiny, and their winners differ. (It also
# lists a policy gradient among value-based methods.)

# %% [markdown]
# | what is scarce | try first | because |
# |---|---|---|
# | env steps | MAML, first order, Meta-SGD | Reptile needed twice as many |
# | arithmetic | ANIL, first order | 61% and 76% of MAML's per update |
# | numbers per task | ANIL, then CAVIA | 130 or 5, not 4,484 |
# | your own time | fine-tuning | no meta-gradient; stop it early; it is the baseline to beat |

# %% [markdown] tags=["document"]
# **What the document says, and what is true.** Document 001 (3-4) trains a policy and a meta-policy (元策略)
# together, then hands the meta-policy to the policy's training. Its code never reads that argument. A test for any
# such claim: change what was meta-learned, and see whether learning changes. The next cell does so.


# %%
def policy_step(theta, gradient, meta):
    """The shape of 001's step: `meta` comes in and is not used."""
    return theta + 0.1 * gradient


def meta_sgd_step(theta, gradient, meta):
    """meta: the learned rates."""
    return theta + 0.1 * meta * gradient


theta, gradient = torch.zeros(3), torch.tensor([1.0, -2.0, 0.5])
for rule in (policy_step, meta_sgd_step):
    ends = [rule(theta, gradient, torch.tensor(m)) for m in ([1.0, 1, 1], [0.0, 2, 5])]
    print(rule.__name__, "depends on what was meta-learned:", not torch.equal(*ends))

# %% [markdown]
# ## Break it
# A colleague writes first-order MAML for tasks A and B: adapt a copy for each task, then let the optimiser step.
# Nothing raises an error, and return after adapting is above return before. **Find the bug before you read on.**


# %%
class Start(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.theta = torch.nn.Parameter(torch.tensor(0.9))


def loss_of(model, i):
    return a[i] / 2 * (model.theta - c[i]) ** 2  # minus the return


def iteration(start, optimiser, alpha=0.3):
    optimiser.zero_grad()
    before, after = [], []
    for i in range(2):
        own = copy.deepcopy(start)
        before.append(-loss_of(own, i).item())
        (gradient,) = torch.autograd.grad(loss_of(own, i), own.theta)
        own.theta.data -= alpha * gradient  # the inner step, a constant: first order
        loss = loss_of(own, i)
        loss.backward()
        after.append(-loss.item())
    optimiser.step()
    return np.mean(before), np.mean(after)


# %%
start = Start()
optimiser = torch.optim.SGD(start.parameters(), lr=0.05)
for n in range(61):
    before, after = iteration(start, optimiser)
    if n % 20 == 0:
        print(
            f"iteration {n:2}: return before {before:.3f}, after one step {after:.3f}"
        )

# %%
quiz("07.b")

# %%
print(
    "gradient that the optimiser sees:",
    start.theta.grad,
    " start:",
    round(start.theta.item(), 3),
)

# %% [markdown]
# The curve is flat, and *after* above *before* only says that inner steps work. `deepcopy` made new parameters; their
# gradients stay with them. garage shipped this slip in [MAML's value
# function](https://github.com/rlworkgroup/garage/blob/b5f72593cd/src/garage/torch/algos/maml.py): the loss goes to a
# deep copy, the optimiser holds the original. The cure: hand the copies' gradients to the original, `start.theta.grad
# += own.theta.grad / 2` for two tasks. Always print how far the meta-parameters moved.

# %% [markdown]
# ## Exercises
# **07.1** The first-order meta-gradient of section 2, for a start and any number of tasks.


# %%
def first_order_gradient(theta, gradients, alpha): ...


check("07.1", first_order_gradient)

# %%
hint("07.1")

# %% [markdown]
# **07.2** One update of Reptile (section 2): the new start.


# %%
def reptile_step(theta, gradients, alpha, steps, epsilon): ...


check("07.2", reptile_step)

# %% [markdown]
# **07.3** The last column of section 1's table, for any network: how many numbers of a task's own MAML, ANIL and CAVIA
# keep. (The table's 4,484 hold two more, the policy's `log_std`.)


# %%
def own_numbers(sizes, context): ...


check("07.3", own_numbers)

# %% [markdown]
# **07.4** The explorer's reading of section 4's table: what a budget buys from each learner.


# %%
def buys(cost, scores, budget): ...


check("07.4", buys)

# %%
solution("07.4")

# %% [markdown]
# **07.5** The whole algorithm: meta-train a start along the gradient of 07.1.


# %%
def meta_train(theta, gradients, alpha, beta, iterations): ...


check("07.5", meta_train)

# %% [markdown]
# ## Summary
# - Env steps, FLOPs and seconds are different budgets; say which one you save.
# - First order drops the Hessian: 24% fewer FLOPs here. At equal env steps it lost return on two families of four and
#   gained on one; and it has no brake when a step overshoots.
# - Reptile needs a third of the arithmetic per update, and on the walks twice the env steps for the same return.
# - ANIL and CAVIA adapt 130 and 5 numbers; the rest is still meta-trained. ANIL saves 39% of the arithmetic too.
#   Meta-SGD learns how far each number moves, and saved no env steps here.
# - On walks all of them work, at different prices; on random MDPs fine-tuning, Reptile and CAVIA fell behind.
#
# ## What to read
# - [Finn et al. 2017](https://arxiv.org/abs/1703.03400), 5.2, and
#   [Nichol et al. 2018](https://arxiv.org/abs/1803.02999), 5: what first order and Reptile still climb.
# - [Raghu et al. 2020](https://arxiv.org/abs/1909.09157): rapid learning or feature reuse?
# - [Zintgraf et al. 2019](https://arxiv.org/abs/1810.03642), [Li et al. 2017](https://arxiv.org/abs/1707.09835): CAVIA,
#   Meta-SGD.
#
# ## What comes next
# Chapter 08 drops gradients from the inner loop altogether: a recurrent network's state does the learning.
