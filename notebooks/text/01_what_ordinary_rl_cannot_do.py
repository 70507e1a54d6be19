# %% [markdown]
# # 01 What ordinary RL cannot do
#
# **Reading time:** 40 min. **Run time:** 30 s.
#
# ## What you will be able to do
# - Count what a learner pays, in *environment steps*, for one task, and for the tenth.
# - Say what happens to a trained policy when its task moves, and which part of it survives.
# - Say what a fixed rule for exploring must be tuned to, and what no such rule can know.
# - State what meta-RL offers instead, and what it costs.
#
# ## The question
# A person who has learned nine card games learns the tenth quickly. Does an ordinary
# reinforcement learner? Three complaints are heard: it wastes samples
# (sample efficiency, 样本效率), it is brittle (generalisation, 泛化能力), and it does not know how to explore
# (exploration against exploitation, 探索与利用). We measure all three. None of them is the whole truth.

# %%
import math
from functools import partial

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.chapters.ch01_what_ordinary_rl_cannot_do import experiments, figures
from metarl_lab.chapters.ch01_what_ordinary_rl_cannot_do.widget import (
    Walks,
    sample_counter,
    task_changer,
)
from metarl_lab.exact.bernoulli_bandit import index_policy_value, solve_bandit
from metarl_lab.exact.informative_bandit import search_value, solve_informative
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.runs.files import find_folder
from metarl_lab.teach import announce, at_speed, check, claim, hint, iterations
from metarl_lab.teach import quiz, result, show_table, solution, speed, stored_or_run
from metarl_lab.teach.figures import figure_with_alt
from metarl_lab.types import map_tensors

SPEED = speed()  # "peek", "quick" or "full"
torch.set_num_threads(1)  # the batches are small
announce(SPEED, {"peek": 8, "quick": 30, "full": 720})

# %% [markdown]
# ## Limit one: every task is the first
# A **task** is one decision problem. Ours are small: 10 states, 5 actions, episodes of $H = 10$ steps; each
# task has its own transition probabilities and its own rewards (mean 1, noisy), drawn at random and hidden from
# the learner (the random MDPs of [Duan et al. 2016](https://arxiv.org/abs/1611.02779)).
#
# Q-learning keeps a table of what each action is worth, and after every step moves one entry towards what it saw:
#
# $$
# Q(s,a) \leftarrow Q(s,a) + \alpha\,\big[r + \gamma \max_{a'} Q(s',a') - Q(s,a)\big].
# $$
#
# **Predict:** there are 50 entries to learn. How many episodes of 10 steps will it take to get most of the way
# from random to perfect play? Ten? A hundred? A thousand?

# %%
STEPS = 10  # of an episode


def q_learning(
    P, R, q, episodes, rng, replay=0, alpha=0.2, gamma=0.9, epsilon=0.5
):
    """Practise on T tasks side by side: P (T, S, A, S), R and q (T, S, A).

    Returns q, and the value of its greedy policy every 10 episodes (T, ...).
    """
    q, n, task = q.copy(), len(q), np.arange(len(q))
    past, curve = [], [value(greedy(q), P, R)]
    for episode in tqdm(range(1, episodes + 1), leave=False):
        s = np.zeros(n, int)  # every episode begins in state 0
        for _ in range(STEPS):
            # epsilon-greedy: at random now and then, else what the table says
            explores = rng.random(n) < epsilon
            a = np.where(explores, rng.integers(5, size=n), q[task, s].argmax(-1))
            # the task answers: a noisy reward, and the next state
            r = R[task, s, a] + rng.standard_normal(n)
            next_s = experiments.draw_states(P[task, s, a], rng)
            # learn from this step, and from `replay` old ones
            past.append((s, a, r, next_s))
            old = rng.integers(len(past), size=replay)
            for s_i, a_i, r_i, next_i in [past[-1], *(past[i] for i in old)]:
                # we always bootstrap: the clock cuts episodes, no state ends one
                target = r_i + gamma * q[task, next_i].max(-1)
                q[task, s_i, a_i] += alpha * (target - q[task, s_i, a_i])
            s = next_s
        if episode % 10 == 0:
            curve.append(value(greedy(q), P, R))
    return q, np.stack(curve, 1)


# %% [markdown]
# How good is a table? We know the tasks, though the learner does not, so we need not sample: ten backward steps
# give the exact expected return of its greedy policy, of random play, and of perfect play. Each score is then
# the **gap closed**: 0% is random play, 100% is perfect play.

# %%
def greedy(q):
    """Probability of each action where the table's best is always taken (T, S, A)."""
    return np.eye(5)[q.argmax(-1)]


def value(policy, P, R):
    """Exact return of an episode from the first state, (T,)."""
    v = np.zeros(R.shape[:2])  # (T, S): nothing is left to earn after the last step
    for _ in range(STEPS):
        v = (policy * (R + np.einsum("tsan,tn->tsa", P, v))).sum(-1)
    return v[:, 0]


mdp = ml.make_family("tabular_mdp")
ORDERS, PLACES, EPISODES = at_speed(SPEED, quick=30, full=100), 10, 200
tasks = mdp.sample_tasks(ORDERS * PLACES, "test", seeded_generator("cpu", 1, 0))
P, R = tasks.transition.double().numpy(), tasks.reward.double().numpy()
perfect = mdp.oracle(tasks).double().numpy()
random_play = value(np.full(R.shape, 0.2), P, R)
print(f"mean return over {len(R)} tasks:")
print(f"random play {random_play.mean():.1f}, perfect play {perfect.mean():.1f}")

# %% [markdown]
# The learner starts from a table in which all entries are one number: zero, to begin with. Later it will be given
# ten tasks in a row, and start each of them from the table of the one before.

# %%
ALL = slice(None)


def gap_closed(returns, which=ALL):
    """Percent of the way from random to perfect play; returns (tasks, checkpoints)."""
    low, high = random_play[which, None], perfect[which, None]
    return 100 * (returns - low) / (high - low)


def from_one_number(number, episodes=EPISODES, **settings):
    start = np.full_like(R, number)
    rng = np.random.default_rng(0)
    return gap_closed(q_learning(P, R, start, episodes, rng, **settings)[1])


def from_the_last_table():
    rng, q, closed = np.random.default_rng(1), np.zeros_like(R[::PLACES]), []
    for place in range(PLACES):
        which = slice(place, None, PLACES)  # the tasks at this place, one of each order
        q, returns = q_learning(P[which], R[which], q, EPISODES, rng)  # q is carried on
        closed.append(gap_closed(returns, which))
    return np.stack(closed, 1).reshape(len(R), -1), q.mean()


practised = np.arange(0, EPISODES + 1, 10)  # episodes at the checkpoints


def cost(closed, share=80):
    """Episodes until `share` percent of the gap is closed, at most EPISODES."""
    hit = closed >= share
    return np.where(hit.any(-1), practised[hit.argmax(-1)], EPISODES)


# %% [markdown]
# The next cell runs all that limit one needs (or, at the speed "peek", reads what an earlier run stored): these two
# ways to start, a few others that the text will ask for, and PSRL, which is explained below the figure.

# %% tags=["hide-input"]
FEW = slice(100)  # tasks on which PSRL is run
SETTINGS = [  # (number in every entry at the start, alpha, epsilon)
    (0, 0.2, 0.5),
    (0, 0.4, 0.5),
    (0, 0.2, 0.8),
    (15, 0.2, 0.5),
    (25, 0.2, 0.5),
    (40, 0.2, 0.5),
]


def limit_one():
    carried, level = from_the_last_table()
    psrl = experiments.posterior_sampling(mdp, map_tensors(lambda x: x[FEW], tasks), 41)
    costs = [cost(from_one_number(n, alpha=a, epsilon=e)) for n, a, e in SETTINGS]
    return {
        "fresh": from_one_number(0),
        "carried": carried,
        "level": level,
        "number": from_one_number(level),
        "psrl": gap_closed(psrl[:, ::10], FEW),
        "settings": np.stack(costs),
    }


one = stored_or_run(SPEED, "01_q_learning", limit_one)

# %%
curves = {"Q-learning, from nothing": one["fresh"], "psrl": one["psrl"]}
figure_with_alt(
    figures.gap_curves(practised, {n: mean_interval(c) for n, c in curves.items()}),
    alt="Gap closed against env steps: Q-learning needs over a thousand steps to reach "
    "80 percent, posterior sampling a few hundred",
)
q_mean, psrl_mean = one["fresh"].mean(0), one["psrl"].mean(0)
result(
    "Q-learning: env steps until the mean closes 80% of the gap",
    STEPS * cost(q_mean),
    at_least=1000,
    at_most=2000,
)
result(
    "posterior sampling: env steps until the mean closes 80%",
    STEPS * practised[: len(psrl_mean)][np.argmax(psrl_mean >= 80)],
    at_most=400,
)
result("Q-learning: gap closed after 400 steps", q_mean[4], at_most=76, unit="%")
result("posterior sampling: the same", psrl_mean[4], at_least=80, unit="%")

# %% [markdown]
# Bands are 95% intervals over tasks. Q-learning needs well over a thousand steps for its 50 entries. PSRL
# (posterior sampling, [Osband et al. 2013](https://arxiv.org/abs/1306.0940)), which is told *how tasks of this
# family are drawn*, needs two to three hundred. **The limit of this comparison:** PSRL also builds a model and
# plans, so not all of the difference is knowledge of the family; and Q-learning's settings are the first that we
# tried (others come below).
#
# Now give the learner ten tasks in a row, in 30 independent orders.

# %%
quiz("01.a")

# %%
closed = {
    "from nothing": one["fresh"].reshape(ORDERS, PLACES, -1),
    "from the last task's table": one["carried"].reshape(ORDERS, PLACES, -1),
}
sample_counter(practised, closed, mean_interval).show()

# %% [markdown]
# Move *tasks seen before*. From nothing, only luck differs: that learner keeps nothing. From the last task's
# table, the curve rises. To see it in one figure, count the **cost** of a task: the episodes until 80% of its
# gap is closed (200, where we stopped counting, if it never is).

# %%
costs = {how: cost(curve) for how, curve in closed.items()}  # (orders, places)
figure_with_alt(
    figures.cost_by_task({n: mean_interval(c) for n, c in costs.items()}, EPISODES),
    alt="Episodes to close 80 percent of the gap, by place: flat from nothing; when "
    "carried, lower at first, then flat",
)
fresh, carried = costs.values()
late, early = fresh[:, 5:].mean(), fresh[:, :5].mean()
result(
    "from nothing: cost of tasks 6-10 over cost of tasks 1-5",
    late / early,
    at_least=0.8,
    at_most=1.25,
)
first, middle, last = (
    carried[:, places].mean() for places in (slice(1), slice(2, 6), slice(6, None))
)
result("carried: cost of tasks 3-6 over cost of task 1", middle / first, at_most=0.6)
result(
    "carried: cost of tasks 7-10 over cost of tasks 3-6",
    last / middle,
    at_least=0.7,
    at_most=1.4,
)

# %% [markdown]
# "The tenth costs as much as the first" is true from nothing, by construction. Carrying the *answer* over helps
# a lot, although these tasks share no answer: their rewards and transitions are independent. So what was
# carried? **Predict**, then start every task from a table that holds one and the same number in all 50 entries:
# the mean of a carried table.

# %%
level = float(one["level"])
result("the mean of the carried tables", level, at_least=15, at_most=25)
number = cost(one["number"])
result(
    "cost from that one number over cost from a carried table",
    number.mean() / carried[:, 2:].mean(),
    at_most=1.2,
)

# %% [markdown]
# One number does all of it, and more. Is it that a large number makes untried actions look promising, so that they
# are tried? And is a table of zeros the best that one can do without carrying anything? We try other numbers, and
# from zeros a larger step size $\alpha$ and more exploration $\epsilon$.

# %%
columns = ["start", "alpha", "epsilon"]
table = pd.DataFrame(SETTINGS + [(level, 0.2, 0.5)], columns=columns)
table.index = ["zeros", "larger steps", "more exploration", "15", "25", "40", "level"]
table["episodes"] = [*one["settings"].mean(1), number.mean()]
table["group"] = np.select(
    [table["start"] == 0, table["start"] == 40],
    ["zeros", "far above the level"],
    "about the level",
)
shown = table[["alpha", "epsilon", "episodes"]]
show_table(shown, "Episodes until 80% of the gap is closed, mean over tasks", 1)
claim(
    "fewer than 35 episodes",
    table,
    "episodes < 35",
    {"zeros": "none", "about the level": "every", "far above the level": "none"},
    by="group",
)
zeros, steps, exploration, _, _, far_above, _ = table["episodes"]
result("larger steps: cost over that of zeros", steps / zeros, at_most=0.7)
result("more exploration: the same", exploration / zeros, at_most=0.5)
result("a start of 40: the same", far_above / zeros, at_least=0.7)

# %% [markdown]
# Settings matter: from zeros, more exploration alone closes the gap in some 450 steps instead of 1,250, with no
# knowledge of the family. Still no table of zeros comes near a start of 15, 20 or 25. It is not the size
# that helps: 40 is almost as bad as 0. What helps is the right *level*. A step of good play pays about 2.2 in these
# tasks, and with $\gamma = 0.9$ that is worth $2.2 / (1 - 0.9) = 22$ in the long run. A table of zeros is too
# pessimistic: whatever was tried first looks better than all that was not. A table of 40 is too hopeful: every entry
# must be tried until it has come down. (Starts above the truth are known as *optimistic initial values*, Sutton and
# Barto 2018, section 2.6; a little of it helps exploration.)
#
# The level is the first piece of meta-knowledge in this book. Carrying tables finds it with the first tasks, then
# stops: nothing in Q-learning gets better *at learning*.

# %% [markdown] tags=["document"]
# **What the document says, and what is true**
#
# Document 002 (1.1): traditional RL rests on experience replay (经验回放), much historical data and hand-crafted
# features. But our learner used each transition once; so do REINFORCE and actor-critic. Replay is a cure, not
# the disease: the same learner, replaying 5 old transitions a step, needs *less* data. (Nor are features
# hand-crafted where networks learn from pixels: [Mnih et al. 2015](https://doi.org/10.1038/nature14236).)

# %%
def with_replay():
    return {"closed": from_one_number(0, episodes=80, replay=5)}


replayed = stored_or_run(SPEED, "01_replay", with_replay)["closed"]
gain, low, high = mean_interval((replayed - one["fresh"][:, :9])[:, 8])  # over tasks
result(
    "gap closed with replay minus without, after 800 steps",
    gain,
    at_least=5,
    interval=(low, high),
    unit="points",
)

# %% [markdown]
# ## Limit two: the task changes
# A point starts at the origin of a plane and walks to a hidden goal. A step moves it by at most 0.1 per axis,
# and pays minus the distance left; an episode has 20 steps (the task of [MAML's
# paper](https://arxiv.org/abs/1703.03400), shortened). A policy $\pi_\theta$, a small network that draws each
# move from a Gaussian, climbs its **policy gradient**
#
# $$
# \theta \leftarrow \theta + \alpha\, \tfrac1M \textstyle\sum_t \hat A_t \nabla_\theta \log \pi_\theta(a_t | s_t),
# $$
#
# a mean over the $M$ steps of 20 episodes. The **advantage** $\hat A_t$ says how much better than expected
# things went from $a_t$ on. In code, for $T$ policies at once, each on its own task:

# %%
nav = ml.make_family("point_navigation", horizon=20)
SEEDS = at_speed(SPEED, quick=6, full=20)
TRAIN, RETRAIN = iterations(SPEED, quick=80, full=200), 40  # steps of the gradient
BATCH = 20 * 20  # env steps of a batch: 20 episodes of 20 steps
SMALL = {"hidden": (16,)}  # units of the only hidden layer
beginners = [ml.make_learner("scratch", nav, seed=s, **SMALL) for s in range(SEEDS)]
agent = beginners[0]  # all act alike, each with its own parameters


def policy_gradient_step(theta, episodes, alpha=0.2):
    """One step up for T policies; theta {name: (T, ...)}, episodes of T tasks."""
    batch = agent.samples(episodes)  # states, actions and advantages of 20 episodes
    theta = {name: x.clone().requires_grad_() for name, x in theta.items()}
    pi = agent.network.per_task(theta, batch.observation)
    log_pi = pi.log_prob(batch.action).view_as(batch.advantage)  # (T, episodes, steps)
    objective = (log_pi * batch.advantage).sum((1, 2)) / batch.live  # mean over M steps
    # policies share nothing, so the gradient of the sum holds that of each of them
    gradient = torch.autograd.grad(objective.sum(), list(theta.values()))
    steps = zip(theta.items(), gradient)
    return {name: (x + alpha * g).detach() for (name, x), g in steps}


# %% [markdown]
# We train six **specialists**, from six random starts, to walk to a goal 0.5 to the right. Then the goal moves
# to the left. Two contenders: the specialist, practising on (**fine-tuning**, 微调), and a policy from scratch.
# **Predict:** who is ahead after 400 env steps? After 4,000?
#
# Two more take part, to find out *what* of a specialist helps. How wide its Gaussian is, is a parameter too, and a
# specialist has learned to make it narrow. So one contender is a specialist with a beginner's wide noise, the other
# a beginner with a specialist's narrow noise. The next cell lets them all practise (and 24 more beginners, on the
# goals that the picture further below offers).

# %% tags=["hide-input"]
OLD, NEW = (0.5, 0.0), (-0.5, 0.0)
DISTANCES, ANGLES = (0.2, 0.35, 0.5), tuple(range(0, 360, 45))
TURNS = [(math.cos(math.radians(a)), math.sin(math.radians(a))) for a in ANGLES]
GOALS = [(d * x, d * y) for d in DISTANCES for x, y in TURNS]
KEPT = {batch: batch * BATCH for batch in (0, 2, 5, 10, 40)}  # batches -> env steps


def limit_two():
    walk = partial(experiments.practise, agent, nav, step=policy_gradient_step)
    join, first = experiments.side_by_side, experiments.copies_of_first
    start = join(*(b.begin(1, 1).parameters for b in beginners))
    expert, trained, _ = walk(start, [OLD] * SEEDS, TRAIN, seed=1)
    noise = "log_std"  # the parameter that holds the width of the Gaussian
    wide = expert | {noise: start[noise]}
    narrow = start | {noise: expert[noise]}
    contenders = join(start, expert, first(start, len(GOALS)), wide, narrow)
    goals = [NEW] * (2 * SEEDS) + GOALS + [NEW] * (2 * SEEDS)
    _, returns, kept = walk(contenders, goals, RETRAIN, seed=2, keep=KEPT)
    scratch, finetune, many, wide, narrow = np.split(
        returns, np.cumsum([SEEDS, SEEDS, len(GOALS), SEEDS])
    )
    out = {"trained": trained, "scratch": scratch, "finetune": finetune}
    out |= {"wide": wide, "narrow": narrow}
    for batch, episodes in kept.items():
        paths = experiments.walked(episodes)[2 * SEEDS :][: len(GOALS)]
        out |= {f"path{batch}": paths, f"return{batch}": many[:, batch]}
    _, fixed, kept = walk(first(expert, len(GOALS)), GOALS, 0, seed=3, keep=[0])
    return out | {"path": experiments.walked(kept[0]), "return": fixed[:, 0]}


two = stored_or_run(SPEED, "01_task_changer", limit_two)
NAMES = {
    "finetune": "specialist, practising on",
    "scratch": "from scratch",
    "wide": "specialist with wide noise",
    "narrow": "from scratch with narrow noise",
}
contenders = {name: two[key] for key, name in NAMES.items()}  # (seeds, checkpoints)
practised_steps = np.arange(RETRAIN + 1) * BATCH

# %%
moved = experiments.goal_tasks([NEW])
often = map_tensors(lambda x: x.expand(2000, 2), moved)
at_random = ml.evaluate(ml.make_reference("random", nav), nav, tasks=often).mean[0]
figure_with_alt(
    figures.practice_curves(
        practised_steps,
        {name: mean_interval(returns) for name, returns in contenders.items()},
        {"oracle": float(nav.oracle(moved)), "random": at_random},
    ),
    alt="Return on the moved goal against env steps: the specialist starts far below, "
    "soon overtakes, and stays above; with wide noise it overtakes later",
)

# %%
at = pd.DataFrame({name: r.mean(0) for name, r in contenders.items()})
at.index = practised_steps
shown = at.loc[[0, 400, 800, 2000, 4000, 8000, 16000]].T
show_table(shown, "Return after so many env steps, mean over specialists", 1)
result("on their own goal", two["trained"][:, -10:].mean(), at_least=-4.5)

lead = at["specialist, practising on"] - at["from scratch"]
result("specialist minus scratch, at once", lead[0], at_most=-4)
result("the same after 400 env steps", lead[400], at_most=-2)
result("the same, mean from 4,000 to 8,000", lead.loc[4000:8000].mean(), at_least=1.5)
stretches = np.where(practised_steps <= 800, "to 800 steps", "from 1,600 steps on")
ahead = pd.DataFrame({"lead": lead, "stretch": stretches}).drop(1200)
claim(
    "specialist ahead of scratch",
    ahead,
    "lead > 0",
    {"to 800 steps": "none", "from 1,600 steps on": "every"},
    by="stretch",
)
wide_lead = at["specialist with wide noise"] - at["from scratch"]
result("with wide noise: lead after 2,000 steps", wide_lead[2000], at_most=-2)
result("the same, mean from 6,000 on", wide_lead.loc[6000:].mean(), at_least=1)
end = at.loc[10_000:].mean()
widened = end["specialist with wide noise"]
result(
    "it minus the specialist, mean from 10,000 on",
    widened - end["specialist, practising on"],
    near=0,
    within=0.5,
)
result(
    "narrow noise alone minus it, mean from 10,000 on",
    end["from scratch with narrow noise"] - widened,
    at_most=-0.5,
)

# %% [markdown]
# The specialist is brittle: it marches, with confidence, to where the goal *was*. For its first batches it
# is worse than a beginner. Then it overtakes, and stays ahead. Most of that early lead is its narrow noise: with the
# wide noise of a beginner it is still far behind after 2,000 steps. But it overtakes all the same, and ends where the
# specialist ends, which a beginner with narrow noise does not. So *walking to a point and staying there* survives the
# change, and only *which point* was wrong.

# %% [markdown] tags=["document"]
# **What the document says, and what is true**
#
# Document 003 (1.1): Q-learning and policy gradients generalise poorly and must be retrained when the
# environment changes. They must: neither adapts by itself. But retraining need not start from nothing, and even
# a wrong specialist was the better start beyond the first thousand steps. **The limit:** all tasks here are
# walks. Nothing *prepared* the specialist for a change; that it helps is luck of the family.

# %% [markdown]
# See it in the plane. The next cell also lets the oracle walk, which is told the goal.

# %%
specialist = Walks(two["path"], two["return"])
goals = experiments.goal_tasks(GOALS)
oracle = ml.make_reference("oracle", nav)
told = begin(oracle, nav, goals)
best_walks, _ = collect(oracle, nav, goals, told, seeded_generator("cpu", 0, 1))
best = Walks(experiments.walked(best_walks), nav.oracle(goals).numpy())
scratch = {n: Walks(two[f"path{b}"], two[f"return{b}"]) for b, n in KEPT.items()}
fixed = {"specialist": specialist, "oracle": best}
task_changer(DISTANCES, ANGLES, fixed, scratch, OLD).show()

# %% [markdown]
# Turn the goal away from 0 degrees and watch the specialist; then choose how many env steps the policy from
# scratch gets. No walk but the oracle's is straight: each move of the others is drawn from a Gaussian.
#
# ## Limit three: exploring by a fixed rule
# A **bandit** has $k$ arms; arm $i$ pays 1 with a hidden probability $p_i$, else 0. Here $p_i$ is uniform on
# $(0, 1)$, so the best possible play is known exactly (dynamic programming over beliefs: the Bayes optimum).
# The rule UCB1 adds to what an arm is believed to pay a bonus for ignorance; $t$ pulls were made, $n_i$ of arm
# $i$:
#
# $$
# a = \arg\max_i\; \hat p_i + c\,\sqrt{2 \ln t / n_i}.
# $$
#
# The worst-case theory says $c = 1$; $c = 0$ is **greedy**. **Predict:** which $c$ is best for 10 pulls? For 100?

# %%
BONUS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
BEST_10 = solve_bandit(arms=5, pulls=10).value
stored = pd.read_csv(find_folder("data/results") / "bandit_references.csv")
gittins = stored.query("arms == 5 and pulls == 100 and reference == 'gittins'")
BEST_100 = float(gittins["mean"].iloc[0])


def ucb(c, successes, failures, pulls_left, pulls=10):
    """Index of each arm; one success and one failure are imagined at the start."""
    n, t = successes + failures + 2, max(pulls - pulls_left, 1)
    return (successes + 1) / n + c * np.sqrt(2 * np.log(t) / n)


exact = [index_policy_value(5, 10, partial(ucb, c)) for c in BONUS]
print("5 arms, 10 pulls, exact expectations:")
print(f"  best possible {BEST_10:.3f}, random play 5.000")
for c, v in zip(BONUS, exact):
    print(f"  UCB1 with c = {c:<4g} {v:.3f}, {100 * v / BEST_10:.1f}% of the best")

# %% [markdown]
# For 100 pulls the best possible play cannot be computed (it would have 400 billion states). We simulate, and
# compare with what Gittins indices, a rule that comes close to the best, earned on 20,000 tasks: 78.7.

# %%
N = at_speed(SPEED, quick=2000, full=20_000)  # tasks
long = ml.make_family("bernoulli_bandit", arms=5, horizon=100)


def simulate(c, family, **options):
    agent = ml.make_reference("ucb1", family, c=c, pseudo_counts=1.0)
    return ml.evaluate(agent, family, **options).mean[0]


simulated = [simulate(c, long, n_tasks=N) for c in BONUS]
shares = {
    "10 pulls, exact": 100 * np.array(exact) / BEST_10,
    "100 pulls, simulated": 100 * np.array(simulated) / BEST_100,
}
figure_with_alt(
    figures.share_of_best(BONUS, shares),
    alt="Share of the best possible return against the bonus: best near 0.1 for 10 "
    "pulls, near 0.2 for 100, poor at 1",
)
of_100 = pd.Series(shares["100 pulls, simulated"], BONUS)
result("100 pulls, greedy", of_100[0.0], at_most=97, unit="% of the best possible")
result("100 pulls, c = 0.2 minus greedy", of_100[0.2] - of_100[0.0], at_least=1)
result("100 pulls, c = 0.2 minus c = 1", of_100[0.2] - of_100[1.0], at_least=8)
of_both = pd.DataFrame(shares, BONUS).loc[0.2]
result("c = 0.2 at 10 and at 100 pulls", of_both, at_least=99, unit="% of the best")

# %% [markdown]
# At 10 pulls greedy loses half a percent and the theory's bonus 12%; at 100 pulls greedy loses over 3%, and the
# best bonus is larger. The right amount depends on the family and on the time left. One constant, $c = 0.2$, comes
# within one percent of the best at both horizons. But no theory gave it: somebody tried eight constants on many tasks
# of the family and kept the best. That is learning across tasks, done by hand (chapter 02 lets a program do it).
#
# What does a rule make of what tasks *have in common*? Take two **tied arms**, $p_2 = 1 - p_1$ ([Wang et al.
# 2016](https://arxiv.org/abs/1611.05763)). Now any pull tells about both arms: there is nothing to explore.
# After $t$ pulls, $j$ of them in favour of arm 1, $p_1$ has mean $(1+j)/(2+t)$, with $j$ uniform on $0..t$, so
# the best play, and the value of each rule, are known exactly too.

# %%
best_tied = experiments.best_on_tied_arms(10)
index = {f"UCB1, c = {c:g}": partial(ucb, c) for c in (0.1, 0.2, 1.0)}
by_index = {name: experiments.by_index(rule) for name, rule in index.items()}
plain = experiments.by_index(partial(ucb, 0.0))
tied_rules = {
    "greedy": plain,
    **by_index,
    "epsilon-greedy, 0.1": experiments.sometimes_random(plain, 0.1),
    "Thompson sampling": experiments.thompson,
}
print("tied arms, 10 pulls, exact expectations: random play 5.000, oracle 7.500")
print(f"one who knows the tie {best_tied:.3f}")
for name, rule in tied_rules.items():
    earned = experiments.value_on_tied_arms(rule, 10)
    print(f"{name:20} {earned:.3f}, {best_tied - earned:.3f} less")

# %% [markdown]
# UCB1 with the theory's bonus, Thompson sampling (play the best of one random draw per arm from what is believed)
# and $\epsilon$-greedy keep paying for what they could know. Greedy, and small bonuses, lose almost nothing: where
# there is nothing to explore, hardly exploring is nearly right.

# %%
quiz("01.b")

# %% [markdown]
# So far a small bonus did nearly everything. It cannot do what comes now. Of **eleven arms** ten look alike: one of
# them, nobody knows which, pays 5 at each pull, the others 1. The eleventh never pays more than 1, but its pay, from
# 0.1 to 1.0, is the *number* of the good arm, divided by 10 (Wang et al. 2016, section 3.1.3). All rules above score
# an arm by what that arm has paid. To them the eleventh is a bad arm, and the best that they can do is to try the
# others one by one.

# %%
print("eleven arms, 5 pulls, exact expectations:")
print(f"  trying arm after arm {search_value(arms=11, pulls=5):.2f}")
print(f"  best possible        {solve_informative(arms=11, pulls=5).value:.2f}")

# %% [markdown]
# The best play asks the eleventh arm first, and then takes 5 four times: $0.55 + 4 \cdot 5$. To do so it must know
# what that arm's pay *means*, and no rule that treats arms alike can. Such knowledge must come *from the family*.
#
# ## The promise, and its price
# Meta-RL (元强化学习) practises on many tasks of a family, so that a new task of it needs few steps. Return on point
# navigation (100 steps an episode, 40 test goals) after 0 to 3 gradient steps, as published by
# [Finn et al. 2017](https://arxiv.org/abs/1703.03400):

# %%
file = find_folder("data/published") / "point_navigation.csv"
published = pd.read_csv(file, index_col="method")
steps = [f"step{i}" for i in range(4)]
print(published.loc[["maml", "random init", "oracle"], steps].to_string(na_rep=""))

# %% [markdown]
# One step of MAML, from 20 episodes, takes it to -11.7. How long does a policy from scratch take on the same goals?
# We let the package's `scratch` (the step above, with a larger network and $\alpha = 0.5$) take 60 steps of 20
# episodes each. Its random start is worse than the published one.

# %%
walk = ml.make_family("point_navigation")  # 100 steps an episode


def price():  # 10 minutes on a laptop: computed at the speed "full", else read
    scratch = ml.make_learner("scratch", walk, inner_step=0.5, later_inner_step=0.5)
    goals, batches = walk.published_tasks(), iterations("full", quick=61, full=61)
    curve = ml.evaluate(scratch, walk, tasks=goals, episodes=20, batches=batches)
    return {"per_task": curve.per_task, "env_steps": curve.env_steps}


alone = stored_or_run("full" if SPEED == "full" else "peek", "01_price", price)
per_goal, target = alone["per_task"], published.loc["maml", "step1"]
result("from scratch, before any step", per_goal[:, 0].mean(), at_most=-83)
end, low, high = mean_interval(per_goal[:, -10:].mean(1))  # over goals
result("the last ten batches", end, at_most=target, interval=(low, high))
spent = alone["env_steps"][-1]
result("env steps per goal by then", spent, at_least=30_000)

META = 100 * 20 * 40 * 100  # iterations x tasks x episodes x steps of this book's MAML
paid_after = META / max(spent - 2000, 1)  # MAML spends 2,000 env steps on a new goal
result("tasks that pay for meta-training", paid_after, at_least=30, at_most=300)

# %% [markdown]
# After 100,000 env steps a goal, fifty times what MAML used, the policy from scratch is still a little below -11.7.
# (Two single batches were above it, after some 92,000 steps. To pick such a one out of a curve that goes up and
# down would be the error of *Break it*, below.) So each new task saves 100,000 steps or more, and the 8 million
# steps of meta-training are paid for by some eighty tasks, or fewer.

# %% [markdown] tags=["document"]
# **What the document says, and what is true**
#
# Document 001 (1-2): meta-learning learns policies from limited data and compute. True on the *new* task only. The
# limit moves to meta-training: millions of env steps on other tasks, worth it for a hundred new tasks, not for five.

# %% [markdown]
# ## Exercises
# Write your answer over the `...` and run the cell. Until then it shows the task.
#
# **01.1** When does a learning curve first close a share of its gap? With this you can count what a task costs for
# any learner whose curve you have.

# %%
def episodes_to(curve, every, floor, ceiling, share): ...


check("01.1", episodes_to)

# %%
hint("01.1")

# %% [markdown]
# **01.2** The targets of Q-learning for a batch of transitions. *Terminated*: the task ended,
# nothing follows. *Truncated*: only the clock stopped. Our tasks truncate; they never terminate.

# %%
def td_target(reward, best_next, terminated, truncated, gamma): ...


check("01.2", td_target)

# %%
hint("01.2")

# %% [markdown]
# **01.3** The *regret* of a sequence of pulls: what it lost, in expectation, against the best arm.

# %%
def regret(means, pulled): ...


check("01.3", regret)

# %%
hint("01.3")

# %% [markdown]
# **01.4** After how many tasks has meta-training paid for itself? This is the last cell of the promise, in general.

# %%
def break_even(meta_steps, alone, adapted): ...


check("01.4", break_even)

# %%
hint("01.4")

# %% [markdown]
# Stuck? `solution("01.1")`, and so on, shows one answer.
#
# ## Break it
# A colleague tunes UCB1 for 5 arms and 10 pulls, and reports a triumph: more than the best possible, 6.660.
# Nothing raises an error. **Find the bug before you read on.**

# %%
bandit = ml.make_family("bernoulli_bandit", arms=5, horizon=10)
score = {}
for seed in range(5):
    for c in BONUS:
        score[c, seed] = simulate(c, bandit, n_tasks=50, seed=seed)
best_c, best_seed = max(score, key=score.get)
result(
    "tuned UCB1, as reported (best possible 6.660)",
    score[best_c, best_seed],
    at_least=6.661,
)

# %% [markdown]
# The rule was chosen, and the seed with it, on the very tasks that score it: the best of 40 draws is reported.
# Diagnosis: score the winner on tasks that had no say in choosing it.

# %%
result(
    "the same rule on 20,000 fresh tasks",
    simulate(best_c, bandit, n_tasks=20_000, seed=1000),
    at_most=6.72,
)

# %% [markdown]
# Above an exact optimum, always look for a bug. Two forms of it are easy to overlook: a constant that a grid search
# chose for each setting on the tasks that then score it, and training and test tasks that are drawn from one set.
#
# ## Summary
# - Q-learning, as first set up, needed over 1,000 steps for 50 entries, in the tenth task as in the first. One number,
#   shared by all tasks, cut that to a few hundred.
# - A specialist whose goal moved began below a beginner, then overtook it: part of what it knew was shared.
# - One constant, found by trying, explored nearly as well as possible in three bandits; the constant of the
#   worst-case theory did not. No rule that scores arms one by one can use an arm that tells about another.
# - What was missing each time is knowledge of what tasks share. Meta-RL learns that, at a price in samples paid
#   before.
#
# ## What to read
# - Sutton and Barto (2018), *Reinforcement Learning*, chapters 2, 6 and 13.
# - [Duan et al. 2016](https://arxiv.org/abs/1611.02779), section 1: RL as a slow learner, and what to do about it.
# - [Finn, Abbeel and Levine 2017](https://arxiv.org/abs/1703.03400), section 5.3.
#
# ## What comes next
# Chapter 02 makes "learning to learn" precise: what a task is, what is learned slowly, what is learned fast,
# and where a learner keeps it.
