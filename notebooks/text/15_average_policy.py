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
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import metarl_lab as ml
from metarl_lab.chapters.ch15_average_policy import corridor, experiments, figures
from metarl_lab.chapters.ch15_average_policy.widget import average_explorer
from metarl_lab.exact.distral import soft_value_iteration
from metarl_lab.learners.average_policy import AveragePolicy
from metarl_lab.ops import contrast as divergence
from metarl_lab.ops.contrast import arithmetic_average, geometric_average
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.teach import announce, check, claim, hint, iterations, quiz, result
from metarl_lab.teach import show_source, show_table, solution, speed
from metarl_lab.teach.figures import figure_with_alt

torch.set_num_threads(1)  # the networks are small
SPEED = speed()  # "peek", "quick" or "full"
announce(SPEED, {"peek": 25, "quick": 25, "full": 80})

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
print("pi(first)   KL(task || average)   KL(average || task)")
for first in (0.2, 1e-2, 1e-4, 1e-8):
    # pi gives the task's favourite less and less; the rest goes to the other two
    rest = 1 - first
    average = torch.tensor([first, 0.9 * rest, 0.1 * rest], dtype=torch.float64)
    of_task = (task * (task / average).log()).sum()  # actions drawn by the task
    of_average = (average * (average / task).log()).sum()  # drawn by the average
    print(f"{first:<9g}   {of_task:19.3f}   {of_average:19.3f}")
print("against itself:", (task * (task / task).log()).sum().item())

# %% [markdown]
# It is 0 only where the two agree, and has no upper end: the document *maximises* it over $\pi$, which would drive the
# average away from every task, for ever. The two directions differ: the first punishes $\pi$ for missing what the
# task does, the second for doing what the task does not.
#
# Where actions are too many to sum, the mean runs over draws. The log-ratio $\ell$ itself is unbiased, and often
# negative; $e^{-\ell}-1+\ell$ (Schulman's "k3") is unbiased too, and never negative. **Predict** which scatters less
# for policies that are close.

# %%
show_source(divergence.kl_k3)
close = torch.tensor([0.66, 0.22, 0.12], dtype=torch.float64)
ratio = (task / close).log()  # of each action
for name, estimate in {"log-ratio": ratio, "k3": divergence.kl_k3(ratio)}.items():
    # exact mean and standard deviation over actions drawn by the task
    mean = (task * estimate).sum()
    deviation = (task * (estimate - mean) ** 2).sum().sqrt()
    print(f"{name:9}  mean {mean:.5f}  standard deviation {deviation:.5f}")

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
LIKES = {  # the logits of each task's policy: left, right, up, down
    "A": [2.0, -2.0, 1.2, -2.0],
    "B": [-2.0, 2.0, 1.2, -2.0],
    "C": [-2.0, -2.0, 1.2, 2.0],
}
average_explorer(LIKES, ["left", "right", "up", "down"]).show()

# %% [markdown]
# Slide the candidate from 0 (geometric: all three agree on `up`) to 1 (arithmetic: a bit of everything); the stars stay
# where theory puts them. Lower the temperature: the more decided the tasks, the further apart the two averages. Now let
# gradient descent look for them:

# %%
policies = (torch.tensor(list(LIKES.values()), dtype=torch.float64) / 0.6).softmax(-1)


def kl(p, q):
    """KL(p || q) over the last axis, nats."""
    return (p * (p / q).log()).sum(-1)


def nearest(contrast):
    """The policy that minimises the mean contrast to the tasks, and that mean."""
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.05)
    for _ in range(600):
        loss = contrast(logits.softmax(-1)).mean()  # over tasks
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return logits.detach().softmax(-1), loss.item()


forward, forward_left = nearest(lambda pi: kl(policies, pi))
reverse, reverse_left = nearest(lambda pi: kl(pi, policies))
even = torch.ones(3, dtype=torch.float64)  # every task comes to the state equally often
print(f"KL(task || average): {forward.numpy().round(3)}  loss {forward_left:.3f}")
print("arithmetic average: ", arithmetic_average(policies, even).numpy().round(3))
print(f"KL(average || task): {reverse.numpy().round(3)}  loss {reverse_left:.3f}")
print("geometric average:  ", geometric_average(policies, even).numpy().round(3))

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
    logits = torch.cat((logits, torch.zeros_like(logits)), -1)  # two actions
    target = logits.detach()
    target = torch.cat((target, torch.zeros_like(target)), -1)  # ... and once more
    return logits, target


print("logits and target:", *(tuple(x.shape) for x in as_written(state)))

# %% [markdown]
# The two shapes do not fit, since `target` is lengthened twice; the call it then makes is gone from TensorFlow 2; and
# its `self.policy = None` hides the method `policy`. Suppose all that mended:


# %%
def cross_entropy(logits, target):
    return -(target * logits.log_softmax(-1)).sum(-1).mean()


def two_logits():
    """The logits with the first stop removed, so that the parameters are reached."""
    return torch.cat((torch.sigmoid(policy(state)), torch.zeros(1, 1)), -1)


def largest_gradient(loss):
    return torch.autograd.grad(loss, policy.weight)[0].abs().max().item()


logits, _ = as_written(state)
loss = cross_entropy(logits, logits.softmax(-1))
print(f"1. as written: loss {loss:.4f}, depends on a parameter: {loss.requires_grad}")

logits = two_logits()
loss = cross_entropy(logits, logits.softmax(-1).detach())
stopped = largest_gradient(loss)
print(f"2. only the target stopped: loss {loss:.4f}, gradient {stopped:.4f}")

task_policy = torch.tensor([[0.9, 0.1]])  # of a meta-task: something to learn from
loss = cross_entropy(two_logits(), task_policy)
taught = largest_gradient(loss)
print(f"3. target: the task's policy: loss {loss:.4f}, gradient {taught:.4f}")

# %% [markdown]
# In 1, `stop_gradient` cuts every path to the parameters. In 2 a path exists, and its gradient is 0: of all logits,
# those that match the target have the lowest cross-entropy, and the target is themselves. A contrast needs *two*
# policies. In 3 there are two.

# %% [markdown] tags=["document"]
# **What the document says, and what is true: the contrast of 002**
#
# 4.1 defines $L_i$ as *minus* the return and takes its arg max: the worst agent. 4.2 maximises a KL that is to be
# minimised (section 1). It calls $il$ "the number of negative samples" (负采样数量), but in $\mathcal L_{il}$ it is a
# label, and no negative sample occurs in the loss (section 6 has real ones). 4.3 presents "DeepMind's Meta Environment
# Framework (ME Framework)": we found no such paper or code. The loss of 5.2 cannot move a parameter. Sections 1 and 3
# show the second and the last; here is the first:

# %%
returns = {"good agent": 10.0, "idle agent": 0.0, "harmful agent": -10.0}
losses = {name: -value for name, value in returns.items()}
print("arg max of the loss:", max(losses, key=losses.get))
print("arg min of the loss:", min(losses, key=losses.get))

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
# and for $\pi_0$ the average of section 2. $Q_i$ is *soft*: it counts what the penalties will still cost as well.
# Where the world is known, `soft_value_iteration` finds it as chapter 03 found values, backwards from the last step,
# with $\frac1\beta\log\sum_a\pi_0^\alpha e^{\beta Q_i}$ for the value of a state. In a small known world both steps
# are exact: a corridor of four cells, a fork, and a goal at its upper end (task A) or its lower end (task B).
# **Predict** the average policy in the corridor, and at the fork.

# %%
MOVE, REWARD, H = corridor.TRANSITION, corridor.REWARD, corridor.HORIZON


def visits_of(policy):
    """Policy (H, T, S, A) -> chance of each state at each step, (H + 1, T, S)."""
    visits = [corridor.START]
    for pi in policy:
        visits.append(torch.einsum("ts,tsa,tsap->tp", visits[-1], pi, MOVE))
    return torch.stack(visits)


shared = torch.full((7, 4), 0.25, dtype=torch.float64)  # pi_0, (S, A): at first a coin
rounds = []
for _ in range(10):
    rounds.append(shared)
    # pi_i: the best for its task that is held to the shared policy
    weights = {"kl_weight": 0.1, "entropy_weight": 0.02}
    plan = soft_value_iteration(MOVE, REWARD, shared.log(), H, **weights, discount=0.9)
    policy = plan.log_policy.exp()  # (H, T, S, A)
    # pi_0: their average, over steps and tasks, weighted by visits
    visits = visits_of(policy)[:H]
    shared = arithmetic_average(policy.flatten(0, 1), visits.flatten(0, 1))

# %%
SEEN = slice(corridor.SEEN)  # the two ends are left out
maps = {f"shared, round {n}": rounds[n][SEEN] for n in (0, 1, 5)}
figure_with_alt(
    figures.policy_maps(
        maps | {"task A, step 5": policy[4, 0, SEEN]},
        corridor.STATES[SEEN],
        corridor.ACTIONS,
    ),
    alt="Action probabilities in five states: from round to round the shared policy "
    "turns right in the corridor, and is split at the fork; task A goes up there",
)
print(f"the shared policy alone reaches the upper end in {H} steps with probability")
for n in (0, 1, 2, 5, 9):
    reached = visits_of(rounds[n].expand(H, 2, 7, 4))[H, 0]
    print(f"round {n}: {reached[corridor.UPPER_END]:.3f}")

# %% [markdown]
# What the tasks share is kept (walk right), what they differ in is spread (a coin at the fork). For a new task with one
# of the two goals the coin is a fine start: 0.5 instead of 0.03. **Limit:** an average is only as wide as its tasks. A
# third goal, to the *right* of the fork, it hardly tries:

# %%
right = corridor.ACTIONS.index("right")
first, last = (rounds[n][corridor.FORK, right] for n in (0, 9))
print(f"probability of going right at the fork: at first {first:.2f}")
print(f"after 9 rounds: {last:.4f}")

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
ml.train(
    learner,
    family,
    iterations=iterations(SPEED, quick=10, full=40),
    seed=0,
    device="cpu",
    progress=False,
)
trained = ml.evaluate(learner, family, n_tasks=20, episodes=10)
steps = "steps balanced by the shared policy before any adaptation"
result(f"{steps}, untrained", untrained.mean[0], at_most=30)
result(f"{steps}, trained", trained.mean[0], at_least=55)

# %% [markdown]
# What all tasks have in common has reached the shared policy through nothing but averages of task policies. Now two
# families of chapter 07, stored: five seeds, 200 held-out tasks, the same number of episodes for every learner, 0 to 3
# inner steps. In `cartpole` half of the tasks *swap* the pushes; `tabular_mdp` draws every task afresh. **Predict** the
# order before you look.

# %%
runs = experiments.adaptation_runs()  # (family, learner, seed) x 0 to 3 inner steps
anchors = experiments.adaptation_anchors()
shown = ["scratch", "finetune", "reptile", "maml", "average policy"]
figure_with_alt(
    figures.panels(
        experiments.adaptation_curves(runs, shown),
        anchors,
        "inner steps on a new task",
        ["return per episode"],
    ),
    alt="Return after 0 to 3 inner steps on two families: MAML jumps up after one; "
    "the average policy stays near random play on cartpole, and below scratch on both",
)

# %%
show_table(
    experiments.with_intervals(runs),
    "Return after 0, 1 and 3 inner steps, mean over five seeds [95% interval]",
)
start, one, three = (runs[n].unstack("learner") for n in (0, 1, 3))  # a row a seed
start["random"] = [anchors[family]["random"] for family, _ in start.index]
claim(
    "before a step, the average policy within 1.2 of random play",
    start,
    lambda seeds: (seeds["average policy"] - seeds["random"]).abs() <= 1.2,
    by="family",
)
claim(
    "before a step, fine-tuning ahead of the average policy and of MAML",
    start,
    "finetune > `average policy` and finetune > maml",
    {"cartpole": "every", "tabular_mdp": "some"},
    by="family",
)
claim(
    "MAML after one step ahead of every other after three",
    one,
    lambda seeds: seeds["maml"] > three.drop(columns="maml").max(axis=1),
    by="family",
)
claim(
    "three steps end below three steps from scratch",
    experiments.beside_scratch(runs),
    "end < scratch",
    {
        "cartpole, fine-tuning": "none",
        "cartpole, MAML": "none",
        "cartpole, Reptile": "most",
        "cartpole, average policy": "every",
        "tabular_mdp, fine-tuning": "every",
        "tabular_mdp, MAML": "none",
        "tabular_mdp, Reptile": "every",
        "tabular_mdp, average policy": "every",
        "tabular_mdp, average, c_KL 0": "every",
        "tabular_mdp, average, c_KL 30": "every",
    },
    by="family and learner",
)
claim(
    "the interval of the difference to c_KL = 0.1 holds 0",
    experiments.differences(
        runs, "tabular_mdp", "average policy", ["average, c_KL 0", "average, c_KL 30"]
    ),
    "low <= 0 <= high",
)

# %% [markdown]
# On `cartpole` the average of "push left" and "push right" is a coin: the shared policy does no better than random
# play, and three steps from it lead less far than three steps from scratch (so do three from Reptile's start, in four
# seeds of five). MAML's start looks as bad before a step, and one step takes it to 176: it was trained for what a
# *step* does. Fine-tuning's start is ahead of both before any step, 71 against 22: it ascends the mean *return* over
# tasks, which a policy can raise by serving one kind of task well, while the average must look like all of them. But
# three steps add 11 to its 71, and its seeds lie far apart. On `tabular_mdp` there is nothing in common to keep; the
# average policy, Reptile and fine-tuning all end *below* an untrained network, and holding the task policies loosely
# ($c_{KL}=0$) or tightly (30) makes no difference that five seeds can show. **An average answers "what do my tasks
# share?", an initialisation that adapts "where does a step go far?".** **Limit:** short runs, one network; Distral's
# own claim, that multi-task training gets faster and steadier, we did not measure.
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
PAIRS, RHO = 6, 0.9005  # pairs of normal numbers, and the correlation of each pair
information = -0.5 * PAIRS * np.log(1 - RHO**2)  # I(x; y), nats
SIZES = 2 ** np.arange(1, 10)  # N


def best_scores(x, y):
    """f_ij = log p(y_j | x_i) - log p(y_j), (N, N): no score can tell more."""
    gap = y.unsqueeze(0) - RHO * x.unsqueeze(1)  # (N, N, PAIRS)
    return 0.5 * (y**2 - gap**2 / (1 - RHO**2)).sum(-1)


def reported(n, generator):
    """log N - loss on N fresh pairs (x_i, y_i): what InfoNCE reports of I(x; y)."""
    x = torch.randn(n, PAIRS, generator=generator)
    noise = torch.randn(n, PAIRS, generator=generator)
    y = RHO * x + np.sqrt(1 - RHO**2) * noise
    return np.log(n) - divergence.info_nce(best_scores(x, y)).item()


# %% [markdown]
# Twelve draws of each $N$, up to 512, beside the ceiling $\log N$ and the true information:

# %%
generator = torch.Generator().manual_seed(0)
draws = [[reported(int(n), generator) for n in SIZES] for _ in range(12)]
estimates = np.array(draws)  # (draws, sizes)
ceiling = np.log(SIZES)
figure_with_alt(
    figures.reported_information(SIZES, mean_interval(estimates), ceiling, information),
    alt="Information that InfoNCE reports against N: it follows log N from below and "
    "approaches 5 nats at large N",
)
means = estimates.mean(0)
every_draw = {"reported": estimates.ravel(), "ceiling": np.tile(ceiling, 12)}
claim("no more than log N reported", every_draw, "reported <= ceiling")
result(
    f"reported at N = 16, of {information:.2f} nats (log 16 = 2.77)",
    means[3],
    at_most=2.77,
)
result("reported at N = 512", means[-1], at_least=4, at_most=5.1)

# %% [markdown]
# It can never report more than $\log N$, however good the score: few tasks in a batch, little to tell apart.
#
# ### A contrastive task encoder
# PEARL's encoder (chapter 09) learns what the critic's error asks for. Instead, let two sets of transitions of one
# task, from different trials, be a positive pair and the other tasks of the batch negatives; the critic's error then
# stops at $z$. Nearest to it are CORRO ([Yuan & Lu 2022](https://arxiv.org/abs/2206.10442)) and FOCAL
# ([Li et al. 2020](https://arxiv.org/abs/2010.01112)), both offline. In the package it is one option,
# `encoder_learns="contrast"`, and four lines:
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
RETURN, PROBE = "return, second episode", "probe of the arms, R²"
runs = experiments.encoder_runs()  # (encoder, seed, env steps)
most = experiments.all_that_pulls_tell()  # by Bayes' rule, from ten random pulls
figure_with_alt(
    figures.panels(
        experiments.encoder_curves(runs, {RETURN: "second", PROBE: "probe"}),
        {
            RETURN: experiments.encoder_anchors(),
            PROBE: {"all that ten pulls tell": most},
        },
        "thousand env steps",
        ["return per episode", "share of variance"],
    ),
    alt="Return of the second episode and a linear probe of the arms, by env steps: "
    "both rise, the critic's ends above the contrast's",
)
last = experiments.at_the_end(runs)
show_table(last, "At the end of training, each seed")
claim("more earned in the second episode than in the first", last, "second > first")
claim("the probe reads more than at first", last, "probe > `probe, untrained`")
beside = last.unstack("encoder")  # a row a seed
claim("second episode: critic above contrast", beside["second"], "critic > contrast")
claim("probe: critic above contrast", beside["probe"], "critic > contrast", "most")

# %% [markdown]
# Both encoders learn to tell arms apart, and both agents earn more in the second episode than in the first. But the
# critic's agent earns more, in all three seeds, and its $z$ tells more in two. Why, this bandit cannot say: a
# contrast asks for whatever differs between tasks, the critic's error for what is paid, and here what differs *is*
# what is paid. **Limit:** three seeds, one short run, one family: enough to see that it works, not to rank. CORRO and
# FOCAL argue for the contrast where data are offline and the critic's error misleads.
#
# ## Break it
# A colleague distils two task policies into one with PyTorch's own `kl_div`. The loss falls, nothing complains.
# **Find the bug before you read on.**

# %%
tasks = torch.tensor([[0.90, 0.05, 0.05], [0.30, 0.65, 0.05]])  # two task policies


def distil(student, steps=400):
    """Distil both into student(logits); the policy found."""
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


print("average:", distil(lambda logits: logits.softmax(-1)).numpy().round(2))
print("tasks' mean:", tasks.mean(0).numpy())

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
# Write your answer over the `...` and run the cell. Until then it shows the task.
#
# **15.1** The document's loss in each state: the contrast of a task's policy against the average.


# %%
def contrast(task, average): ...


check("15.1", contrast)

# %%
hint("15.1")

# %% [markdown]
# **15.2** The policy that minimises the sum of 15.1 over tasks.


# %%
def average(policies, visits): ...


check("15.2", average)

# %% [markdown]
# **15.3** Distral's best answer of one task, in one state.


# %%
def task_policy(prior, q, c_kl, c_ent): ...


check("15.3", task_policy)

# %% [markdown]
# **15.4** The contrast between sets: InfoNCE, from scores to loss.


# %%
def info_nce(scores): ...


check("15.4", info_nce)

# %% [markdown]
# **15.5** The whole algorithm of section 4 from 15.2 and 15.3, where there is one state: Distral on a few bandits.


# %%
def distral(rewards, c_kl, c_ent, rounds): ...


check("15.5", distral)

# %% [markdown]
# Stuck? `hint("15.2")`, and so on, gives a nudge, and `solution("15.2")` shows one answer.
#
# ## Summary
# - A log-ratio averaged over a task's own actions is a KL: minimise it; its minimum is the average, weighted by visits.
# - The forward KL covers what any task does; the reverse keeps what all do.
# - A loss of a policy against itself, or behind `stop_gradient`, teaches nothing: print the gradient.
# - Distillation keeps what tasks share and flips a coin where they differ; where tasks
#   conflict, or share nothing, three steps from the average led less far than three from an untrained network.
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
