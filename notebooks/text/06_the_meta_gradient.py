# %% [markdown]
# # 06 The meta-gradient done right: bias, variance, DiCE, LVC, E-MAML, ProMP
#
# **Reading time:** 100 min, exercises included. **Run time:** 25 s.
#
# ## What you will be able to do
# - say which of two different objectives a meta-gradient belongs to;
# - write the naive, LVC, DiCE and E-MAML estimators, a few lines each, and say what each leaves out;
# - read their bias and variance off exact tables, and choose between them;
# - find bugs that public implementations shipped.
#
# ## The question
# The meta-gradient (元梯度, 元策略梯度) of chapter 05's MAML is a derivative through a learning step that itself ran on
# *sampled* data. Autograd will happily give you a number. Is it the right one?

# %%
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import logsigmoid

from metarl_lab.chapters.ch06_the_meta_gradient.experiments import (
    ALPHAS,
    HORIZONS,
    SIZES,
    estimator_grid,
    per_trajectory,
    print_exact,
)
from metarl_lab.chapters.ch06_the_meta_gradient.figures import log_lines, promises
from metarl_lab.chapters.ch06_the_meta_gradient.maze import (
    batches,
    log_ways,
    maze,
    mirrored,
)
from metarl_lab.chapters.ch06_the_meta_gradient.widget import estimator_explorer
from metarl_lab.ops import surrogates as package
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.teach import announce, check, claim, hint, quiz, result, show_table
from metarl_lab.teach import solution, speed, stored_or_run
from metarl_lab.teach.figures import figure_with_alt

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
SPEED = speed()
announce(SPEED, {"peek": 15, "quick": 25, "full": 25})

# %% [markdown]
# ## 1. A maze in which everything can be counted
# Chapter 03's two-door maze: take a snack (0.5 points), or enter the tunnel, where one door pays +1 and the other -1.
# $\theta_0$ is the preference for the tunnel, $\theta_1$ for the right door; a preference $x$ means probability
# $1/(1+e^{-x})$. Worlds L and R are mirror images: at $\theta_1=0$ the meta-gradient's first component, by $\theta_0$,
# is the same in both, because swapping the doors swaps the sign of $\theta_1$ and nothing else. So world R will do. A
# longer tunnel has a snack at every junction.
#
# There are only three **trajectories** (轨迹): snack; tunnel and left; tunnel and right. `maze()` lists them, a row for
# each and a column for each step: `which` parameter decides the step, the `sign` of the choice (+1 for on, or right),
# whether the step is `live` (the snack ends the episode), and its `reward`.


# %%
def log_prob(theta, m):
    """log pi of each action: theta (..., 2) -> (..., trajectories, steps)."""
    return logsigmoid(m.sign * theta[..., m.which]) * m.live


def value(theta, m):
    """J, exactly: theta (B, 2) -> (B,)."""
    probability = log_prob(theta, m).sum(-1).exp()  # of each trajectory
    return (probability * m.reward.sum(-1)).sum(-1)


SHORT = maze()
START = torch.tensor([[0.5, 0.0]])  # theta_0, theta_1
ALPHA = 3.0
chance = log_prob(START, SHORT).sum(-1).exp()  # of each trajectory: (1, 3)
print_exact(
    {"probability": chance[0], "return": SHORT.reward.sum(-1)},
    ["snack", "left", "right"],
)
print("J =", round(value(START, SHORT).item(), 3), "points")

# %% [markdown]
# ## 2. The derivative through a step
# With $\theta'=\theta+\alpha\nabla J(\theta)$, the chain rule gives
#
# $$
# \nabla_\theta J(\theta')=\big(I+\alpha\nabla^2J(\theta)\big)\,\nabla J(\theta').
# $$
#
# **First-order** MAML drops $\alpha\nabla^2J$. **Predict:** entering the tunnel costs points *now* (its doors are a
# fair gamble), but only in the tunnel can one learn which door is right. Should $\theta_0$ rise or fall if one inner
# step is coming? Will first order agree?


# %%
def grad(y, x, **options):
    return torch.autograd.grad(y.sum(), x, **options)[0]


def exact_expected(theta, alpha, m=SHORT, second_order=True):
    """Gradient of J(theta + alpha grad J(theta)), (2,)."""
    x = theta.clone().requires_grad_()
    step = grad(value(x, m), x, create_graph=second_order)  # a constant in first order
    return grad(value(x + alpha * step, m), x)[0]


rows = {}
for alpha in (0.025, 0.05, 0.1, 1.0, 3.0):
    exact = exact_expected(START, alpha)[0].item()
    first = exact_expected(START, alpha, second_order=False)[0].item()
    rows[f"alpha {alpha}"] = exact, first, exact - first, (exact - first) / alpha
print_exact(rows, ["exact d/d theta_0", "first order", "gap", "gap / alpha"])

# %% [markdown]
# For small $\alpha$ the gap is $0.033 \alpha$: in proportion to the step. At $\alpha=3$ the exact gradient says *enter
# more* (+0.059), first order says *enter less* (-0.016). What it dropped is the whole reason to explore. **Limit:** we
# knew $J$. From here on, we pretend to know only sampled episodes.
#
# ## 3. Three surrogates: same first derivative, different second
# A **surrogate** (代理目标) is a function of sampled episodes whose derivative is a policy gradient. With return to go
# $G_t=\sum_{k\ge t}r_k$:
#
# $$
# \begin{aligned}
# \text{naive:}\quad & \textstyle\sum_t \log\pi(a_t|s_t)\,G_t\\
# \text{LVC:}\quad & \textstyle\sum_t \rho_t\,G_t,\qquad \rho_t=\pi(a_t|s_t)/\text{stop}[\pi(a_t|s_t)]\\
# \text{DiCE:}\quad & \textstyle\sum_t \big(\prod_{k\le t}\rho_k\big)\,r_t
# \end{aligned}
# $$
#
# `stop` makes a constant (`detach`), so every $\rho$ *is* 1, but it has derivatives: they say how much likelier other
# parameters would make this action. The LVC of
# [ProMP](https://arxiv.org/abs/1810.06784) ("low variance curvature") does so for each action alone,
# [DiCE](https://arxiv.org/abs/1802.05098) for the whole past of each reward.


# %%
def to_go(r):
    return r.flip(-1).cumsum(-1).flip(-1)


def naive(l, r):
    """l: log pi (B, trajectories, steps); r: reward. One number a trajectory."""
    return (l * to_go(r)).sum(-1)


def log_ratio(l, acted=None):
    """log rho: its value is 0, its derivatives are not. `acted` only in section 7."""
    return l - (l.detach() if acted is None else acted)


def lvc(l, r, acted=None):
    rho = log_ratio(l, acted).exp()
    return (rho * to_go(r)).sum(-1)


def dice(l, r, acted=None):
    past = log_ratio(l, acted).cumsum(-1).exp()  # the product of rho_k over k <= t
    return (past * r).sum(-1)


INNER = {"naive": naive, "LVC": lvc, "DiCE": dice}


# %% [markdown]
# Weigh each trajectory by its true probability and the sample is infinite: what remains is pure bias.
# **Predict:** which of the three has the right second derivative across $\theta_0$ and $\theta_1$?


# %%
def derivatives(f):
    """Of f at START: the gradient, and the Hessian's entries [0,0], [0,1], [1,1]."""
    x = START.clone().requires_grad_()
    g = grad(f(x), x, create_graph=True)
    h = torch.stack([grad(g[0, i], x, retain_graph=True)[0] for i in (0, 1)])
    return [*g[0].tolist(), h[0, 0].item(), h[0, 1].item(), h[1, 1].item()]


def expected(surrogate):
    """The surrogate's mean over all trajectories, as a function of theta."""
    return lambda x: chance * surrogate(log_prob(x, SHORT), SHORT.reward)


v = value(START, SHORT).item() * torch.tensor([1.0, 0.0])  # V(junction), V(fork)


def naive_less_v(l, r):
    return (l * (to_go(r) - v)).sum(-1)


rows = {"exact J": derivatives(lambda x: value(x, SHORT))}
for name, surrogate in {**INNER, "naive, less V": naive_less_v}.items():
    rows[name] = derivatives(expected(surrogate))
print_exact(rows, ["g0", "g1", "H00", "H01", "H11"])

# %% [markdown]
# The gradients agree: every ordinary policy-gradient test passes. The Hessians do not:
# - naive is $\mathbb E[\sum_t G_t\nabla^2\log\pi_t]$: it forgets that other parameters would have *drawn other
#   actions*. Subtract the exact baseline $V(s)$, and nothing is left: on average, naive MAML with a perfect baseline
#   *is* first-order MAML here;
# - LVC adds $\nabla\log\pi_t\nabla\log\pi_t^\top$, each action with itself: its diagonal is right here;
# - DiCE adds the cross terms $\nabla\log\pi_k\nabla\log\pi_t^\top$, $k\ne t$. Here that is H01: *entering the tunnel is
#   what lets the door be learned*.
#
# So much for the meta-gradient:


# %%
def adapt(theta, share, surrogate, alpha, m, second_order=True):
    """theta' of B batches; share (B, trajectories): what part each trajectory is."""
    s = share * surrogate(log_prob(theta, m), m.reward)
    return theta + alpha * grad(s, theta, create_graph=second_order)


def through(share, surrogate, alpha, m=SHORT, second_order=True):
    """The meta-gradient through the inner step, one for each batch: (B, 2)."""
    x = START.expand(len(share), 2).clone().requires_grad_()
    return grad(value(adapt(x, share, surrogate, alpha, m, second_order), m), x)


rows = {"exact": exact_expected(START, ALPHA).tolist()}
rows["first-order MAML"] = through(chance, naive, ALPHA, second_order=False)[0].tolist()
rows |= {name: through(chance, s, ALPHA)[0].tolist() for name, s in INNER.items()}
print_exact(rows, ["d/d theta_0", "d/d theta_1"])

# %% [markdown]
# Only DiCE tells this policy to explore. ProMP's authors drop the cross terms knowingly, for their variance (section
# 6). **Limit:** our two states share no parameter; a network's do, and how much LVC loses there is another matter.

# %% [markdown] tags=["document"]
# **What the document says, and what is true.** 004 (4.2): the gradient of the meta-policy (元策略) is computed
# "similarly to the policy gradient, but must consider the data of meta-training". It gives no formula. Treat those
# data as given, as in a policy gradient, and you have the naive row: the wrong sign. Considering them means
# *differentiating* them: they depend on $\phi$ too.

# %% [markdown]
# ## 4. Which objective? Two are confused
# Real batches are finite. With $\hat g_D$ the policy gradient estimated from a batch $D$ of $N$ episodes,
#
# $$
# \begin{aligned}
# J_\infty(\theta)&=J\big(\theta+\alpha\,\mathbb E_D[\hat g_D]\big) &&\text{a step on the expected return}\\
# J_N(\theta)&=\mathbb E_{D\sim\theta}\big[J(\theta+\alpha\,\hat g_D)\big] &&\text{a step on a finite batch}
# \end{aligned}
# $$
#
# Papers write either and call it "the" MAML objective; [ProMP](https://arxiv.org/abs/1810.06784) tells the two apart.
# $J_N$ is what really happens to the agent, and it depends on $N$.
#
# **Bias** (偏差) is the mean of an estimate over all batches, minus the truth; **variance** (方差) is its scatter from
# batch to batch. Usually one simulates both. But a batch is just *how many* of each trajectory it holds, so we can list
# all batches, with their probabilities, and be exact.


# %%
def log_chance(theta, counts, m):
    """log p of drawing each batch, a multinomial: counts (B, trajectories) -> (B,)."""
    return log_ways(counts) + (counts * log_prob(theta, m).sum(-1)).sum(-1)


def exact_finite(counts, alpha, m=SHORT):
    """Gradient of J_N (2,), chance of each batch (B,), mean return after adapting."""
    x = START.expand(len(counts), 2).clone().requires_grad_()
    after = value(adapt(x, counts / counts[0].sum(), naive, alpha, m), m)  # (B,)
    p = log_chance(x, counts, m).exp()
    return grad(p * after, x).sum(0), p.detach(), (p * after).sum().item()


four = batches(4, kinds=3)  # (B, 3): how many of each trajectory
total = exact_finite(four, ALPHA)[1].sum().item()
print(len(four), "batches of 4 episodes, total probability", round(total, 9))

# %% [markdown]
# ## 5. E-MAML: credit for the data themselves
# $\theta$ enters $J_N$ twice: through the *step*, with the data held fixed, and through *which* data are drawn. The
# product rule gives both:
#
# $$
# \nabla J_N=\mathbb E_D\Big[\underbrace{\big(I+\alpha\nabla\hat g_D\big)\nabla J(\theta')}_{\text{naive}}
# +\underbrace{\big(J(\theta')-b\big)\textstyle\sum_{n,t}\nabla\log\pi_\theta(a_{n,t}|s_{n,t})}_{\text{sampling term}}
# \Big]
# $$
#
# This is [E-MAML](https://arxiv.org/abs/1803.01118) (and [Al-Shedivat et al.](https://arxiv.org/abs/1710.03641),
# eq. 4): the *naive* inner term, which was wrong for $J_\infty$, is exactly right here. The baseline $b$ may be any
# number that does not depend on $D$; ours is the mean return after adapting (in practice: over other tasks).


# %%
def emaml(counts, alpha, b, m=SHORT):
    """E-MAML's meta-gradient of each batch, (B, 2)."""
    x = START.expand(len(counts), 2).clone().requires_grad_()
    after = value(adapt(x, counts / counts[0].sum(), naive, alpha, m), m)
    log_p = (counts * log_prob(x, m).sum(-1)).sum(-1)  # a sum over episodes, no mean
    return grad(after + (after.detach() - b) * log_p, x)


# %% [markdown]
# The next cell collects, for one batch size and one step size, both exact gradients, and the mean and the standard
# deviation of each estimator over all batches.


# %% tags=["hide-input"]
def estimates(counts, alpha, b, m=SHORT, inner=INNER):
    """Every estimator on every batch, {name: (B, 2)}; b is E-MAML's baseline."""
    share = counts / counts[0].sum()
    found = {"first-order MAML": through(share, naive, alpha, m, second_order=False)}
    found |= {name: through(share, s, alpha, m) for name, s in inner.items()}
    found["E-MAML"] = emaml(counts, alpha, b, m)
    found["E-MAML, b = 0"] = emaml(counts, alpha, 0.0, m)
    return found


def moments(n, alpha, m=SHORT, inner=INNER):
    """Exact gradients of J_infinity, J_N; mean and spread by estimator: (2,) each."""
    counts = batches(n, len(m.reward))
    target, p, b = exact_finite(counts, alpha, m)
    mean, spread = {}, {}
    for name, g in estimates(counts, alpha, b, m, inner).items():
        center = p @ g
        mean[name] = center.numpy()
        spread[name] = (p @ (g - center) ** 2).sqrt().numpy()
    return exact_expected(START, alpha, m).numpy(), target.numpy(), mean, spread


# %% [markdown]
# **Predict:** as $N$ grows, which rows approach which objective?

# %%
EPISODES = [1, 2, 4, 8, 16, 32, 64, 128]
table = {n: moments(n, ALPHA) for n in EPISODES}
rows = {
    "exact, J_infinity": [table[n][0][0] for n in EPISODES],  # by theta_0, as all below
    "exact, J_N": [table[n][1][0] for n in EPISODES],
}
rows |= {name: [table[n][2][name][0] for n in EPISODES] for name in table[1][2]}
print_exact(rows, [f"N={n}" for n in EPISODES])

# %% [markdown]
# - E-MAML equals $\nabla J_N$ in every column: **unbiased** (无偏) for $J_N$, at any $N$, with any $b$.
# - DiCE is biased at small $N$, against *both*: its Hessian and its $\theta'$ come from the same few episodes. The bias
#   vanishes as $N$ grows: it is **consistent** for $J_\infty$ (and the two objectives meet).
# - First order, naive and LVC converge too, to wrong numbers with the wrong sign. No amount of data repairs them.
#
# How are DiCE and E-MAML related? Watch the bias against $\nabla J_N$ as $\alpha$ shrinks.

# %%
SMALL = np.array([0.0625, 0.125, 0.25, 0.5, 1.0])
by_alpha = [moments(4, a) for a in SMALL]
bias = {
    name: np.array(
        [np.linalg.norm(mean[name] - target) for _, target, mean, _ in by_alpha]
    )
    for name in ("first-order MAML", "naive", "LVC", "DiCE", "E-MAML")
}
result("E-MAML's largest bias: rounding", bias.pop("E-MAML").max(), at_most=1e-12)
figure_with_alt(
    log_lines(
        SMALL,
        {"length of the bias against $J_4$": bias},
        "inner step size",
        {"slope 1": 1, "slope 2": 2},
    ),
    alt="Bias against inner step size, logarithmic: first-order MAML, naive and LVC "
    "rise with slope 1, DiCE with slope 2; E-MAML has none and is not drawn",
)
slopes = {name: np.log2(b[1:] / b[:-1]) for name, b in bias.items()}
print_exact(slopes, [f"up to {a:g}" for a in SMALL[1:]], digits=1)

# %% [markdown]
# The table gives the slopes: by how many powers of two the bias grows when $\alpha$ doubles. DiCE's error is of second
# order in $\alpha$: on average its extra terms are E-MAML's sampling term, *linearised*, with $J(\theta')-b$ replaced
# by $\alpha \hat g_D\cdot\nabla J$. **Limit:** a poor replacement for large steps on small batches.
#
# ## 6. The price: variance
# **Predict:** each batch has $N$ episodes. Which standard deviations fall as $N$ grows?

# %%
n = np.array(EPISODES)
bias = {
    name: np.array([table[k][2][name][0] - table[k][0][0] for k in EPISODES])
    for name in table[1][2]
}
spread = {name: np.array([table[k][3][name][0] for k in EPISODES]) for name in bias}
shown_bias = {name: b for name, b in bias.items() if name != "E-MAML, b = 0"}
figure_with_alt(
    log_lines(
        n,
        {
            r"size of the bias against $J_\infty$": shown_bias,
            "standard deviation of one batch": spread,
        },
        "episodes in a batch, N",
        {"slope -1/2": -0.5, "slope -1": -1},
    ),
    alt="Bias and standard deviation against episodes: DiCE falls in both, E-MAML "
    "without baseline grows in spread; its bias, that of E-MAML, is not drawn twice",
)
print_exact(
    {name: s[[0, 2, 4, 6, 7]] for name, s in spread.items()},
    [f"N={k}" for k in n[[0, 2, 4, 6, 7]]],
)

# %% [markdown]
# (The bias is the same for every $b$, so E-MAML's is drawn once.) First order, naive, LVC and DiCE fall like
# $1/\sqrt N$, DiCE from a higher start. E-MAML's sampling term is a *sum*
# over $N$ episodes, times one number: without baseline its noise **grows** like $\sqrt N$; with ours it stops at about
# 0.1, and more episodes never help. DiCE multiplies terms of one episode only; E-MAML also multiplies one episode's
# actions by what the *others* taught, products that average to zero. More *tasks* do help: all are averaged over tasks.
# **Limit:** our outer batch is infinite; a real one adds noise to every row, and to E-MAML twice, through $J(\theta')$
# too.

# %% [markdown]
# **Predict:** a meta-batch has 20 tasks with 16 episodes each. Whose root mean squared error is smallest?

# %%
tasks = 20
at_16 = EPISODES.index(16)
error = {
    name: np.sqrt(bias[name][at_16] ** 2 + spread[name][at_16] ** 2 / tasks)
    for name in bias
}
print_exact({"error": list(error.values())}, list(error))

# %% [markdown]
# DiCE's, which is 0.008; the gradient itself, $\nabla J_\infty$, is 0.059. The three low-variance estimators are off by
# more than that: here bias is what hurts.
#
# ### Move it yourself
# [Loaded DiCE](https://arxiv.org/abs/1909.10549) multiplies the cross terms between steps $k<t$ by $\lambda^{t-k}$:
# $\lambda=1$ is DiCE, $\lambda=0$ has LVC's curvature, and between them bias is traded for variance. Loaded DiCE comes
# from the package (`metarl_lab.ops.surrogates`), whose other surrogates give the meta-gradients of ours; the next cell
# computes every setting of the sliders.

# %%
LOADED = {**INNER, "loaded 0.5": per_trajectory(partial(package.dice, decay=0.5))}
NAMES = ["first-order MAML", *INNER, "E-MAML", "loaded 0.5"]


def compute_grid():
    return estimator_grid(partial(moments, inner=LOADED), NAMES)


grid = stored_or_run(SPEED, "06_estimators", compute_grid)
estimator_explorer(NAMES, HORIZONS, SIZES, ALPHAS, grid).show()

# %% [markdown]
# Try: $\alpha\to0.5$ (all agree); 16 episodes against 1; then a longer tunnel with *a step on this many episodes*: what
# is right for $J_\infty$ need not be right for $J_N$.

# %%
quiz("06.a")

# %% [markdown]
# ## 7. ProMP: several steps on one batch
# Episodes are dear; could one batch serve several gradient steps? After the first step the data are *old*: the policy
# that acted is no longer the policy. [ProMP](https://arxiv.org/abs/1810.06784) puts ratios
# $\rho=\pi_\theta/\pi_\text{acted}$ into the inner LVC and into the outer objective, where it clips them as
# [PPO](https://arxiv.org/abs/1707.06347) does (to within $1\pm\epsilon$), and penalises the KL divergence by which the
# policy before adapting has moved: the mean of $\log\pi_\text{acted}-\log\pi_\theta$ over the episodes that the
# acting policy draws, 0 where nothing has moved. With $A$ the advantage after adapting and $\rho'$ its ratio:
#
# $$
# \max_\theta\;\mathbb E\big[\min(\rho' A,\;\text{clip}(\rho',1-\epsilon,1+\epsilon)A)\big]
# -\eta\,\text{KL}(\pi_\text{acted}\,\|\,\pi_\theta)
# $$
#
# **Predict:** what does the clip change in the *first* step? And in the thirtieth?

# %%
BOTH = SHORT._replace(reward=torch.stack([mirrored(SHORT).reward, SHORT.reward]))


class Batch(NamedTuple):
    """Drawn once, used in every gradient step; both worlds of each seed."""

    acted: torch.Tensor  # log pi before adapting (seeds, worlds, trajectories, steps)
    pre: torch.Tensor  # share of each trajectory in that batch (seeds, worlds, ...)
    acted_after: torch.Tensor  # the same two after adapting
    post: torch.Tensor
    advantage: torch.Tensor  # after adapting, less the batch's mean return


def draw(log_pi, episodes, rng):
    """Share of each trajectory among so many episodes."""
    probability = log_pi.sum(-1).exp().numpy()
    return torch.tensor(rng.multinomial(episodes, probability)) / episodes


def inner_step(theta, pre, surrogate, acted):
    """theta' in both worlds, (seeds, worlds, 2), with rho = pi_theta / pi_acted."""
    both = theta[:, None].expand(-1, 2, -1)
    return adapt(both, pre, partial(surrogate, acted=acted), ALPHA, BOTH)


def act(theta, surrogate, episodes, rng):
    """Episodes before and after adapting."""
    acted = log_prob(theta, BOTH).detach()[:, None].expand(-1, 2, -1, -1)
    pre = draw(acted, episodes, rng)
    acted_after = log_prob(inner_step(theta, pre, surrogate, acted), BOTH).detach()
    post = draw(acted_after, episodes, rng)
    mean_return = (post * BOTH.reward.sum(-1)).sum(-1)
    advantage = to_go(BOTH.reward) - mean_return[..., None, None]
    return Batch(acted, pre, acted_after, post, advantage)


# %%
def clipped_objective(theta, batch, surrogate, clip):
    """E[min(rho' A, clip(rho') A)], mean over both worlds: (seeds,)."""
    after = inner_step(theta, batch.pre, surrogate, batch.acted)
    ratio = (log_prob(after, BOTH) - batch.acted_after).exp()  # rho'
    held = ratio.clamp(1 - clip, 1 + clip)
    gain = torch.minimum(ratio * batch.advantage, held * batch.advantage) * BOTH.live
    return (batch.post * gain.sum(-1)).sum((1, 2)) / 2


def divergence(theta, batch):
    """KL(pi_acted || pi_theta) of the policy before adapting: (seeds,)."""
    apart = (batch.acted - log_prob(theta, BOTH)[:, None]).sum(-1)
    return (batch.acted.sum(-1).exp() * apart).sum(-1).mean(1)


def truth(theta):
    """The exact J_infinity of each seed's parameters, mean over both worlds."""
    x = theta.detach()[:, None].repeat(1, 2, 1).requires_grad_()
    return value(x + ALPHA * grad(value(x, BOTH), x), BOTH).mean(1).detach()


def promp(surrogate, clip=np.inf, eta=0.0, episodes=5, seeds=400, steps=30):
    """Promised and true objective after each step: (steps + 1, 2, seeds)."""
    theta = START.expand(seeds, 2).clone().requires_grad_()
    batch = act(theta, surrogate, episodes, np.random.default_rng(0))
    history = []
    for _ in range(steps + 1):
        promise = clipped_objective(theta, batch, surrogate, clip)
        history.append(torch.stack([promise.detach(), truth(theta)]))
        step = grad(promise - eta * divergence(theta, batch), theta)
        theta = (theta + step).detach().requires_grad_()
    return torch.stack(history)


# %%
variants = {
    "LVC, no clip": (lvc,),
    "LVC, clip 0.3": (lvc, 0.3),
    "DiCE, no clip": (dice,),
    "DiCE, clip 0.3": (dice, 0.3),
    "DiCE, clip 0.3, KL": (dice, 0.3, 1.0),
}
runs = {name: promp(*how) for name, how in variants.items()}
gains = {name: (run - run[0]).numpy() for name, run in runs.items()}
promised = {name: mean_interval(g[:, 0].T) for name, g in gains.items()}
true = {name: mean_interval(g[:, 1].T) for name, g in gains.items()}
figure_with_alt(
    promises(promised, true),
    alt="Promised and true gain against gradient steps on one batch: on one scale the "
    "true gains are small beside the promises; magnified, they fall below zero for LVC",
)

# %%
after = pd.DataFrame(
    {
        "promised, step 1": {name: p[0][1] for name, p in promised.items()},
        "promised, step 30": {name: p[0][-1] for name, p in promised.items()},
        "true, step 30": {name: t[0][-1] for name, t in true.items()},
        "+-": {name: t[2][-1] - t[0][-1] for name, t in true.items()},
        "share worse": {name: (g[-1, 1] < 0).mean() for name, g in gains.items()},
    }
)
show_table(after, "Gain in points, mean over 400 batches, and the share made worse", 3)
claim(
    "the promise is more than three times the truth",
    after,
    "`promised, step 30` > 3 * `true, step 30`",
)
true_gain, promise, worse = (
    after[name] for name in ("true, step 30", "promised, step 30", "share worse")
)
first = runs["LVC, no clip"][1] - runs["LVC, clip 0.3"][1]
result("first step: difference that the clip makes", first.abs().max(), at_most=1e-12)
result("LVC, no clip: promise", promise["LVC, no clip"], at_least=0.1)
result("LVC, no clip: truth", true_gain["LVC, no clip"], at_most=-0.01)
result("LVC, clip: truth", true_gain["LVC, clip 0.3"], at_least=-0.02, at_most=-0.003)
result("DiCE, clip: truth", true_gain["DiCE, clip 0.3"], at_least=0.003)
ratio = promise["DiCE, no clip"] / true_gain["DiCE, no clip"]
result("DiCE, no clip: promise over truth", ratio, at_least=4)
ratio = worse["DiCE, clip 0.3"] / worse["DiCE, no clip"]
result("DiCE: batches made worse, clip over no clip", ratio, at_most=0.9)
pairs = pd.DataFrame(
    {
        inner: {
            "promise with clip": promise[f"{inner}, clip 0.3"],
            "promise without": promise[f"{inner}, no clip"],
            "worse with clip": worse[f"{inner}, clip 0.3"],
            "worse without": worse[f"{inner}, no clip"],
        }
        for inner in ("LVC", "DiCE")
    }
).T
claim("the clip cuts the promise", pairs, "`promise with clip` < `promise without`")
claim("and fewer batches end worse", pairs, "`worse with clip` < `worse without`")
ratio = true_gain["DiCE, clip 0.3, KL"] / true_gain["DiCE, clip 0.3"]
result("DiCE, clip: truth with KL over truth without", ratio, at_most=0.8)

# %% [markdown]
# In the first step every ratio is 1 and nothing is clipped: ProMP's gradient *is* the LVC meta-gradient. Thirty steps
# on 5 episodes a world promise several times what comes true: the policy fits the sample. The clip cuts the promise,
# and fewer batches end worse than they began; KL keeps the policy closer still, and gains less. Neither repairs a
# direction: with LVC, this maze gets worse either way. **Limit:** one maze, plain gradient steps; "true" is $J_\infty$,
# means are over 400 batches. On MuJoCo tasks, ProMP's authors report better sample efficiency than MAML's.
#
# ## Break it
# [learn2learn's `maml_dice.py`](https://github.com/learnables/learn2learn/blob/0dbd577aa5792a682034cbefed9961c3f705e8bd/examples/rl/maml_dice.py)
# forms DiCE's running sums over all steps of all episodes, laid end to end. Below, in our words, is its rule. With
# exact advantages, $\sum_t\exp(\text{running}_t) A_t$ should have the derivatives of $J$. **Diagnose** it from the
# table: N is the number of episodes.


# %%
def running_sums(log_pi, first, episodes):
    """log_pi (M,): every step of the batch; first (M,): begins it an episode?"""
    carry = torch.where(first, 0.0, 1.0)
    carry[0] = 1.0
    carry = carry / episodes
    total = []
    for i in range(len(log_pi)):
        before = total[i - 1] if i else log_pi[i - 1]
        total.append(log_pi[i] + carry[i] * before)
    return torch.stack(total)


# %% [markdown]
# The next cell lays every ordered batch of N episodes end to end, forms the surrogate with these sums, and takes the
# mean over batches.


# %% tags=["hide-input"]
def batch_surrogate(x, batch):
    """The surrogate of one batch, a tuple of trajectories, at parameters x (1, 2)."""
    rows = [(i, t) for i in batch for t in range(int(SHORT.live[i].sum()))]
    i, t = torch.tensor(rows).T
    run = running_sums(log_prob(x, SHORT)[0, i, t], t == 0, len(batch))
    advantage = (to_go(SHORT.reward) - v)[i, t]
    return ((run - run.detach()).exp() * advantage).sum() / len(batch)


def mean_surrogate(x, n):
    """Mean over all 3^n ordered batches, by their probabilities."""
    total = 0.0
    for batch in product(range(3), repeat=n):
        total = total + chance[0, list(batch)].prod() * batch_surrogate(x, batch)
    return total


rows = {"exact J": derivatives(lambda x: value(x, SHORT))}
for n in (1, 2, 4):
    rows[f"N={n}"] = derivatives(partial(mean_surrogate, n=n))
print_exact(rows, ["g0", "g1", "H00", "H01", "H11"])

# %%
quiz("06.b")

# %%
quiz("06.c")

# %% [markdown]
# ## Exercises
# **06.1** The DiCE surrogate (section 3), a mean over episodes. Your answer's first and second derivatives are checked.


# %%
def dice_surrogate(log_pi, reward): ...


check("06.1", dice_surrogate)

# %%
hint("06.1")

# %% [markdown]
# **06.2** E-MAML's sampling term (section 5), as a number whose *derivative* is that term, and only that.


# %%
def sampling_term(log_pi, after, baseline): ...


check("06.2", sampling_term)

# %% [markdown]
# **06.3** ProMP's clipped outer objective (section 7). Its value and its derivative are checked.


# %%
def promp_gain(log_pi, log_acted, advantage, clip): ...


check("06.3", promp_gain)

# %% [markdown]
# **06.4** Repair *Break it*: the running sums of DiCE, when all episodes of a batch lie end to end.


# %%
def sums(log_pi, first): ...


check("06.4", sums)

# %%
solution("06.4")

# %% [markdown]
# **06.5** The whole estimator: E-MAML's meta-gradient from one batch, with the term that you wrote in 06.2.


# %%
def emaml_gradient(theta, log_prob, reward, value, alpha, baseline): ...


check("06.5", emaml_gradient)

# %% [markdown]
# ## Summary
# | estimator | what it leaves out | right for | noise of one batch |
# |---|---|---|---|
# | first order | $\alpha\nabla^2J$ | small $\alpha$ | $1/\sqrt N$ |
# | naive | that data depend on $\theta$ | small $\alpha$; $J_N$ with E-MAML's term | $1/\sqrt N$ |
# | LVC, ProMP | cross terms between steps | small $\alpha$, one-step episodes | $1/\sqrt N$ |
# | DiCE | nothing, as $N\to\infty$ | $J_\infty$ (consistent) | $1/\sqrt N$, larger |
# | E-MAML | nothing | $J_N$ (unbiased) | does not fall with $N$ |
#
# Rates are as measured here, with an infinite outer batch. Ask of any meta-gradient: *of which objective?* In the
# package the choice is one word: `ml.make_learner("maml", family, surrogate="dice")`, or `"emaml"`, or `"promp"` (which
# also clips the inner ratio and tunes $\eta$ to a target KL).
#
# ## What to read
# - Foerster et al. 2018, [DiCE](https://arxiv.org/abs/1802.05098); Farquhar et al. 2019,
#   [Loaded DiCE](https://arxiv.org/abs/1909.10549).
# - Stadie et al. 2018, [E-MAML](https://arxiv.org/abs/1803.01118); Al-Shedivat et al. 2018,
#   [continuous adaptation](https://arxiv.org/abs/1710.03641).
# - Rothfuss et al. 2019, [ProMP](https://arxiv.org/abs/1810.06784): the two formulations, and LVC.
# - Liu et al. 2019, [Taming MAML](https://proceedings.mlr.press/v97/liu19g.html) (control variates for DiCE); Fallah et
#   al. 2021, [a debiased MAML](https://arxiv.org/abs/2002.05135) with its rate of convergence; Vuorio et al. 2022,
#   [bias and variance of meta-gradients](https://arxiv.org/abs/2209.11303) over long inner loops.
# - In this repository: `tests/learners/test_meta_gradient.py`, the same proof for the package's learners.
#
# ## What comes next
# Chapter 07 asks how little compute and data will do.
