# %% [markdown]
# # 11 Value-based meta-RL: meta-Q-learning
#
# **Reading time:** 35 min. **Run time:** 35 s.
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

# %%
import dataclasses

import numpy as np
import pandas as pd
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.runs.files import find_folder
from metarl_lab.ops.propensity import density_ratio, effective_sample_size, logistic_regression
from metarl_lab.ops.q_learning import bellman_backup, optimal_q, sampled_backup
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.ops.transitions import transition_rows
from metarl_lab.teach.figures import adaptation_curves, figure_with_alt
from metarl_lab.chapters.ch11_value_based.figures import exploring, value_maps
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.gridworld import GridTasks
from metarl_lab.teach import announce, check, hint, quiz, show_source, speed, stored_or_run, verdict
from metarl_lab.chapters.ch11_value_based.widget import value_explorer

# %%
SPEED = speed()  # "peek", "quick" or "full"
FULL = SPEED == "full"
torch.set_num_threads(1)  # the batches are small
announce(SPEED, {"peek": 15, "quick": 35, "full": 600})

grid = ml.make_family("gridworld", size=4)
goals = grid.goals("train")
tasks = GridTasks(torch.tensor(goals))  # each goal once: means over them are exact means over the prior
P, R = grid.model(tasks)  # P(s'|s, a) and R(s, a) of every task
GAMMA, T = 0.9, len(goals)
anchors = {"random play": ml.evaluate(ml.make_reference("random", grid), grid, episodes=50).mean[0]}
anchors["oracle"] = float(grid.oracle(tasks).mean())
print(f"{T} goals; the oracle's return, goals alike: {anchors['oracle']:.3f}")

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
figure_with_alt(
    value_maps(shown | {"exact": best[-1].numpy()}, goals[-1], -1, 10),
    alt="Value maps after 1, 3 and 6 backups and at the fixed point: value spreads from the goal, cell by cell",
)

# %% [markdown]
# News travels one cell a backup. **Limit:** this knew $P$ and $R$. A learner has transitions: `sampled_backup` gives
# every pair that occurs in them the mean of its targets $y=r+\gamma\max_{a'}Q(s',a')$, and leaves all others alone.
#
# Let every task act at random for ten episodes, and back a table of zeros up on that.

# %%
meta = ml.make_learner("meta_q", grid, seed=0)  # acts at random before its first step


def random_batch(seed, episodes=10):
    acted, _ = collect(meta, grid, tasks, begin(meta, grid, tasks, episodes), seeded_generator("cpu", seed, 11))
    return transition_rows(acted, acted.reward)


def table_from(rows, backups, q=None):
    q = torch.zeros_like(R) if q is None else q
    s, after = rows["observation"].argmax(-1), rows["after"].argmax(-1)
    for _ in range(backups):
        q = sampled_backup(q, s, rows["action"], rows["reward"], after, rows["terminated"], GAMMA)
    return q


def greedy_return(q):  # (T, 16, 5) -> (T,), the return of an episode without exploring
    cell, total = torch.zeros(T, dtype=torch.int64), torch.zeros(T)
    for _ in range(grid.horizon):
        action = q[torch.arange(T), cell].argmax(-1)
        total, cell = total + R[torch.arange(T), cell, action], grid.successor[cell, action]
    return total


# %%
def by_table(episodes, backups=8):  # 20 batches for each goal
    return np.mean([greedy_return(table_from(random_batch(n, episodes), backups)).mean() for n in range(20)])


# %% tags=["nbval-ignore-output", "raw"]
anchors["a table, 8 backups"] = by_table(10)
print("a table after 8 backups:", {n: round(float(by_table(n)), 1) for n in (1, 3, 10, 30)}, "by number of episodes")

# %%
verdict("a table, ten random episodes", anchors["a table, 8 backups"], at_least=6.5, at_most=10)
verdict("a table, three random episodes", by_table(3), at_most=5.5)

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

# %%
some_q = torch.randn(1, 16, 5, generator=torch.Generator().manual_seed(0)).expand_as(R)
mean_of_targets = bellman_backup(P, R, some_q, GAMMA).mean(0, keepdim=True)
target_of_mean = bellman_backup(P[:1], R.mean(0, keepdim=True), some_q[:1], GAMMA)
print("mean target = target of the mean reward:", torch.allclose(mean_of_targets, target_of_mean, atol=1e-5))
shared = optimal_q(P[:1], R.mean(0, keepdim=True), GAMMA)  # least squares ends at the mean target
print(f"the best shared Q: every cell is worth between {shared.amax(-1).min():.2f} and {shared.amax(-1).max():.2f}")

# %%
verdict("return of the best shared Q", greedy_return(shared.expand_as(R)).mean(), at_most=2)

# %% [markdown]
# It is the exact solution of *the average task* (where data visit every pair of every task alike): a twelfth of a goal
# everywhere, so any place will do. Zero Bellman error on average is useless in each. As a
# *start* it may still help; meta-learning asks for the best start.
#
# ## 3. MAML on the Bellman error
# As in chapter 05, with Q-learning inside. Inner step on task $i$'s first batch $D_i$, outer loss on *other, later*
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
net = meta.net


def q_step(weights, rows, rate):  # all tasks at once: weights (T, ...)
    q = net.q(weights, rows["observation"], rows["action"])[0]  # (T, M)
    y = rows["reward"] + GAMMA * net.values(weights, rows["after"]).amax(-1)  # these grids never terminate
    factor = 2 * (q - y) / q.shape[1]
    slopes = torch.autograd.grad(q, list(weights.values()), factor, create_graph=True)
    return {k: w - rate * g for (k, w), g in zip(weights.items(), slopes)}


rows = random_batch(0)
start = {k: w.requires_grad_() for k, w in meta.begin(T, 1).weights.items()}
mine, package = q_step(start, rows, 0.5), net.semi_gradient(start, start, rows, 1.0, GAMMA, False)
print("equals the package's:", all(torch.allclose(mine[k], w - 0.5 * package[k], atol=1e-5) for k, w in start.items()))

# %%
show_source(type(meta).losses)

# %% [markdown]
# The outer target is double DQN's ([van Hasselt et al. 2016](https://arxiv.org/abs/1509.06461)): the adapted network
# chooses $a'$, a slowly following one, adapted likewise, judges it; so noise does not count twice. Each layer's step
# size is meta-learned too. We train three seeds, 30 iterations of 8 tasks, and the `shared` form on the same env
# steps, its inner rate chosen on training tasks. **Predict:** which beats the table?


# %%
def train_all():
    out = {}
    for form in ("maml", "shared"):
        for seed in tqdm(range(10 if FULL else 3)):
            learner = ml.make_learner("meta_q", grid, seed=seed, form=form)
            ml.train(learner, grid, 300 if FULL else 30, seed=seed, device="cpu")
            out[f"{form} {seed}"] = torch.cat(
                [parameters_to_vector(learner.net.parameters()), learner.log_rates]
            ).detach()
    return out


def restored(key, vector):
    learner = ml.make_learner("meta_q", grid, form=key.split()[0])
    own, vector = list(learner.net.parameters()), torch.as_tensor(vector, dtype=torch.float32)
    vector_to_parameters(vector[: -len(own)], own)
    learner.log_rates.data.copy_(vector[-len(own) :])
    return learner


trained = {key: restored(key, x) for key, x in stored_or_run(SPEED, "11_agents", train_all).items()}
trained |= {f"fresh {seed}": ml.make_learner("meta_q", grid, seed=seed, form="shared") for seed in range(3)}


# %%
def score(learner, split="test", seed=1):  # return before and after the steps on one batch of ten episodes
    return ml.evaluate(learner, grid, split, n_tasks=60, episodes=10, batches=2, seed=seed).mean


for key, learner in trained.items():
    if not key.startswith("maml"):  # these rates were not learned: the best of three on training tasks
        tried = {}
        for rate in (0.1, 0.5, 2.0):
            learner.log_rates.fill_(np.log(rate))
            tried[rate] = score(learner, "train", seed=2)[1]
        learner.log_rates.fill_(np.log(max(tried, key=tried.get)))
scores = {
    name: np.stack([score(x) for k, x in trained.items() if k.startswith(name)]) for name in ("maml", "shared", "fresh")
}

# %%
curves = []
for name, x in scores.items():
    mean, low, high = mean_interval(x)
    curves.append(pd.DataFrame({"learner": name, "x": [0, 5], "mean": mean, "low": low, "high": high}))
figure_with_alt(
    adaptation_curves(pd.concat(curves), anchors, x_label="Q-learning steps on one batch of ten episodes"),
    alt="Return before and after five Q-learning steps: meta-trained rises most; a table with full backups is higher",
)

# %% tags=["nbval-ignore-output", "raw"]
print(
    {name: x.mean(0).round(1).tolist() for name, x in scores.items()},
    "before and after; table",
    round(anchors["a table, 8 backups"], 1),
)

# %%
after = {name: x.mean(0)[1] for name, x in scores.items()}
verdict("meta-trained, after five steps", after["maml"], at_least=2.5)
verdict("meta-trained minus shared", after["maml"] - after["shared"], at_least=0.8)
verdict("shared minus fresh", after["shared"] - after["fresh"], at_most=1.5)
verdict("the table minus meta-trained", anchors["a table, 8 backups"] - after["maml"], at_least=0.5)

# %% [markdown]
# The same network, steps and kind of data: the meta-learned start gains most. Shared pre-training is hardly better
# than a fresh network: the average task is no start for any. But **the table wins**. Ten episodes are enough to solve
# 16 cells from nothing, and five gradient steps are not. Three episodes do not turn the order either (try
# `episodes=3`). Meta-Q is for worlds that no table fits.
#
# Look at what five backups do. *Before* them the meta-learned map need not be sensible; it is made to *become* one.


# %%
def values_of(weights):
    return net.values(weights, torch.eye(16).expand(T, -1, -1))


def course(learner, backups=8):  # (T, backups + 1, 16, 5)
    found = []
    for n in range(backups + 1):
        learner.config = dataclasses.replace(learner.config, inner_steps=n)
        found.append(values_of(learner.adapted(learner.begin(T, 1).weights, rows, graph=False)))
    learner.config = dataclasses.replace(learner.config, inner_steps=5)
    return torch.stack(found, 1)


steps_of = {"a meta-learned network": course(trained["maml 0"]), "a shared network": course(trained["shared 0"])}
steps_of["a table of zeros"] = torch.stack([table_from(rows, n) for n in range(9)], 1)
earned = {k: torch.stack([greedy_return(q[:, n]) for n in range(9)], 1).numpy() for k, q in steps_of.items()}
value_explorer({k: q.detach().numpy() for k, q in steps_of.items()}, earned, best.numpy(), goals, 10.0).show()

# %% [markdown]
# After five steps the values are still far too small; greedy play needs only their order. Near goals, which random
# batches meet most, it mostly learns to reach, far ones mostly not; a table reaches nearly all that were met. Try other
# numbers of backups too: the meta-learned start was trained for five. Values are of the *discounted* endless episode;
# returns are of 15 steps.
#
# ## 4. Exploration against exploitation
# A value says how good an action *looks*; only trying finds out (**exploration against exploitation**, 探索与利用).
# Our first batch was all exploration, share $\epsilon=1$ of random actions, and the next none. **Predict:** less
# exploration earns more at first; or does it? And what does it cost later?

# %%
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def at_share(learner, share):
    learner.config = dataclasses.replace(learner.config, explore_first=share)
    return score(learner)


agents = [x for key, x in trained.items() if key.startswith("maml")]
both = np.array([[at_share(x, share) for share in SHARES] for x in agents]).mean(0)  # (shares, 2)
lines = {name: anchors[name] for name in ("random play", "oracle")}
figure_with_alt(
    exploring(
        SHARES, {"first batch": both[:, 0], "second batch": both[:, 1]}, lines, "share of random actions, first batch"
    ),
    alt="Return of the first and the second batch against exploration in the first: the second batch needs it",
)

# %% tags=["nbval-ignore-output", "raw"]
print("share, first, second batch:", [(s, *x.round(1).tolist()) for s, x in zip(SHARES, both)])

# %%
verdict("second batch: all exploring minus none", both[-1, 1] - both[0, 1], at_least=1)
verdict("first batch: none minus all exploring", both[0, 0] - both[-1, 0], at_most=1.5)

# %% [markdown]
# Here exploring costs nothing at first: knowing nothing, a greedy walk earns no more than a blind one. But ten times
# the same walk teach about that walk alone. **Limit:** random steps are blind; systematic search (chapters 08 and 09)
# finds the goal sooner. And this agent was trained for $\epsilon=1$.
#
# ## 5. MQL: old data, weighed by likeness
# [Fakoor et al. 2020](https://arxiv.org/abs/1910.00125) do not differentiate through adaptation at all. A GRU gives
# the **context** (chapter 08), TD3 maximises the mean over tasks, and at test time the agent takes steps on the new
# task's few transitions, then on *old tasks'* transitions, each weighed by its **propensity** (倾向得分)
# $\beta=p_\text{new}/p_\text{old}$, which a logistic regression that tells new from old gives. The **effective sample
# size** $\text{ESS}=(\sum\beta)^2/(n\sum\beta^2)$ says what share of the old data counts, and $1-\text{ESS}$ how firmly
# to stay near the meta-trained weights. Two Gaussians one apart: $\beta=e^{x-1/2}$, ESS $=e^{-1}$.

# %%
draws = torch.Generator().manual_seed(0)
old = torch.randn(20_000, 1, generator=draws)
ess = {}
for apart in (0.0, 1.0, 2.0):
    new = torch.randn(1, 20_000, 1, generator=draws) + apart
    w = logistic_regression(new, torch.ones(1, 20_000, dtype=torch.bool), old, ridge=1e-4)
    ess[apart] = effective_sample_size(density_ratio(w, old, clip=1e9)).item()
    print(f"{apart:.0f} apart: the exact share is {np.exp(-(apart**2)):.2f}")

# %%
verdict("estimated by the regression, 0 apart", ess[0.0], at_least=0.99)
verdict("1 apart", ess[1.0], at_least=0.25, at_most=0.45)
verdict("2 apart", ess[2.0], at_most=0.1)

# %% [markdown]
# Tasks far apart share almost nothing. Does it help? The package's MQL and PEARL (chapter 09) at equal env steps, on
# point navigation in ten moves, stored. MQL's variants differ in what they do after three of six episodes.

# %% tags=["nbval-ignore-output", "raw"]
stored = pd.read_csv(find_folder("data/results") / "off_policy.csv")
test = stored[(stored.split == "test") & (stored.checkpoint == stored.checkpoint.max()) & (stored.episode > 3)]
per_seed = test.groupby(["label", "seed"])["mean"].mean().unstack().dropna(axis=1)
told = {k: [round(x.item(), 2) for x in mean_interval(row.to_numpy()[:, None])] for k, row in per_seed.iterrows()}
lines = stored[(stored.seed == -1) & (stored.split == "test")].set_index("label")["mean"]
print(f"return of episodes 4 to 6, after {stored.checkpoint.max():,} env steps; {per_seed.shape[1]} seeds")
print(pd.DataFrame(told, ["mean", "low", "high"]).T.to_string())
print(f"random {lines['random']:.2f}, oracle {lines['oracle']:.2f}")

# %%
mql = per_seed.mean(axis=1)
verdict("MQL minus PEARL", mql["mql"] - mql["pearl"], at_least=0.5)
verdict("what adapting adds to context", mql["mql"] - mql["mql, no adaptation"], at_least=-0.2, at_most=0.4)
verdict("what propensity weights add", mql["mql"] - mql["mql, no propensity"], at_least=-0.2, at_most=0.2)

# %% [markdown]
# At this budget MQL is well ahead of PEARL. But nearly all of it is *context*: the steps at test time add about a
# tenth, less than five seeds can tell from nothing, and weighing old data by likeness next to nothing. **Limit:** one
# easy family with dense rewards, where every move tells a GRU more of the goal while PEARL keeps one $z$ for all of an
# episode; settings chosen in a few short runs each.
#
# ## 6. What the document says, and what is true
# **"Minimise $\sum(Q_\theta-y)^2$ with $y$ made of the same $\theta$, by gradient descent."** Q-learning does *not*
# descend that: it holds $y$, a **semi-gradient** (半梯度). Really descending it, the *residual gradient* (Baird 1995),
# ends elsewhere. From A one goes to B or C by a coin; B pays 1 and ends, C pays 0 and ends (Sutton & Barto 2018,
# example 11.2). **Predict:** the value of B.


# %%
def solve(hold):
    v = torch.zeros(3, requires_grad=True)  # A, B, C
    descent = torch.optim.SGD([v], lr=0.2)
    for _ in range(1000):
        y = torch.cat([v[1:], torch.tensor([1.0, 0.0])])  # of A -> B, A -> C, B -> end, C -> end
        loss = (v[[0, 0, 1, 2]] - (y.detach() if hold else y)).square().mean()
        descent.zero_grad()
        loss.backward()
        descent.step()
    return [round(x, 2) for x in v.tolist()], round(loss.item(), 3)


print("target held: values of A, B, C and loss", *solve(True))
print("differentiated through the target:     ", *solve(False))

# %% [markdown]
# B pays 1, always, and the smaller loss says 0.75: the residual gradient bends B towards A. The objective is not what
# is wanted where transitions are random.
#
# **"`loss.backward()`, then `optimizer.step()`", task after task.** Its loop never calls `zero_grad`: each step adds
# all gradients so far. And its `forward(task)` is three dots: no inner step, no later data, nothing *meta*.

# %%
theta = torch.nn.Parameter(torch.zeros(()))
for task in range(3):
    (theta - 1.0).square().backward()
    print(f"task {task}: the gradient is -2, theta.grad holds {theta.grad.item():.0f}")

# %% [markdown]
# **"Meta policy gradient", listed as value-based.** It learns a policy by the gradient of its return, and needs no
# $Q$: see chapters 05 and 12. **"For simple tasks meta-Q-learning, for complex ones meta policy gradients":** what
# decides is rather whether old data can be re-used (then values) and whether $\max_{a'}$ is cheap (few actions).

# %%
quiz("11.a")

# %% [markdown]
# ## Exercises
# **11.1** The Q-learning target of $N$ transitions, `after` being (N, A) values in $s'$.


# %%
def q_target(reward, after, terminated, gamma): ...


check("11.1", q_target)

# %% [markdown]
# **11.2** The same by double Q-learning, with the values of two networks.


# %%
def double_target(reward, online, late, terminated, gamma): ...


check("11.2", double_target)

# %% [markdown]
# **11.3** The semi-gradient of the mean squared error of $v(s)=w\cdot x(s)$; `x` and `x_after` are (N, F).


# %%
def semi_gradient(w, x, reward, x_after, gamma): ...


check("11.3", semi_gradient)

# %% [markdown]
# **11.4** The share of old data that counts, given its weights.


# %%
def ess(beta): ...


check("11.4", ess)

# %%
hint("11.3")

# %% [markdown]
# ## Break it
# A common program writes `done = terminated | truncated`, and never looks back. Being on the goal for ever is worth
# $1/(1-0.9)=10$. Here is what a table learns of staying there, from 2,000 random episodes of three lengths:


# %%
def worth_of_the_goal(horizon, done):
    world, near = dataclasses.replace(grid, horizon=horizon), GridTasks(torch.tensor(goals[:1]))
    acted, _ = collect(meta, world, near, begin(meta, world, near, 2000), seeded_generator("cpu", 5, 1))
    rows = transition_rows(acted, acted.reward)
    rows["terminated"] = done(acted).flatten(1, 3)
    return table_from(rows, 150, torch.zeros(1, 16, 5))[0, goals[0], 0].item()  # action 0: stay


for horizon in (5, 15, 45):
    print(f"{horizon} steps an episode: {worth_of_the_goal(horizon, lambda e: e.terminated | e.truncated):.1f}")

# %%
quiz("11.b")

# %% [markdown]
# The world did not end after 15 steps; we stopped looking. With `terminated` alone:

# %%
for horizon in (5, 15, 45):
    print(f"{horizon} steps an episode: {worth_of_the_goal(horizon, lambda e: e.terminated):.1f}")

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
# - Baird 1995, *Residual algorithms*, ICML; Sutton & Barto 2018, chapter 11; Pardo et al. 2018, *Time limits in
#   reinforcement learning*, [arXiv 1712.00378](https://arxiv.org/abs/1712.00378).
#
# ## What comes next
# Here the Bellman error was given, and its start was learned. [Chapter 12](12_learning_the_objective.ipynb) learns the
# objective itself: its discount, and then the whole update rule.
