# %% [markdown]
# # 09 Inferring the task: PEARL and VariBAD
#
# **Reading time:** 45 min. **Run time:** 30 s.
#
# ## What you will be able to do
# - compute a belief over tasks exactly, and measure how far a learned one is from it;
# - tell posterior sampling from Bayes-adaptive exploration, and say what the difference costs;
# - write PEARL's encoder (a product of Gaussians) and VariBAD's objective (the ELBO), line by line;
# - tell a belief from a record, and context from leakage.
#
# ## The question
# RL2's hidden state (chapter 08) is a memory that nobody can read. Suppose that memory were a **belief** (信念): a
# probability for every task. How is it computed, how is it learned, and how should one *act* on it?

# %%
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import pad, softplus
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.nets.set_encoder import encode_transition
from metarl_lab.nets.trial_decoder import trial_rows
from metarl_lab.exact.goal_beliefs import goal_posteriors
from metarl_lab.exact.gridworld import Search, search_plan
from metarl_lab.exact.gridworld_psrl import posterior_sampling_returns
from metarl_lab.exact.informative_bandit import search_value, solve_informative
from metarl_lab.ops.transitions import next_observations
from metarl_lab.teach.figures import adaptation_curves, figure_with_alt
from metarl_lab.chapters.ch09_inferring_the_task.figures import distances, walks_on_arc, ways
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.gridworld import GridTasks
from metarl_lab.teach import announce, check, hint, quiz, speed, stored_or_run, verdict
from metarl_lab.types import map_tensors
from metarl_lab.chapters.ch09_inferring_the_task.widget import belief_stepper, record, total_variation

torch.set_num_threads(1)
SPEED = speed()
announce(SPEED, {"peek": 20, "quick": 30, "full": 70})

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
    """The posterior over 25 cells: for each possible goal, `paid` here had probability 0 or 1."""
    likelihood = (torch.arange(25) == cell) == paid
    return belief * likelihood / (belief * likelihood).sum()


belief, cell = grid.prior, torch.tensor(0)
for action in (2, 2, 3, 3):
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
# Both can be computed exactly. **Predict:** how do they differ in episode 1? In episode 4?


# %%
def exact(size):
    """Return per episode of both, and with the goal known; nothing is sampled."""
    world = ml.make_family("gridworld", size=size, horizon=3 * size)
    search = Search(world.successor.numpy(), world.goals("test"), 0, world.horizon, world.episodes)
    told = world.oracle(GridTasks(torch.tensor(search.goals))).mean().item()
    return search_plan(search).per_episode, posterior_sampling_returns(search), [told] * 4


rows = {}
for size in (3, 5):
    for who, values in zip(("Bayes-optimal", "posterior sampling", "goal known"), exact(size), strict=True):
        rows[f"{size} x {size}", who] = values
table = pd.DataFrame(rows, [f"episode {k}" for k in (1, 2, 3, 4)]).T
table.assign(trial=table.sum(axis=1)).round(3)

# %% [markdown]
# Already on 3 x 3 cells with five possible goals posterior sampling is not Bayes-optimal. The reason is to be
# seen on one goal:

# %%
GOAL = 16  # row 4, column 2
one = GridTasks(torch.tensor([GOAL]))
agents = {name: ml.make_reference(name, grid) for name in ("bayes_optimal", "psrl")}
walked = {}
for name, agent in agents.items():
    acted, _ = collect(agent, grid, one, begin(agent, grid, one), seeded_generator("cpu", 11, 1), 4)
    places = torch.cat((acted.observation, acted.final_observation.unsqueeze(-2)), -2).argmax(-1)
    walked[name] = places[0, 0].numpy()
    print(f"{name:14} return by episode: {acted.returns[0, 0].numpy().round(1)}")
figure_with_alt(
    ways({"Bayes-optimal": walked["bayes_optimal"], "posterior sampling": walked["psrl"]}, GOAL, 5),
    alt="Ways to one hidden goal over four episodes: Bayes-optimal sweeps the grid; posterior sampling goes and waits",
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


def product(encoder, x):
    """Mean and standard deviation of q(z | c); x (N, F), one row a transition."""
    mean, raw = encoder.net(x).chunk(2, -1)
    precision = softplus(raw)  # 1 / sigma^2 of each factor, (N, Z)
    total = 1 + precision.sum(0)  # the prior's 1, and everyone's
    return (precision * mean).sum(0) / total, total**-0.5


three = arc.sample_tasks(3, "test", seeded_generator("cpu", 12, 1))
acted, _ = collect(pearl, arc, three, begin(pearl, arc, three), seeded_generator("cpu", 12, 2), 6)
after, followed = next_observations(acted)  # what follows an episode's last step, no agent sees
fields = acted.observation, acted.action, acted.reward, after, followed
c = encode_transition(arc.spec, *(x[0, 0].flatten(0, 1) for x in fields))  # six episodes: (120, F)
shuffled = c[torch.randperm(len(c), generator=seeded_generator("cpu", 6, 1))]

# %%
with torch.no_grad():
    ours, again = product(pearl.encoder, c), product(pearl.encoder, shuffled)
    package = pearl.encoder(c, torch.ones(len(c), dtype=torch.bool))
gap = max((a - b).abs().max().item() for a, b in zip(ours, again, strict=True))
error = max((ours[0] - package.mean).abs().max().item(), (ours[1] - package.log_std.exp()).abs().max().item())
verdict("difference from the package's encoder", error, at_most=1e-3)
verdict("change when the 120 transitions are shuffled", gap, at_most=1e-3)

# %% [markdown]
# No order: right for a task that stands still. **Limit:** factors count as independent. A transition seen twice
# makes the belief narrower, though it says nothing new; and a Gaussian has one hump.
#
# PEARL trains the encoder by the critic's error and $\beta \mathrm{KL}(q \parallel \mathcal N(0,I))$, off-policy. Here
# it walks its own task: a goal somewhere on a semicircle, reward only within 0.2 of it. (Meta-training may see the
# dense distance, acting may not.) Three held-out goals, six episodes, $z$ drawn anew for each:

# %%
walks = torch.cat((acted.observation, acted.final_observation.unsqueeze(-2)), -2)[:, 0]  # (T, K, H + 1, 2)
figure_with_alt(
    walks_on_arc(walks.numpy(), three.goal.numpy(), arc.goal_radius),
    alt="Walks of PEARL to three hidden goals over six episodes, a new guess each, with the rewarded discs",
)

# %% tags=["nbval-ignore-output", "raw"]
curve = ml.evaluate(pearl, arc, n_tasks=1000, batches=6)
told = arc.oracle(arc.sample_tasks(1000, "test", seeded_generator("cpu", 13, 1))).mean()
print("return by episode:", curve.mean.round(2), f"; goal known: {told:.2f}")

# %%
verdict("PEARL's gain from episode 1 to 6", curve.mean[5] - curve.mean[0], at_least=1)
verdict("PEARL's best episode, below the goal known by", told - curve.mean.max(), at_least=0)

# %% [markdown]
# Each draw is a whole, purposeful walk: exploration deep in time, with no bonus and no planning. Once a walk is paid,
# later ones come back. **Limit:** the rewarded disc spans 23 of the 180 degrees, so that six guesses cannot cover the
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


# %%
def elbo(mean, log_var, noise, decode, rows, past_only=False):
    """Mean over t and trials of the two terms; mean, log_var (B, P, M) of q_t; decode(m): logits of "it pays"."""
    m = mean + (log_var / 2).exp() * noise  # one draw from every q_t
    logit = decode(m, rows["following"])  # (B, P, L): from what is known at t, does step l pay?
    log_p = (rows["reward"] > 0).unsqueeze(1) * logit - softplus(logit)
    if past_only:
        log_p = log_p.tril(-1)  # only steps already read
    old_mean, old_log_var = (pad(x[:, :-1], (0, 0, 1, 0)) for x in (mean, log_var))  # q_{t-1}; first N(0, I)
    ratio = log_var - old_log_var
    kl = (ratio.exp() + (mean - old_mean) ** 2 / old_log_var.exp() - 1 - ratio).sum(-1) / 2
    return log_p.sum(-1).mean(), kl.mean()


varibad, _, _ = ml.load("data/checkpoints/varibad-gridworld")
tasks = grid.sample_tasks(50, "test", seeded_generator("cpu", 1, 1))
acted, _ = collect(varibad, grid, tasks, begin(varibad, grid, tasks), seeded_generator("cpu", 1, 2), 4)
rows = trial_rows(grid.spec, acted)  # 50 trials of 60 steps

# %%
with torch.no_grad():
    mean, log_var = varibad.model.encoder(rows["x"].movedim(1, 0))  # (L, B, M)
    package = varibad.model.elbo(rows, 0, seeded_generator("cpu", 2, 1))
    same = seeded_generator("cpu", 2, 1)  # the draws that the package made: a random order of prefixes, then noise
    order = torch.randperm(60, generator=same)
    noise = torch.randn(mean.shape, generator=same)[order.argsort()]
    ours = elbo(*(x.movedim(0, 1) for x in (mean, log_var, noise)), varibad.model.rewards, rows)
error = abs(-ours[0] - package.reward_error) + abs(ours[1] - package.posterior_kl)
verdict("difference from the package's ELBO, nats", error, at_most=0.01)

# %% [markdown]
# **Why the KL to the previous posterior?** Bayes' rule again: what was posterior after $t-1$ steps is the *prior* of
# step $t$. The KL then charges for what this step taught. A KL to $\mathcal N(0,I)$ would charge again and again for
# everything ever learned, and pull a certain agent back into doubt:

# %%
with torch.no_grad():
    to_first = ((log_var.exp() + mean**2 - 1 - log_var).sum(-1) / 2).mean(1)  # (L,) KL(q_t || N(0, I))
    old = pad(mean[:-1], (0, 0, 0, 0, 1, 0)), pad(log_var[:-1], (0, 0, 0, 0, 1, 0))
    ratio = log_var - old[1]
    to_last = ((ratio.exp() + (mean - old[0]) ** 2 / old[1].exp() - 1 - ratio).sum(-1) / 2).mean(1)

# %% tags=["nbval-ignore-output", "raw"]
for what, kl in (("previous posterior", to_last), ("N(0, I)", to_first)):
    print(f"KL to {what}, nats a step: {kl[:15].mean():.2f} in episode 1, {kl[45:].mean():.2f} in episode 4")

# %%
verdict("episode 4: KL to N(0, I) / KL to the previous posterior", (to_first / to_last)[45:].mean(), at_least=10)

# %% [markdown]
# ## 5. Train a belief, now
# A 3 x 3 grid, trials of 20 random steps, and the two ideas together: PEARL's product of factors as encoder, the
# ELBO above as objective. The measure is the **total variation** (总变差) between decoded and exact belief,
# $\tfrac12\sum_g|b(g)-\hat b(g)|$. A second model must explain only the *past*. **Predict:** where does that one fail?

# %%
small = ml.make_family("gridworld", size=3, horizon=10, episodes=2)


class TinyBelief(nn.Module):
    def __init__(self, cells=9, latent=4, units=32):
        super().__init__()
        self.factor = nn.Sequential(nn.Linear(cells + 1, units), nn.ReLU(), nn.Linear(units, 2 * latent))
        self.cells = nn.Sequential(nn.Linear(latent, units), nn.ReLU(), nn.Linear(units, cells))

    def forward(self, rows):
        """q_0, q_1, ..., q_L of every trial, (B, L + 1, M): factors of (cell reached, reward), multiplied up."""
        mean, raw = self.factor(torch.cat((rows["following"], rows["reward"].unsqueeze(-1)), -1)).chunk(2, -1)
        precision = softplus(raw)
        total = 1 + pad(precision.cumsum(1), (0, 0, 1, 0))
        return pad((precision * mean).cumsum(1), (0, 0, 1, 0)) / total, -total.log()

    def decode(self, m, following):
        return self.cells(m) @ following.mT  # one logit a cell; the steps' cells are one-hot


def random_trials(n, seed):
    tasks, agent = small.sample_tasks(n, "train", seeded_generator("cpu", seed, 1)), ml.make_reference("random", small)
    return collect(agent, small, tasks, begin(agent, small, tasks), seeded_generator("cpu", seed, 2), 2)[0]


# %%
def train_belief(seed, past_only=False, steps=5000 if SPEED == "full" else 800):
    torch.manual_seed(seed)
    model, trials = TinyBelief(), trial_rows(small.spec, random_trials(2000, seed))
    generator, optimizer = seeded_generator("cpu", seed, 3), torch.optim.Adam(model.parameters(), lr=0.02)
    for i in tqdm(range(steps)):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - i / steps)
        chosen = torch.randint(2000, (64,), generator=generator)
        rows, noise = {k: x[chosen] for k, x in trials.items()}, torch.randn(64, 21, 4, generator=generator)
        log_p, kl = elbo(*model(rows), noise, model.decode, rows, past_only)
        optimizer.zero_grad()
        (0.1 * kl - log_p).backward()
        optimizer.step()
    return model


held_out = random_trials(300, 99)
truth = goal_posteriors(small.prior, held_out)[:, 0]  # (B, 21, 9)


@torch.no_grad()
def apart(model):
    mean, log_var = model(trial_rows(small.spec, held_out))
    noise = torch.randn(32, 1, 1, 4, generator=seeded_generator("cpu", 7, 1))
    belief = model.cells(mean + (log_var / 2).exp() * noise).softmax(-1).mean(0)  # one cell alone pays: odds, shared
    return total_variation(truth, belief).mean(0)  # (21,)


# %%
curves = stored_or_run(
    SPEED,
    "09_beliefs",
    lambda: {
        "whole trial": apart(train_belief(0)),
        "past only": apart(train_belief(0, past_only=True)),
        "nothing learned: the prior": total_variation(truth, small.prior).mean(0),
    },
)
figure_with_alt(
    distances(curves, "steps done in a trial of random steps (3 x 3 grid)"),
    alt="Total variation from the exact posterior by step: lowest where the whole trial is decoded",
)

# %% tags=["nbval-ignore-output", "raw"]
print({name: round(float(values.mean()), 3) for name, values in curves.items()})

# %%
apart_now = {name: float(values.mean()) for name, values in curves.items()}
verdict("decoding the whole trial, mean total variation", apart_now["whole trial"], at_most=0.15)
verdict("the prior / that", apart_now["nothing learned: the prior"] / apart_now["whole trial"], at_least=2)
verdict("decoding the past only / that", apart_now["past only"] / apart_now["whole trial"], at_least=1.7)

# %% [markdown]
# The record explains what it has read almost perfectly, and is no guide to the rest: no term of its objective ever
# asks. Even with nothing read it does not know the prior. Same encoder, same data, same steps; all that differs is
# `tril`. Predicting the *future* is what turns a memory into a belief. **Limit:** random steps go everywhere. A trained
# policy stays on a goal once found, and what is decoded are rewards *where the policy goes*: near the posterior, not
# equal to it.
#
# ## 6. The belief of a trained agent
# The stored VariBAD (a GRU as encoder, a policy that sees $\mu_t$ and $\log\sigma^2_t$) and RL2, meta-trained on
# the 5 x 5 grid. Step through 60 steps: the disc is the agent, the star the hidden goal, numbers are per cent.
# Whoever acts, VariBAD's encoder reads along. **Predict:** when will its belief be furthest from the exact one?

# %%
rl2, _, _ = ml.load("data/checkpoints/rl2-gridworld")
players = {"varibad": varibad, **agents, "rl2": rl2}
recorded = {name: record(player, varibad.model, grid) for name, player in players.items()}
belief_stepper(recorded, grid.size).show()

# %%
figure_with_alt(
    distances(
        {
            "VariBAD, its own trials": recorded["varibad"].distance.mean(0),
            "VariBAD, reading posterior sampling": recorded["psrl"].distance.mean(0),
            "the prior, own trials": total_variation(recorded["varibad"].exact, grid.prior).mean(0),
        },
        "steps done in the trial (5 x 5 grid, mean over the 21 goals)",
    ),
    alt="Total variation from the exact posterior over sixty steps: VariBAD's own trials lowest",
)

# %% tags=["nbval-ignore-output", "raw"]
for name, trials in recorded.items():
    print(f"{name:14} total variation of VariBAD's belief, mean over 60 steps: {trials.distance.mean():.3f}")

# %%
own = recorded["varibad"]
verdict("VariBAD on its own trials, mean total variation", own.distance.mean(), at_most=0.35)
verdict("the prior's / that", total_variation(own.exact, grid.prior).mean() / own.distance.mean(), at_least=2)

# %% [markdown]
# The belief narrows as cells are passed and jumps when the goal is met. It is nearest the truth on VariBAD's own kind
# of trial, which is all that its encoder has ever read; on posterior sampling's it is well off: a learned belief is
# learned *where the policy goes*.
#
# What is it worth? Return per episode, each goal 40 times:

# %%
many = GridTasks(torch.tensor(grid.goals("test") * 40))
names = {"varibad": "VariBAD", "rl2": "RL2"}
scores = {name: ml.evaluate(players[name], grid, tasks=many, batches=4) for name in names}
exact_lines = table.loc["5 x 5"]
compared = {names[name]: curve for name, curve in scores.items()}
for who in ("Bayes-optimal", "posterior sampling"):
    values = exact_lines.loc[who].to_numpy()
    compared[f"{who} (exact)"] = ml.Curve(who, "test", values[None], values, values, values, np.arange(4))
figure_with_alt(
    adaptation_curves(compared, {"goal known": exact_lines.loc["goal known", "episode 1"]}, x_label="episodes before"),
    alt="Return per episode: VariBAD and RL2 near Bayes-optimal; exact posterior sampling far below",
)

# %% tags=["nbval-ignore-output", "raw"]
print(pd.DataFrame({name: curve.mean for name, curve in compared.items()}, [1, 2, 3, 4]).T.round(2))

# %%
for name in ("varibad", "rl2"):
    verdict(f"{name}: first episode (Bayes-optimal 4.00)", scores[name].mean[0], at_least=3, at_most=4.2)
    verdict(f"{name}: second episode (goal known 11.07)", scores[name].mean[1], at_least=9, at_most=11.2)

# %% [markdown]
# Both have learned to sweep, in a trial's first episode, and to return in the others. An agent that draws from its
# posterior cannot, PEARL included: the lowest curve is what that way of acting earns with an *exact* posterior. What
# VariBAD has over RL2 is not return: its belief can be *read*. **Limit:** one training seed of each;
# `python tools/data.py varibad-gridworld` trains more.
#
# ## 7. What the document says, and what is true
# > Document 000 (2.3): context is information about the task, such as the rules of a game or features of the
# > environment, and the *outer model* uses it to guide the inner one. Two things are to be kept apart. Rules that are
# > *given* make the task known; nothing is left to infer. In PEARL and VariBAD context is the agent's *own
# > experience* of the trial: it has to be earned by acting, and it is the inner part (encoder, policy) that reads it;
# > the outer loop is over by then. What each kind is worth here, exactly:

# %%
search = Search(grid.successor.numpy(), grid.goals("test"), 0, grid.horizon, 1)
worth = {
    "told the goal (the document's context)": exact_lines.loc["goal known"].sum(),
    "context earned by acting, kept for the trial": exact_lines.loc["Bayes-optimal"].sum(),
    "context earned, forgotten after each episode": 4 * search_plan(search).value,
}
for what, value in worth.items():
    print(f"{what:46} {value:6.2f} points a trial")
weights = {name: x.clone() for name, x in varibad.state_dict().items()}
trial = begin(varibad, grid, one)
_, after = collect(varibad, grid, one, trial, seeded_generator("cpu", 3, 1), 4)
print("the trial changed the belief:", not torch.equal(trial.memory.mean, after.memory.mean))
print("the trial changed a weight:  ", any(not torch.equal(x, weights[k]) for k, x in varibad.state_dict().items()))

# %% [markdown]
# ## Exercises
# **09.1** `update`: Bayes' rule for any prior.

# %%
def update(belief, cell, paid):
    ...


check("09.1", update)

# %%
hint("09.1")

# %% [markdown]
# **09.2** `product`: mean and standard deviation of the prior times all factors.

# %%
def product(mean, std):
    ...


check("09.2", product)

# %% [markdown]
# **09.3** `chain_kl`: what each step taught, in nats.

# %%
def chain_kl(mean, log_var):
    ...


check("09.3", chain_kl)

# %% [markdown]
# **09.4** `context`: which rows of a buffer may a test-time belief read?

# %%
def context(task, trial, episode, now):
    ...


check("09.4", context)

# %% [markdown]
# Stuck? `hint("09.3")`, then `solution("09.3")`.
#
# ## Break it
# A colleague meta-tests VariBAD: three episodes of exploration for each of the 21 goals, then `adapt`, then the episode
# that counts. **Find the bug before you read on.**

# %%
practice = GridTasks(torch.tensor([24, 4, 20]))  # training tasks, acted long ago: what a replay buffer holds
_, in_replay = collect(varibad, grid, practice, begin(varibad, grid, practice), seeded_generator("cpu", 20, 1), 4)


def adapt(explored, row=0):
    """The belief for all test tasks, from the context of a trial."""
    belief = map_tensors(lambda x: x[row : row + 1].expand(21, *x.shape[1:]), in_replay.memory)
    return explored._replace(memory=belief)


def meta_test(adapt):
    """Mean return of the fourth episode, and how many of the 21 walks visit the far corner, cell 24."""
    tests = GridTasks(torch.tensor(grid.goals("test")))
    _, explored = collect(varibad, grid, tests, begin(varibad, grid, tests), seeded_generator("cpu", 21, 1), 3)
    acted, _ = collect(varibad, grid, tests, adapt(explored), seeded_generator("cpu", 21, 2), 1)
    corner = (acted.observation[..., 24] > 0).any(-1).sum()
    return acted.returns.mean().item(), corner.item()


score, corner = meta_test(adapt)

# %% tags=["nbval-ignore-output", "raw"]
print(f"return {score:.2f}, where 11.07 is possible; {corner} of 21 walks visit the far corner")

# %%
verdict("return of the fourth episode", score, at_most=2)
verdict("walks to the far corner, of 21", corner, at_least=12)

# %%
quiz("09.b")

# %% [markdown]
# Diagnosis: twenty-one goals, one direction. `explored` is carried along, and what it learned thrown away. The mend:

# %%
own_score, own_corner = meta_test(lambda explored: explored)

# %% tags=["nbval-ignore-output", "raw"]
print(f"own context: return {own_score:.2f}; {own_corner} walks visit the far corner")

# %%
verdict("gain from reading one's own exploration", own_score - score, at_least=7)
verdict("walks to the far corner, of 21", own_corner, at_most=4)

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
# - Context is what the agent lived through in this trial. Anything else is a bug, and exact play shows it.
#
# ## What to read
# - [Rakelly et al. 2019](https://arxiv.org/abs/1903.08254): PEARL, sections 4 and 5.
# - [Zintgraf et al. 2020](https://arxiv.org/abs/1910.08348): VariBAD, section 3.
# - [Osband, Russo and Van Roy 2013](https://arxiv.org/abs/1306.0940): posterior sampling for reinforcement learning.
#
# ## What comes next
# A belief forgets the history on purpose. Chapter 10 keeps all of it, and lets attention choose.
