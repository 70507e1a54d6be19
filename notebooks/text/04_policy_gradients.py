# %% [markdown]
# # 04 Policy gradients and value functions, from scratch
#
# **Reading time:** 40 min. **Run time:** 15 s.
#
# ## What you will be able to do
# - write a policy gradient from nothing, and prove it right against the **exact** gradient;
# - say what reward to go, a baseline, a discount and $\lambda$ each do to its *bias* and its *noise*;
# - tell the end of an episode from the end of your watching, and know what confusing them costs;
# - find a baseline that never learns.
#
# ## The question
# Chapter 03 climbed exact gradients. A robot has none: it has a few episodes. How good is a gradient made from
# twenty of them? MAML's inner step (chapter 05) is exactly such a gradient.

# %%
import copy
from collections import namedtuple

import pandas as pd
import torch
from torch.nn.functional import one_hot
from tqdm import tqdm

from metarl_lab.exact.planning import policy_evaluation, value_iteration
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.teach.figures import adaptation_curves, figure_with_alt
from metarl_lab.teach import announce, check, hint, quiz, solution, speed, verdict
from metarl_lab.chapters.ch04_policy_gradients.widget import lambda_explorer, noise_explorer

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)  # the batches are small
SPEED = speed()  # nothing takes long: all three speeds do the same
announce(SPEED, {"peek": 15, "quick": 15, "full": 15})

# %% [markdown]
# ## The beam
# You balance on a beam. Your *state* is the tilt, -2 to +2; beyond lies the floor. Lean left or right, and the tilt
# moves by one that way, except that in one step of five a gust pushes you right, whatever you do. Each step begun
# upright pays 1 point. We watch $H=20$ steps. (A CartPole of six states, small enough to be solved exactly.)
#
# The policy has five parameters: $\theta_s$ is the preference for leaning right at tilt $s$, with probability
# $\sigma(\theta_s)$. $J(\theta)$ is the expected return, by backward induction as in exercise 03.1; autograd then
# gives $\nabla J$.
#
# **Predict:** all coins fair. How many of 20 steps do you stand? Which of the five parameters should fall fastest?

# %%
HORIZON, GUST, START, FALLEN = 20, 0.2, 2, 5  # steps, probability, state 2 is tilt 0


def beam():  # transition (1, S, A, S), reward (1, S, A); actions: left, right
    P, R = torch.zeros(1, 6, 2, 6), torch.ones(1, 6, 2)
    for s in range(5):
        P[0, s, 0, s - 1 if s else FALLEN] = 1 - GUST
        P[0, s, 0, s + 1] += GUST
        P[0, s, 1, s + 1] = 1.0
    P[0, FALLEN, :, FALLEN], R[0, FALLEN] = 1.0, 0.0
    return P, R


def chance_right(theta):  # (..., 5) -> (..., 6); fallen: of no consequence
    return torch.cat([torch.sigmoid(theta), torch.full_like(theta[..., :1], 0.5)], -1)


def values(theta, discount=1.0, steps=HORIZON):  # theta (5,) -> Q (H, S, A), V (H, S)
    right = chance_right(theta)
    policy = torch.stack([1 - right, right], -1).expand(steps, 1, -1, -1)
    q, v = policy_evaluation(*beam(), policy, discount)
    return q[:, 0], v[:, 0]


# %%
theta = torch.zeros(5, requires_grad=True)  # all coins fair
J = values(theta)[1][0, START]
exact = torch.autograd.grad(J, theta)[0]
theta = theta.detach()
oracle = value_iteration(*beam(), HORIZON)[1][0, 0, START].item()
print(f"return: fair coins {J:.2f}, best possible {oracle:.2f}")
print("exact gradient, tilt -2 to +2:", [round(x, 2) for x in exact.tolist()])

# %% [markdown]
# 7.82 steps; the gradient says lean right on the left side, left on the right side, most urgently at +1. Everything
# below estimates these five numbers, so we always know how wrong we are. **Limit:** only a task this small grants
# that.
#
# ## 1. The score function
# We cannot differentiate an episode: falling is not a smooth function of $\theta$. But we know how the
# *probability* of each action depends on $\theta$, and $\nabla p = p \nabla\log p$:
#
# $$
# \nabla J=\mathbb E_{\tau\sim\pi_\theta}\Big[R(\tau)\sum_{t}\nabla_\theta\log\pi_\theta(a_t|s_t)\Big]
# $$
#
# $\nabla\log\pi$ is the *score function* (得分函数): the direction that makes the action taken more likely. Weighing it
# by the return is the *policy gradient* (策略梯度), here as REINFORCE. Neither $P$ nor $R$ appears. For our policy the
# score is $a-\sigma(\theta_s)$, with $a=1$ for right.
#
# **Predict:** average over 20,000 episodes. Does it agree with the exact numbers? And over ten?


# %%
def sample(theta, episodes, seed):  # theta (T, 5) -> state (T, N, H + 1), action (T, N, H)
    u = torch.rand(2, HORIZON, len(theta), episodes, generator=torch.Generator().manual_seed(seed))
    right, state, action = chance_right(theta), [torch.full(u.shape[2:], START)], []
    for lean, gust in u.unbind(1):  # both (T, N)
        s = state[-1]
        action.append((lean < right.gather(1, s)).long())
        after = s + torch.where(gust < GUST, 1, 2 * action[-1] - 1)
        state.append(torch.where((s == FALLEN) | (after < 0), FALLEN, after))
    return torch.stack(state, -1), torch.stack(action, -1)


def estimate(theta, state, action, weight):  # weight (T, N, H) -> (T, 5), averaged over the N episodes
    score = action - chance_right(theta).gather(1, state.flatten(1)).view_as(state)  # (T, N, H)
    by_tilt = torch.zeros(len(state), 6).scatter_add(1, state.flatten(1), (score * weight).flatten(1))
    return by_tilt[:, :5] / state.shape[1]  # fallen: no parameter


# %%
M = 20_000
fair = torch.zeros(M, 5)
visited, action = sample(fair, 1, seed=0)  # M copies of one episode
state, reward = visited[..., :-1], (visited[..., :-1] != FALLEN).double()
whole = reward.sum(-1, keepdim=True).expand_as(reward)  # every step is paid the whole return
one = estimate(fair, state, action, whole)  # (M, 5): from one episode each
rows = {"exact": exact, "20,000 episodes": one.mean(0), "standard error": one.std(0) / M**0.5}
rows |= {f"10 episodes, no. {i + 1}": one[10 * i : 10 * i + 10].mean(0) for i in range(2)}
print(pd.DataFrame({k: v.numpy() for k, v in rows.items()}, index=range(-2, 3)).T.round(2))

# %% [markdown]
# The average over 20,000 is right to within two standard errors: the estimator has no *bias*, the distance of its
# average from the truth. But it has *noise*, its standard deviation around that average: ten episodes, twice, give two
# gradients that agree on little. **Limit:** unbiased is a promise about the average; you get one batch.
#
# In practice nobody writes scores by hand. One builds the *surrogate* $\frac1N\sum\log\pi_\theta(a|s)\cdot$ weight and
# lets autograd differentiate it. Only its gradient means anything.


# %%
def surrogate(theta, state, action, weight):  # (T, 5) -> (T,)
    right = chance_right(theta).gather(1, state.flatten(1)).view_as(state)
    return (torch.where(action == 1, right, 1 - right).log() * weight).sum(-1).mean(1)


parameters = fair.clone().requires_grad_()
by_autograd = torch.autograd.grad(surrogate(parameters, state, action, whole).sum(), parameters)[0]
alive = state != FALLEN
print("same as the hand-written score:", torch.allclose(by_autograd, one))
print("surrogate:", round(surrogate(fair, state, action, whole * alive).mean().item(), 1), " J:", round(J.item(), 1))

# %% [markdown]
# ## 2. Pay each action what it caused
# A lean cannot change what was paid before it. So weigh the score by the *reward to go* $G_t=\sum_{k\ge t}r_k$ only.
# And anything that does not depend on $a_t$ may be subtracted, because the score averages to zero:
# $\sum_a\pi \nabla\log\pi=\nabla\sum_a\pi=\nabla 1=0$. That is a *baseline* (基线). Good ones come from
# *value functions* (价值函数):
#
# $$
# V_t(s)=\mathbb E[G_t|s_t=s],\quad Q_t(s,a)=\mathbb E[G_t|s_t=s,a_t=a],\quad A_t=Q_t-V_t
# $$
#
# $V$ is the state value (状态价值), $Q$ the action value (动作价值), $A$ the *advantage* (优势函数). **Predict:** which
# weight below needs fewest episodes before the noise is as small as the gradient itself? By what factor?


# %%
def to_go(x, discount=1.0):  # G_t = x_t + discount G_{t+1} along the last axis
    out = torch.empty_like(x)
    after = 0.0
    for t in reversed(range(x.shape[-1])):
        out[..., t] = after = x[..., t] + discount * after
    return out


def judge(weight):  # from one episode each: error of the mean, what 20,000 can resolve, and the noise
    g = estimate(fair, state, action, weight)
    noise = g.var(0).sum() / exact.square().sum()  # of one episode; of N: noise / N
    bias = (g.mean(0) - exact).norm() / exact.norm()
    return [100 * bias.item(), 100 * (noise / M).sqrt().item(), noise.item()]


q, v = values(theta)
t = torch.arange(HORIZON)
V, Q = v[t, state], q[t, state, action]  # (T, N, H), exact
G = to_go(reward)
weights = {"whole return": whole, "reward to go": G, "to go - V": G - V, "Q": Q, "A = Q - V": Q - V}
columns = ["bias, %", "resolution, %", "episodes until noise = gradient"]
print(pd.DataFrame({k: judge(w) for k, w in weights.items()}, index=columns).T.round(1))

# %% [markdown]
# No bias beyond what 20,000 episodes resolve, and the episodes needed fall from 61 to 23 to 6.7. Had an oracle told us
# $A$, one would nearly do. **Limit:** we used the exact $V$. Sections 3 and 5 learn it.
#
# > **What the document says, and what is true: the advantage.** 004 (4.1) writes this formula with $A_t$ as how good
# > the action is "relative to other actions" (相对于其他动作). It is relative to the policy's average over *all*
# > actions, this one included; against the others only, even the direction is wrong. (Its sum from $0$ to $T$, "the
# > length", has one term too many.) And 003 (3) lists the meta policy gradient (元策略梯度) among *value-based*
# > algorithms: our first row uses no value at all.

# %%
pi, worth = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([1.0, 0.0, 2.0])  # one state, three actions
advantage = worth - pi @ worth
others = worth - (pi @ worth - pi * worth) / (1 - pi)
for name, w in {"all actions": advantage, "the others": others}.items():
    g = pi * w - pi * (pi @ w)  # E[score w], per logit of a softmax
    print(f"against {name:11}:", [round(x, 3) for x in g.tolist()])
logits = pi.log().requires_grad_()
print("exact gradient     :", [round(x, 3) for x in torch.autograd.grad(logits.softmax(0) @ worth, logits)[0].tolist()])

# %% [markdown]
# ## 3. A baseline that has seen the answer
# The cheapest baseline is the mean reward to go of the batch at step $t$. But each episode's own luck is in it.
# With $N$ episodes, a part $1/N$ of each return is subtracted from itself:
#
# $$
# \mathbb E[\hat g_\text{same batch}]=\Big(1-\frac1N\Big)\nabla J,\qquad
# \mathbb E[\hat g_\text{leave one out}]=\nabla J
# $$
#
# *Leave one out* takes the mean of the **other** $N-1$. **Predict:** how much of the gradient is left for $N=2$?

# %%
rows = {}
for n in (2, 4, 8, 16):
    s, a, g = (x[: M // n * n].reshape(-1, n, HORIZON) for x in (state, action, G))  # (T, N, H)
    mean = g.mean(1, keepdim=True)
    here = one_hot(s, 6).to(g)  # (T, N, H, S)
    by_tilt = (here * g[..., None]).sum(1) / here.sum(1).clamp(min=1)  # (T, H, S): mean at this step *and* tilt
    own = by_tilt[:, None].expand_as(here).gather(3, s[..., None])[..., 0]
    kinds = {"left out": (n * mean - g) / (n - 1), "same batch": mean, "by tilt": own}
    means = {k: estimate(fair[: M // n], s, a, g - baseline).mean(0) for k, baseline in kinds.items()}
    rows[n] = {k: (m @ exact / exact.square().sum()).item() for k, m in means.items()}
    turn = torch.cosine_similarity(means["by tilt"], exact, dim=0).item()
    rows[n] |= {"1 - 1/N": 1 - 1 / n, "cosine, by tilt": turn}
print(pd.DataFrame(rows).T.round(2).rename_axis("N"))

# %% [markdown]
# Shown is the share of the gradient that is left. A plain mean costs length only, by $1-1/N$, and a larger step makes
# up for it. The *cleverer* baseline, a mean for each step and tilt, is worse: at $N=2$ it keeps 0.17 and turns the
# direction. The better a baseline fits the batch that it scores, the more truth it subtracts. `metarl_lab` therefore
# fits to the other episodes. **Limit:** with one episode there are no others.
#
# ## 4. See the noise
# Each dot is a gradient from one batch. **Predict:** with two episodes, how often does a step along the dot go uphill,
# with whole returns, with a baseline? And what does a discount (折扣) $\gamma<1$ inside $G_t$ do to the cloud?

# %%
SIZES, DISCOUNTS, pool = (2, 4, 8, 16, 32, 64), [round(0.5 + 0.05 * i, 2) for i in range(11)], 9600
S, A, r = state[:pool], action[:pool], reward[:pool]
table = {}
for gamma in tqdm(DISCOUNTS):
    g, paid = to_go(r, gamma), to_go(r, gamma)[..., :1].expand_as(r)
    single = {"whole return": paid, "reward to go": g, "to go - exact V": g - values(theta, gamma)[1][t, S]}
    single = {name: estimate(fair[:pool], S, A, w) for name, w in single.items()}  # (pool, 5)
    for n in SIZES:
        s, a, x = (y.reshape(-1, n, HORIZON) for y in (S, A, g))
        loo = estimate(fair[: pool // n], s, a, (x - x.mean(1, keepdim=True)) * n / (n - 1))
        kinds = {name: e.reshape(-1, n, 5).mean(1) for name, e in single.items()}
        kinds |= {"to go - mean of others": loo, "to go - mean of batch": loo * (n - 1) / n}
        table |= {(n, name, gamma): e.numpy() for name, e in kinds.items()}
noise_explorer(table, exact.numpy()).show()

# %%
weights = ("whole return", "reward to go", "to go - mean of others", "to go - exact V")
shares = {n: [100 * (table[n, w, 1.0] @ exact.numpy() > 0).mean() for w in weights] for n in (2, 16)}
print(pd.DataFrame(shares, index=weights).round().astype(int).add_prefix("uphill, %, episodes: "))

# %%
rows = {}
for gamma in (1.0, 0.95, 0.9, 0.8, 0.5):
    g = torch.tensor(table[2, "to go - exact V", gamma])
    length, noise = g.mean(0).norm(), (2 * g.var(0).sum()).sqrt()  # noise of one episode
    rows[gamma] = [length / exact.norm(), noise / exact.norm(), g.mean(0) @ exact / length / exact.norm()]
columns = ["length", "noise", "cosine to exact"]
print(pd.DataFrame(torch.tensor(list(rows.values())), index=list(rows), columns=columns).round(2))

# %% [markdown]
# With two episodes a step along whole returns goes uphill in 52% of batches: a coin toss. With the exact $V$: 96%. A
# discount of 0.8 quarters the noise, and leaves 0.38 of the
# length: a bias. The direction hardly turns *here*, where falls come soon after their cause, so a larger step repairs
# most of it. **Limit:** where a cause pays late, as in chapter 03's tunnel, the same discount forgets it.

# %%
quiz("04.a")

# %% [markdown]
# ## 5. A critic, and lambda
# A learned $V$, a *critic*, can do more than baseline duty: it can replace the noisy tail of $G_t$. One step gives the
# *TD error* $\delta_t=r_t+\gamma V_{t+1}(s_{t+1})-V_t(s_t)$, quiet but as wrong as $V$. *Generalised advantage
# estimation* (GAE) blends:
#
# $$
# \hat A_t=\sum_{k\ge t}(\gamma\lambda)^{k-t}\,\delta_k
# $$
#
# $\lambda=1$ is $G_t-V_t$; $\lambda=0$ trusts the critic entirely. The error is
# $\sqrt{\text{bias}^2+\text{noise}^2}$. Three critics: the exact one; one that does not see the clock; one trained in
# another task, a beam whose gusts push *left*. **Predict:** the best $\lambda$ for each, and which way it moves with
# more episodes.


# %%
def gae(value, lam):  # value (T, N, H + 1) -> advantage (T, N, H)
    delta = reward + value[..., 1:] - value[..., :-1]
    return to_go(delta, lam)


after = torch.cat([v, torch.zeros(1, 6)])  # (H + 1, S): beyond the horizon nothing is paid
clock = torch.arange(HORIZON + 1)
no_clock = torch.stack([G[state == s].mean() for s in range(6)])  # mean reward to go at each tilt
mirror = torch.tensor([4, 3, 2, 1, 0, FALLEN])
critics = {
    "exact": after[clock, visited],
    "no clock": no_clock[visited] * (clock < HORIZON),
    "other task": after[:, mirror][clock, visited],
}
LAMBDAS = [0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0]
scores = {}  # (bias, noise of one episode), (lambdas,) each, in units of the gradient's length
for name, critic in tqdm(critics.items()):
    bias, resolution, noise = torch.tensor([judge(gae(critic, lam)) for lam in LAMBDAS]).T
    scores[name] = (bias**2 - resolution**2).clamp(min=0).sqrt() / 100, noise.sqrt()  # less what chance adds
lambda_explorer(LAMBDAS, dict(reversed(scores.items()))).show()

# %%
for n in (5, 20, 200):
    best = {name: LAMBDAS[int((bias**2 + noise**2 / n).argmin())] for name, (bias, noise) in scores.items()}
    print(f"{n} episodes: best lambda", best)

# %% [markdown]
# A critic that is exact, or nearly, deserves trust: 0.2 at any batch size. The other task's biases the gradient; more
# episodes cannot repair that, so its best $\lambda$ climbs from 0.7 to 0.95. In meta-RL a shared critic is always
# partly *another task's*: keep $\lambda$ high, or fit the critic to each task. **Limit:** the best $\lambda$ is known
# here because the gradient is.
#
# ## 6. The end, and the end of watching
# Two things stop an episode. You fall: *termination* (终止), nothing is to come. The observer goes home after 20 steps:
# *truncation* (截断), you still stand, and more would have come. Suppose balancing never ends by itself, with
# $\gamma=0.95$. A critic learns from 20-step episodes of a steadier policy, towards
#
# $$
# y_t=r_t+\gamma\,(1-\text{terminated}_t)\,V(s_{t+1})
# $$
#
# **Predict:** what does $V$ become if the cut counts as an end? If an end counts as a cut?

# %%
steady = torch.tensor([2.0, 2.0, -1.0, -2.0, -2.0])
GAMMA = 0.95
endless = values(steady, GAMMA, steps=1000)[1][0]  # 0.95 ** 1000 is nothing
path = sample(steady[None], 5000, seed=1)[0][0]  # (N, H + 1)
was_up = path[:, :-1] != FALLEN
s, s_next = path[:, :-1][was_up], path[:, 1:][was_up]
terminated = s_next == FALLEN
truncated = ((torch.arange(HORIZON) == HORIZON - 1).expand_as(was_up)[was_up]) & ~terminated


def learn(goes_on, sweeps=400):  # fitted evaluation: V(s) <- mean target over the visits to s
    V = torch.zeros(6)
    seen = torch.where(terminated, START, s_next)  # after a fall the environment has reset itself
    for _ in range(sweeps):
        target = 1.0 + GAMMA * goes_on * V[seen]
        V = torch.stack([target[s == k].mean() for k in range(5)] + [torch.zeros(())])
    return round(V[START].item(), 1)


# %%
print("exact V(tilt 0):", round(endless[START].item(), 1))
print("bootstrap through the cut only:", learn(~terminated))
print("the cut counts as an end:      ", learn(~(terminated | truncated)))
print("an end counts as a cut:        ", learn(torch.ones_like(terminated)))

# %% [markdown]
# Right, a third too low, and 20.0: if nothing ever ends, every state is worth $1/(1-\gamma)$, and leaning left or right
# is all the same. **Limit:** sections 1 to 5 *defined* $J$ as 20 steps. There the limit is part of the task, $V$ must
# see the clock, and beyond it $V=0$ is right ([Pardo et al. 2018](https://arxiv.org/abs/1712.00378)).
#
# > **What the document says, and what is true: the target.** 003 (4) sets $y_t=r_t+\gamma\max_{a'}Q(s_{t+1},a')$ for
# > every $t$, with no case for an end. Taken literally, with an environment that resets itself, that is our last row.
#
# ## 7. Climb
# All together: 400 independent learners, 10 episodes an iteration, ascent (梯度上升)
# $\theta\leftarrow\theta+\alpha \hat g$, each scored by its exact $J$. **Predict:** same step size, same number of
# episodes: what does noise cost? After *one* step?

# %%
LEARNERS, N, ALPHA, ITERATIONS = 400, 10, 0.3, 60


def score_all(theta):  # (T, 5) -> exact J of each learner, (T,)
    right = chance_right(theta)
    policy = torch.stack([1 - right, right], -1).expand(HORIZON, -1, -1, -1)
    model = [x.expand(len(theta), *x.shape[1:]) for x in beam()]
    return policy_evaluation(*model, policy)[1][0, :, START]


def others_out(reward):  # to go, minus the mean of the others
    g = to_go(reward)
    return (g - g.mean(1, keepdim=True)) * N / (N - 1)


# %%
def climb(weigh, sign=+1):  # weigh: reward (T, N, H) -> weight; None: the exact gradient
    theta = torch.zeros(LEARNERS if weigh else 1, 5)
    history = [score_all(theta)]
    for i in tqdm(range(ITERATIONS), leave=False):
        if weigh:
            state, action = sample(theta, N, seed=1000 + i)
            step = estimate(theta, state[..., :-1], action, weigh((state[..., :-1] != FALLEN).double()))
        else:
            own = theta.clone().requires_grad_()
            step = torch.autograd.grad(score_all(own).sum(), own)[0]
        theta = theta + sign * ALPHA * step
        history.append(score_all(theta))
    return torch.stack(history, 1)  # (T, iterations + 1)


# %%
runs = {
    "to go - mean of others": climb(others_out),
    "whole return": climb(lambda r: r.sum(-1, keepdim=True).expand_as(r)),
    "descent (000)": climb(others_out, sign=-1),
}
ideal = climb(None)[0].numpy()
Curve = namedtuple("Curve", "mean low high")  # 95%, over learners
curves = {name: Curve(*mean_interval(run.numpy())) for name, run in runs.items()} | {
    "exact gradient": Curve(*[ideal] * 3)
}

# %% [markdown]
# > **What the document says, and what is true: the sign, once more.** 000 (4.2) *descends* on $J$. The lowest curve
# > obeys it. (A squared error, as in 003 (4), is rightly descended: it is a loss.)

# %%
figure_with_alt(
    adaptation_curves(
        curves,
        {"fair coins": J.item(), "best possible": oracle},
        x_label="iteration (10 episodes each)",
        y_label="exact return J (points)",
    ),
    "Exact return over 60 iterations: the baseline's curve follows the exact gradient's, whole returns stay a "
    "point lower, descent falls",
)

# %% tags=["nbval-ignore-output", "raw"]
for name, run in runs.items():
    first, last = run[:, 1], curves[name]
    print(f"{name:23} after 1 step: {first.mean():5.2f}, worse than before: {100 * (first < J).double().mean():3.0f}%")
    print(f"{'':23} after {ITERATIONS}: {last.mean[-1]:.2f}, 95% interval {last.low[-1]:.2f} to {last.high[-1]:.2f}")

# %%
worse = {name: (run[:, 1] < J).double().mean().item() for name, run in runs.items()}
verdict("share worse after one step, mean of others", worse["to go - mean of others"], at_most=0.05)
verdict("share worse after one step, whole return", worse["whole return"], at_least=0.08)
verdict("J after 60 iterations, mean of others", runs["to go - mean of others"][:, -1].mean(), at_least=18.5)
verdict("J after 60 iterations, whole return", runs["whole return"][:, -1].mean(), at_most=18.4)
verdict("J after 60 iterations, descent", runs["descent (000)"][:, -1].mean(), at_most=4)
verdict("widest gap to the exact gradient", (ideal - curves["to go - mean of others"].mean).max(), at_most=1)

# %% [markdown]
# With the baseline, learners stay within a point of the exact gradient, and hardly a first step goes wrong. Weighed by
# whole returns, the first step gains as much on average, but about one in six makes things *worse*, and in the end a
# point is lost. A meta-learner's whole budget is a step or two. (Bands, 95% over learners, are hardly wider than the
# lines. The best possible sees the clock; our policies do not.) **Limit:** one task, one step
# size, a table for a policy.
#
# ## Break it
# Two programs fit a critic, then use it as a baseline. Program B copies a bug from
# [garage's MAML](https://github.com/rlworkgroup/garage/blob/b5f72593cd/src/garage/torch/algos/maml.py).
# No error is raised, and its gradient is unbiased. **Predict:** which line, and which row of section 2's table will
# B repeat?

# %%
x, y = one_hot(state, 6).to(G), G[..., None]  # (T, N, H, S), (T, N, H, 1)


def value_table():
    critic = torch.nn.Linear(6, 1, bias=False)
    torch.nn.init.zeros_(critic.weight)
    return critic


def program_a():
    critic = value_table()
    return critic, critic, torch.optim.SGD(critic.parameters(), lr=1.0)


def program_b():
    inner = value_table()
    optimizer = torch.optim.SGD(inner.parameters(), lr=1.0)
    critic = copy.deepcopy(inner)  # MAML's own, reset for each task
    return inner, critic, optimizer


# %%
for program in (program_a, program_b):
    inner, critic, optimizer = program()
    losses = []
    for _ in range(40):
        loss = (critic(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(round(loss.item(), 1))
    bias, resolution, noise = judge(G - inner(x).detach()[..., 0])
    print(f"{program.__name__}: loss {losses[::13]}, bias {bias:.1f}%, episodes until noise = gradient {noise:.1f}")

# %%
quiz("04.b")

# %% [markdown]
# Two checks would have caught it: that the loss falls, and that each parameter has a gradient after `backward`.
#
# ## Exercises
# **04.1** `leave_one_out(returns)`: rewards to go (N, H); subtract from each the mean of the *other* episodes at its
# step.


# %%
def leave_one_out(returns): ...


check("04.1", leave_one_out)

# %%
hint("04.1")

# %% [markdown]
# **04.2** The estimator. `policy_gradient(state, action, reward, theta)`: state, action, reward (N, H), theta (5,);
# return (5,). Fallen steps have state 5 and reward 0. No baseline. It is run on *every* trajectory of a three-step
# beam, and its expectation compared with the exact gradient.


# %%
def policy_gradient(state, action, reward, theta): ...


check("04.2", policy_gradient)

# %%
hint("04.2")

# %% [markdown]
# **04.3** `td_target(reward, next_value, terminated, truncated, discount)`: all (L,); what $V(s_t)$ should be.


# %%
def td_target(reward, next_value, terminated, truncated, discount): ...


check("04.3", td_target)

# %%
solution("04.3")

# %% [markdown]
# ## Summary
# - Score times what the action caused is an unbiased gradient, with no model of the task.
# - Reward to go and a baseline remove noise (61 episodes to 23 to 6.7) and no truth, if the baseline did not see the
#   action's own outcome.
# - Discount and $\lambda<1$ trade bias for noise; a critic of another task needs $\lambda$ near 1.
# - Bootstrap through truncation, never through termination: 14.5, not 9.6 or 20.
# - Ascend a return. A first step from few episodes is a gamble; the baseline decides how wild.
#
# ## What to read
# - Williams 1992, [REINFORCE](https://doi.org/10.1007/BF00992696); Sutton et al. 1999,
#   [Policy gradient methods](https://proceedings.neurips.cc/paper/1999/hash/464d828b85b0bed98e80ade0a5c43b0f-Abstract.html).
# - Schulman et al. 2016, [GAE](https://arxiv.org/abs/1506.02438).
# - Pardo et al. 2018, [Time limits](https://arxiv.org/abs/1712.00378).
# - `metarl_lab/ops/returns.py` and `metarl_lab/ops/baseline.py`: these formulas, for any family.
#
# ## What comes next
# Chapter 05 takes *one* such step per task, and learns where to start it. Chapter 06 differentiates through it: the
# surrogate has the right first derivative, and, it turns out, the wrong second one.
