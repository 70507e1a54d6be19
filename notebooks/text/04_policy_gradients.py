# %% [markdown]
# # 04 Policy gradients and value functions, from scratch
#
# **Reading time:** 90 min, exercises included. **Run time:** 25 s.
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

import pandas as pd
import torch
from torch.nn.functional import one_hot
from tqdm import tqdm

from metarl_lab.chapters.ch04_policy_gradients.beam import (
    FALLEN,
    GUST,
    HORIZON,
    START,
    beam,
    exact_values,
    watched_transitions,
)
from metarl_lab.chapters.ch04_policy_gradients.experiments import gradient_clouds
from metarl_lab.chapters.ch04_policy_gradients.figures import Curve
from metarl_lab.chapters.ch04_policy_gradients.widget import (
    lambda_explorer,
    noise_explorer,
)
from metarl_lab.exact.planning import value_iteration
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.teach import announce, check, claim, hint, quiz, result, show_table
from metarl_lab.teach import solution, speed
from metarl_lab.teach.figures import adaptation_curves, figure_with_alt

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)  # the batches are small
SPEED = speed()  # nothing takes long: all three speeds do the same
announce(SPEED, {"peek": 25, "quick": 25, "full": 25})

# %% [markdown]
# ## The beam
# You balance on a beam. Your *state* is the tilt, -2 to +2; beyond lies the floor. Lean left or right, and the tilt
# moves by one that way, except that in one step of five a gust pushes you right, whatever you do. Each step begun
# upright pays 1 point. We watch $H=20$ steps. (A CartPole of six states, small enough to be solved exactly.)
#
# The policy has five parameters: $\theta_s$ is the preference for leaning right at tilt $s$, with probability
# $\sigma(\theta_s)$. $J(\theta)$ is the expected return, by backward induction as in exercise 03.1; autograd then
# gives $\nabla J$. (The model of the beam itself is in `metarl_lab/chapters/ch04_policy_gradients/beam.py`: a table of
# probabilities.)
#
# **Predict:** all coins fair. How many of 20 steps do you stand? Which of the five parameters should fall fastest?


# %%
def chance_right(theta):
    """Probability of leaning right: theta (..., 5) -> (..., 6), one for each state."""
    floor = torch.full_like(theta[..., :1], 0.5)  # fallen: of no consequence
    return torch.cat([torch.sigmoid(theta), floor], -1)


def exact_return(theta):
    """J of each of T policies, by backward induction; theta (T, 5) -> (T,)."""
    Q, V = exact_values(chance_right(theta))  # (H, T, S, A), (H, T, S)
    return V[0, :, START]


# %%
fair = torch.zeros(1, 5, requires_grad=True)  # one policy: all coins fair
J = exact_return(fair)[0]
exact = torch.autograd.grad(J, fair)[0][0]  # (5,)
fair = fair.detach()
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
def sample(theta, episodes, seed):
    """Act: theta (T, 5) -> states visited (T, N, H + 1), actions (T, N, H)."""
    generator = torch.Generator().manual_seed(seed)
    luck = torch.rand(2, HORIZON, len(theta), episodes, generator=generator)
    right = chance_right(theta)  # (T, S)
    state = [torch.full((len(theta), episodes), START)]
    action = []
    for lean, gust in luck.unbind(1):  # one step of all episodes; both (T, N)
        now = state[-1]
        action.append((lean < right.gather(1, now)).long())  # a_t ~ pi(. | s_t)
        then = now + torch.where(gust < GUST, 1, 2 * action[-1] - 1)
        state.append(torch.where((now == FALLEN) | (then < 0), FALLEN, then))
    return torch.stack(state, -1), torch.stack(action, -1)


def estimate(theta, state, action, weight):
    """Mean over N episodes of score times weight; weight (T, N, H) -> (T, 5)."""
    visited = state.flatten(1)  # (T, N H)
    right = chance_right(theta).expand(len(state), -1).gather(1, visited)
    score = action.flatten(1) - right  # a - sigma(theta_s)
    by_state = torch.zeros(len(state), 6)
    by_state.scatter_add_(1, visited, score * weight.flatten(1))  # the sum over t
    return by_state[:, :5] / state.shape[1]  # the floor has no parameter


# %%
M = 20_000
visited, action = sample(fair.expand(M, 5), 1, seed=0)  # M batches of one episode
state = visited[..., :-1]  # (M, 1, H)
reward = (state != FALLEN).double()
whole = reward.sum(-1, keepdim=True).expand_as(reward)  # R: the same for every step
one = estimate(fair, state, action, whole)  # (M, 5), from one episode each
tilts = pd.Index(range(-2, 3), name="tilt")
averages = pd.DataFrame(
    {
        "exact": exact,
        "20,000 episodes": one.mean(0),
        "standard error": one.std(0) / M**0.5,
        "ten episodes": one[:10].mean(0),
        "ten others": one[10:20].mean(0),
    },
    index=tilts,
)
show_table(averages.T, "Gradient, one number for each tilt")
claim(
    "20,000 episodes within two standard errors of the exact number",
    averages,
    "abs(`20,000 episodes` - exact) < 2 * `standard error`",
)
claim(
    "the two tens agree on the sign",
    averages,
    "`ten episodes` * `ten others` > 0",
    "some",
)

# %% [markdown]
# The average over 20,000 is right to within two standard errors: the estimator has no *bias*, the distance of its
# average from the truth. But it has *noise*, its standard deviation around that average: ten episodes, twice, give two
# gradients that do not even agree on every sign. **Limit:** unbiased is a promise about the average; you get one batch.
#
# In practice nobody writes scores by hand. One builds the *surrogate* $\frac1N\sum\log\pi_\theta(a|s)\cdot$ weight and
# lets autograd differentiate it. Only its gradient means anything.


# %%
def surrogate(theta, state, action, weight):
    """Mean over episodes of sum_t log pi(a_t | s_t) weight_t; theta (T, 5) -> (T,)."""
    right = chance_right(theta).gather(1, state.flatten(1)).view_as(state)
    log_pi = torch.where(action == 1, right, 1 - right).log()
    return (log_pi * weight).sum(-1).mean(1)


upright = whole * (state != FALLEN)  # after the fall nothing is weighed
value = surrogate(fair.expand(M, 5), state, action, upright).mean()
result("the surrogate's own value, mean of 20,000", value, at_most=-30)
result("and J, of which it is no estimate", J, near=7.82, within=0.01)

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
def to_go(x, discount=1.0):
    """G_t = x_t + discount G_{t+1}, along the last axis."""
    G = torch.empty_like(x)
    after = 0.0
    for t in reversed(range(x.shape[-1])):
        after = x[..., t] + discount * after
        G[..., t] = after
    return G


def judge(weight):
    """Score estimates from one episode each; weight (M, 1, H) -> three numbers."""
    g = estimate(fair, state, action, weight)  # (M, 5)
    # noise of one episode, in squared lengths; that of N episodes is noise / N
    noise = g.var(0).sum() / exact.norm() ** 2
    error = (g.mean(0) - exact).norm() / exact.norm()
    chance = (noise / M).sqrt()  # the error that an unbiased mean of M would have
    return 100 * error.item(), 100 * chance.item(), noise.item()


JUDGED = ["error of the mean, %", "chance alone, %", "episodes until noise = gradient"]

# %%
steps = torch.arange(HORIZON)
Q, V = (x[:, 0] for x in exact_values(chance_right(fair)))  # (H, S, A), (H, S)
V_t, Q_t = V[steps, state], Q[steps, state, action]  # (M, 1, H), at what was visited
G = to_go(reward)
weights = {
    "whole return": whole,
    "reward to go": G,
    "to go - V": G - V_t,
    "Q": Q_t,
    "A = Q - V": Q_t - V_t,
}
judged = pd.DataFrame({k: judge(w) for k, w in weights.items()}, index=JUDGED).T
show_table(judged, "Five weights, in percent of the gradient's length", digits=1)
claim(
    "the mean is off by less than twice what chance alone gives",
    judged,
    "`error of the mean, %` < 2 * `chance alone, %`",
)
needed = judged["episodes until noise = gradient"]
result("episodes needed: whole return", needed["whole return"], near=61, within=3)
result("episodes needed: reward to go", needed["reward to go"], near=23, within=1.5)
result("episodes needed: to go - V", needed["to go - V"], near=6.7, within=0.5)
result("episodes needed: A", needed["A = Q - V"], at_most=1)

# %% [markdown]
# No bias that 20,000 episodes could tell from chance, and the episodes needed fall from 61 to 23 to 6.7. Had an oracle
# told us $A$, one would do. **Limit:** we used the exact $V$. Sections 3 and 5 learn it.

# %% [markdown] tags=["document"]
# **What the document says, and what is true: the advantage.** 004 (4.1) writes this formula with $A_t$ as how good
# the action is "relative to other actions" (相对于其他动作). It is relative to the policy's average over *all*
# actions, this one included; against the others only, even the direction is wrong, as the next cell shows for one
# state with three actions. (Its sum from $0$ to $T$, "the length", has one term too many.) And 003 (3) lists the meta
# policy gradient (元策略梯度) among *value-based* algorithms: our first row uses no value at all.

# %%
pi, worth = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([1.0, 0.0, 2.0])
advantages = {
    "against all actions": worth - pi @ worth,
    "against the others": worth - (pi @ worth - pi * worth) / (1 - pi),
}
for name, A in advantages.items():
    g = pi * A - pi * (pi @ A)  # E[score A], for each logit of a softmax
    print(f"{name:19}:", [round(x, 3) for x in g.tolist()])
logits = pi.log().requires_grad_()
true = torch.autograd.grad(logits.softmax(0) @ worth, logits)[0]
print("exact gradient     :", [round(x, 3) for x in true.tolist()])

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
for N in (2, 4, 8, 16):
    batches = (x[: M // N * N].reshape(-1, N, HORIZON) for x in (state, action, G))
    s, a, g = batches  # (B, N, H) each: B batches of N episodes
    mean = g.mean(1, keepdim=True)
    here = one_hot(s, 6).double()  # (B, N, H, S)
    by_tilt = (here * g[..., None]).sum(1) / here.sum(1).clamp(min=1)  # (B, H, S)
    own = by_tilt[:, None].expand_as(here).gather(3, s[..., None])[..., 0]
    baselines = {
        "leave one out": (N * mean - g) / (N - 1),
        "same batch": mean,
        "same batch, by tilt": own,
    }
    means = {k: estimate(fair, s, a, g - b).mean(0) for k, b in baselines.items()}
    rows[N] = {k: (m @ exact / exact.norm() ** 2).item() for k, m in means.items()}
    by_tilt_mean = means["same batch, by tilt"]
    cosine = torch.cosine_similarity(by_tilt_mean, exact, dim=0).item()
    rows[N] |= {"1 - 1/N": 1 - 1 / N, "cosine, by tilt": cosine}
left = pd.DataFrame(rows).T.rename_axis("N")
show_table(left, "Share of the gradient that is left, by batch size")
claim("leave one out keeps all of it, to 0.05", left, "abs(`leave one out` - 1) < 0.05")
claim(
    "the batch's own mean keeps 1 - 1/N, to 0.05",
    left,
    "abs(`same batch` - `1 - 1/N`) < 0.05",
)
claim("the mean by tilt keeps less", left, "`same batch, by tilt` < `same batch` - 0.1")
result("left by tilt, N = 2", left["same batch, by tilt"][2], near=0.17, within=0.05)
result("its cosine to the exact gradient", left["cosine, by tilt"][2], at_most=0.95)

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
def weigh(state, reward, discount):
    """What every step is paid, by five rules; state, reward (B, N, H)."""
    G, N = to_go(reward, discount), state.shape[1]
    mean = G.mean(1, keepdim=True)
    V = exact_values(chance_right(fair), discount)[1][:, 0]  # (H, S)
    return {
        "whole return": G[..., :1].expand_as(G),
        "reward to go": G,
        "to go - mean of batch": G - mean,
        "to go - mean of others": G - (N * mean - G) / (N - 1),
        "to go - exact V": G - V[steps, state],
    }


def at_fair_coins(state, action, weight):
    return estimate(fair, state, action, weight)


pool = [x[:9600, 0] for x in (state, action, reward)]  # (9600, H) each
clouds = gradient_clouds(weigh, at_fair_coins, pool)  # every batch size and discount
noise_explorer(clouds, exact.numpy()).show()

# %%
ORDER = ["whole return", "reward to go", "to go - mean of others", "to go - exact V"]
uphill = pd.DataFrame(
    {
        f"{N} episodes": [
            100 * (clouds[N, name, 1.0] @ exact.numpy() > 0).mean() for name in ORDER
        ]
        for N in (2, 16)
    },
    index=ORDER,
)
show_table(uphill, "Percent of batches whose gradient points uphill", digits=0)
claim(
    "more uphill with 16 episodes than with 2", uphill, "`16 episodes` > `2 episodes`"
)
two = uphill["2 episodes"]
result(
    "uphill, whole return, 2 episodes", two["whole return"], near=52, within=4, unit="%"
)
result("uphill, exact V, 2 episodes", two["to go - exact V"], at_least=94, unit="%")

# %%
rows = {}
for gamma in (1.0, 0.95, 0.9, 0.8, 0.5):
    g = torch.tensor(clouds[2, "to go - exact V", gamma])
    mean, noise = g.mean(0), (2 * g.var(0).sum()).sqrt()  # noise of one episode
    rows[gamma] = {
        "length": (mean.norm() / exact.norm()).item(),
        "noise": (noise / exact.norm()).item(),
        "cosine to exact": torch.cosine_similarity(mean, exact, dim=0).item(),
    }
discounted = pd.DataFrame(rows).T.rename_axis("discount")
show_table(discounted, "What a discount does, in lengths of the exact gradient")
claim(
    "less noise and less length than with any larger discount",
    discounted[1:],
    lambda rest: (discounted[["length", "noise"]].diff()[1:] < 0).all(axis=1),
)
kept = discounted["noise"] / discounted["noise"][1.0]
result("noise left at discount 0.8", kept[0.8], near=0.25, within=0.03)
result("length left at discount 0.8", discounted["length"][0.8], near=0.38, within=0.03)
result(
    "its cosine to the exact gradient",
    discounted["cosine to exact"][0.8],
    at_least=0.97,
)

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
def gae(value, lam):
    """Advantages; value (M, 1, H + 1), the critic at every state visited."""
    delta = reward + value[..., 1:] - value[..., :-1]  # the TD errors, discount 1
    return to_go(delta, lam)  # A_t = delta_t + lambda A_{t+1}


after = torch.cat([V, torch.zeros(1, 6)])  # (H + 1, S): 0 beyond the horizon
clock = torch.arange(HORIZON + 1)
no_clock = torch.stack([G[state == s].mean() for s in range(6)])  # one number a state
mirror = torch.tensor([4, 3, 2, 1, 0, FALLEN])  # left for right
critics = {
    "other task": after[:, mirror][clock, visited],
    "no clock": no_clock[visited] * (clock < HORIZON),
    "exact": after[clock, visited],
}

# %% [markdown]
# Each critic is judged at ten values of $\lambda$. From the measured error we take off what chance alone adds, so that
# what remains is the bias.

# %%
LAMBDAS = [0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0]
scores = {}  # critic: (bias, noise of one episode), both (lambdas,), in lengths
for name, critic in tqdm(critics.items()):
    judged = torch.tensor([judge(gae(critic, lam)) for lam in LAMBDAS])
    error, chance, noise = judged.T
    scores[name] = (error**2 - chance**2).clamp(min=0).sqrt() / 100, noise.sqrt()
lambda_explorer(LAMBDAS, scores).show()

# %%
best = pd.DataFrame(
    {
        name: [LAMBDAS[(bias**2 + noise**2 / N).argmin()] for N in (5, 20, 200)]
        for name, (bias, noise) in scores.items()
    },
    index=pd.Index([5, 20, 200], name="episodes"),
)
show_table(best, "The lambda of the smallest error")
claim(
    "exact critic, or without a clock: 0.4 at most",
    best,
    "exact <= 0.4 & `no clock` <= 0.4",
)
first, middle, last = best["other task"]
result("the other task's critic, 5 episodes", first, near=0.7, within=0.1)
result("the other task's critic, 200 episodes", last, at_least=0.9)
noise = scores["exact"][1]
result(
    "exact critic: noise at 0.2 over noise at 0",
    noise[1] / noise[0],
    near=0.98,
    within=0.015,
)

# %% [markdown]
# A critic that is exact, or nearly, deserves trust: a $\lambda$ near 0 at any batch size. (That 0.2 beats 0 by 2% of
# noise is no accident, although with the exact critic $\delta_{t+1}$ is zero on average. In episodes that are back at
# the same tilt two steps later, $\lambda\delta_{t+1}$ adds to that tilt's component with a sign that is, on average,
# opposite to what the second visit adds: a little noise cancels.) The other task's critic biases the gradient; more
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
GAMMA = 0.95
steady = torch.tensor([[2.0, 2.0, -1.0, -2.0, -2.0]])  # (1, 5)
endless = exact_values(chance_right(steady), GAMMA, steps=1000)[1][0, 0]  # (S,)
watched = watched_transitions(sample(steady, 5000, seed=1)[0][0])


def learn(goes_on, sweeps=400):
    """Fitted evaluation, V(s) <- the mean target over the visits to s; goes_on (L,)."""
    V = torch.zeros(6)
    # after a fall the environment has reset itself, so this is what a program sees next
    seen = torch.where(watched.terminated, START, watched.next_state)
    for _ in range(sweeps):
        y = 1.0 + GAMMA * goes_on * V[seen]  # made before V changes
        for s in range(5):
            V[s] = y[watched.state == s].mean()
    return V[START].item()


# %%
ended = watched.terminated | watched.truncated
always = torch.ones_like(ended)
print("exact V(tilt 0):", round(endless[START].item(), 1))
result(
    "bootstrap through the cut only", learn(~watched.terminated), near=14.5, within=0.3
)
result("the cut counts as an end", learn(~ended), near=9.6, within=0.3)
result("an end counts as a cut", learn(always), near=20, within=0.05)

# %% [markdown]
# The first is right and the second a third too low. The third is $20=1/(1-\gamma)$: if nothing ever ends, every state
# is worth that, and leaning left or right is all the same. **Limit:** sections 1 to 5 *defined* $J$ as 20 steps. There
# the limit is part of the task, $V$ must see the clock, and beyond it $V=0$ is right
# ([Pardo et al. 2018](https://arxiv.org/abs/1712.00378)).

# %% [markdown] tags=["document"]
# **What the document says, and what is true: the target.** 003 (4) sets $y_t=r_t+\gamma\max_{a'}Q(s_{t+1},a')$ for
# every $t$, with no case for an end. Taken literally, with an environment that resets itself, that is our last row.

# %% [markdown]
# ## 7. Climb
# All together: 400 independent learners, 10 episodes an iteration, ascent (梯度上升)
# $\theta\leftarrow\theta+\alpha \hat g$, each scored by its exact $J$. **Predict:** same step size, same number of
# episodes: what does noise cost? After *one* step?

# %%
LEARNERS, N, ALPHA, ITERATIONS = 400, 10, 0.3, 60


def others_out(reward):
    """Reward to go minus the mean of the other episodes; reward (T, N, H)."""
    G = to_go(reward)
    return (G - G.mean(1, keepdim=True)) * N / (N - 1)


def whole_return(reward):
    return reward.sum(-1, keepdim=True).expand_as(reward)


def climb(weigh, sign=+1):
    """Exact J of every learner before and after each iteration, (T, iterations + 1)."""
    theta = torch.zeros(LEARNERS, 5)
    history = [exact_return(theta)]
    for i in tqdm(range(ITERATIONS), leave=False):
        visited, action = sample(theta, N, seed=1000 + i)  # fresh, by this theta
        state = visited[..., :-1]
        weight = weigh((state != FALLEN).double())
        theta = theta + sign * ALPHA * estimate(theta, state, action, weight)
        history.append(exact_return(theta))
    return torch.stack(history, 1)


def climb_exactly():
    """The same with the exact gradient, one learner: (iterations + 1,)."""
    theta = torch.zeros(1, 5)
    history = [exact_return(theta)]
    for _ in range(ITERATIONS):
        theta.requires_grad_()
        gradient = torch.autograd.grad(exact_return(theta).sum(), theta)[0]
        theta = (theta + ALPHA * gradient).detach()
        history.append(exact_return(theta))
    return torch.cat(history).numpy()


# %% [markdown] tags=["document"]
# **What the document says, and what is true: the sign, once more.** 000 (4.2) *descends* on $J$. The lowest curve
# obeys it. (A squared error, as in 003 (4), is rightly descended: it is a loss.)

# %%
runs = {
    "to go - mean of others": climb(others_out),
    "whole return": climb(whole_return),
    "descent (000)": climb(others_out, sign=-1),
}
ideal = climb_exactly()
curves = {"exact gradient": Curve(ideal, ideal, ideal)}
curves |= {name: Curve(*mean_interval(run.numpy())) for name, run in runs.items()}
figure_with_alt(
    adaptation_curves(
        curves,
        {"fair coins": J.item(), "best possible": oracle},
        x_label="iteration (10 episodes each)",
        y_label="exact return J (points)",
    ),
    "Exact return over 60 iterations: the baseline's curve follows the exact "
    "gradient's, whole returns end a point lower, descent falls",
)
end = {name: mean_interval(run[:, -1].numpy()) for name, run in runs.items()}
worse = {name: (run[:, 1] < J).double().mean() for name, run in runs.items()}
others, returns, descent = runs
mean, low, high = end[others]
result(
    "J after 60 iterations, mean of others", mean, at_least=18.5, interval=(low, high)
)
mean, low, high = end[returns]
result("J after 60 iterations, whole return", mean, at_most=18.4, interval=(low, high))
mean, low, high = end[descent]
result("J after 60 iterations, descent", mean, at_most=4, interval=(low, high))
gap = (ideal - curves[others].mean).max()
result("widest gap to the exact gradient, mean of others", gap, at_most=1)
result("share worse after one step, mean of others", worse[others], at_most=0.05)
result(
    "share worse after one step, whole return",
    worse[returns],
    at_least=0.08,
    at_most=0.25,
)
first = (runs[others][:, 1].mean() - runs[returns][:, 1].mean()).abs()
result("J after one step, difference of these two", first, at_most=0.1)

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
x = one_hot(state, 6).double()  # (M, 1, H, S)
y = G[..., None]  # (M, 1, H, 1)


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
rows = {}
for program in (program_a, program_b):
    inner, critic, optimizer = program()
    losses = []
    for _ in range(40):
        loss = (critic(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    judgement = judge(G - inner(x).detach()[..., 0])
    rows[program.__name__] = {"first loss": losses[0], "last loss": losses[-1]}
    rows[program.__name__] |= dict(zip(JUDGED, judgement))
programs = pd.DataFrame(rows).T
show_table(programs, "Two programs, 40 steps of the critic each", digits=1)
claim(
    "unbiased, as far as 20,000 episodes tell",
    programs,
    "`error of the mean, %` < 2 * `chance alone, %`",
)
shrunk = programs["last loss"] / programs["first loss"]
result("program A: last loss over first", shrunk["program_a"], at_most=0.4)
result("program B: last loss over first", shrunk["program_b"], near=1, within=1e-9)
needed = programs["episodes until noise = gradient"]
result("program A: episodes needed", needed["program_a"], near=7, within=0.5)
result("program B: episodes needed", needed["program_b"], near=23, within=1.5)

# %%
quiz("04.b")

# %% [markdown]
# Two checks would have caught it: that the loss falls, and that each parameter has a gradient after `backward`.
#
# ## Exercises
# **04.1** A baseline that owes nothing to the episode that it scores (section 3): from each reward to go, take the mean
# of the *other* episodes at its step.


# %%
def leave_one_out(G): ...


check("04.1", leave_one_out)

# %%
hint("04.1")

# %% [markdown]
# **04.2** The estimator (sections 1 and 2), with rewards to go and no baseline. Yours is run on *every* trajectory of
# two short beams, and its expectation is compared with the exact gradient.


# %%
def policy_gradient(state, action, reward, theta): ...


check("04.2", policy_gradient)

# %%
hint("04.2")

# %% [markdown]
# **04.3** What a critic should learn (section 6): the target of $V(s_t)$, with both kinds of end told apart.


# %%
def td_target(reward, next_value, terminated, truncated, discount): ...


check("04.3", td_target)

# %%
solution("04.3")

# %% [markdown]
# **04.4** The whole algorithm (section 7): REINFORCE with a baseline, from the parts that you wrote in 04.1 and 04.2.


# %%
def reinforce(theta, sample, alpha, iterations): ...


check("04.4", reinforce)

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
