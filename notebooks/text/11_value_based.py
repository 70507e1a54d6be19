# %% [markdown]
# # 11 Value-based meta-RL: meta-Q-learning
#
# **Reading time:** 35 min. **Run time:** 50 s.
#
# ## What you will be able to do
# - Follow Q-learning on one task backup by backup, beside the exact values.
# - Say what one Q-function fitted to many tasks must become, and meta-train one that adapts instead.
# - Weigh exploration in a first batch against the return of those that follow.
# - Tell a semi-gradient from the gradient of an objective, and spot wrong bootstrapping by its numbers.
# - Explain how MQL adapts off-policy with old tasks' data, and how much of that data counts.
#
# ## The question
# Policy gradients throw each batch away. Q-learning can use any data, old or another policy's: so can a
# **value function** (价值函数) be what a meta-learner prepares? The world is small enough to know everything: a 4 x 4
# grid, a goal hidden in one of 12 cells, 15 steps an episode, 1 for each step on the goal and -0.1 for each other.
#
# The next cell prepares the page. `lab` holds what this chapter runs and need not show: the grid and its goals,
# batches of play, trained starts.

# %%
import numpy as np
import torch

from metarl_lab.chapters.ch11_value_based import experiments as lab
from metarl_lab.chapters.ch11_value_based import figures, widget
from metarl_lab.ops.q_learning import bellman_backup, optimal_q, sampled_backup
from metarl_lab.teach import announce, at_speed, check, claim, hint, iterations
from metarl_lab.teach import quiz, result, show_source, show_table
from metarl_lab.teach import solution, speed, stored_or_run
from metarl_lab.teach.figures import figure_with_alt

SPEED = speed()  # "peek", "quick" or "full"
torch.set_num_threads(1)  # the batches are small
announce(SPEED, {"peek": 15, "quick": 50, "full": 600})

GAMMA = 0.9
P, R = lab.grid.model(lab.tasks)  # P(s'|s, a) and R(s, a) of every task
anchors = lab.anchors()
oracle = anchors["oracle"]
print(f"{len(lab.goals)} goals; the oracle's return, goals alike: {oracle:.3f}")

# %% [markdown]
# ## 1. Q-learning on one task
# $Q(s,a)$ is the discounted return of taking $a$ in $s$ and playing well from there. One **Bellman backup**
# (贝尔曼备份) of a table looks one step ahead:
#
# $$
# (BQ)(s,a)=R(s,a)+\gamma\sum_{s'}P(s'|s,a)\max_{a'}Q(s',a').
# $$
#
# $B$ brings any two tables closer by the factor $\gamma$, so there is one fixed point, $Q^*$. **Predict:** the goal is
# in the far corner, six steps away. After how many backups does the start first know of it?

# %%
q, shown = torch.zeros_like(R), {}
for n in range(1, 8):
    q = bellman_backup(P, R, q, GAMMA)
    print(f"after {n} backups the start is worth {q[-1, 0].max():.3f}")
    if n in (1, 3, 6):
        shown[f"after {n}"] = q[-1].numpy()
best = optimal_q(P, R, GAMMA)
print(f"at the fixed point {best[-1, 0].max():.3f}")

# %%
maps = shown | {"exact": best[-1].numpy()}
figure_with_alt(
    figures.value_maps(maps, lab.goals[-1], low=-1, high=10),
    alt="Value maps after 1, 3 and 6 backups and at the fixed point: "
    "value spreads from the goal, cell by cell",
)

# %% [markdown]
# News travels one cell a backup: the start, six moves away, hears of the goal at the sixth. **Limit:** this knew $P$
# and $R$. A learner has transitions: `sampled_backup` gives every pair that occurs in them the mean of its targets
# $y=r+\gamma\max_{a'}Q(s',a')$, and leaves all others alone.
#
# Let every task act at random for ten episodes, and back a table of zeros up on that. `lab.random_batch` acts the
# episodes, and `lab.greedy_return` is the return of always taking the best action of a table.


# %%
def table_from(rows, backups):
    """Q after some backups on each task's own transitions, from zeros; (T, S, A)."""
    q = torch.zeros(len(rows["reward"]), lab.STATES, lab.ACTIONS)
    before, after = rows["observation"].argmax(-1), rows["after"].argmax(-1)
    action, reward, ends = rows["action"], rows["reward"], rows["terminated"]
    for _ in range(backups):
        q = sampled_backup(q, before, action, reward, after, ends, GAMMA)
    return q


def by_table(episodes, batches=20):
    """Mean return over tasks and batches of playing by a table after 8 backups."""
    tables = [table_from(lab.random_batch(n, episodes), 8) for n in range(batches)]
    return np.mean([lab.greedy_return(q).mean() for q in tables])


anchors["a table, 8 backups"] = by_table(episodes=10)
ten = anchors["a table, 8 backups"]
result("a table, ten random episodes", ten, at_least=6.5, at_most=10)
result("a table, three random episodes", by_table(episodes=3), at_most=5.5)

# %% [markdown]
# Ten episodes carry a table most of the way, three do not: what was not visited stays unknown, and nothing is carried
# from one cell, or one task, to another. Remember this baseline: it has no parameters, and solves its data completely.
#
# ## 2. One Q-function for all tasks
# The source document's objective for **meta-Q-learning** (元 Q 学习) is one $\theta$ for all $N$ tasks:
#
# $$
# \min_\theta\sum_{i=1}^N\sum_t\big(Q_\theta(s_t^i,a_t^i)-y_t^i\big)^2,\qquad
# y_t^i=r_t^i+\gamma\max_{a'}Q_\theta(s_{t+1}^i,a').
# $$
#
# Nothing in $Q_\theta(s,a)$ says which task it is in. **Predict:** what does the best such $\theta$ believe?

# %% [markdown]
# What is closest to several targets, in squares, is their mean. And $y$ is linear in the reward, while all tasks move
# alike: so the mean of the targets is the target of the *mean reward*. That is a task of its own, and can be solved.

# %%
mean_reward = R.mean(0, keepdim=True)
shared = optimal_q(P[:1], mean_reward, GAMMA)  # (1, S, A)
worth = shared.amax(-1)
print(f"best shared Q: every cell is worth {worth.min():.2f} to {worth.max():.2f}")
earned = lab.greedy_return(shared.expand_as(R)).mean()
result("return of the best shared Q", earned, at_most=2)

# %% [markdown]
# It is the exact solution of *the average task* (where data visit every pair of every task alike): a twelfth of a goal
# everywhere, so any place will do. Zero Bellman error on average is useless in each. As a
# *start* it may still help; meta-learning asks for the best start.
#
# ## 3. MAML on the Bellman error
# As in chapter 05, with Q-learning inside (a combination of this workbook's own: section 5 has the published one called
# meta-Q-learning). Inner step on task $i$'s first batch $D_i$, outer loss on *other, later*
# data $D_i'$ of the task:
#
# $$
# \theta_i'=\theta-\alpha\,\tfrac1{|D_i|}\textstyle\sum_{D_i}2\,(Q_\theta-y)\nabla Q_\theta,\qquad
# \min_\theta\sum_i\tfrac1{|D_i'|}\sum_{D_i'}\big(Q_{\theta_i'}-y_i'\big)^2.
# $$
#
# Inside, $y$ is held, as Q-learning does; but its *value* moves when $\theta$ does, and the meta-gradient must know.
# A vector-Jacobian product says just that: it differentiates `q`, never the factor, and keeps the graph of both.

# %%
net = lab.meta.net


def q_step(weights, rows, rate):
    """One inner step of all tasks at once; weights {name: (T, ...)}, rows (T, M)."""
    q = net.q(weights, rows["observation"], rows["action"])[0]  # (T, M)
    # these grids never terminate
    y = rows["reward"] + GAMMA * net.values(weights, rows["after"]).amax(-1)
    factor = 2 * (q - y) / q.shape[1]
    # a vector times a Jacobian: q is differentiated, its factor is not
    slopes = torch.autograd.grad(q, list(weights.values()), factor, create_graph=True)
    return {k: w - rate * g for (k, w), g in zip(weights.items(), slopes)}


# %% [markdown]
# And this is the package's outer loss, after the steps:

# %%
show_source(type(lab.meta).losses)

# %% [markdown]
# The outer target is double DQN's ([van Hasselt et al. 2016](https://arxiv.org/abs/1509.06461)): the adapted network
# chooses $a'$, a slowly following one, adapted likewise, judges it; so noise does not count twice. Each layer's step
# size is meta-learned too. We train three seeds, 30 iterations of 8 tasks, and the *shared Q* of section 2 on the same
# env steps; its inner rate, and that of a fresh network, is chosen on training tasks. **Predict:** which beats the
# table?


# %%
def train():
    rounds = iterations(SPEED, quick=30, full=300)
    return lab.train_both(at_speed(SPEED, quick=3, full=10), rounds)


learners = lab.learners_of(stored_or_run(SPEED, "11_agents", train))
after_ten = lab.after_the_steps(learners, episodes=10)  # a row a seed
after_three = lab.after_the_steps(learners, episodes=3)

# %%
figure_with_alt(
    figures.after_steps(after_ten, anchors, "five steps on one batch of ten episodes"),
    alt="Return after five Q-learning steps, a point a seed: the meta-learned start "
    "above the shared and the fresh one; a table with full backups is higher",
)
mean = after_ten.mean()
result("meta-Q, after five steps", mean.meta_q, at_least=2.5)
result("meta-Q minus shared Q", mean.meta_q - mean.shared, at_least=0.8)
result("shared Q minus fresh", mean.shared - mean["a fresh network"], at_most=1.5)
result("the table minus meta-Q", ten - mean.meta_q, at_least=0.5)
claim("meta-Q above shared Q", after_ten, "meta_q > shared")
claim("meta-Q above a fresh network", after_ten, "meta_q > `a fresh network`")
claim("below the table", after_ten, lambda seeds: (seeds < ten).all(axis=1))
lead = after_three.meta_q - after_three.shared
result("three episodes: meta-Q minus shared Q", lead.mean(), at_most=1)
below = by_table(episodes=3) - after_three.meta_q.mean()
result("three episodes: the table minus meta-Q", below, at_least=0.5)

# %% [markdown]
# The same network, steps and kind of data: after ten episodes the meta-learned start is ahead in every seed. Shared
# pre-training is hardly better than a fresh network: the average task is no start for any. But **the table wins**. Ten
# episodes are enough to solve 16 cells from nothing, and five gradient steps are not. Three episodes do not turn the
# order: the table is ahead there too, and the meta-learned start, trained for ten, loses its lead over the shared one.
# Meta-Q is for worlds that no table fits.
#
# Look at what five backups do. *Before* them the meta-learned map need not be sensible; it is made to *become* one.
# The next cell takes both networks of seed 0, and a table, through eight backups on one batch. **Put the goal in the
# far corner: from which start does play reach it, and after how many backups?**


# %%
rows = lab.random_batch(0)


def courses(seed):
    """Values after 0, 1, ... 8 backups, from three starts; (T, 9, S, A) each."""
    return {
        "a meta-learned network": lab.course(learners["meta_q", seed], rows),
        "a shared network": lab.course(learners["shared", seed], rows),
        "a table of zeros": torch.stack([table_from(rows, n) for n in range(9)], 1),
    }


shown = courses(seed=0)
widget.value_explorer(
    {name: q.numpy() for name, q in shown.items()},
    lab.earned_along(shown),
    best.numpy(),
    lab.goals,
    high=10.0,
).show()

# %%
# return in the task of the far corner, after 0, 1, ... 8 backups: (9,)
corner = {name: earned[-1] for name, earned in lab.earned_along(shown).items()}
backups = np.argmax(corner.pop("a table of zeros") > 0)
result("far corner: backups until a table reaches it", backups, near=5, within=0.5)
highest = [earned.max() for earned in corner.values()]
result("far corner: highest return by each network", highest, at_most=0)
reached = lab.who_arrives({seed: courses(seed) for seed in range(3)}, steps=5)
by_start = reached.groupby("start")
claim("a table reaches the goal", by_start.get_group("a table of zeros"), "reached")
network = by_start.get_group("a meta-learned network")
near = network[network.moves <= 3].reached.mean()
far = network[network.moves > 3].reached.mean()
result("meta-Q, share reached of goals 2 or 3 moves away", near, at_least=0.5)
result("and of those 4 to 6 moves away", far, at_most=0.35)
after_five = shown["a meta-learned network"][:, 5]
largest = after_five.amax((1, 2)) / best.amax((1, 2))
result("its largest value, share of the exact one", largest.mean(), at_most=0.6)

# %% [markdown]
# After five steps the values are still far too small; greedy play needs only their order. In three seeds the
# meta-learned start has learned to reach more than half of the goals that are two or three moves away, which random
# batches meet most, and few of the far ones. A table reaches every goal on this batch; the far corner takes it five
# backups, and neither network gets there in eight. Try other numbers of backups too: the meta-learned start was
# trained for five. Values are of the *discounted* endless episode; returns are of 15 steps.
#
# ## 4. Exploration against exploitation
# A value says how good an action *looks*; only trying finds out (**exploration against exploitation**, 探索与利用).
# Our first batch was all exploration, share $\epsilon=1$ of random actions, and the next none. **Predict:** less
# exploration earns more at first; or does it? And what does it cost later?

# %%
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
returns = lab.by_share(learners, SHARES)  # a row for each seed and share
figure_with_alt(
    figures.exploring(returns, {name: anchors[name] for name in ("random", "oracle")}),
    alt="Return of both batches against exploration in the first, each seed and their "
    "mean: the first hardly moves, the second rises where the first explores most",
)
first = returns["first batch"].unstack("share")  # a row a seed
second = returns["second batch"].unstack("share")
gain, cost = (second[1.0] - second[0.0]).mean(), (first[0.0] - first[1.0]).mean()
result("second batch: all exploring minus none", gain, at_least=1)
result("first batch: none minus all exploring", cost, at_most=1.5)
claim("second batch: more with all exploring than with none", second, "`1.0` > `0.0`")
claim("second batch: more with three quarters than with none", second, "`0.75` > `0.0`")
little = returns.query("share <= 0.5")
claim("share up to a half: second batch below 3", little, "`second batch` < 3")
ahead = returns["first batch"] - anchors["random"]
claim("first batch: within 1.5 of random play", {"ahead": ahead}, "abs(ahead) < 1.5")
claim("first batch: more with none than with all", first, "`0.0` > `1.0`", "some")

# %% [markdown]
# Here exploring costs next to nothing at first: knowing nothing, a greedy walk earns about as much as a blind one,
# a little more from some of our starts and a little less from others. But ten times the same walk teach about that
# walk alone. The gain is no straight line: up to a share of one half the second batch earns less than 3 in every
# seed; with three quarters, as with nothing but exploring, every seed earns more than with none. **Limit:** random
# steps are blind; systematic search (chapters 08 and 09) finds the goal sooner. And this agent was trained for
# $\epsilon=1$.
#
# ## 5. MQL: old data, weighed by likeness
# [Fakoor et al. 2020](https://arxiv.org/abs/1910.00125) do not differentiate through adaptation at all. A GRU gives
# the **context** (chapter 08), TD3 maximises the mean over tasks, and at test time the agent takes steps on the new
# task's few transitions, then on *old tasks'* transitions, each weighed by its **propensity** (倾向得分)
# $\beta=p_\text{new}/p_\text{old}$, which a logistic regression that tells new from old gives. The **effective sample
# size** $\text{ESS}=(\sum\beta)^2/(n\sum\beta^2)$ says what share of the old data counts, and $1-\text{ESS}$ how firmly
# to stay near the meta-trained weights. Two Gaussians one apart: $\beta=e^{x-1/2}$, ESS $=e^{-1}$.

# %%
shares = lab.shares_of_gaussians((0.0, 1.0, 2.0))
for apart, share in shares.exact.items():
    print(f"{apart:.0f} apart: the exact share is {share:.2f}")
result("by the regression, 0 apart", shares.estimated[0.0], at_least=0.99)
result("1 apart", shares.estimated[1.0], at_least=0.25, at_most=0.45)
result("2 apart", shares.estimated[2.0], at_most=0.1)

# %% [markdown]
# Tasks far apart share almost nothing. Does it help? The package's MQL and PEARL (chapter 09) at equal env steps, on
# point navigation in ten moves, stored. MQL's variants differ in what they do after three of six episodes: steps on
# new and old data; on new data only; with all old data weighed alike; or no steps at all.

# %%
by_seed, lines = lab.off_policy()  # return of episodes 4 to 6
show_table(lab.with_interval(by_seed), "Return of episodes 4 to 6, 36,000 env steps")
result("random play", lines["random"], near=-5.21, within=0.01)
result("oracle", lines["oracle"], near=-0.09, within=0.01)
gains = by_seed.rsub(by_seed.MQL, axis=0).drop(columns="MQL")  # MQL minus each of them
show_table(lab.with_interval(gains), "MQL minus each of the others, seed by seed")
mean = gains.mean()
result("MQL minus PEARL", mean["PEARL"], at_least=0.5)
adds = mean["MQL, no adaptation"]
result("what adapting adds to context", adds, at_least=-0.2, at_most=0.4)
adds = mean["MQL, no propensity"]
result("what propensity weights add", adds, at_least=-0.2, at_most=0.2)
claim("MQL above PEARL by 2", gains, "PEARL > 2")
claim("MQL above each of the others", gains, lambda d: (d > 0).all(axis=1))
variants = lab.with_interval(gains.drop(columns="PEARL"))
claim("MQL minus a variant: the interval holds zero", variants, "low < 0 < high")

# %% [markdown]
# At this budget MQL is well ahead of PEARL, in every seed. But nearly all of it is *context*: without a single step at
# test time it loses about a tenth. MQL is ahead of each of its three variants in all five seeds, and by so little that
# the interval of each difference still holds zero: the old data add some 0.07, and weighing it by likeness 0.04.
# **Limit:** one easy family with dense rewards, where every move tells a GRU more of the goal while PEARL keeps one
# $z$ for all of an episode; settings chosen in a few short runs each.
#
# ## 6. What the document says

# %% [markdown] tags=["document"]
# **What the document says, and what is true: descending the Bellman error**
#
# "Minimise $\sum(Q_\theta-y)^2$ with $y$ made of the same $\theta$, by gradient descent." Q-learning does *not* descend
# that: it holds $y$, a **semi-gradient** (半梯度). Really descending it, the *naive residual gradient* of Sutton and
# Barto (2018, section 11.5), ends elsewhere. From A one goes to B or C by a coin; B pays 1 and ends, C pays 0 and ends
# (their example 11.2). Baird's *residual gradient* (1995) is a third thing: he takes the two factors of the gradient
# from two followers of A, drawn independently, and so descends the square of A's *mean* error. **Predict:** the value
# of B under each of the three.


# %%
def held(v):
    """Mean squared error of A -> B, A -> C, B -> end, C -> end; targets held."""
    y = torch.cat([v[1:], torch.tensor([1.0, 0.0])])  # v of A, B, C: (3,)
    return (v[[0, 0, 1, 2]] - y.detach()).square().mean()


def naive(v):
    """The same, differentiated through the targets."""
    y = torch.cat([v[1:], torch.tensor([1.0, 0.0])])
    return (v[[0, 0, 1, 2]] - y).square().mean()


def baird(v):
    """What two independent followers give: the mean error of A, then the square."""
    y = torch.stack([v[1:].mean(), torch.tensor(1.0), torch.tensor(0.0)])
    return (v - y).square() @ torch.tensor([2.0, 1.0, 1.0]) / 4


def descend(loss_of):
    v = torch.zeros(3, requires_grad=True)
    descent = torch.optim.SGD([v], lr=0.2)
    for _ in range(1000):
        loss = loss_of(v)
        descent.zero_grad()
        loss.backward()
        descent.step()
    return v.detach()


for loss_of in (held, naive, baird):
    v = descend(loss_of)
    error = held(v)  # the same for held and naive: they differ in their derivative only
    found = [round(x, 2) + 0.0 for x in v.tolist()]
    print(f"{loss_of.__name__}: values of A, B, C {found}, squared error {error:.3f}")

# %% [markdown]
# B pays 1, always. The naive residual gradient says 0.75, and has the smaller error: it bends B towards A. The squared
# error of single transitions is not what is wanted where they are random. Baird's ends at the right values here, but
# needs a second follower of each state, which only a simulator gives.

# %% [markdown] tags=["document"]
# **The loop, and the names**
#
# "`loss.backward()`, then `optimizer.step()`", task after task: its loop never calls `zero_grad`, so each step adds all
# gradients so far (next cell). And its `forward(task)` is three dots: no inner step, no later data, nothing *meta*.
#
# "Meta policy gradient", listed as value-based: it learns a policy by the gradient of its return, and needs no $Q$; see
# chapters 05 and 12. "For simple tasks meta-Q-learning, for complex ones meta policy gradients": what decides is rather
# whether old data can be re-used (then values) and whether $\max_{a'}$ is cheap (few actions).

# %%
theta = torch.nn.Parameter(torch.zeros(()))
for task in range(3):
    (theta - 1.0).square().backward()
    print(f"task {task}: the gradient is -2, theta.grad holds {theta.grad.item():.0f}")

# %%
quiz("11.a")

# %% [markdown]
# ## Exercises
# Write your answer over the `...` and run the cell; until then it shows you the task. `hint("11.1")` helps in three
# steps, and `solution("11.1")` shows one solution.
#
# **11.1 The target.** What Q-learning fits $Q(s,a)$ to, for a batch of transitions.


# %%
def q_target(reward, after, terminated, gamma): ...


check("11.1", q_target)

# %% [markdown]
# **11.2 Double Q-learning.** The same target with two networks: one chooses the action in $s'$, the other judges it.


# %%
def double_target(reward, online, late, terminated, gamma): ...


check("11.2", double_target)

# %% [markdown]
# **11.3 The semi-gradient.** Values are linear, $v(s)=w\cdot x(s)$, as they are for a table with one-hot states. Which
# way does Q-learning push $w$?


# %%
def semi_gradient(w, x, reward, x_after, gamma): ...


check("11.3", semi_gradient)

# %%
hint("11.3")

# %% [markdown]
# **11.4 The effective sample size.** The share of old data that counts, given its weights.


# %%
def ess(beta): ...


check("11.4", ess)

# %% [markdown]
# **11.5 The whole algorithm.** Section 3 for linear values: inner steps by 11.3, an outer step that looks through them.
# Torch may differentiate for you, as `q_step` lets it; or write the derivative of the inner step by hand. Mind what is
# held, and what is not: in the inner derivative the target is held, but its *value* moves when $w$ does.


# %%
def meta_train(w, tasks, gamma, alpha, beta, iterations): ...


check("11.5", meta_train)

# %% [markdown]
# ## Break it
# A common program writes `done = terminated | truncated`, and never looks back. Being on the goal for ever is worth
# $1/(1-0.9)=10$. Here is what a table learns of staying there, from 2,000 random episodes of three lengths:


# %%
def worth_of_the_goal(horizon, done):
    """Q of staying on the goal, from 2,000 random episodes."""
    q = table_from(lab.rows_of_random_play(horizon, done), backups=150)
    return q[0, lab.goals[0], 0].item()  # action 0: stay


def broken(episodes):
    return episodes.terminated | episodes.truncated


for horizon in (5, 15, 45):
    print(f"{horizon} steps an episode: {worth_of_the_goal(horizon, broken):.1f}")

# %%
quiz("11.b")

# %% [markdown]
# The world did not end after 15 steps; we stopped looking. With `terminated` alone:


# %%
def mended(episodes):
    return episodes.terminated


for horizon in (5, 15, 45):
    print(f"{horizon} steps an episode: {worth_of_the_goal(horizon, mended):.1f}")

# %% [markdown]
# ## Summary
# - A backup carries news one step; its fixed point is $Q^*$; on data, it solves what the data hold.
# - One Q for all tasks becomes the average task's Q. MAML on the Bellman error finds a start that a few Q-learning
#   steps turn into any task's; in a world this small, a table with full backups is still better.
# - What is held matters: $y$ in the inner derivative and in the outer loss, its value not in the meta-gradient.
# - The first batch explores so that later ones can exploit; values bootstrap through truncation, never termination.
# - MQL replaces meta-gradients by context and by old data weighed by propensity.
#
# ## What to read
# - Fakoor, Chaudhari, Soatto & Smola 2020, *Meta-Q-Learning*, [arXiv 1910.00125](https://arxiv.org/abs/1910.00125).
# - Finn, Abbeel & Levine 2017, *MAML*, [arXiv 1703.03400](https://arxiv.org/abs/1703.03400).
# - van Hasselt, Guez & Silver 2016, *Double Q-learning*, [arXiv 1509.06461](https://arxiv.org/abs/1509.06461).
# - Baird 1995, *Residual algorithms*, ICML; Sutton & Barto 2018, sections 11.4 and 11.5; Pardo et al. 2018, *Time
#   limits in reinforcement learning*, [arXiv 1712.00378](https://arxiv.org/abs/1712.00378).
#
# ## What comes next
# Here the Bellman error was given, and its start was learned. [Chapter 12](12_learning_the_objective.ipynb) learns the
# objective itself: its discount, and then the whole update rule.
