# %% [markdown]
# # 03 Objectives: what exactly is maximised, over which tasks
#
# **Reading time:** 40 min. **Run time:** 15 s.
#
# ## What you will be able to do
# - compute the return of a policy over a task distribution **exactly**, with no sampling;
# - tell the multi-task objective from the meta-objective, and show that their best policies differ;
# - spot a wrong sign, a missing adaptation, and a score that is too good;
# - say which interval covers the number you claim.
#
# ## The question
# "Maximise the expected return" hides four choices: *whose* return, *before or after* adaptation, over *which* tasks,
# and *how* it was measured. What changes when each is changed?

# %%
from itertools import product

import numpy as np
import pandas as pd
import torch
from scipy import stats
from tqdm import tqdm

from metarl_lab.chapters.ch03_objectives.figures import optimism_lines
from metarl_lab.chapters.ch03_objectives.widget import (
    landscape_explorer,
    trial_explorer,
)
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.teach import announce, check, hint, quiz, solution, speed
from metarl_lab.teach.figures import figure_with_alt

torch.set_default_dtype(torch.float64)
pd.options.display.float_format = "{:.2f}".format
SPEED = speed()  # nothing is trained here: all three speeds do the same
announce(SPEED, {"peek": 15, "quick": 15, "full": 15})

# %% [markdown]
# ## 1. One task, one number
# **The two-door maze.** At the junction you take a snack (0.5 points, the episode ends) or enter the tunnel. The
# tunnel forks: behind one door is the prize (+1), behind the other a shock (-1). Which door is which is the hidden
# *task*: world L or world R. A task with known probabilities like this is a *tabular MDP*.
#
# The policy has two parameters: $\theta_0$, the preference for the tunnel, and $\theta_1$, the preference for the
# right door. A preference $x$ means probability $\sigma(x)=1/(1+e^{-x})$.
#
# **Predict:** at $\theta=(0,0)$, all coins fair, what is the mean return?
#
# The *return* (累积奖励) of a task is the expected sum of rewards. Work backwards from the end of the episode:
#
# $$
# V_h(s)=\sum_a \pi_\theta(a|s)\Big[R(s,a)+\gamma\sum_{s'}P(s'|s,a)\,V_{h+1}(s')\Big],\quad
# J_\text{task}(\theta)=V_0(s_0)
# $$

# %%
SNACK, HORIZON = 0.5, 2  # points, steps


def maze(prize=1.0):
    """Worlds L and R: transition (T, S, A, S), reward (T, S, A).

    States: junction, fork, end. Actions: snack or tunnel, then left or right.
    """
    transition = torch.zeros(2, 3, 2, 3)
    transition[..., 2] = 1.0  # every action leads to the end ...
    # ... but the tunnel leads to the fork
    transition[:, 0, 1] = torch.tensor([0.0, 1.0, 0.0])
    reward = torch.zeros(2, 3, 2)
    reward[:, 0, 0] = SNACK
    in_L, in_R = [1.0, -1.0], [-1.0, 1.0]  # behind the left door, behind the right one
    reward[:, 1] = prize * torch.tensor([in_L, in_R])
    return transition, reward


def policy(theta):
    """theta (..., 2) -> probabilities of actions (..., S, A)."""
    at_the_end = torch.full_like(theta[..., :1], 0.5)  # where nothing matters
    p = torch.cat([torch.sigmoid(theta), at_the_end], -1)
    return torch.stack([1 - p, p], -1)


# %%
def exact_return(theta, tasks, discount=1.0):
    """theta (N, T, 2): N candidates x T tasks -> return of each (N, T)."""
    transition, reward = tasks
    pi = policy(theta)  # (N, T, S, A)
    V = torch.zeros(pi.shape[:-1])  # (N, T, S), nothing to come after the last step
    for _ in range(HORIZON):
        q = reward + discount * torch.einsum("tsaz,ntz->ntsa", transition, V)
        V = (pi * q).sum(-1)
    return V[..., 0]


worlds = maze()
fair = torch.zeros(1, 2, 2)
print("return in worlds L and R:", exact_return(fair, worlds)[0].tolist())

# %% [markdown]
# Half the time the snack, else a fair gamble: 0.25. Every number below is exact in this sense. **Limit:** it needs
# $P$ and $R$; with a real robot we must sample (chapter 04).

# %% [markdown] tags=["document"]
# **What the document says, and what is true: $\tau$**
#
# Document 000 (4.1) writes
# $J(\theta)=\mathbb E_{\tau\sim p(\tau)}[R(\tau)]$ with $\tau$ a *task* (任务); 004 (4.1) writes the same $\tau$
# for a *trajectory* (轨迹); 002 (4.1) uses $T_i$ for a task *and* for its length. There are two expectations, and a
# formula with one letter loses one. We write
# $J(\theta)=\mathbb E_{\text{task}\sim p} \mathbb E_{\text{trajectory}\sim\pi_\theta,\text{task}}[R]$.

# %% [markdown]
# Both expectations by hand, and the backward induction beside them, for a policy that enters the tunnel with
# probability 0.9 and goes right with probability 0.8:

# %%
tunnel, right = 0.9, 0.8
path = {  # the probability of each trajectory
    "snack": 1 - tunnel,
    "left": tunnel * (1 - right),
    "right": tunnel * right,
}
pays = {
    "L": {"snack": SNACK, "left": 1, "right": -1},
    "R": {"snack": SNACK, "left": -1, "right": 1},
}
inner = {task: sum(path[way] * pays[task][way] for way in path) for task in pays}
shown = {task: round(value, 2) for task, value in inner.items()}
print("over trajectories, in each task:", shown)
print("over tasks too:", round(sum(inner.values()) / 2, 2))

theta = torch.logit(torch.tensor([tunnel, right])).expand(1, 2, 2)
L, R = exact_return(theta, worlds)[0].tolist()
print(f"by backward induction: L {L:.2f}, R {R:.2f}")

# %% [markdown]
# ## 2. Before or after adaptation: two objectives
# An adaptation rule $U$ takes the shared parameters and one task, and returns that task's own parameters. Ours is
# gradient ascent (梯度上升) on the task's exact return:
#
# $$
# \begin{aligned}
# \text{multi-task:}\quad & J(\theta)=\mathbb E_{\text{task}}\big[J_\text{task}(\theta)\big]\\
# \text{meta:}\quad & J^\text{meta}(\theta)=\mathbb E_{\text{task}}\big[J_\text{task}(U_\text{task}(\theta))\big],\qquad
# U_\text{task}(\theta)=\theta+\alpha\nabla J_\text{task}(\theta)
# \end{aligned}
# $$
#
# **Predict:** the worlds are equally likely. Which $\theta$ is best if you may not adapt? Which, if one step of size
# $\alpha=5$ is coming?


# %%
def adapt(theta, tasks, alpha, steps=1):
    """theta (N, T, 2) -> each task's own (N, T, 2), differentiable in theta."""
    for _ in range(steps):
        J = exact_return(theta, tasks)
        gradient = torch.autograd.grad(J.sum(), theta, create_graph=True)[0]
        theta = theta + alpha * gradient
    return theta


def returns(theta, tasks, alpha=5.0, steps=0):
    """Shared theta (N, 2) -> returns (N, T) after `steps` of adaptation."""
    own = theta[:, None].repeat(1, 2, 1).requires_grad_()
    return exact_return(adapt(own, tasks, alpha, steps), tasks).detach()


SIDE = torch.arange(-10, 11) * 0.4  # from -4 (probability 0.02) to 4 (0.98)
GRID = torch.cartesian_prod(SIDE, SIDE)  # (441, 2) candidates


def best(score):
    """The best candidate; of equally good ones the nearest to (0, 0)."""
    return int((score - 1e-6 * GRID.square().sum(-1)).argmax())


# %% [markdown]
# We try all 441 candidates, once for each objective, and let the winners and random play adapt.

# %%
shared, ready = (GRID[best(returns(GRID, worlds, steps=n).mean(-1))] for n in (0, 1))
starts = {
    "random play": torch.zeros(2),
    "best shared policy": shared,
    "best initialisation": ready,
}
theta = [str(tuple(start.tolist())) for start in starts.values()]
table = pd.DataFrame({"theta": theta}, index=list(starts))
for n in (0, 1, 5, 100):
    after = returns(torch.stack(list(starts.values())), worlds, steps=n)
    table[f"{n} steps"] = after.mean(-1)
print(table)
print("oracle (task known):", max(SNACK, 1.0))

# %% [markdown]
# The best shared policy takes the snack: 0.49. In its $\nabla J_\text{task}$ everything about the doors is multiplied
# by the probability of seeing them, 0.02, so 100 steps later it is still at 0.51. The best initialisation enters the
# tunnel and stands undecided at the fork: 0.01 before, **0.84 after one step**. Each loses, on the other's objective,
# to random play. **Limit:** these are the best inside a box of preferences from -4 to 4. There is no best one outside:
# a larger preference always brings the probability still nearer to 1, and never to 1.

# %% [markdown] tags=["document"]
# **What the document says, and what is true: where is the adaptation?**
#
# 000 (4.1) states the objective as the
# reward of a task, for the "parameters of the inner and outer model"; before or after adapting, it does not say.
# 004 (4.2) writes $J(\phi)$ with policy parameters $\theta(\phi)$ that the meta-policy (元策略) generates, the same
# for every task: as written, that is the multi-task objective, and no $\phi$ beats 0.49. With
# $\theta(\phi,\text{task})$ it is right: $J^\text{meta}$, with $U$ for $\theta$.

# %%
as_written = returns(GRID, worlds, steps=0).mean(-1).max().item()
with_task = returns(GRID, worlds, steps=1).mean(-1).max().item()
print(f"best value of J(phi) as written: {as_written:.2f}")
print(f"with theta(phi, task): {with_task:.2f}")

# %% [markdown]
# ### The landscape
# **Predict:** make the step small, or the worlds alike (`spread`: what the prize door pays, and the shock costs).
# When does it stop being worth while to prepare? The next cell computes the landscape of all 441 candidates, for six
# spreads, ten step sizes and up to five inner steps, so that the sliders only look it up.

# %% tags=["hide-input"]
SPREADS, ALPHAS, MOST = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25], range(1, 11), 5
# 12 tasks at once: 6 spreads x 2 worlds
mazes = [torch.cat(parts) for parts in zip(*map(maze, SPREADS), strict=True)]
landscape = {}
for alpha in tqdm(ALPHAS):
    own = GRID[:, None].repeat(1, 12, 1)
    for n in range(MOST + 1):
        J = exact_return(own, mazes).detach().reshape(21, 21, 6, 2).mean(-1)
        for i, spread in enumerate(SPREADS):
            landscape[spread, alpha, n] = J[:, :, i].numpy()
        own = adapt(own.requires_grad_(), mazes, alpha).detach()
landscape_explorer(SIDE.numpy(), landscape, best).show()

# %% [markdown]
# Left is $J$, right is $J^\text{meta}$: the star is each one's best point, the ring the other's. Up to spread 0.5
# both stars sit at the snack: adapting cannot beat it. Beyond, the right star jumps into the tunnel as soon as the
# steps suffice. **Limit:** this $U$ sees exact gradients; a real one sees a few noisy episodes (chapter 04).

# %%
quiz("03.a")

# %% [markdown]
# ## 3. Ascent or descent
# Optimisers such as Adam *minimise*. A return is to be maximised, so either add its gradient, or minimise a loss
# $L=-J$. Never both, never neither.

# %% [markdown] tags=["document"]
# **What the document says, and what is true: the sign**
#
# 000 (4.2) updates
# $\theta_{t+1}=\theta_t-\alpha\nabla J(\theta_t)$: gradient *descent* (梯度下降) on the return. 002 (4.1) defines
# the loss (损失函数) as *minus* the return, then takes its arg *max*. 001 (4) trains both policies by cross-entropy
# against labels: no reward appears in its code. It computes an inner gradient and then overwrites it (and uses
# `logits` that it never defines).

# %% [markdown]
# We run all of them from $\theta=(0,0)$.


# %%
def j_after(theta, steps):
    """Mean return after `steps` of adaptation, differentiable in theta (2,)."""
    own = theta.expand(1, 2, 2)
    return exact_return(adapt(own, worlds, 5.0, steps), worlds).mean()


def climb(objective, sign=+1, iterations=100):
    """Follow the gradient of the objective from (0, 0): up (+1), or down (-1)."""
    theta = torch.zeros(2, requires_grad=True)
    for _ in range(iterations):
        gradient = torch.autograd.grad(objective(theta), theta)[0]
        theta = (theta + sign * gradient).detach().requires_grad_()
    return theta


# %%
labels = torch.tensor([1.0, 1.0])  # "enter, go right", from somebody's data set


def imitation_loss(theta):
    return torch.nn.functional.binary_cross_entropy_with_logits(theta, labels)


runs = {
    "start": torch.zeros(2, requires_grad=True),
    "ascend J": climb(lambda theta: j_after(theta, 0)),
    "descend J (000)": climb(lambda theta: j_after(theta, 0), sign=-1),
    "arg max of L = -J (002)": climb(lambda theta: -j_after(theta, 0)),
    "cross-entropy on labels (001)": climb(imitation_loss, sign=-1),
    "ascend J after one step": climb(lambda theta: j_after(theta, 1)),
    "descend J after one step": climb(lambda theta: j_after(theta, 1), sign=-1),
}
J_of = {run: [j_after(x, n).item() for n in (0, 1)] for run, x in runs.items()}
print(pd.DataFrame(J_of, index=["before adapting", "after one step"]).T.round(2))

# %% [markdown]
# Left column: both sign errors fall from 0.25 to 0.01, and are the same error. Cross-entropy copies its labels and
# earns 0.01. Right column: 0.83 after *descending*? Luck: the worst shared policies of this maze enter the tunnel,
# and by symmetry this one stands undecided at the fork. Descending the meta-objective has no such luck: 0.52 falls to
# 0.46. So check that what you ascend rises. **Limit:** imitation is sound when each label is a good action for its
# own task: distillation (chapter 15).
#
# ## 4. The return of a whole trial
# RL2 has no gradient inside: it acts for a *trial* of $K$ episodes in one world and remembers. Its objective can
# weigh the episodes by $w_j$, and pass credit $c$ from each episode to the ones before it. In episode $k$ the agent
# then acts for what is still to come:
#
# $$
# J^\text{trial}_k=\mathbb E_\text{task}\Big[\sum_{j=k}^{K} c^{\,j-k}\,w_j\,R_j\Big]
# $$
#
# All $w_k=1$ is the *trial* objective (the average episode, times $K$), $w_K=1$ and the rest 0 is the *final-episode*
# objective, and $c=0$ cuts credit at episode ends: each episode minds itself alone.
#
# A **belief** is what the agent knows of the hidden task: the probability of each world, given what it has seen. Here
# two beliefs suffice. Before a door was opened both worlds are equally likely ("door unknown"); afterwards one of them
# is certain ("door known"). So backward induction again gives the best plan: from the last episode to the first, in
# each belief, it compares looking behind a door with taking the snack.
#
# **Predict:** which of these agents opens a door in episode 1? And if the shock costs 10?


# %%
def best_plan(weights, credit=1.0, shock=1.0):
    """Expected return of each of the K episodes under the best plan, (K,)."""
    K = len(weights)
    looks = [False] * K  # whether to open a door in episode k, while it is unknown
    known = unknown = 0.0  # what the rest of the trial is worth, in each belief
    for k in reversed(range(K)):
        # open either door: a fair gamble, and from then on it is known
        look = weights[k] * (1 - shock) / 2 + credit * known
        stay = weights[k] * SNACK + credit * unknown
        looks[k] = look >= stay  # of equally good plans, the one that looks
        # who knows the door takes the prize, 1 point, and goes on knowing
        known = weights[k] * 1.0 + credit * known
        unknown = max(look, stay)
    first_look = looks.index(True) if True in looks else K
    return plan_that_looks_in(first_look, K, shock)


def plan_that_looks_in(k, K, shock):
    """Snacks before episode k (from 0), a gamble in it, then prizes; K: never."""
    gamble = [(1 - shock) / 2] if k < K else []
    return [SNACK] * k + gamble + [1.0] * (K - k - 1)


K = 5
every, last = [1] * K, [0] * (K - 1) + [1]  # weights w
settings = {
    "trial": (every, 1),
    "no credit across": (every, 0),
    "final episode": (last, 1),
}
rows = {}
for shock in (1, 10):
    for name, (weights, credit) in settings.items():
        rows[name, shock] = best_plan(weights, credit, shock)
plans = pd.DataFrame(rows, index=[f"ep. {k + 1}" for k in range(K)]).T
plans.index.names = ["objective", "shock"]
print(plans.assign(total=plans.sum(axis=1)))

# %% [markdown]
# Is the plan of the final-episode objective the only one that is best for it? Both objectives of every possible plan,
# with the shock at 10:

# %%
every_plan = [plan_that_looks_in(k, K, shock=10) for k in range(K + 1)]
names = [f"looks in episode {k + 1}" for k in range(K)] + ["never looks"]
columns = {
    "trial": [sum(plan) for plan in every_plan],
    "final episode": [plan[-1] for plan in every_plan],
}
print(pd.DataFrame(columns, index=names))

# %% [markdown]
# Exploration pays in *later* episodes, so an agent whose credit stops at the episode's end never explores: total 2.5,
# not 4. The final-episode objective explores at any price: with the shock at 10 it accepts a total of -0.5 where
# staying gives 2.5. It does not even mind *when*: looking in episode 1, 2, 3 or 4 is equally good for it, with totals
# from -0.5 down to -2. (`best_plan` looks as soon as looking is as good as staying, so it shows the first of these.)
# Use this objective only where trying is free. **Limit:** two beliefs were enough here; usually they are many
# (chapter 09).
#
# Credit is a *discount* (折扣), and a discount is part of the objective: try it.

# %%
trial_explorer(best_plan).show()


# %%
def gain_of_looking(K, credit):
    """By how much looking in the first episode beats never looking, in a trial of K."""
    discounts = credit ** np.arange(K)
    looking, never = (plan_that_looks_in(k, K, shock=1) for k in (0, K))
    return discounts @ np.array(looking) - discounts @ np.array(never)


for c in (1.0, 0.9, 0.6, 0.5):
    worth_it = (K for K in range(1, 41) if gain_of_looking(K, c) > 1e-9)
    shortest = next(worth_it, "none up to 40")
    print(f"credit {c}: shortest trial that should explore: {shortest}")

knows = torch.tensor([[[30.0, -30.0], [30.0, 30.0]]])  # enter; left in L, right in R
for gamma in (1.0, 0.6, 0.4):
    worth = exact_return(knows, worlds, gamma).mean()
    print(f"discount {gamma}: a known prize is worth {worth:.2f}, the snack {SNACK}")

# %% [markdown]
# With full credit, two episodes are a tie (0 + 1 against 0.5 + 0.5), and three pay off. At $c=0.5$ no trial is long
# enough. Likewise per step: the prize comes one step after the snack, so with
# $\gamma=0.4$ even an agent that knows the door should take the snack.
#
# ## 5. Over which tasks
# The documents' "all tasks" is a distribution $p$ that *you* choose. Suppose meta-training meets world L nine times
# in ten, and the real world turns out the other way round (*out of distribution*). Besides the mean there is the
# **CVaR** at level $q$: the mean over the worst fraction $q$ of tasks; as $q\to0$ it is the worst case.
#
# **Predict:** what does the best mean cost in the rare world?

# %%
p = torch.tensor([0.9, 0.1])


def cvar(J, level):
    """J (N, T) -> mean over the worst `level` of the probability (N,)."""
    worst_first, order = J.sort(-1)
    mass = p[order].cumsum(-1).clamp(max=level)
    mass = torch.diff(mass, prepend=torch.zeros(len(J), 1))
    return (worst_first * mass).sum(-1) / level


rows = {}
for when, n in (("before", 0), ("after one step", 1)):
    J = returns(GRID, worlds, steps=n)
    goals = {
        "mean": J @ p,
        "CVaR 0.5": cvar(J, 0.5),
        "CVaR 0.2": cvar(J, 0.2),
        "worst": J.amin(-1),
    }
    for goal, score in goals.items():
        i = best(score)
        rows[when, goal] = [J[i] @ p, J[i].min(), J[i] @ p.flip(0)]
columns = ["p as trained", "worst task", "p reversed"]
print(pd.DataFrame(rows, index=columns).T.astype(float))

# %% [markdown]
# Without adaptation the mean (and CVaR 0.5) bets on world L: 0.77 as trained, -0.75 reversed; CVaR 0.2 takes the
# snack. With one step, caution costs 0.02 as trained and wins 0.08 when reversed. That is robustness (鲁棒性) bought
# by choosing the objective. **Limit:** the worst case is only over worlds you thought of.
#
# ### The score that is too good
# Usually $p$ is known through $n$ sampled training tasks only. **Predict:** with $n=2$, how far is the score on those
# tasks from that on new ones? With $k$ of the $n$ in world L, the learner maximises the mean over *them*; the
# binomial distribution then gives both expected scores exactly.


# %%
def train_and_held_out(J, n):
    """Expected score on n training tasks, and on new ones; J (N, T)."""
    scores = np.zeros(2)
    for k in range(n + 1):
        seen = torch.tensor([k / n, 1 - k / n])  # shares of worlds L and R in training
        i = best(J @ seen)
        scores += stats.binom.pmf(k, n, 0.5) * np.array([J[i] @ seen, J[i].mean()])
    return scores


sizes = [1, 2, 4, 8, 16, 32]
before, after = (returns(GRID, worlds, steps=n) for n in (0, 1))
scores = [
    np.hstack([train_and_held_out(before, n), train_and_held_out(after, n)])
    for n in sizes
]
columns = pd.MultiIndex.from_product(
    [["no adaptation", "one step"], ["training tasks", "held out"]]
)
curves = pd.DataFrame(scores, index=sizes, columns=columns)
print(curves)
figure_with_alt(
    optimism_lines(curves, {"oracle": 1.0, "always snack": SNACK, "random": 0.25}),
    alt="Score against number of training tasks: on training tasks too high at first, "
    "on held-out tasks too low; they meet",
)

# %% [markdown]
# With two training tasks and one inner step: 0.90 on them, 0.43 on held-out tasks. Only held-out scores speak of
# generalisation (泛化能力);
# [one public RL2 baseline](https://github.com/corl-team/xland-minigrid/blob/719846cf21562f921141ed8d9ef92a2ddc7ecd3d/training/train_meta_task.py)
# draws its evaluation tasks from its training set (a large one, so its gap may be small). **Limit:** two worlds; a
# richer family needs far more tasks.
#
# ## 6. How sure are you?
# A score varies with the *training seed* and with the *test tasks*. Suppose standard deviations of 0.1 and 0.3
# points, and 250 evaluations. A 95% interval should **cover** the true mean in 95% of studies. **Predict:** how often
# does each do so?

# %%
rng = np.random.default_rng(0)


def coverage(seeds, tasks, over, same_tasks=False, studies=10_000):
    """In how many of the studies the 95% interval covers the true mean, which is 0."""
    seed_effect = 0.1 * rng.standard_normal((studies, seeds, 1))
    drawn = 1 if same_tasks else seeds  # how many sets of tasks there are
    task_effect = 0.3 * rng.standard_normal((studies, drawn, tasks))
    score = seed_effect + task_effect  # (studies, seeds, tasks)
    units = score.reshape(studies, -1) if over == "all" else score.mean(2)
    _, low, high = mean_interval(units.T)  # mean -+ t s / sqrt(n)
    return ((low < 0) & (0 < high)).mean()


covered = {
    "1 seed, 250 tasks; interval over tasks": coverage(1, 250, "all"),
    "5 seeds x 50 tasks; 250 values pooled": coverage(5, 50, "all"),
    "5 seeds, same 50 tasks; over seeds": coverage(5, 50, "seeds", same_tasks=True),
    "5 seeds, fresh 50 tasks each; over seeds": coverage(5, 50, "seeds"),
}
for name, share in covered.items():
    print(f"{name:42} covers {100 * share:.0f}%")

# %% [markdown]
# One seed with many tasks gives a narrow interval around *that agent's* score. `ml.evaluate` gives exactly that
# interval: right for a stored agent, wrong for an algorithm. For an algorithm, average over tasks first, then take
# the interval over seeds.
#
# **Limit:** the $t$ interval trusts bell-shaped seeds. Ours are not: with 4 training tasks, one learner in eight has
# seen one world only, and fails.

# %%
J = returns(GRID, worlds, steps=1)
# five kinds of learners: k of the 4 training tasks were in world L
mixes = [torch.tensor([k / 4, 1 - k / 4]) for k in range(5)]
kinds = np.array([J[best(J @ mix)].mean().item() for mix in mixes])
chance = stats.binom.pmf(np.arange(5), 4, 0.5)
true_mean = chance @ kinds
print("held-out score of each kind:", kinds.round(2), "true mean:", round(true_mean, 2))

# every possible study of 5 seeds, and its probability
studies = np.array(list(product(range(5), repeat=5))).T  # (5 seeds, 3125 studies)
probability = chance[studies].prod(0)
_, low, high = mean_interval(kinds[studies])
covers = (low <= true_mean) & (true_mean <= high)
print(f"5 seeds, t interval: covers {100 * (probability * covers).sum():.0f}%")
no_failure = (kinds[studies] > 0.5).all(0)
print(f"studies that meet no failure: {100 * probability[no_failure].sum():.0f}%")
print(f"the lowest bound among them: {low[no_failure].min():.2f}")

# %% [markdown]
# Half of all studies meet no failure, and report a narrow interval from 0.80 up. Show every seed.
#
# ## Break it
# Three programs claim to return $\nabla J^\text{meta}$. One is right; one copies a bug that a well-known library
# shipped; one is an approximation that should have said so. Finite differences of the exact objectives do not lie.


# %%
def program_a(theta, steps=1):
    history = [theta.expand(1, 2, 2)]
    for _ in range(steps):
        history.append(adapt(history[-1], worlds, 5.0))
    outer = exact_return(history[steps - 1], worlds).mean()
    return torch.autograd.grad(outer, theta)[0]


def program_b(theta, steps=1):
    own = adapt(theta.expand(1, 2, 2), worlds, 5.0, steps)
    return torch.autograd.grad(exact_return(own, worlds).mean(), theta)[0]


def program_c(theta, steps=1):
    own = adapt(theta.expand(1, 2, 2), worlds, 5.0, steps).detach().requires_grad_()
    return torch.autograd.grad(exact_return(own, worlds).mean(), own)[0].sum((0, 1))


# %%
theta, tiny = torch.tensor([0.5, 1.0], requires_grad=True), 1e-5
programs = {"A": program_a, "B": program_b, "C": program_c}
rows = {name: program(theta).tolist() for name, program in programs.items()}
for n in (0, 1):
    differences = [
        (j_after(theta + nudge, n) - j_after(theta - nudge, n)) / (2 * tiny)
        for nudge in tiny * torch.eye(2)
    ]
    rows[f"finite differences, {n} steps"] = [x.item() for x in differences]
gradients = pd.DataFrame(rows, index=["d/d theta_0", "d/d theta_1"]).T
print(gradients.round(2) + 0.0)  # + 0.0: no minus zero

# %%
quiz("03.b")

# %% [markdown]
# ## Exercises
# Write your answer over the `...` and run the cell. Until then it shows the task.
#
# **03.1** The exact return of one policy on one MDP, by backward induction.


# %%
def exact_j(transition, reward, policy, horizon): ...


check("03.1", exact_j)

# %%
hint("03.1")

# %% [markdown]
# **03.2** The meta-objective: the mean return over tasks after one inner step.


# %%
def meta_objective(theta, tasks, alpha): ...


check("03.2", meta_objective)

# %% [markdown]
# **03.3** The loss that belongs to it: the number that Adam shall *minimise*.


# %%
def outer_loss(before, after): ...


check("03.3", outer_loss)

# %% [markdown]
# **03.4** The 95% interval for an *algorithm's* mean score, from a few training seeds with fresh tasks for each.


# %%
def seed_interval(scores, quantile): ...


check("03.4", seed_interval)

# %%
hint("03.4")

# %% [markdown]
# Stuck? `hint("03.2")`, and so on, gives a nudge, and `solution("03.2")` shows one answer.
#
# ## Summary
# - Two expectations, over tasks and over trajectories; in a tabular MDP both are computed exactly.
# - The best shared policy and the best initialisation can each be useless for the other's objective (0.49 and 0.84
#   after one step).
# - A return is ascended, or its negative descended.
# - A trial's objective decides whether exploration is paid for; the final-episode one does not ask what it cost.
# - Choose $p$, mean or CVaR, and discount on purpose; score on held-out tasks; take intervals over seeds.
#
# ## What to read
# - Finn, Abbeel, Levine 2017, [MAML](https://arxiv.org/abs/1703.03400): $J^\text{meta}$ with one gradient step.
# - Duan et al. 2016, [RL2](https://arxiv.org/abs/1611.02779): the return of the whole trial.
# - Stadie et al. 2018, [E-MAML](https://arxiv.org/abs/1803.01118): credit for exploring before adaptation.
# - Agarwal et al. 2021, [Statistical precipice](https://arxiv.org/abs/2108.13264): few seeds, honest intervals.
# - [ray 13835](https://github.com/ray-project/ray/pull/13835): the change in *Break it*.
#
# ## What comes next
# Chapter 04 drops the exact gradient: policy gradients and values, estimated from samples.
