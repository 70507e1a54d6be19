# %% [markdown]
# # 07 Less compute, less data: first order, Reptile, ANIL, Meta-SGD, CAVIA
#
# **Reading time:** 40 min. **Run time:** 25 s.
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
import dataclasses
import os
import time

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.runs.files import find_folder
from metarl_lab.inner_loop import inner_loop
from metarl_lab.ops.outer_step import meta_gradient as package_gradient
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.teach.figures import figure_with_alt
from metarl_lab.chapters.ch07_less_compute.figures import cost_curves, resting_places
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.teach import announce, check, hint, quiz, solution, speed, verdict
from metarl_lab.chapters.ch07_less_compute.widget import budget_explorer

SPEED = speed()  # "peek", "quick" or "full"
torch.set_num_threads(1)  # the batches are small
announce(SPEED, {"peek": 15, "quick": 25, "full": 600})

# %% [markdown]
# ## 1. Three currencies
# An **env step** is one step of one environment: *data*. A **FLOP** (浮点运算) is one addition or multiplication:
# *arithmetic*. **CPU seconds** are what you wait for. PyTorch can count FLOPs while a program runs; first we check what
# it sees.
#
# **Predict:** a layer multiplies inputs $(T, N, I)$ by each task's matrix $(T, I, O)$: $2 TNIO$ FLOPs, one unit.
# How many units with the gradient by the matrix? With a second derivative? And what does a `tanh` count?


# %%
def count(program):
    with FlopCounterMode(display=False) as counter:
        program()
    return counter.get_total_flops()


x, matrix, bias = torch.ones(20, 400, 64), torch.ones(20, 64, 64, requires_grad=True), torch.ones(20, 1, 64)


def derivatives(order):
    out = torch.baddbmm(bias, x, matrix).tanh().sum()  # the layer of our per-task networks
    for n in range(order):
        out = torch.autograd.grad(out, matrix, create_graph=n + 1 < order)[0].square().sum()


unit = 2 * 20 * 400 * 64 * 64
print("units by order of derivative:", {n: count(lambda n=n: derivatives(n)) / unit for n in (0, 1, 2)})
print("tanh of 512,000 numbers:", count(x.tanh), "FLOPs")

# %% [markdown]
# Each derivative doubles the bill, and both are seen. Elementwise work, Python, and the environment cost time and
# count nothing. **That is the limit of FLOPs.** Now one update of each learner: 20 tasks, two batches of 20 episodes
# (fine-tuning: one of 40), and one Adam step (Reptile has none). The families: chapter 01's walks, and small random
# MDPs as in chapter 01.

# %%
FAMILIES = {
    "point_navigation": ml.make_family("point_navigation", horizon=20),
    "tabular_mdp": ml.make_family("tabular_mdp", states=5, actions=3),
}
PLAIN = {"outer": "plain", "learning_rate": 0.003}  # one Adam step an iteration
LEARNERS = {
    "MAML": ("maml", PLAIN),
    "first order": ("maml", PLAIN | {"first_order": True}),
    "Reptile": ("reptile", {}),
    "ANIL": ("anil", PLAIN),
    "CAVIA": ("cavia", PLAIN),
    "Meta-SGD": ("meta_sgd", PLAIN),
    "fine-tuning": ("finetune", PLAIN),
}
STEP = {"point_navigation": 0.5, "tabular_mdp": 2.0}  # inner step size; some learners have their own:
OWN_STEP = {("point_navigation", "CAVIA"): 5.0, ("tabular_mdp", "CAVIA"): 10.0, ("point_navigation", "Reptile"): 0.25}


# %%
def make(label, family, seed=0):
    name, options = LEARNERS[label]
    size = OWN_STEP.get((family.name, label), STEP[family.name])
    return ml.make_learner(name, family, seed, inner_step=size, later_inner_step=size, **options)


def one_update(learner, family, seed, i):
    tasks = family.sample_tasks(learner.config.meta_batch, "train", seeded_generator("cpu", seed, i, 0))
    return learner.update(family, tasks, seeded_generator("cpu", seed, i, 1))


def flops_of(label, family):
    learner = make(label, family)
    return count(lambda: one_update(learner, family, 0, 0))


flops = {name: {label: flops_of(label, family) for label in LEARNERS} for name, family in FAMILIES.items()}
nav = FAMILIES["point_navigation"]
per_task = {label: make(label, nav).begin(1, 1).parameters for label in LEARNERS}
body = sum(p.numel() for p in per_task["MAML"].values())
own = {"ANIL": sum(per_task["ANIL"][k].numel() for k in make("ANIL", nav).network.head), "CAVIA": 5}
bill = pd.DataFrame(flops).map(lambda f: f"{f / 1e9:.2f}").add_prefix("GFLOPs, ")
print(bill.assign(**{"numbers of a task's own": [own.get(label, body) for label in bill.index]}).T.to_string())

# %% [markdown]
# First order saves 24% of the arithmetic, not half. Reptile needs a third. Most learners keep 4,484 numbers for each
# task; ANIL 130, CAVIA five. **Predict:** do seconds follow?


# %%
def seconds(program, repeats=4):
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        program()
        taken.append(time.process_time() - began)
    return min(taken)


learners = {label: make(label, nav) for label in LEARNERS}
clock = {label: seconds(lambda learner=learner: one_update(learner, nav, 0, 0)) for label, learner in learners.items()}
tasks = nav.sample_tasks(20, "train", seeded_generator("cpu", 0, 0))


def act():  # one of the two batches
    collect(learners["MAML"], nav, tasks, begin(learners["MAML"], nav, tasks, 20), seeded_generator("cpu", 0, 1))


acting = {"FLOPs": 2 * count(act) / flops[nav.name]["MAML"], "CPU seconds": 2 * seconds(act) / clock["MAML"]}

# %% tags=["nbval-ignore-output", "raw"]
print("CPU seconds of an update, of MAML's:", {label: round(s / clock["MAML"], 2) for label, s in clock.items()})
print("share of acting in MAML's update:", {what: f"{100 * share:.0f}%" for what, share in acting.items()})

# %%
print(f"acting, of the FLOPs of MAML's update: {100 * acting['FLOPs']:.0f}%")
verdict("acting, of the seconds", acting["CPU seconds"], at_most=0.6)
verdict("Reptile's update, of the seconds of MAML's", clock["Reptile"] / clock["MAML"], at_most=0.85)

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
# In code it is one word. The rest serves all learners of this chapter:


# %%
def surrogate(network, own, batch):  # own: name -> (T, ...); its gradient is the policy gradient; (T,)
    if "context" in own:  # section 4
        shift = (own["context"].unsqueeze(1) @ own["context_weight"]).squeeze(1)
        own = own | {"bias0": own["bias0"] + shift}
    log_prob = network.per_task(own, batch.observation).log_prob(batch.action).view_as(batch.mask)
    return (log_prob * batch.advantage * batch.mask).sum((1, 2)) / batch.live


def slope(network, own, batch, names):  # {name: gradient of each task by its own parameter}
    total = surrogate(network, own, batch).sum()
    return dict(zip(names, torch.autograd.grad(total, [own[k] for k in names], create_graph=True)))


def maml(network, own, batch):
    return own | {k: own[k] + ALPHA * g for k, g in slope(network, own, batch, own).items()}


def first_order(network, own, batch):
    return own | {k: own[k] + ALPHA * g.detach() for k, g in slope(network, own, batch, own).items()}


# %% [markdown]
# Is it the package's? We let a small learner of the package act on three tasks, before and after adapting, and compare
# the meta-gradients.

# %%
T, ALPHA, CONTEXT = 3, 0.5, 5
three = nav.sample_tasks(T, "train", seeded_generator("cpu", 0, 0))


def agrees(adapt, name, **options):
    """Whether our rule `adapt` gives the package's meta-gradient."""
    learner = ml.make_learner(name, nav, hidden=(8, 8), episodes=4, inner_step=ALPHA, **options)
    _, (before, after) = inner_loop(learner, nav, three, 1, seeded_generator("cpu", 0, 1))
    theta = learner.meta_parameters()
    own = {k: p.expand(T, *p.shape) for k, p in theta.items()}
    goal = surrogate(learner.network, adapt(learner.network, own, before), after).mean()
    ours = torch.cat([g.flatten() for g in torch.autograd.grad(goal, list(theta.values()))])
    theirs, _ = package_gradient(learner.how, theta, [[before, after]])
    return torch.allclose(ours, theirs, atol=1e-5)


print("MAML as the package:", agrees(maml, "maml"))
print("first order as the package:", agrees(first_order, "maml", first_order=True))
print("first order as the package's MAML:", agrees(first_order, "maml"))

# %% [markdown]
# **What is lost?** Take two tasks with exact returns $J_i(\theta)=-\tfrac{a_i}2(\theta-c_i)^2$, $\theta$ one number: A
# is flat ($a=1$, optimum $c=0$), B is steep ($a=3$, optimum 1). **Predict:** to do well after one step, should the
# start lie nearer to A's optimum or to B's? Where does first order put it?
#
# **Reptile** ([Nichol et al. 2018](https://arxiv.org/abs/1803.02999)) joins here. It takes no meta-gradient at all:
# each task walks $k$ plain steps, and the start moves towards where they end,
#
# $$
# \theta\leftarrow\theta+\epsilon\,\tfrac1T\sum_i\big(\theta_i^{(k)}-\theta\big).
# $$

# %%
a, c = np.array([1.0, 3.0]), np.array([0.0, 1.0])  # tasks A and B


def climb(x):  # gradient of both returns
    return -a * (x - c)


def step(x, alpha):  # one inner step of both tasks
    return x + alpha * climb(x)


PUSH = {  # which way each method moves the start
    "fine-tuning": lambda x, alpha: climb(x),
    "Reptile, k = 2": lambda x, alpha: step(step(x, alpha), alpha) - x,
    "first order": lambda x, alpha: climb(step(x, alpha)),
    "MAML": lambda x, alpha: (1 - alpha * a) * climb(step(x, alpha)),  # 1 - alpha a: derivative of the step
}


def rest(push, alpha, iterations=1500):
    x = 0.5
    for _ in range(iterations):
        x = x + 0.1 * push(x, alpha).mean()
    return x if abs(x) < 20 else np.nan  # it runs away


# %%
sizes = np.array([0.02, 0.1, 0.2, 0.3, 0.35, 0.45, 0.5])
places = {name: np.array([rest(push, alpha) for alpha in sizes]) for name, push in PUSH.items()}
figure_with_alt(
    resting_places(sizes, places, {"optimum of B, steep": 1.0, "optimum of A, flat": 0.0}),
    alt="Start against inner step size: all begin near 0.75; MAML falls to 0 and returns, first order dives and ends",
)
after = {n: [-(a / 2 * (step(x, s) - c) ** 2).mean() for x, s in zip(p, sizes)] for n, p in places.items()}
shown = pd.DataFrame({f"alpha = {sizes[i]}": [after[n][i] for n in PUSH] for i in (1, 3, 4, 6)}, index=list(PUSH))
print("return after one step (best possible: 0)")
print(shown.round(3) + 0.0)

# %% [markdown]
# B corrects itself in one step, so MAML starts near A. With small steps all agree: the Hessian is multiplied by
# $\alpha$. Then first order lags behind MAML, **overshoots**, and beyond 0.4 runs away: B's step jumps over its
# optimum ($\alpha a>1$), so B's gradient at the end has the wrong sign for the start, and the dropped factor
# $1-\alpha a$ is what would have turned it. Reptile stays finite here, nearer to joint training. **Limit:** one
# number, two tasks; section 4 asks whether real learners show it.
#
# Reptile on a policy, and as the package does it:


# %%
def reptile(learner, family, tasks, generator, k=2, epsilon=1.0):
    trial = begin(learner, family, tasks, learner.config.episodes)
    for _ in range(k):
        episodes, trial = collect(learner, family, tasks, trial, generator)
        trial = trial._replace(memory=learner.absorb(trial.memory, episodes))  # a plain step of every task
    theta, ends = learner.meta_parameters(), trial.memory.parameters
    return {name: (p + epsilon * (ends[name].mean(0) - p)).detach() for name, p in theta.items()}


learner = ml.make_learner("reptile", nav, hidden=(8, 8), episodes=4)
ours = reptile(learner, nav, three, seeded_generator("cpu", 0, 1))
learner.update(nav, three, seeded_generator("cpu", 0, 1))
theirs = learner.meta_parameters()
print("Reptile as the package:", all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in theirs))

# %% [markdown]
# ## 3. Move less, or learn how far
# Three more changes to the inner step, each of one line.
#
# - **ANIL** ([Raghu et al. 2020](https://arxiv.org/abs/1909.09157)): only the last layer, the *head*, adapts.
# - **CAVIA** ([Zintgraf et al. 2019](https://arxiv.org/abs/1810.03642)): a *context vector* (上下文向量) $\phi$ starts
#   at zero and alone adapts; the network reads it beside the observation. As an input that does not change, it is an
#   extra bias: $b_0+\phi W$.
# - **Meta-SGD** ([Li et al. 2017](https://arxiv.org/abs/1707.09835)): everything adapts, each parameter at a learned
#   rate, $\theta'=\theta+\alpha r\odot\nabla J$. It saves nothing in training; it should save steps.
#
# **Predict:** if only the head adapts, does the body still get a meta-gradient?


# %%
def anil(network, own, batch):
    return own | {k: own[k] + ALPHA * g for k, g in slope(network, own, batch, network.head).items()}


def cavia(network, own, batch):
    own = own | {"context": torch.zeros(T, CONTEXT, requires_grad=True)}
    return own | {k: own[k] + ALPHA * g for k, g in slope(network, own, batch, ["context"]).items()}


def meta_sgd(network, own, batch):
    names = [k for k in own if not k.startswith("rate_")]
    return own | {k: own[k] + ALPHA * own["rate_" + k] * g for k, g in slope(network, own, batch, names).items()}


for rule in (anil, cavia, meta_sgd):
    print(rule.__name__, "as the package:", agrees(rule, rule.__name__))

# %%
learner = ml.make_learner("anil", nav, hidden=(8, 8), episodes=4, inner_step=ALPHA)
_, batches = inner_loop(learner, nav, three, 1, seeded_generator("cpu", 0, 1))
adapted = learner.absorb(learner.begin(T, 4), inner_loop(learner, nav, three, 0, seeded_generator("cpu", 0, 1))[0][0])
theta = learner.meta_parameters()
flat, _ = package_gradient(learner.how, theta, [batches])
pieces = dict(zip(theta, flat.split([p.numel() for p in theta.values()])))
for name, p in theta.items():
    print(
        f"{name:8} adapts: {bool((adapted.parameters[name] != p).any())!s:6} meta-gradient: {bool(pieces[name].any())}"
    )

# %% [markdown]
# Yes: the body is what a head will be grown on. So ANIL saves at *adaptation*, and little in training. **Limit:** a
# head can only recombine features that the body has; tasks that need other features (other dynamics, say) are out of
# its reach.

# %% [markdown]
# ## 4. Accuracy against all three costs
# Each learner gets the arithmetic of 60 MAML iterations; three seeds. The score: return per episode on 40 held-out
# tasks after **one** inner step from 20 episodes, at the best of five step sizes (chosen on training tasks: chapter 05
# showed that a learner scored at another's step size is wronged). The stored table was made by these two functions:


# %%
def with_step(learner, size):
    learner.config = dataclasses.replace(learner.config, inner_step=size, later_inner_step=size)
    return learner


def measure(learner, family):
    """Returns before and after one step on test tasks, and the step size, the best of five on training tasks."""
    trained, tried = learner.config.inner_step, {}
    for size in trained * np.array([0.25, 0.5, 1.0, 2.0, 4.0]):
        curve = ml.evaluate(with_step(learner, size), family, "train", n_tasks=20, episodes=20, batches=2, seed=7)
        tried[size] = curve.mean[1]
    best = max(tried, key=tried.get)
    curve = ml.evaluate(with_step(learner, best), family, n_tasks=40, episodes=20, batches=2)
    with_step(learner, trained)
    return best, curve.mean


# %%
SEEDS, ITERATIONS, STOPS = 3, 60, np.array([0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1])


def budget_run(label, family, seed, iterations, stops=STOPS):
    learner, rows, steps, spent = make(label, family, seed), [], 0, 0.0
    for i in tqdm(range(iterations + 1), desc=label, leave=False):
        if i in (iterations * stops).round():
            size, returns = measure(learner, family)
            row = {"learner": learner.name, "label": label, "family": family.name, "seed": seed, "iteration": i}
            cost = {"env_steps": steps, "flops": i * flops[family.name][label], "cpu_seconds": round(spent, 3)}
            rows += [
                row | {"batch": b, "mean": m.round(4)} | cost | {"test_step_size": size} for b, m in enumerate(returns)
            ]
        began = time.process_time()
        steps += int(one_update(learner, family, seed, i).values["env_steps"])
        spent += time.process_time() - began
    return rows


# %%
def sweep():
    rows = []
    for name, family in FAMILIES.items():
        for label in LEARNERS:
            updates = round(ITERATIONS * flops[name]["MAML"] / flops[name][label])
            rows += [row for seed in range(SEEDS) for row in budget_run(label, family, seed, updates)]
    return pd.DataFrame(rows)


# %%
FILE = find_folder("data/results") / "07_budget.csv"
table = sweep() if SPEED == "full" else pd.read_csv(FILE)
if SPEED == "full" and os.environ.get("METARL_STORE") == "07_budget":
    table.to_csv(FILE, index=False)
table["GFLOPs"] = table["flops"] / 1e9
table = table.rename(columns={"env_steps": "env steps", "cpu_seconds": "CPU seconds"})
scored = table[table["batch"] == 1]  # after one inner step
COSTS, anchors = ["env steps", "GFLOPs", "CPU seconds"], {}
for name, family in FAMILIES.items():
    tasks = family.sample_tasks(40, "test", seeded_generator("cpu", 1, 0))  # those of the table
    play = ml.evaluate(ml.make_reference("random", family), family, tasks=tasks, episodes=100)
    anchors[name] = {"random": float(play.mean[0]), "oracle": family.oracle(tasks).mean().item()}
    print(name, {who: round(value, 1) for who, value in anchors[name].items()})

# %% [markdown]
# A small piece of it live, two learners for a few iterations on the random MDPs, to see that table and code agree:

# %%
mdp = FAMILIES["tabular_mdp"]
live = {label: budget_run(label, mdp, 100, 20, np.array([0, 1.0])) for label in ("MAML", "Reptile")}

# %% tags=["nbval-ignore-output", "raw"]
for label, rows in live.items():
    print(label, "after one step: untrained", rows[1]["mean"], " after 20 iterations", rows[3]["mean"])

# %%
verdict("MAML after 20 iterations, return after one step", live["MAML"][3]["mean"], at_least=13)


# %%
def curve(family, label, cost):  # (mean cost, (mean, low, high)) at each stop but the first, over seeds
    rows = scored.query("family == @family and label == @label").sort_values(["seed", "iteration"])
    x, y = (rows[column].to_numpy().reshape(rows["seed"].nunique(), -1) for column in (cost, "mean"))
    return x.mean(0)[1:], tuple(band[1:] for band in mean_interval(y))


for name in FAMILIES:
    panels = {cost: {label: curve(name, label, cost) for label in LEARNERS} for cost in COSTS}
    figure_with_alt(
        cost_curves(panels, anchors[name], "return after one step"),
        alt=f"Return after one step on {name} against env steps, GFLOPs and CPU seconds, on log axes, seven learners",
    )

# %%
at_end = {}
for name in FAMILIES:
    for label in LEARNERS:
        curves = {cost: curve(name, label, cost) for cost in COSTS}
        mean, low, high = curves["GFLOPs"][1]
        row = {"return after one step": f"{mean[-1]:.1f} [{low[-1]:.1f}, {high[-1]:.1f}]", "best": f"{mean.max():.1f}"}
        at_end[name, label] = row | {f"{cost} spent": f"{x[-1]:,.1f}" for cost, (x, _) in curves.items()}
print(pd.DataFrame(at_end).T.to_string())

# %% [markdown]
# On the walks all end near -3.3 but fine-tuning, which *falls* after its best point; they differ in price. On the
# random MDPs the four that send a meta-gradient through the network's own parameters reach about 15. Reptile nearly
# reaches 14 and falls back; fine-tuning stays near the 12.5 of an untrained network. These two never ask what a step
# will do, so more training can spoil the step. CAVIA, with five numbers to adapt, starts slowest and ends at 13. First
# order loses little: section 2's disaster needs an inner step that overshoots. **Limit:** three seeds, two small
# families, step sizes not tuned in training; where intervals overlap, read no winner.
#
# Now ask it the other way: what is the best learner for *your* budget?


# %%
def at_budget(family, cost, amount):  # {learner: return of each seed, on the line between its two nearest stops}
    return {
        label: np.array([np.interp(amount, run[cost], run["mean"]) for _, run in rows.groupby("seed")])
        for label, rows in scored[scored["family"] == family].groupby("label", sort=False)
    }


most = {name: {cost: curve(name, "MAML", cost)[0][-1] for cost in COSTS} for name in FAMILIES}  # MAML's whole run
budget_explorer(at_budget, most, anchors, mean_interval).show()

# %% [markdown]
# Slide the budget, then change what is scarce, then the family. The other way round, the **price** of a return:


# %%
def price(family, label, cost, target):  # what it costs until the mean over seeds first reaches the target
    x, (mean, _, _) = curve(family, label, cost)
    hit = int(np.argmax(mean >= target))
    if mean[hit] < target:
        return "never"
    before = max(hit - 1, 0)
    return f"{np.interp(target, mean[[before, hit]], x[[before, hit]]):,.{0 if cost == 'env steps' else 1}f}"


TARGET = {"point_navigation": -4, "tabular_mdp": 14}
prices = {
    (f"{name}: {TARGET[name]}", cost): [price(name, label, cost, TARGET[name]) for label in LEARNERS]
    for name in FAMILIES
    for cost in COSTS
}
print(pd.DataFrame(prices, index=list(LEARNERS)).T.to_string())

# %% [markdown]
# On the walks fine-tuning is cheapest in arithmetic, first order and MAML in env steps, and Reptile pays for its cheap
# updates with twice the data. On the random MDPs three cannot be bought at any price, and ANIL is the cheapest of the
# rest. No learner is best in every row.

# %% [markdown]
# ### Everybody, on four families
# Stored with the package: every gradient-based learner, the same env steps within a family, five seeds, 200 held-out
# tasks, the test-time step size chosen on training tasks, the package's outer step (TRPO unless said). New here are
# `cartpole` (hidden physics; in half of the tasks the two pushes are swapped) and `corner_navigation` (one of four
# corners pays; near the start nothing does). **Predict:** where does first order cost most? Where can nothing but
# meta-learning do it?

# %%
everybody = pd.read_csv(find_folder("data/results") / "gradient_family.csv")
cells = {}
for (family, label), rows in everybody.groupby(["family", "label"], sort=False):
    one = rows.loc[rows["batch"] == min(1, rows["batch"].max()), "mean"].to_numpy()  # the anchors have no step
    mean, low, high = mean_interval(one) if len(one) > 1 else (one[0], None, None)
    cells[label, family] = f"{mean:.1f}" + ("" if low is None else f" [{low:.1f}, {high:.1f}]")
table = pd.Series(cells).unstack(sort=False)
print("return per episode after one step, mean over seeds and its interval\n" + table.to_string())

# %% [markdown]
# On `cartpole` one step takes MAML (of either order), ANIL and Meta-SGD above 170 of 200; pre-training and Reptile stay
# far below. A fixed rule that balances both kinds of pole unadapted does exist (the package's tests hold one), and
# longer pre-training may find it: this is a statement about budgets. On
# the dense walks nearly all are alike. ProMP and `maml, ppo` share their outer optimiser, Adam, which gets less far
# than TRPO in so few iterations: compare those two with each other. E-MAML pays for its unbiased gradient in variance;
# the hypernetwork has most to learn and gets least far. **Limit:** short runs, one network, nobody tuned per family.

# %% [markdown]
# ## 5. Which to choose when
# > **What the document says, and what is true.** Document 003 (9): choose by the task's character, the size of the data
# > and the compute: meta-Q-learning for simple tasks, meta policy gradient for complex ones. The resources belong in
# > the answer. "Simple" and "complex" do not suffice: both our families are tiny, and their winners differ. (It also
# > lists a policy gradient among value-based methods.)
#
# | what is scarce | try first | because |
# |---|---|---|
# | env steps | MAML, first order, Meta-SGD | Reptile needed twice as many |
# | arithmetic | ANIL, first order | 61% and 76% of MAML's per update |
# | numbers per task | ANIL, then CAVIA | 130 or 5, not 4,484 |
# | your own time | fine-tuning | no meta-gradient; stop it early; it is the baseline to beat |
#
# > **What the document says, and what is true.** Document 001 (3-4) trains a policy and a meta-policy (元策略)
# > together, then hands the meta-policy to the policy's training. Its code never reads that argument. A test for any
# > such claim: change what was meta-learned, and see whether learning changes.


# %%
def policy_step(theta, gradient, meta):  # the shape of 001's step: `meta` comes in and is not used
    return theta + 0.1 * gradient


def meta_sgd_step(theta, gradient, meta):  # meta: the learned rates
    return theta + 0.1 * meta * gradient


theta, gradient = torch.zeros(3), torch.tensor([1.0, -2.0, 0.5])
for rule in (policy_step, meta_sgd_step):
    ends = [rule(theta, gradient, torch.tensor(meta)) for meta in ([1.0, 1.0, 1.0], [0.0, 2.0, 5.0])]
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
        print(f"iteration {n:2}: return before {before:.3f}, after one step {after:.3f}")

# %%
quiz("07.b")

# %%
print("gradient that the optimiser sees:", start.theta.grad, " start:", round(start.theta.item(), 3))

# %% [markdown]
# The curve is flat, and *after* above *before* only says that inner steps work. `deepcopy` made new parameters; their
# gradients stay with them. garage shipped this slip in
# [MAML's value function](https://github.com/rlworkgroup/garage/blob/master/src/garage/torch/algos/maml.py): the loss
# goes to a deep copy, the optimiser holds the original. The cure: hand the copies' gradients to the original,
# `start.theta.grad += own.theta.grad / 2` for two tasks. Always print how far the meta-parameters moved.

# %% [markdown]
# ## Exercises
# **07.1** `first_order_gradient(theta, gradients, alpha)`: `gradients` holds one function per task, from parameters
# (P,) to the gradient of that task's return (P,).


# %%
def first_order_gradient(theta, gradients, alpha): ...


check("07.1", first_order_gradient)

# %%
hint("07.1")

# %% [markdown]
# **07.2** `reptile_step(theta, gradients, alpha, steps, epsilon)`: the new start.


# %%
def reptile_step(theta, gradients, alpha, steps, epsilon): ...


check("07.2", reptile_step)

# %% [markdown]
# **07.3** `own_numbers(sizes, context)`: how many numbers of a task's own MAML, ANIL and CAVIA keep. `sizes` is
# (observation, hidden units of each layer, actions), with weights and biases; count no `log_std`.


# %%
def own_numbers(sizes, context): ...


check("07.3", own_numbers)

# %% [markdown]
# **07.4** `buys(cost, returns, budget)`: mean return over seeds that a budget buys from each learner, on the straight
# line between the two points around it. `cost` (points,), `returns` (learners, seeds, points).


# %%
def buys(cost, returns, budget): ...


check("07.4", buys)

# %%
solution("07.4")

# %% [markdown]
# ## Summary
# - Env steps, FLOPs and seconds are different budgets; say which one you save.
# - First order drops the Hessian: 24% fewer FLOPs here, nearly the same return, and no brake when a step overshoots.
# - Reptile needs a third of the arithmetic per update, and twice the env steps for the same return.
# - ANIL and CAVIA adapt 130 and 5 numbers; the rest is still meta-trained. Meta-SGD learns how far each number moves.
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
