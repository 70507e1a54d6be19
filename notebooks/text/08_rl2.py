# %% [markdown]
# # 08 RL2: the recurrent network is the learning algorithm
#
# **Reading time:** 70 min, exercises included. **Run time:** 40 s.
#
# ## What you will be able to do
# - say what learns *within* a trial in RL2, what learns *over* trials, and which equations do each;
# - train such an agent, and measure it against exact Bayes-optimal play, Gittins and Thompson;
# - read the exact posterior off a hidden state with a linear probe, beside the controls that such a claim needs;
# - send credit across episodes, write the whole update, and recognise the reset bugs that stop it.
#
# ## The question
# Chapters 05 to 07 fixed the learning rule (a gradient step) and learned where it starts. Can the rule itself be
# learned, with nothing but a recurrent network and ordinary RL? And is what comes out any good *as statistics*?
#
# The next cell prepares the page. `lab` holds what this chapter runs and need not show, such as the acting of trials.

# %%
import numpy as np
import pandas as pd
import torch

import metarl_lab as ml
from metarl_lab.chapters.ch08_rl2 import experiments as lab
from metarl_lab.chapters.ch08_rl2 import figures
from metarl_lab.chapters.ch08_rl2.widget import Players, PullAndWatch
from metarl_lab.exact.bandits import count_pull, posterior_mean
from metarl_lab.exact.bernoulli_bandit import index_policy_value, solve_bandit
from metarl_lab.exact.informative_bandit import search_value, solve_informative
from metarl_lab.exact.two_step import bayes_value
from metarl_lab.ops.ppo import trial_advantages
from metarl_lab.ops.probe import fit_probe, r_squared
from metarl_lab.ops.two_step import stay_probabilities
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.teach import announce, at_speed, check, claim, hint, iterations
from metarl_lab.teach import quiz, result, show_source, show_table
from metarl_lab.teach import solution, speed
from metarl_lab.teach.figures import figure_with_alt

SPEED = speed()  # "peek", "quick" or "full"
torch.set_num_threads(1)  # these networks are small: more threads wait for each other
announce(SPEED, {"peek": 30, "quick": 40, "full": 240})

# %% [markdown]
# ## 1. A hidden state that learns
# A **recurrent network** (循环神经网络) carries a **hidden state** (隐藏状态) $h$. In RL2 it is carried through the
# whole trial, also over the ends of episodes, and it is fed what happened:
#
# $$
# h_t=f_\theta(h_{t-1},x_t),\qquad x_t=(o_t,a_{t-1},r_{t-1},\text{start}_t),\qquad a_t\sim\pi_\theta(\cdot\mid h_t)
# $$
#
# During a trial $\theta$ stands still. If behaviour improves, $f_\theta$ *is* the learning algorithm. Compare:
# counting, $h_t=h_{t-1}+(\text{paid},\text{failed})$, has the same form.

# %%
# two arms that pay with probability p ~ U(0, 1) each; a trial is ten pulls
bandit = ml.make_family("bernoulli_bandit", arms=2, horizon=10)
OPTIONS = {
    "hidden": 32,
    "meta_batch": 250,
    "minibatches": 4,
    "learning_rate": 1e-2,
    "entropy": 0.0,
}
agent = ml.make_learner("rl2", bandit, seed=0, decay_iterations=100, **OPTIONS)
show_source(type(agent).act)

# %% [markdown]
# Meta-training (元训练) is ordinary RL, here PPO, on
# $J(\theta)=\mathbb E_{\mathcal T} \mathbb E\big[\sum_{t}\gamma^t r_t\big]$, the sum over the *whole trial*: act out
# trials of many tasks, unroll the network through them as it acted, raise what did better than expected. "Slow" RL
# in the weights, "fast" RL in the activations: hence the name RL². (Exercises 08.3 and 08.5 build that update.)
#
# ## 2. Train it, now
# **Predict:** random play gets 5 points, Thompson sampling 5.69, exact Bayes-optimal play 6.02. How much of that will
# 250,000 pulls of plain PPO find, with no formula for learning given?

# %%
if SPEED == "peek":
    agent, _, card = ml.load("data/checkpoints/rl2-bernoulli_bandit-2x10")
    steps, returns = lab.beginning_and_end(card)
else:
    updates = iterations(SPEED, quick=100, full=500)
    if SPEED == "full":  # the stored agent's setting: 5 million pulls
        full_size = {"meta_batch": 1000, "entropy": 0.0, "decay_iterations": updates}
        agent = ml.make_learner("rl2", bandit, seed=0, **full_size)
    run = ml.train(agent, bandit, updates, device="cpu")
    steps, returns = lab.training_curve(run)  # five iterations to a point

# %%
best = solve_bandit(2, 10).value  # exact
thompson = 5.69  # 20,000 tasks in data/results/bandit_references.csv
anchors = {"random": 5.0, "thompson": thompson, "bayes_optimal": best}
figure_with_alt(
    figures.training({"rl2": (steps, returns)}, anchors),
    "Return per trial against pulls of meta-training: from random play past Thompson "
    "sampling towards Bayes-optimal play",
)
second_half = returns[len(returns) // 2 :].mean()
result("second half of training, over Thompson", second_half - thompson, at_least=0.05)

# %% [markdown]
# It passes Thompson sampling within some 100,000 pulls. (A point is 1,250 trials: standard error 0.07.)
#
# ## 3. Exactly how good?
# No sampling is needed. A history of ten pulls is one of $4^{10}$ (two arms, two results), and the prior says how
# likely each result is: the posterior mean. Follow every history, with its probability, through the network.


# %%
@torch.no_grad()
def follow(agent):
    """Follow every history that the agent can meet through its network.

    Returns its exact points per trial, and for each pull, of N histories: counts
    (N, 2, 2) of each arm's pays and failures, log-odds of arm A (N,), probability (N,).
    """
    value, levels = 0.0, []
    probability = torch.ones(1, dtype=torch.float64)  # one history at first: nothing
    counts = torch.zeros(1, 2, 2)
    hidden = agent.net.core.initial(1)
    action, reward = torch.tensor([-1]), torch.zeros(1)  # there was no pull yet
    for pull in range(10):
        # the agent's step after each history
        x = lab.what_is_seen(agent, action, reward, pull)
        out, hidden = agent.net.core.step(x, hidden)
        log_pi = agent.net.policy(out).double().log_softmax(-1)  # (N, 2)
        pays = posterior_mean(counts).double()  # (N, 2), the chance of each arm to pay
        value += (probability[:, None] * log_pi.exp() * pays).sum().item()
        levels.append((counts, log_pi[:, 0] - log_pi[:, 1], probability))
        # four histories come of each: either arm, paid or failed
        children = []
        for arm in (0, 1):
            for paid in (0, 1):
                outcome = pays[:, arm] if paid else 1 - pays[:, arm]
                p = probability * log_pi[:, arm].exp() * outcome
                keep = p > 1e-9  # what is dropped sums to less than 0.001
                a = torch.full((int(keep.sum()),), arm)
                r = torch.full((int(keep.sum()),), float(paid))
                after = count_pull(counts[keep], a, r)
                children.append((p[keep], after, hidden[0][keep], a, r))
        probability, counts, state, action, reward = map(torch.cat, zip(*children))
        hidden = (state,)
    return value, levels


# %%
expert = ml.load("data/checkpoints/rl2-bernoulli_bandit-2x10")[0]  # 5 million pulls
trained_now, stored = follow(agent)[0], follow(expert)[0]


def posterior_mean_of(paid, failed, pulls_left):
    return (1 + paid) / (2 + paid + failed)


greedy = index_policy_value(2, 10, posterior_mean_of)  # exact
print(f"Bayes-optimal {best:.4f}, greedy {greedy:.4f} points per trial (exact)")
result("RL2, just trained: points per trial", trained_now, at_least=5.8, at_most=best)
result("RL2, stored: points per trial", stored, at_least=5.98, at_most=best)
result("RL2, stored: short of Bayes-optimal by", best - stored, at_most=0.03)
short = greedy - stored
result("RL2, stored: short of greedy play by", short, at_least=0, at_most=0.02)

# %% [markdown]
# The usual way, for comparison: 20,000 held-out tasks. **Regret** (遗憾) is $\sum_t(\max_i p_i-p_{a_t})$; *over
# Bayes* is the difference from Bayes-optimal play on the same tasks, with its 95% interval.

# %%
players = {"RL2, just trained": agent, "RL2, stored": expert}
for name in ("bayes_optimal", "gittins", "greedy", "thompson", "random"):
    players[name] = ml.make_reference(name, bandit)
lost = lab.regrets(players, bandit, n_tasks=20_000, seed=8)
regret = lab.regret_table(lost, against="bayes_optimal")
show_table(regret, "Regret per trial of ten pulls, 20,000 tasks", digits=3)
claim(
    "less regret than Thompson sampling",
    regret,
    lambda table: table.regret < table.regret["Thompson sampling"],
    5,  # all but itself and random play
)
over = regret["over Bayes"]
result("Thompson's regret over Bayes", over["Thompson sampling"], at_least=0.25)
result("Gittins' regret over Bayes", over["Gittins index"], near=0, within=0.01)

# %% [markdown]
# RL2 found in seconds what beats Thompson sampling, and the stored one is within 0.03 points of the best that *any*
# agent can do. Nobody told it about priors. **Limit:** Thompson sampling is not made for ten pulls; greedy play is
# hard to beat here, and the stored agent is a hair *below* it. On 5 arms and 100 pulls three seeds span 74.8 to 77.4,
# Gittins has 78.7: long trials are harder.
#
# ## 4. What is in the hidden state?
# All that matters of a history is the counts, hence the **posterior** (后验) $\text{Beta}(1+s_i,1+f_i)$. **Predict:**
# can it be read off $h_t$ by a *linear* map? Fit a **probe** (探针) by ridge regression, and score it on other tasks:
#
# $$
# \min_{W,b}\ \tfrac1N\sum_n|Wh_n+b-y_n|^2+\lambda|W|^2,\qquad R^2=1-\frac{\sum|y-\hat y|^2}{\sum|y-\bar y|^2}
# $$
#
# Two controls: an *untrained* network, and the last input $x_t$ alone.

# %%
QUANTITIES = ("posterior mean, A", "posterior mean, B", "pulls of A", "pulls of B")
x, truth = lab.histories(expert, bandit, "train", seed=3)  # (10, N, I), (10, N, 4)
new_x, new_truth = lab.histories(expert, bandit, "test", seed=4)
untrained = ml.make_learner("rl2", bandit, seed=5)
sources = {  # each a function: inputs -> what the probe reads
    "trained": lab.hidden_states(expert),
    "untrained": lab.hidden_states(untrained),
    "last input alone": lambda x: x,
}
scores = {}
for name, source in sources.items():
    probe = fit_probe(source(x), truth)  # W and b, on these tasks
    scores[name] = r_squared(new_truth, probe.read(source(new_x))).tolist()  # on others

# %%
figure_with_alt(
    figures.probe_bars(scores, QUANTITIES),
    "Held-out R squared: near 1 for the trained network, somewhat less for an "
    "untrained one on the posterior means, low for the last input alone",
)
read_off = pd.DataFrame(scores, QUANTITIES)
show_table(read_off, "Held-out R squared", digits=3)
means = read_off.iloc[:2].mean()  # of both posterior means
result("trained: R squared of the posterior means", means["trained"], at_least=0.98)
result("untrained", means["untrained"], at_least=0.85, at_most=0.98)
result("last input alone", means["last input alone"], at_most=0.6)
claim(
    "an untrained network is above the last input by 0.2",
    read_off,
    "untrained > `last input alone` + 0.2",
)

# %% [markdown]
# Read the middle bars before you celebrate: random weights *also* echo the past, for ten pulls, and a probe finds the
# echo. A probe shows that information is there, not that it is used. Sharper: does the *policy* forget the order of
# events, as counts do? Split the variance of its log-odds, over all histories, into between and within equal counts.


# %%
def share_explained_by_counts(agent):
    """1 - variance of the log-odds within equal counts / all of their variance."""
    within = total = 0.0
    for counts, odds, weight in follow(agent)[1][2:]:  # before pulls 3 to 10
        # histories of equal counts are one group; its mean, by their probability
        group = torch.unique(counts.flatten(1), dim=0, return_inverse=True)[1]
        empty = torch.zeros(int(group.max()) + 1, dtype=torch.float64)
        mass = empty.index_add(0, group, weight)
        mean = empty.index_add(0, group, weight * odds) / mass
        within += (weight * (odds - mean[group]) ** 2).sum().item()
        overall = (weight * odds).sum() / weight.sum()
        total += (weight * (odds - overall) ** 2).sum().item()
    return 1 - within / total


share = share_explained_by_counts(expert)
by_chance = share_explained_by_counts(untrained)
result("stored RL2: share of its log-odds that counts explain", share, at_least=0.95)
result("more than for an untrained network, by", share - by_chance, at_least=0.05)

# %% [markdown]
# Meta-training has made a network that treats histories with equal counts almost alike: a **sufficient statistic**
# (充分统计量), which nobody asked for.
#
# ## 5. Pull the arms yourself
# *Turn last result* asks: what if that pull had gone the other way? **Predict** before each press where the probe's
# markers and RL2's bar will go. Try A paid, then B failed; then the same in the other order: the
# strip differs, the choice does not. RL2 mostly agrees with Bayes; Thompson spreads its pulls, as long as it is unsure.
# (A row of the strip is a hidden unit. Those on top rise with the posterior mean of A, less that of B; those at the
# bottom fall with it.)

# %%
hidden = sources["trained"](x)
both_means = fit_probe(hidden, truth[..., :2])
indices = {name: players[name] for name in ("gittins", "bayes_optimal")}
order = lab.units_by_arm(hidden, truth)  # rows of the strip, from top to bottom
watched = Players(expert, bandit, both_means, indices, order)
PullAndWatch(watched, "08 pull and watch").show()

# %%
quiz("08.a")

# %% [markdown]
# ## 6. Credit across episodes
# In Wang et al.'s informative bandit nine arms pay 1, one pays 5, and arm 11 pays a tenth of the *number of the good
# arm*: little, but it tells all. Let every pull be an episode. Credit by generalised advantages,
#
# $$
# A_t=\sum_{l\ge0}(\gamma\lambda)^l\,\delta_{t+l},\qquad \delta_t=r_t+\gamma V_{t+1}-V_t,
# $$
#
# may stop where the *trial* ends, or (wrongly) where each *episode* does. What does asking first get ($V=0$,
# $\gamma=\lambda=1$)? And where does gradient ascent on $s$, the chance of asking first, go?

# %%
# one trial: asked, was told "arm 3", pulled it four times
reward = torch.tensor([[0.3], [5.0], [5.0], [5.0], [5.0]])
no_value, live = torch.zeros_like(reward), torch.ones_like(reward, dtype=torch.bool)
whole = trial_advantages(reward, no_value, live, discount=1.0, lam=1.0)[0, 0]
cut = trial_advantages(reward[:1], no_value[:1], live[:1], discount=1.0, lam=1.0)[0, 0]
print(f"credit for asking: {whole:.1f} over the trial, {cut:.1f} cut at episode ends")

# %%
ask, search = solve_informative(11, 5).value, search_value(11, 5)  # points per trial
asking_pays = 0.1 * np.arange(1, 11).mean()  # in its own episode
guessing_pays = 0.1 * 5 + 0.9 * 1  # an arm at random, in its own episode
gains = {"whole trial": ask - search, "cut": asking_pays - guessing_pays}
for name, gain in gains.items():
    theta = 0.0
    for _ in range(1000):
        s = 1 / (1 + np.exp(-theta))  # the chance of asking first
        theta += 0.1 * s * (1 - s) * gain  # dJ/dtheta of J = s ask + (1 - s) search
    points = s * ask + (1 - s) * search
    print(f"{name}: asks first with {s:.2f}, gets {points:.2f} of {ask:.2f} points")

# %% [markdown]
# Cut at episode ends, exploration earns nothing, and the agent unlearns it. So GAE must cross the ends of episodes
# and stop at the trial's. **Limit:** here one number is learned; a network must discover *asking* and *understanding
# the answer* together, which takes it some million pulls.
#
# ## 7. Planning from a learner without a plan
# The **two-step task** (两步任务): action $i$ leads to state $i$ commonly (0.8), to the other rarely; one state pays
# 0.9, the other 0.1, and they swap now and then. After a *rare* transition that paid, who repeats what paid stays, as
# always; who knows the task's structure *switches more often* than after a common one. **Predict** which of the two
# PPO, a model-free (无模型) method, has made.

# %%
two_step = ml.make_family("two_step")
planner = ml.load("data/checkpoints/rl2-two_step")[0]  # 4 million choices
tasks = two_step.sample_tasks(400, "test", seeded_generator("cpu", 8, 5))
trials = begin(planner, two_step, tasks)
acted, _ = collect(planner, two_step, tasks, trials, seeded_generator("cpu", 8, 6))
stay = stay_probabilities(acted)
optimal = bayes_value(100, two_step.common, two_step.pays, two_step.reversal)  # exact

# %%
repeats_what_paid = np.array([[0.0, 0.0], [1.0, 1.0]])
shown = {
    "RL2": stay.probability,
    "Bayes-optimal (exact)": optimal.stay,
    "who repeats what paid": repeats_what_paid,
}
figure_with_alt(
    figures.stay_bars(shown),
    "Chance of the same choice by reward and transition: RL2 and Bayes-optimal play "
    "stay less often after a rare reward than after a common one, unlike one who "
    "repeats whatever paid",
)
print(f"exact: Bayes-optimal {optimal.value:.2f} points of 100")
print(f"exact: it stays after a rare reward with {optimal.stay[1, 0]:.2f}")
result("RL2: gap after no reward, rare minus common", stay.gaps[0], at_least=0.2)
result("RL2: gap after a reward, common minus rare", stay.gaps[1], at_least=0.2)
off = np.abs(stay.probability - optimal.stay).max()
result("RL2: furthest of its four bars from Bayes-optimal", off, at_most=0.1)
points = acted.returns.mean()
result("RL2: points per episode", points, at_least=69, at_most=optimal.value + 1)

# %% [markdown]
# The signature of **model-based** (基于模型) behaviour, from a model-free trainer. (It still stays after a rare reward
# more often than not: a rare transition is a reason to doubt the choice, not to drop it.) **Limit:** this pattern
# proves no planning: inferring which state is good explains it as well (Akam, Costa and Dayan 2015), and here *is* the
# optimum.

# %% [markdown] tags=["document"]
# **What the document says, and what is true: what acts on what.** 000 (2.2) has an inner model (内部模型), and an
# outer model (外部模型) that updates it; by 2.3 the outer model uses *context* (上下文), such as a game's rules, to
# guide the inner one. In RL2 there is one network. After training nothing outer acts: the weights stand still. And no
# one gives it the rules: it sees its own pulls and pays, so two tasks with the same history are one to it. The next
# cell compares weights and state before and after a trial, and prices context that must be *earned*.

# %%
one_task = bandit.sample_tasks(1, "test", seeded_generator("cpu", 8, 7))
weights = [p.clone() for p in expert.parameters()]
before = begin(expert, bandit, one_task)
_, after = collect(expert, bandit, one_task, before, seeded_generator("cpu", 8, 8))
moved = [not torch.equal(p, q) for p, q in zip(weights, expert.parameters())]
print("ten pulls have changed a weight:        ", any(moved))
changed = not torch.equal(before.memory.hidden, after.memory.hidden)
print("ten pulls have changed the hidden state:", changed)
told = 10 * 2 / 3  # the better of two arms pays 2/3 on average
print(f"best if context were given: {told:.3f} points; if it must be found: {best:.3f}")

# %% [markdown]
# The last line is the price of context that has to be *earned*: 0.64 points in ten pulls.
#
# ## Exercises
# Write your answer over the `...` and run the cell; until then it shows you the task. `hint("08.2")` helps in three
# steps, and `solution("08.2")` shows one solution.
#
# **08.1 What the network sees.** Everything that RL2 learns within a trial enters through $x_t$. Write it for a bandit,
# whose observation says nothing and is left out.


# %%
def step_input(action, reward, start, arms): ...


check("08.1", step_input)

# %% [markdown]
# **08.2 What is carried on.** Many trials run side by side, and they do not end together. Which states may go on?


# %%
def carry(hidden, new_episode, new_trial): ...


check("08.2", carry)

# %% [markdown]
# **08.3 Credit over the trial.** Section 6's formula, for a trial of several episodes.


# %%
def trial_credit(reward, value, discount, lam): ...


check("08.3", trial_credit)

# %%
hint("08.3")

# %% [markdown]
# **08.4 An honest probe.** Section 4's score, for one quantity and without the ridge (one as small as the text's is
# right as well).


# %%
def probe_score(h, y, new_h, new_y): ...


check("08.4", probe_score)

# %% [markdown]
# **08.5 The whole update.** A trial has been acted. RL2's update unrolls the network through it, as it acted, which
# gives log-probabilities $\log\pi_\theta(a_t|h_t)$ and values $V_t$; then it takes gradient steps on PPO's loss. With
# the **ratio** $\rho_t=\pi_\theta(a_t|h_t)/\pi_\text{acted}(a_t|h_t)$ of the probability now to that when acting,
#
# $$
# L=-\frac1{KH}\sum_t\min\big(\rho_tA_t,\ \text{clip}(\rho_t,1-\epsilon,1+\epsilon)A_t\big)
# +\frac1{2KH}\sum_t(V_t-\hat V_t)^2 .
# $$
#
# The first part raises what did better than expected. The minimum takes away any gain from moving a probability by
# more than a share $\epsilon$, since the data are of the network that acted. The second part fits the critic to
# $\hat V_t=A_t+V_t$, the return that was seen. Neither $A_t$ nor $\hat V_t$ is differentiated. Write $L$ for one trial,
# with your 08.3. (`torch.as_tensor` makes a tensor of an array. The package also scales the advantages of a batch to
# mean 0 and deviation 1, and can add a bonus for entropy.)


# %%
def rl2_loss(log_prob, acted, value, reward, discount, lam, clip): ...


check("08.5", rl2_loss)

# %% [markdown]
# ## Break it
# "Episodes are independent", says a colleague, "so train each from a fresh state." Acting still carries the state. A
# trial is ten pulls, now as five episodes of two, and a gradient flows back over one episode. It runs, the loss is
# finite. **Find the bug before you read on.**

# %%
RL2 = type(agent)


class FreshEpisodes(RL2):
    def _score(self, batch):
        """What the update knows of a batch: of each action, each step, each episode."""
        log_prob, value, states = super()._score(batch)  # of the network that acted
        from_zeros = tuple(torch.zeros_like(state) for state in states)
        return log_prob, value, from_zeros  # the states that the episodes train from


seeds = at_speed(SPEED, quick=2, full=5)
updates = iterations(SPEED, quick=30, full=60)
broken = lab.train_in_episodes(FreshEpisodes, seeds, updates, OPTIONS)
result("points per trial (random play: 5)", broken, at_most=5.4)

# %%
quiz("08.b")

# %% [markdown]
# Diagnosis: before any update, the probability of an action when training *is* what it was when acting; PPO's ratio
# must be 1. Print it, for a network that has learned something:

# %%
core, hidden, acting = expert.net.core, expert.net.core.initial(x.shape[1]), []
with torch.no_grad():
    for x_t in x:  # as when acting: step by step, the state carried on
        out, hidden = core.step(x_t, hidden)
        acting.append(out)
    carried, _ = core.unroll(x, core.initial(x.shape[1]))
    from_zeros = torch.stack([core.step(x_t, core.initial(len(x_t)))[0] for x_t in x])
pi = lab.chances(expert, torch.stack(acting))  # (10, N, 2)
change = (lab.chances(expert, carried) - pi).abs().max()
result("trained as it acted: largest change of a probability", change, at_most=1e-4)
change = (lab.chances(expert, from_zeros) - pi).abs().max()
result("trained from zeros: largest change of a probability", change, at_least=0.5)

# %% [markdown]
# The update moves a policy that never acted. A public RL2-PPO does so, and cuts advantages at episode ends
# besides. Its cousin, the *lost last transition* (garage's RL2, ProMP's, Meta-World's wrapper), was chapter 02's.
# The mend: start every segment from the *stored* state that acted; `rl2` does, and its tests hold the ratio at 1. The
# same training, with the same seeds and gradients as short, by `rl2` as it is:

# %%
mended = lab.train_in_episodes(RL2, seeds, updates, OPTIONS)
result("points per trial, mended", mended, at_least=5.3)
gain = np.subtract(mended, broken)
result("mended minus broken, seed by seed", gain, at_least=0.2)

# %% [markdown]
# ## Summary
# - RL2: one recurrent network, fed its own actions and rewards; weights learn over trials, the state within them.
# - In ten pulls of two arms it is within a few hundredths of exact Bayes-optimal play.
# - The posterior can be read off its state, but off an untrained one partly too: keep controls.
# - Credit and state cross episodes, never trials. Ratio not 1 before the update? You train on states that never acted.
#
# ## What to read
# - [Duan et al. 2016](https://arxiv.org/abs/1611.02779), *RL²*; [Wang et al. 2016](https://arxiv.org/abs/1611.05763).
# - [Schulman et al. 2017](https://arxiv.org/abs/1707.06347), PPO, whose loss the update descends.
# - [Wang et al. 2018](https://doi.org/10.1038/s41593-018-0147-8), *Prefrontal cortex as a meta-RL system*.
# - [Ortega et al. 2019](https://arxiv.org/abs/1905.03030) and [Mikulik et al. 2020](https://arxiv.org/abs/2010.11223):
#   why and how closely memory-based meta-learning becomes Bayesian.
# - [Akam, Costa and Dayan 2015](https://doi.org/10.1371/journal.pcbi.1004648), on the two-step task's signature.
#
# ## What comes next
# Here the belief is somewhere in 64 numbers. Chapter 09 makes it explicit: infer the task, then act on the belief.
