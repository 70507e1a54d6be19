# %% [markdown]
# # 09 Inferring the task: PEARL and VariBAD
#
# **Reading time:** 50 min. **Run time:** 45 s.
#
# ## What you will be able to do
# - compute a belief over tasks exactly, and measure how far a learned one is from it;
# - tell posterior sampling from Bayes-adaptive exploration, and say what the difference costs;
# - write PEARL's encoder (a product of Gaussians) and VariBAD's objective (the ELBO), line by line;
# - tell a belief from a record, and context from leakage.
#
# ## The question
# RL2's hidden state (chapter 08) is a memory that nobody wrote a meaning into: one can only probe it afterwards.
# Suppose that memory were a **belief** (信念) by construction: a probability for every task. How is it computed, how
# is it learned, and how should one *act* on it?

# %%
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import pad, softplus
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.chapters.ch09_inferring_the_task import experiments, figures
from metarl_lab.chapters.ch09_inferring_the_task.experiments import total_variation
from metarl_lab.chapters.ch09_inferring_the_task.widget import belief_stepper
from metarl_lab.exact.goal_beliefs import goal_posteriors
from metarl_lab.exact.informative_bandit import search_value, solve_informative
from metarl_lab.nets.trial_decoder import trial_rows
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.gridworld import GridTasks
from metarl_lab.teach import announce, check, claim, hint, iterations, quiz, result
from metarl_lab.teach import show_table, solution, speed, stored_or_run
from metarl_lab.teach.figures import adaptation_curves, display_name, figure_with_alt
from metarl_lab.types import map_tensors

torch.set_num_threads(1)
SPEED = speed()
announce(SPEED, {"peek": 20, "quick": 45, "full": 180})

# %% [markdown]
# ## 1. A belief, exactly
# VariBAD's gridworld: 5 x 5 cells, start in the top left corner, one hidden goal, equally likely in each of 21 cells
# (not in the four around the start). A step that ends on the goal pays 1, any other -0.1; 15 steps an episode, 4
# episodes a trial. The **posterior** (后验) after history $h_t$ follows from **Bayes' rule** (贝叶斯公式):
#
# $$
# b_{t+1}(g)\;\propto\;p(r_{t+1}\mid g, s_{t+1})\;b_t(g)
# $$
#
# **Predict:** right, right, down, down, nothing paid. Which probability has each remaining cell?

# %%
grid = ml.make_family("gridworld")


def bayes(belief, cell, paid):
    """The posterior over 25 cells, after a visit to `cell` that paid or did not."""
    likelihood = (torch.arange(25) == cell) == paid  # of each possible goal: 0 or 1
    return belief * likelihood / (belief * likelihood).sum()


belief, cell = grid.prior, torch.tensor(0)
for action in (2, 2, 3, 3):  # right, right, down, down
    cell = grid.successor[cell, action]
    belief = bayes(belief, cell, paid=False)
print((100 * belief).view(5, 5).numpy().round(2))

# %% [markdown]
# Three of 21 cells are ruled out; each of the others has 1/18. The belief is *sufficient*: whatever else the history
# says is of no use. So the trial is an ordinary MDP whose state is (place, belief): the **Bayes-adaptive MDP**
# (贝叶斯自适应MDP). Limit: exact beliefs need a small, known set of tasks.
#
# ## 2. Two ways to act on it
# **Posterior sampling** (后验采样; Thompson sampling) draws one task from the belief and plays its optimal policy for
# a whole episode. **Bayes-optimal** play maximises the return of the trial, belief included:
#
# $$
# a_k\text{ plays }\pi^*_{g_k},\;g_k\sim b_k\qquad\text{against}\qquad V(s,b)=\max_a\,\mathbb E\big[r+V(s',b')\big]
# $$
#
# Both can be computed exactly. (Our posterior sampling is a little kinder than the definition: where it meets the goal
# on its way, it stays there. One that walks on to the cell that it drew, as the formula says, earns about 8 points a
# trial on the 5 x 5 grid, instead of the 11.74 below.) **Predict:** how do the two differ in episode 1? In episode 4?

# %%
exact_returns = experiments.exact_returns(sizes=(3, 5))  # nothing is sampled
print(exact_returns.round(3).to_string())

# %% [markdown]
# Already on 3 x 3 cells with five possible goals posterior sampling is not Bayes-optimal. On 5 x 5 it earns 0.5 where
# Bayes-optimal play earns 4.0 in the first episode, and in the fourth not half of what there is. The reason is to be
# seen on one goal:

# %%
GOAL = 16  # row 4, column 2
agents = {name: ml.make_reference(name, grid) for name in ("bayes_optimal", "psrl")}
walked = experiments.ways_to(GOAL, agents, grid)  # {agent: (episodes, points)} of cells
figure_with_alt(
    figures.ways(walked, GOAL, grid.size),
    alt="Ways to one hidden goal over four episodes: Bayes-optimal sweeps the grid and "
    "then goes straight to the goal; posterior sampling goes to a guess and waits",
)

# %%
quiz("09.a")

# %% [markdown]
# Bayes-optimal play *sweeps*: it passes every cell it can, because it values what it will know. Posterior sampling
# walks to one guess and waits, since in the task it drew that is right. Its two failures are general: it commits for
# a whole episode, and it never does anything that is optimal in *no* task. Asking is such a thing. Eleven arms,
# five pulls: one arm pays 5, nine pay 1, and the last pays little but says which is best.

# %%
print(f"Bayes-optimal, asks first:              {solve_informative(11, 5).value:.2f}")
print(f"posterior sampling, never pulls it:     {search_value(11, 5):.2f}")

# %% [markdown]
# In return it needs no planning over beliefs. PEARL acts by posterior sampling; VariBAD trains a policy that *sees*
# the belief, and so can learn to sweep.
#
# ## 3. PEARL: a product of Gaussians
# Unknown tasks get a latent $z$. Each transition $c_n$ contributes a Gaussian factor; **context** (上下文) is the *set*
# of transitions:
#
# $$
# q(z\mid c)\;\propto\;\mathcal N(z;0,I)\prod_n\mathcal N\big(z;\mu(c_n),\sigma^2(c_n)\big)
# $$
#
# Precisions $1/\sigma^2$ add up. **Predict:** what does the order of the transitions change? (The prior as a factor
# is ours; the paper has the product only.)

# %%
pearl, arc, _ = ml.load("data/checkpoints/pearl-semicircle_navigation")


def product_of_factors(encoder, c):
    """Mean and standard deviation of q(z | c), (Z,) each; c (N, F), N transitions."""
    mean, raw = encoder.net(c).chunk(2, -1)  # mu(c_n), and what becomes a precision
    precision = softplus(raw)  # 1 / sigma^2 of each factor, (N, Z)
    total = 1 + precision.sum(0)  # the prior's 1, and everyone's
    return (precision * mean).sum(0) / total, total**-0.5


three = experiments.pearl_walks(pearl, arc, tasks=3, episodes=6)
c = three.context  # of the first task, six episodes: (120, F)
shuffled = c[torch.randperm(len(c), generator=seeded_generator("cpu", 6, 1))]
with torch.no_grad():
    in_order = torch.cat(product_of_factors(pearl.encoder, c))
    out_of_order = torch.cat(product_of_factors(pearl.encoder, shuffled))
change = (in_order - out_of_order).abs().max()
result("change when the 120 transitions are shuffled", change, at_most=1e-3)

# %% [markdown]
# No order: right for a task that stands still. **Limit:** factors count as independent. A transition seen twice
# makes the belief narrower, though it says nothing new; and a Gaussian has one hump.
#
# PEARL trains the encoder by the critic's error and $\beta \mathrm{KL}(q \parallel \mathcal N(0,I))$, off-policy. Here
# it walks its own task: a goal somewhere on a semicircle, reward only within 0.2 of it. (Meta-training may see the
# dense distance, acting may not.) Three held-out goals, six episodes, $z$ drawn anew for each:

# %%
figure_with_alt(
    figures.walks_on_arc(three.position, three.goal, arc.goal_radius),
    alt="Walks of PEARL to three hidden goals over six episodes, with the rewarded "
    "discs: they go elsewhere until one meets the disc, and then come back to it",
)

# %%
curve = ml.evaluate(pearl, arc, n_tasks=1000, batches=6)
told = arc.oracle(arc.sample_tasks(1000, "test", seeded_generator("cpu", 13, 1))).mean()
walks = experiments.paid_again(pearl, arc, tasks=1000)
show_table(
    walks, "PEARL in 1000 held-out tasks: return, and share of walks that are paid"
)
later = walks.assign(gain=walks["return"].diff())[1:]
claim("a higher return than in the episode before", later, "gain > 0")
claim("paid again after a paid walk: over 0.85", later, "`after a paid walk` > 0.85")
claim("paid while none has been so far: under 0.3", walks, "`after none` < 0.3")
result("PEARL's gain from episode 1 to 6", curve.mean[5] - curve.mean[0], at_least=1)
result("goal known, minus PEARL's best episode", told - curve.mean.max(), at_least=0)

# %% [markdown]
# Each draw is a whole, purposeful walk: exploration deep in time, with no bonus and no planning. Once a walk is paid,
# the next one comes back in about nine cases of ten or more. While none has been, one guess in five to one in ten hits.
# **Limit:** the rewarded disc spans 23 of the 180 degrees, so that six guesses cannot cover the
# arc, and nothing keeps them from overlapping: to take the arc in order would be Bayes-adaptive.
#
# ## 4. VariBAD: the ELBO
# VariBAD infers a latent variable (隐变量) $m$, step by step: $q_t=q(m\mid h_t)$. What should it hold? Whatever
# predicts the trial's rewards, *all of them*. The **evidence lower bound** (证据下界) at each $t$:
#
# $$
# \mathrm{ELBO}_t=\mathbb E_{m\sim q_t}\big[\log p(r_1\dots r_L\mid m, s_1\dots s_L)\big]
# -\mathrm{KL}\big(q_t\,\|\,q_{t-1}\big)
# $$
#
# The name, which is the paper's, is to be taken with care. With a KL to $\mathcal N(0,I)$ this would be a lower bound
# on the log-probability of the whole trial; with $q_{t-1}$ and the rewards from step $t$ on only, one on the
# log-probability of those, given what was known before. As it stands it counts the past twice, in $q_{t-1}$ and
# in the likelihood, and bounds neither. What is left is an objective that works; section 5 tries it.


# %%
def gaussian_kl(mean, log_var, old_mean, old_log_var):
    """KL(q || q_old) in nats, dimensions added up; all (..., M) -> (...)."""
    ratio = log_var - old_log_var  # log of new variance over old
    moved = (mean - old_mean) ** 2 / old_log_var.exp()
    return (ratio.exp() + moved - 1 - ratio).sum(-1) / 2


def one_before(x):
    """What q_{t-1} was, for every q_t; zeros, N(0, I), come first. x (B, P, M)."""
    return pad(x[:, :-1], (0, 0, 1, 0))


def elbo(mean, log_var, noise, decode, rows, past_only=False, to_first=False):
    """Both terms, a mean over t and trials; mean, log_var (B, P, M), of P posteriors.

    decode(m, following): the logit that each step pays. `past_only` and `to_first` are
    variants that section 5 tries: a record, and a KL to N(0, I).
    """
    m = mean + (log_var / 2).exp() * noise  # one draw from every q_t
    logit = decode(m, rows["following"])  # (B, P, L): known at t, said of step l
    paid = (rows["reward"] > 0).unsqueeze(1).float()  # (B, 1, L)
    log_p = paid * logit - softplus(logit)  # log of a sigmoid, or of one minus it
    if past_only:
        log_p = log_p.tril(-1)  # only steps already read
    old_mean, old_log_var = one_before(mean), one_before(log_var)  # q_{t-1}
    if to_first:
        old_mean, old_log_var = torch.zeros_like(mean), torch.zeros_like(mean)
    kl = gaussian_kl(mean, log_var, old_mean, old_log_var)  # (B, P)
    return log_p.sum(-1).mean(), kl.mean()


# %% [markdown]
# **Why the KL to the previous posterior?** Bayes' rule again: what was posterior after $t-1$ steps is the *prior* of
# step $t$. The KL then charges for what this step taught. A KL to $\mathcal N(0,I)$ would charge again and again for
# everything ever learned, and pull a certain agent back into doubt. The bills of one model, the stored VariBAD, which
# was trained with the first of the two (and with a weight of 0.05 on it):

# %%
varibad, _, _ = ml.load("data/checkpoints/varibad-gridworld")
tasks = grid.sample_tasks(50, "test", seeded_generator("cpu", 1, 1))
acted = experiments.play(varibad, grid, tasks, seeds=(1, 2), episodes=4)
rows = trial_rows(grid.spec, acted)  # what its encoder reads: 50 trials of 60 steps
with torch.no_grad():
    read = varibad.model.encoder(rows["x"].movedim(1, 0))  # step-major, as a GRU is run
    mean, log_var = (x.movedim(0, 1) for x in read)  # (B, L, M)
    to_last = gaussian_kl(mean, log_var, one_before(mean), one_before(log_var)).mean(0)
    to_first = gaussian_kl(mean, log_var, 0 * mean, 0 * mean).mean(0)  # (L,)
bills = pd.DataFrame(
    {
        "KL to the previous posterior": to_last.view(4, 15).mean(1),
        "KL to N(0, I)": to_first.view(4, 15).mean(1),
    },
    index=pd.Index([1, 2, 3, 4], name="episode"),
)
show_table(bills, "Nats a step, mean over the steps of an episode")
claim(
    "KL to N(0, I) asks more", bills, "`KL to N(0, I)` > `KL to the previous posterior`"
)
changes = bills.diff()[1:]
claim(
    "from episode to episode the first bill falls and the second grows",
    changes,
    "`KL to the previous posterior` < 0 & `KL to N(0, I)` > 0",
)
ratio = (to_first / to_last)[45:].mean()
result("episode 4: KL to N(0, I) / KL to the previous posterior", ratio, at_least=10)

# %% [markdown]
# Once the goal is known the first bill is next to nothing, and the second has grown. Bills are not yet harm: whether a
# model *trained* under the second is pulled into doubt, the next section tries.
#
# ## 5. Train a belief, now
# A 3 x 3 grid, trials of 20 random steps, and the two ideas together: PEARL's product of factors as encoder, the ELBO
# above as objective, its KL weighed by 0.1, so that predicting counts for more. The measure is the **total variation**
# (总变差) between decoded and exact belief, $\tfrac12\sum_g|b(g)-\hat b(g)|$. A second model must explain only the
# *past*, and a third pays its KL to the first prior, $\mathcal N(0,I)$. **Predict:** where does each of these two fail?

# %%
small = ml.make_family("gridworld", size=3, horizon=10, episodes=2)
CELLS, LATENT, UNITS, STEPS, KL_WEIGHT = 9, 4, 32, 20, 0.1


class TinyBelief(nn.Module):
    """q_0, ..., q_L of every trial, by a product of factors; a logit for each cell."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Sequential(
            nn.Linear(CELLS + 1, UNITS), nn.ReLU(), nn.Linear(UNITS, 2 * LATENT)
        )
        self.cells = nn.Sequential(
            nn.Linear(LATENT, UNITS), nn.ReLU(), nn.Linear(UNITS, CELLS)
        )

    def forward(self, rows):
        """Mean and log variance of q_t for t = 0 to L, (B, L + 1, M) each."""
        reward = rows["reward"].unsqueeze(-1)  # (B, L, 1)
        each = self.factor(torch.cat((rows["following"], reward), -1))  # (B, L, 2 M)
        mean, raw = each.chunk(2, -1)
        precision = softplus(raw)  # of each step's factor, (B, L, M)
        # the product of the first t factors, for every t at once; before them, nothing
        total = 1 + pad(precision.cumsum(1), (0, 0, 1, 0))
        weighted = pad((precision * mean).cumsum(1), (0, 0, 1, 0))
        return weighted / total, -total.log()

    def decode(self, m, following):
        """The logit that each step pays: that of its cell. m (B, P, M) -> (B, P, L)."""
        return self.cells(m) @ following.mT  # the cell reached is one-hot


def train_belief(seed, **variant):
    torch.manual_seed(seed)
    model = TinyBelief()
    trials = trial_rows(small.spec, experiments.random_trials(small, 2000, seed))
    steps = iterations(SPEED, quick=800, full=5000)
    generator = seeded_generator("cpu", seed, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for i in tqdm(range(steps)):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - i / steps)
        chosen = torch.randint(2000, (64,), generator=generator)  # a batch of trials
        rows = {key: x[chosen] for key, x in trials.items()}
        noise = torch.randn(64, STEPS + 1, LATENT, generator=generator)
        log_p, kl = elbo(*model(rows), noise, model.decode, rows, **variant)
        optimizer.zero_grad()
        (KL_WEIGHT * kl - log_p).backward()  # minus the ELBO
        optimizer.step()
    return model


# %% [markdown]
# Each model is then held against exact beliefs on 300 trials that it has not seen. From a draw of $m$ the decoder gives
# a logit for each cell; that this cell *alone* pays is the softmax of these logits, and the belief is its mean over 32
# draws.

# %%
held_out = experiments.random_trials(small, 300, 99)
truth = goal_posteriors(small.prior, held_out)[:, 0]  # (B, L + 1, 9)


@torch.no_grad()
def apart(model):
    """Total variation from the exact belief, a mean over trials, (L + 1,)."""
    mean, log_var = model(trial_rows(small.spec, held_out))
    noise = torch.randn(32, 1, 1, LATENT, generator=seeded_generator("cpu", 7, 1))
    draws = mean + (log_var / 2).exp() * noise  # (32, B, L + 1, M)
    belief = model.cells(draws).softmax(-1).mean(0)
    return total_variation(truth, belief).mean(0)


def beliefs():
    return {
        "whole trial": apart(train_belief(0)),
        "past only": apart(train_belief(0, past_only=True)),
        "KL to the first prior": apart(train_belief(0, to_first=True)),
        "the prior alone": total_variation(truth, small.prior).mean(0),
    }


curves = stored_or_run(SPEED, "09_beliefs", beliefs)
figure_with_alt(
    figures.distances(curves, "steps done in a trial of random steps (3 x 3 grid)"),
    alt="Total variation from the exact posterior by step: whole trial stays low; past "
    "only starts high and falls; KL to the first prior and the prior alone rise",
)
steps_done = pd.DataFrame(curves).rename_axis("steps done")
claim("whole trial nearer than past only", steps_done, "`whole trial` < `past only`")
claim(
    "from step 10 on, nearer than KL to the first prior",
    steps_done[10:],
    "`whole trial` < `KL to the first prior`",
)
claim(
    "from step 5 on, nearer than the prior",
    steps_done[5:],
    "`whole trial` < `the prior alone`",
)
apart_now = steps_done.mean()
whole = apart_now["whole trial"]
result("decoding the whole trial, mean total variation", whole, at_most=0.15)
result("the prior / that", apart_now["the prior alone"] / whole, at_least=2)
result("decoding the past only / that", apart_now["past only"] / whole, at_least=1.7)
first = apart_now["KL to the first prior"]
result("KL to the first prior / that", first / whole, at_least=1.15)

# %% [markdown]
# The model of the whole trial stays close to the exact belief from the first step to the last. (In the first few steps
# the prior itself is still nearly right, and closer.) The record explains what it has read, and is no guide to the
# rest: no term of its objective ever asks. Even with nothing read it does not know the prior. Same encoder, same data,
# same steps; all that differs is `tril`. Predicting the *future* is what turns a memory into a belief. The third model
# starts nearer the prior than the first, and falls behind as there is more to know: its KL pulls it back into doubt.
# (With a weight of 1, which this page does not run, it hardly leaves the prior: 0.32 on average, against 0.09.)
# **Limit:** one seed of each. And random steps go everywhere. A trained policy stays on a goal once found, and what is
# decoded are rewards *where the policy goes*: near the posterior, not equal to it.
#
# ## 6. The belief of a trained agent
# The stored VariBAD (a GRU as encoder, a policy that sees $\mu_t$ and $\log\sigma^2_t$) and RL2, meta-trained on
# the 5 x 5 grid. Step through 60 steps: the disc is the agent, the star the hidden goal, numbers are per cent.
# Whoever acts, VariBAD's encoder reads along. **Predict:** when will its belief be furthest from the exact one?

# %%
rl2, _, _ = ml.load("data/checkpoints/rl2-gridworld")
players = {"varibad": varibad, **agents, "rl2": rl2}
recorded = {
    name: experiments.record(player, varibad.model, grid)
    for name, player in players.items()
}
belief_stepper(recorded, grid.size).show()

# %%
own = recorded["varibad"]
read = {name: trials.distance.mean(0) for name, trials in recorded.items()}
read["the prior alone"] = total_variation(own.exact, grid.prior).mean(0)  # own trials
figure_with_alt(
    figures.distances(
        read, "steps done in a trial of this agent (5 x 5 grid, mean over 21 goals)"
    ),
    alt="Total variation of VariBAD's belief from the exact posterior by step, for "
    "every agent whose trial it reads: lowest on its own; the prior ends far above",
)
by_step = pd.DataFrame(read).rename_axis("steps done")
means = by_step.mean()
others = means[["bayes_optimal", "psrl", "rl2"]].rename(display_name)
claim(
    "further off than on its own trials, on average",
    {"distance": others},
    lambda rows: rows["distance"] > means["varibad"],
)
result("on its own trials, mean total variation", means["varibad"], at_most=0.35)
ratio = means["the prior alone"] / means["varibad"]
result("the prior's / that", ratio, at_least=2)
claim(
    "from step 8 on, nearer than the prior", by_step[8:], "varibad < `the prior alone`"
)
result("with nothing read yet", by_step["varibad"][0], at_least=0.15)
result("the step at which it is furthest", by_step["varibad"].argmax(), at_most=14)

# %% [markdown]
# The curve is a mean over 21 goals. The next table has a row for each of them: how far VariBAD's belief is from the
# exact one before the first step of its own trial, on average and before the last step; and what its last episode pays,
# beside what it would pay to somebody who knows the goal.

# %%
known = np.array([grid.oracle(GridTasks(torch.tensor([g]))).item() for g in own.goal])
goals = experiments.by_goal(own, grid.size, known)
show_table(goals, "VariBAD's own trials, by hidden goal")
claim("the belief ends within 0.05 of the exact one", goals, "at_last < 0.05", "most")
claim("or else more than 0.5 away", goals, "at_last < 0.05 | at_last > 0.5")
claim(
    "the last episode pays as if the goal were known",
    goals,
    "last_return > goal_known - 0.01",
    "most",
)
lost = goals[goals["at_last"] > 0.5]
claim(
    "and so it does on the goals where the belief is lost",
    lost,
    "last_return > goal_known - 0.01",
)

# %% [markdown]
# The belief narrows as cells are passed and, as a rule, jumps to the goal when that is met. On average it is furthest
# off early, in the search of the first episode; and before the first step it is off already: like the record of
# section 5, and with less excuse, it does not quite know the prior. But the mean hides that there are two kinds of
# goals. On 17 of the 21 the belief ends where it should. On the other four (three of them in the two upper rows) more
# than half of its probability ends in other cells, while the agent goes straight to the goal: the policy acts by
# $\mu_t$ and $\log\sigma^2_t$, and these hold more than the decoder makes of them. Choose these goals in the widget.
#
# It is nearest the truth on VariBAD's own kind of trial, which is all that its encoder has ever read; on anybody else's
# it is well off: a learned belief is learned *where the policy goes*.
#
# What is it worth? Return per episode, each goal 40 times:

# %%
many = GridTasks(torch.tensor(grid.goals("test") * 40))
exact_lines = exact_returns.loc["5 x 5"].drop(columns="trial")
compared = {
    "bayes_optimal": experiments.exact_curve(exact_lines.loc["Bayes-optimal"]),
    "psrl": experiments.exact_curve(exact_lines.loc["posterior sampling"]),
}
for name in ("varibad", "rl2"):
    compared[name] = ml.evaluate(players[name], grid, tasks=many, batches=4)
figure_with_alt(
    adaptation_curves(
        compared,
        {"goal known": exact_lines.loc["goal known", "episode 1"]},
        x_label="episodes before",
    ),
    alt="Return per episode: VariBAD and RL2 near Bayes-optimal play, from the first "
    "episode on; posterior sampling far below in all four",
)
scores = pd.DataFrame(
    {display_name(name): curve.mean for name, curve in compared.items()},
    index=pd.Index([1, 2, 3, 4], name="episode"),
)
show_table(scores.T, "Points in each episode; the first two rows are exact")
claim(
    "both learners above posterior sampling",
    scores,
    "VariBAD > `posterior sampling` & RL2 > `posterior sampling`",
)
for name in ("VariBAD", "RL2"):
    first, second = scores[name][1], scores[name][2]
    result(
        f"{name}: first episode (Bayes-optimal 4.00)", first, at_least=3, at_most=4.2
    )
    result(
        f"{name}: second episode (goal known 11.07)", second, at_least=9, at_most=11.2
    )
claim("RL2 at or above VariBAD, to 0.01", scores, "RL2 > VariBAD - 0.01")

# %% [markdown]
# Both have learned to sweep, in a trial's first episode, and to return in the later ones (in the last, VariBAD does so
# on all goals but one, as the table above has it). An agent that draws from its posterior cannot, PEARL included: the
# lowest curve is what that way of acting earns with an *exact* posterior. What VariBAD has over RL2 is not return: its
# belief can be *read*, if not on every goal. **Limit:** one training seed of each; `python tools/data.py
# varibad-gridworld` trains more.
#
# ## 7. What context is worth

# %% [markdown] tags=["document"]
# **What the document says, and what is true: context.** Document 000 (2.3): context is information about the task, such
# as the rules of a game or features of the environment, and the *outer model* uses it to guide the inner one. Two
# things are to be kept apart. Rules that are *given* make the task known; nothing is left to infer. In PEARL and
# VariBAD context is the agent's *own experience* of the trial: it has to be earned by acting, and it is the inner part
# (encoder, policy) that reads it, by its memory; the outer loop is over by then, and no weight changes in a trial. What
# each kind is worth here, exactly:

# %%
for what, value in experiments.worth_of_context(grid).items():
    print(f"{what:46} {value:6.2f} points a trial")

# %% [markdown]
# ## Exercises
# Write your answer over the `...` and run the cell. Until then it shows the task.
#
# **09.1** Bayes' rule (section 1), for any prior and any number of cells.


# %%
def update(belief, cell, paid): ...


check("09.1", update)

# %%
hint("09.1")

# %% [markdown]
# **09.2** PEARL's posterior (section 3): the prior times all factors, as a mean and a standard deviation.


# %%
def product(mean, std): ...


check("09.2", product)

# %% [markdown]
# **09.3** What each step taught (section 4), in nats.


# %%
def chain_kl(mean, log_var): ...


check("09.3", chain_kl)

# %% [markdown]
# **09.4** Which rows of a buffer may a belief read at test time? "Break it" below is about a program that read others.


# %%
def context(task, trial, episode, now): ...


check("09.4", context)

# %% [markdown]
# **09.5** The whole objective of VariBAD (section 4), from 09.3 and a likelihood. Write it without looking back.


# %%
def trial_elbo(mean, log_var, noise, decode, paid): ...


check("09.5", trial_elbo)

# %% [markdown]
# Stuck? `hint("09.3")`, then `solution("09.3")`.
#
# ## Break it
# A colleague meta-tests VariBAD: three episodes of exploration for each of the 21 goals, then `adapt`, then the episode
# that counts. **Find the bug before you read on.**

# %%
practice = GridTasks(torch.tensor([24, 4, 20]))  # training tasks, acted long ago
start = begin(varibad, grid, practice)
_, in_replay = collect(
    varibad, grid, practice, start, seeded_generator("cpu", 20, 1), 4
)


def adapt(explored, row=0):
    """The belief for all test tasks, from the context of a trial."""
    belief = map_tensors(
        lambda x: x[row : row + 1].expand(21, *x.shape[1:]), in_replay.memory
    )
    return explored._replace(memory=belief)


def meta_test(adapt):
    """Mean return of the fourth episode, and how many of 21 walks visit cell 24."""
    tests = GridTasks(torch.tensor(grid.goals("test")))
    start = begin(varibad, grid, tests)
    _, explored = collect(
        varibad, grid, tests, start, seeded_generator("cpu", 21, 1), 3
    )
    ready = adapt(explored)
    acted, _ = collect(varibad, grid, tests, ready, seeded_generator("cpu", 21, 2), 1)
    corner = (acted.observation[..., 24] > 0).any(-1).sum()  # the far corner
    return acted.returns.mean().item(), corner.item()


score, corner = meta_test(adapt)
result("return of the fourth episode, where 11.07 is possible", score, at_most=2)
result("walks that visit the far corner, of 21", corner, at_least=12)

# %%
quiz("09.b")

# %% [markdown]
# Diagnosis: twenty-one goals, one direction. `explored` is carried along, and what it learned thrown away. The mend:

# %%
own_score, own_corner = meta_test(lambda explored: explored)
gain = own_score - score
result("return of the fourth episode, own context", own_score, at_least=9)
result("gain from reading one's own exploration", gain, at_least=7)
result("walks that visit the far corner, of 21", own_corner, at_most=4)

# %% [markdown]
# [garage's PEARL](https://github.com/rlworkgroup/garage/pull/1374) did just this until May 2020: `adapt_policy` built
# its context from the replay buffer. A user [saw a cheetah](https://github.com/rlworkgroup/garage/issues/1365) that
# always ran the same way, whatever the task; by the fix's own words no test would have caught it. Rows of the *same*
# task would be worse still: the score would rise, above what is possible. That is what exact anchors are for.
#
# ## Summary
# - A belief over tasks is all that a trial's history is good for; with it, the trial is an ordinary MDP.
# - Posterior sampling commits to one guess an episode; Bayes-optimal play sweeps: 11.7 points a trial
#   against 37.2.
# - PEARL: a set of transitions, a product of Gaussians, no order. VariBAD: $q_t$ must predict the whole trial; each
#   step pays for what it taught.
# - A learned belief is near the exact one where the policy goes, on most goals; a mean hides the goals where it is not.
# - Context is what the agent lived through in this trial. Anything else is a bug, and exact play shows it.
#
# ## What to read
# - [Rakelly et al. 2019](https://arxiv.org/abs/1903.08254): PEARL, sections 4 and 5.
# - [Zintgraf et al. 2020](https://arxiv.org/abs/1910.08348): VariBAD, section 3.
# - [Osband, Russo and Van Roy 2013](https://arxiv.org/abs/1306.0940): posterior sampling for reinforcement learning.
#
# ## What comes next
# A belief forgets the history on purpose. Chapter 10 keeps all of it, and lets attention choose.
