# %% [markdown]
# # 06 The meta-gradient done right: bias, variance, DiCE, LVC, E-MAML, ProMP
#
# **Reading time:** 45 min. **Run time:** 20 s.
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
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import logsigmoid
from tqdm import tqdm

from metarl_lab.ops import surrogates as package
from metarl_lab.teach.figures import figure_with_alt
from metarl_lab.chapters.ch06_the_meta_gradient.figures import log_lines, promises
from metarl_lab.teach import announce, check, hint, quiz, solution, speed, stored_or_run, verdict
from metarl_lab.chapters.ch06_the_meta_gradient.widget import estimator_explorer

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
SPEED = speed()
announce(SPEED, {"peek": 8, "quick": 20, "full": 20})


def show(rows, columns, digits=3):  # + 0.0: no minus zero
    print((pd.DataFrame(rows, index=columns).T.astype(float).round(digits) + 0.0).to_string())


# %% [markdown]
# ## 1. A maze in which everything can be counted
# Chapter 03's two-door maze: take a snack (0.5 points), or enter the tunnel, where one door pays +1 and the other -1.
# $\theta_0$ is the preference for the tunnel, $\theta_1$ for the right door; a preference $x$ means probability
# $1/(1+e^{-x})$. Worlds L and R are mirror images: at $\theta_1=0$ the meta-gradient's first component, by $\theta_0$,
# is the same in both (checked below), so world R will do. A longer tunnel has a snack at every junction.
#
# There are only three **trajectories** (轨迹): snack; tunnel and left; tunnel and right. We list them, one per row.


# %%
class Maze(NamedTuple):  # all (trajectories, steps)
    which: torch.Tensor  # the parameter that decides
    sign: torch.Tensor  # +1: on, or right; -1: snack, or left
    live: torch.Tensor  # 0 after the episode's end
    reward: torch.Tensor


def maze(steps=2):
    shape = (steps + 1, steps)
    m = Maze(torch.zeros(shape, dtype=int), torch.ones(shape), torch.ones(shape), torch.zeros(shape))
    m.which[:, -1] = 1
    for k in range(steps - 1):  # trajectory k takes the snack at junction k
        m.sign[k, k], m.reward[k, k], m.live[k, k + 1 :] = -1, 0.5, 0
    m.sign[-2, -1], m.reward[-2, -1], m.reward[-1, -1] = -1, -1, 1  # the last two meet the doors
    return m


# %%
def log_prob(theta, m):  # (..., 2) -> log pi of each action: (..., trajectories, steps)
    return logsigmoid(m.sign * theta[..., m.which]) * m.live


def value(theta, m):  # J, exact: (B,)
    return (log_prob(theta, m).sum(-1).exp() * m.reward.sum(-1)).sum(-1)


SHORT, START, ALPHA = maze(), torch.tensor([[0.5, 0.0]]), 3.0
chance = log_prob(START, SHORT).sum(-1).exp()  # of each trajectory: (1, 3)
show({"probability": chance[0], "return": SHORT.reward.sum(-1)}, ["snack", "left", "right"])
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
    x = theta.clone().requires_grad_()
    return grad(value(x + alpha * grad(value(x, m), x, create_graph=second_order), m), x)[0]


rows = {}
for alpha in (0.025, 0.05, 0.1, 1.0, 3.0):
    exact, first = (exact_expected(START, alpha, second_order=order)[0].item() for order in (True, False))
    rows[f"alpha {alpha}"] = exact, first, exact - first, (exact - first) / alpha
show(rows, ["exact d/d theta_0", "first order", "gap", "gap / alpha"])
mirror = SHORT._replace(reward=SHORT.reward * torch.tensor([1.0, -1.0]))  # world L
here, there = exact_expected(START, ALPHA), exact_expected(START, ALPHA, mirror)
print("the same in world L:", torch.isclose(here[0], there[0]).item())

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


def naive(l, r):  # l: log pi (B, trajectories, steps)
    return (l * to_go(r)).sum(-1)


def log_ratio(l, acted=None):  # 0, with derivatives; `acted` only in section 7
    return l - (l.detach() if acted is None else acted)


def lvc(l, r, acted=None):
    return (log_ratio(l, acted).exp() * to_go(r)).sum(-1)


def dice(l, r, acted=None):
    return (log_ratio(l, acted).cumsum(-1).exp() * r).sum(-1)


INNER = {"naive": naive, "LVC": lvc, "DiCE": dice}


# %% [markdown]
# Weigh each trajectory by its true probability and the sample is infinite: what remains is pure bias.
# **Predict:** which of the three has the right second derivative across $\theta_0$ and $\theta_1$?


# %%
def derivatives(f):  # gradient, and the Hessian's entries [0,0], [0,1], [1,1]
    x = START.clone().requires_grad_()
    g = grad(f(x), x, create_graph=True)
    h = torch.stack([grad(g[0, i], x, retain_graph=True)[0] for i in (0, 1)])
    return [*g[0].tolist(), h[0, 0].item(), h[0, 1].item(), h[1, 1].item()]


v = value(START, SHORT).item() * torch.tensor([1.0, 0.0])  # V(junction), V(fork)
rows = {"exact J": derivatives(lambda x: value(x, SHORT))}
for name, s in {**INNER, "naive, less V": lambda l, r: (l * (to_go(r) - v)).sum(-1)}.items():
    rows[name] = derivatives(lambda x, s=s: chance * s(log_prob(x, SHORT), SHORT.reward))
show(rows, ["g0", "g1", "H00", "H01", "H11"])

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
    """share (B, trajectories): what part of each of B batches every trajectory is."""
    s = share * surrogate(log_prob(theta, m), m.reward)
    return theta + alpha * grad(s, theta, create_graph=second_order)


def through(share, surrogate, alpha, m=SHORT, second_order=True):  # (B, 2)
    x = START.expand(len(share), 2).clone().requires_grad_()
    return grad(value(adapt(x, share, surrogate, alpha, m, second_order), m), x)


rows = {"exact": exact_expected(START, ALPHA).tolist()}
rows |= {"first order": through(chance, naive, ALPHA, second_order=False)[0].tolist()}
rows |= {n: through(chance, s, ALPHA)[0].tolist() for n, s in INNER.items()}
show(rows, ["d/d theta_0", "d/d theta_1"])

# %% [markdown]
# Only DiCE tells this policy to explore. ProMP's authors drop the cross terms knowingly, for their variance (section
# 6). **Limit:** our two states share no parameter; a network's do, and how much LVC loses there is another matter.
#
# > **What the document says, and what is true.** 004 (4.2): the gradient of the meta-policy (元策略) is computed
# > "similarly to the policy gradient, but must consider the data of meta-training". It gives no formula. Treat those
# > data as given, as in a policy gradient, and you have the naive row: the wrong sign. Considering them means
# > *differentiating* them: they depend on $\phi$ too.
#
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
def batches(n, m):
    """Every batch of n episodes, as counts (B, trajectories)."""
    kinds = len(m.reward)
    bars = np.array(list(combinations(range(n + kinds - 1), kinds - 1)))
    bars = np.pad(bars, ((0, 0), (1, 1)), constant_values=((0, 0), (-1, n + kinds - 1)))
    return torch.tensor(np.diff(bars, axis=1) - 1.0)


def log_chance(theta, counts, m):  # of each batch (multinomial): (B,)
    ways = torch.lgamma(counts.sum(-1) + 1) - torch.lgamma(counts + 1).sum(-1)
    return ways + (counts * log_prob(theta, m).sum(-1)).sum(-1)


def exact_finite(counts, alpha, m=SHORT):
    """Gradient of J_N (2,), chance of each batch (B,), mean return after adapting."""
    x = START.expand(len(counts), 2).clone().requires_grad_()
    after = value(adapt(x, counts / counts[0].sum(), naive, alpha, m), m)
    p = log_chance(x, counts, m).exp()
    return grad(p * after, x).sum(0), p.detach(), (p * after).sum().item()


four = batches(4, SHORT)
print(len(four), "batches of 4 episodes, total probability", round(exact_finite(four, ALPHA)[1].sum().item(), 9))

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
    x = START.expand(len(counts), 2).clone().requires_grad_()
    after = value(adapt(x, counts / counts[0].sum(), naive, alpha, m), m)
    sampling = (counts * log_prob(x, m).sum(-1)).sum(-1)  # a sum over the episodes, not a mean
    return grad(after + (after.detach() - b) * sampling, x)


def estimates(counts, alpha, b, m=SHORT, inner=INNER):  # {estimator: (B, 2)}
    share = counts / counts[0].sum()
    found = {"first order": through(share, naive, alpha, m, second_order=False)}
    found |= {n: through(share, s, alpha, m) for n, s in inner.items()}
    return found | {"E-MAML": emaml(counts, alpha, b, m), "E-MAML, b = 0": emaml(counts, alpha, 0.0, m)}


def moments(n, alpha, m=SHORT, inner=INNER):
    """Both exact gradients, mean and standard deviation of each estimator: (2,) each."""
    counts = batches(n, m)
    target, p, b = exact_finite(counts, alpha, m)
    found = estimates(counts, alpha, b, m, inner)
    mean = {name: p @ g for name, g in found.items()}
    spread = {name: (p @ (g - mean[name]) ** 2).sqrt().numpy() for name, g in found.items()}
    mean = {name: g.numpy() for name, g in mean.items()}
    return exact_expected(START, alpha, m).numpy(), target.numpy(), mean, spread


# %% [markdown]
# **Predict:** as $N$ grows, which rows approach which objective?

# %%
SIZES = [1, 2, 4, 8, 16, 32, 64, 128]
table = {n: moments(n, ALPHA) for n in SIZES}
rows = {"exact, J_infinity": [table[n][0][0] for n in SIZES], "exact, J_N": [table[n][1][0] for n in SIZES]}
rows |= {name: [table[n][2][name][0] for n in SIZES] for name in table[1][2]}  # theta_0's component
show(rows, [f"N={n}" for n in SIZES])

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
kept = ("first order", "naive", "LVC", "DiCE", "E-MAML")
bias = {name: np.array([np.linalg.norm(mean[name] - target) for _, target, mean, _ in by_alpha]) for name in kept}
figure_with_alt(
    log_lines(SMALL, {"length of the bias against $J_4$": bias}, "inner step size", {"slope 1": 1, "slope 2": 2}),
    alt="Bias against inner step size, logarithmic: first order, naive and LVC rise with slope 1, DiCE with slope 2",
)
show({name: np.log2(b[1:] / b[:-1]) for name, b in bias.items() if name != "E-MAML"}, SMALL[1:], digits=1)
print("E-MAML's largest bias is rounding:", bias["E-MAML"].max() < 1e-12)

# %% [markdown]
# The table gives the slopes. DiCE's error is of second order in $\alpha$: on average its extra terms are E-MAML's
# sampling term, *linearised*, with $J(\theta')-b$ replaced by $\alpha \hat g_D\cdot\nabla J$. **Limit:** a poor
# replacement for large steps on small batches.
#
# ## 6. The price: variance
# **Predict:** each batch has $N$ episodes. Which standard deviations fall as $N$ grows?

# %%
n = np.array(SIZES)
bias = {name: np.array([table[k][2][name][0] - table[k][0][0] for k in SIZES]) for name in table[1][2]}
spread = {name: np.array([table[k][3][name][0] for k in SIZES]) for name in table[1][3]}
panels = {r"size of the bias against $J_\infty$": bias, "standard deviation of one batch": spread}
figure_with_alt(
    log_lines(n, panels, "episodes in a batch, N", {"slope -1/2": -0.5, "slope -1": -1}),
    alt="Bias and standard deviation against episodes: DiCE falls in both, E-MAML without baseline grows in spread",
)
show({name: s[[0, 2, 4, 6, 7]] for name, s in spread.items()}, [f"N={k}" for k in n[[0, 2, 4, 6, 7]]])

# %% [markdown]
# First order, naive, LVC and DiCE fall like $1/\sqrt N$, DiCE from a higher start. E-MAML's sampling term is a *sum*
# over $N$ episodes, times one number: without baseline its noise **grows** like $\sqrt N$; with ours it stops at about
# 0.1, and more episodes never help. DiCE multiplies terms of one episode only; E-MAML also multiplies one episode's
# actions by what the *others* taught, products that average to zero. More *tasks* do help: all are averaged over tasks.
# **Limit:** our outer batch is infinite; a real one adds noise to every row, and to E-MAML twice, through $J(\theta')$
# too.

# %% [markdown]
# **Predict:** a meta-batch has 20 tasks with 16 episodes each. Whose root mean squared error is smallest?

# %%
tasks = 20
error = {name: np.sqrt(bias[name][4] ** 2 + spread[name][4] ** 2 / tasks) for name in bias}
show({"error": list(error.values())}, list(error))

# %% [markdown]
# Against $\nabla J_\infty=0.059$: DiCE's, 0.008. The three low-variance estimators are off by more than the gradient
# itself: here bias is what hurts.
#
# ### Move it yourself
# [Loaded DiCE](https://arxiv.org/abs/1909.10549) multiplies the cross terms between steps $k<t$ by $\lambda^{t-k}$:
# $\lambda=1$ is DiCE, $\lambda=0$ has LVC's curvature, and between them bias is traded for variance. First a check that
# the package's surrogates (`metarl_lab.ops.surrogates`) give the meta-gradients of ours.


# %%
def packaged(surrogate):  # the package sums over the trajectories of a task: give it one at a time
    def per_trajectory(l, r):
        one = l.flatten(0, -2).unsqueeze(1)
        return surrogate(one, to_go(r).expand_as(l).reshape_as(one), torch.ones_like(one), None).view(l.shape[:-1])

    return per_trajectory


share = batches(4, SHORT) / 4
for (name, ours), shipped in zip(INNER.items(), (package.naive, package.lvc, package.dice), strict=True):
    same = torch.allclose(through(share, packaged(shipped), ALPHA), through(share, ours, ALPHA))
    print(f"{name}: the package's meta-gradient is ours: {same}")

# %%
HORIZONS, BATCHES, ALPHAS = [2, 3, 4], [1, 2, 4, 8, 16], np.arange(0.5, 5.1, 0.5)
LOADED = {**INNER, "loaded 0.5": packaged(partial(package.dice, decay=0.5))}
NAMES = ["first order", *INNER, "E-MAML", "loaded 0.5"]


def compute_grid():
    shape = (len(HORIZONS), len(BATCHES), len(ALPHAS))
    grid = {key: np.zeros((*shape, len(NAMES))) for key in ("mean", "spread")}
    grid |= {"expected": np.zeros((shape[0], shape[2])), "finite": np.zeros(shape)}
    for h, n, a in tqdm(list(product(*map(range, shape))), leave=False):
        found = moments(BATCHES[n], ALPHAS[a], maze(HORIZONS[h]), LOADED)
        grid["expected"][h, a], grid["finite"][h, n, a] = found[0][0], found[1][0]
        for key, numbers in zip(("mean", "spread"), found[2:], strict=True):
            grid[key][h, n, a] = [numbers[name][0] for name in NAMES]
    return grid


grid = stored_or_run(SPEED, "06_estimators", compute_grid)

# %%
estimator_explorer(NAMES, HORIZONS, BATCHES, ALPHAS.tolist(), grid).show()

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
# policy before adapting has moved. With $A$ the advantage after adapting and $\rho'$ its ratio:
#
# $$
# \max_\theta\;\mathbb E\big[\min(\rho' A,\;\text{clip}(\rho',1-\epsilon,1+\epsilon)A)\big]
# -\eta\,\text{KL}(\pi_\text{acted}\,\|\,\pi_\theta)
# $$
#
# **Predict:** what does the clip change in the *first* step? And in the thirtieth?

# %%
BOTH = SHORT._replace(reward=torch.stack([mirror.reward, SHORT.reward]))  # worlds L and R


def promp(inner, clip, eta=0.0, episodes=5, seeds=400, steps=30):
    rng = np.random.default_rng(0)

    def draw(l):
        return torch.tensor(rng.multinomial(episodes, l.sum(-1).exp().numpy())) / episodes

    def step(x, pre):
        return adapt(x[:, None].expand(-1, 2, -1), pre, partial(inner, acted=acted), ALPHA, BOTH)

    theta = START.expand(seeds, 2).clone().requires_grad_()
    acted = log_prob(theta, BOTH).detach()[:, None].expand(-1, 2, -1, -1)  # (seeds, worlds, ...)
    pre = draw(acted)  # drawn once, used in every step
    acted_after = log_prob(step(theta, pre), BOTH).detach()
    post = draw(acted_after)
    advantage = to_go(BOTH.reward) - (post * BOTH.reward.sum(-1)).sum(-1)[..., None, None]
    curve = []
    for _ in range(steps + 1):
        ratio = (log_prob(step(theta, pre), BOTH) - acted_after).exp()
        gain = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage) * BOTH.live
        kl = (acted.sum(-1).exp() * (acted - log_prob(theta, BOTH)[:, None]).sum(-1)).sum(-1).mean(1)
        promise = (post * gain.sum(-1)).sum((1, 2)) / 2
        curve.append((promise.detach(), truth(theta)))
        theta = (theta + grad(promise - eta * kl, theta)).detach().requires_grad_()
    return torch.stack([torch.stack(pair) for pair in curve])  # (steps + 1, promised or true, seeds)


def truth(theta):  # the exact J_infinity of each seed's parameters, mean over both worlds
    x = theta.detach()[:, None].repeat(1, 2, 1).requires_grad_()
    return value(x + ALPHA * grad(value(x, BOTH), x), BOTH).mean(1).detach()


# %%
variants = {"LVC, no clip": (lvc, np.inf), "LVC, clip 0.3": (lvc, 0.3), "DiCE, no clip": (dice, np.inf)}
variants |= {"DiCE, clip 0.3": (dice, 0.3), "DiCE, clip, KL": (dice, 0.3, 1.0)}
runs = {name: promp(*how) for name, how in variants.items()}
gain = {name: (run - run[0]).mean(-1).T for name, run in runs.items()}  # (promised or true, steps + 1)
figure_with_alt(
    promises({k: g[0] for k, g in gain.items()}, {k: g[1] for k, g in gain.items()}),
    alt="Promised and true gain against gradient steps on one batch: promises rise for all, truth falls for LVC",
)

# %% tags=["nbval-ignore-output", "raw"]
worse = {name: (run[-1, 1] < run[0, 1]).double().mean().item() for name, run in runs.items()}
half = {name: 1.96 * (run[-1, 1] - run[0, 1]).std().item() / 20 for name, run in runs.items()}  # 95%, 400 batches
rows = {k: [g[0, 1], g[0, -1], g[1, -1], half[k], worse[k]] for k, g in gain.items()}
show(rows, ["promised, step 1", "promised, step 30", "true, step 30", "+-", "batches made worse"])

# %%
same = torch.allclose(runs["LVC, no clip"][1], runs["LVC, clip 0.3"][1])
print("the first step is the same with and without the clip:", same)
verdict("LVC without clip: promised gain after 30 steps", gain["LVC, no clip"][0, -1], at_least=0.1)
verdict("LVC without clip: true gain", gain["LVC, no clip"][1, -1], at_most=-0.01)
verdict("LVC with clip: true gain", gain["LVC, clip 0.3"][1, -1], at_least=-0.02, at_most=-0.003)
verdict("DiCE with clip: true gain", gain["DiCE, clip 0.3"][1, -1], at_least=0.003)
verdict(
    "promise over truth, DiCE without clip", gain["DiCE, no clip"][0, -1] / gain["DiCE, no clip"][1, -1], at_least=4
)
ratio = worse["DiCE, clip 0.3"] / worse["DiCE, no clip"]
verdict("batches made worse with DiCE: clip over no clip", ratio, at_most=0.9)

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
    """log_pi (M,): every step of the batch; first (M,): is this the first step of an episode?"""
    carry = torch.where(first, 0.0, 1.0)
    carry[0] = 1.0
    carry = carry / episodes
    total = []
    for i in range(len(log_pi)):
        before = total[i - 1] if i else log_pi[i - 1]
        total.append(log_pi[i] + carry[i] * before)
    return torch.stack(total)


def batch_surrogate(x, batch):
    rows = [(i, t) for i in batch for t in range(int(SHORT.live[i].sum()))]
    i, t = torch.tensor(rows).T
    run = running_sums(log_prob(x, SHORT)[0, i, t], t == 0, len(batch))
    return ((run - run.detach()).exp() * (to_go(SHORT.reward) - v)[i, t]).sum() / len(batch)


rows = {"exact J": derivatives(lambda x: value(x, SHORT))}
for n in (1, 2, 4):  # the mean over all 3^n ordered batches
    whole = list(product(range(3), repeat=n))
    rows[f"N={n}"] = derivatives(lambda x, w=whole: sum(chance[0, list(b)].prod() * batch_surrogate(x, b) for b in w))
show(rows, ["g0", "g1", "H00", "H01", "H11"])

# %%
quiz("06.b")

# %%
quiz("06.c")

# %% [markdown]
# ## Exercises
# **06.1** `dice_surrogate(log_pi, reward)`: tensors (N, H), N episodes of H steps; return the DiCE surrogate, a mean
# over episodes.


# %%
def dice_surrogate(log_pi, reward): ...


check("06.1", dice_surrogate)

# %%
hint("06.1")

# %% [markdown]
# **06.2** `sampling_term(log_pi, after, baseline)`: log_pi (N, H) of the pre-adaptation batch, `after` a scalar tensor
# $J(\theta')$ that depends on $\theta$ too; return the scalar whose derivative is E-MAML's sampling term, only that.


# %%
def sampling_term(log_pi, after, baseline): ...


check("06.2", sampling_term)

# %% [markdown]
# **06.3** `promp_gain(log_pi, log_acted, advantage, clip)`: tensors (N, H); return ProMP's clipped outer objective, the
# mean over all steps.


# %%
def promp_gain(log_pi, log_acted, advantage, clip): ...


check("06.3", promp_gain)

# %% [markdown]
# **06.4** Repair *Break it*: `sums(log_pi, first)` for (M,) and (M,) booleans.


# %%
def sums(log_pi, first): ...


check("06.4", sums)

# %%
solution("06.4")

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
# - In this repository: `tests/learners/test_meta_gradient.py`, the same proof for the package's learners.
#
# ## What comes next
# Chapter 07 asks how little compute and data will do.
