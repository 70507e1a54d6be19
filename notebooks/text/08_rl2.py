# %% [markdown]
# # 08 RL2: the recurrent network is the learning algorithm
#
# **Reading time:** 40 min. **Run time:** 20 s.
#
# ## What you will be able to do
# - say what learns *within* a trial in RL2, what learns *over* trials, and which equations do each;
# - train such an agent, and measure it against exact Bayes-optimal play, Gittins and Thompson;
# - read the exact posterior off a hidden state with a linear probe, beside the controls that such a claim needs;
# - send credit across episodes, and recognise the reset bugs that stop it.
#
# ## The question
# Chapters 05 to 07 fixed the learning rule (a gradient step) and learned where it starts. Can the rule itself be
# learned, with nothing but a recurrent network and ordinary RL? And is what comes out any good *as statistics*?

# %%
from itertools import product

import numpy as np
import pandas as pd
import torch

import metarl_lab as ml
from metarl_lab.nets.base import encode_seen, sequences
from metarl_lab.exact.bernoulli_bandit import index_policy_value, solve_bandit
from metarl_lab.exact.bandits import count_pull, posterior_mean
from metarl_lab.exact.informative_bandit import search_value, solve_informative
from metarl_lab.ops.ppo import trial_advantages
from metarl_lab.ops.probe import fit_probe, r_squared
from metarl_lab.ops.regret import expected_regret
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.ops.two_step import stay_probabilities
from metarl_lab.exact.two_step import bayes_value
from metarl_lab.teach.figures import figure_with_alt
from metarl_lab.chapters.ch08_rl2.figures import probe_bars, stay_bars, training
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.teach import announce, check, hint, quiz, show_source, speed, verdict
from metarl_lab.types import Seen
from metarl_lab.chapters.ch08_rl2.widget import Players, PullAndWatch

torch.set_num_threads(1)  # these networks are small: more threads only wait for each other
SPEED = speed()
announce(SPEED, {"peek": 10, "quick": 20, "full": 180})

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
bandit = ml.make_family("bernoulli_bandit", arms=2, horizon=10)  # two arms, p ~ U(0, 1) each; a trial is ten pulls
OPTIONS = {"hidden": 32, "meta_batch": 250, "minibatches": 4, "learning_rate": 1e-2, "entropy": 0.0}
agent = ml.make_learner("rl2", bandit, seed=0, decay_iterations=100, **OPTIONS)
show_source(type(agent).act)

# %% [markdown]
# Meta-training (元训练) is ordinary RL, here PPO, on
# $J(\theta)=\mathbb E_{\mathcal T} \mathbb E\big[\sum_{t}\gamma^t r_t\big]$, the sum over the *whole trial*: act out
# trials of many tasks, unroll the network through them as it acted, raise what did better than expected. "Slow" RL
# in the weights, "fast" RL in the activations: hence the name RL².
#
# ## 2. Train it, now
# **Predict:** random play gets 5 points, Thompson sampling 5.69, exact Bayes-optimal play 6.02. How much of that will
# 250,000 pulls of plain PPO find, with no formula for learning given?

# %%
if SPEED == "peek":
    agent, _, card = ml.load("data/checkpoints/rl2-bernoulli_bandit-2x10")
    steps, returns = np.array([0, card["env_steps"]]), np.array([5.0, card["score"]["stored_mean"][0]])
else:
    run = ml.train(agent, bandit, 100, device="cpu")
    if SPEED == "full":  # the stored agent's setting: 5 million pulls
        agent = ml.make_learner("rl2", bandit, seed=0, meta_batch=1000, decay_iterations=500, entropy=0.0)
        run = ml.train(agent, bandit, 500, device="cpu")
    history = np.array([(row["env_steps"], row["return"]) for row in run.rows])
    steps, returns = history.reshape(-1, 5, 2).mean(1).T  # five iterations, 1,250 trials, to a point

# %%
best, thompson = solve_bandit(2, 10).value, 5.69  # exact; 20,000 tasks in data/results/bandit_references.csv
figure_with_alt(
    training({"RL2, seed 0": (steps, returns)}, {"random": 5.0, "Thompson": thompson, "Bayes-optimal": best}),
    alt="Return per trial against pulls of meta-training: from random play past Thompson towards Bayes-optimal",
)

# %% [markdown]
# It passes Thompson sampling within some 100,000 pulls. (A point is 1,250 trials: standard error 0.07.)
#
# ## 3. Exactly how good?
# No sampling is needed. A history of ten pulls is one of $4^{10}$ (two arms, two results), and the prior says how
# likely each result is: the posterior mean. Follow every history, with its probability, through the network.


# %%
@torch.no_grad()
def follow(agent):
    """(exact value; per pull: counts, log-odds of arm A, probability of every history the agent can meet)."""
    value, levels, weight = 0.0, [], torch.ones(1, dtype=torch.float64)
    counts, state, action, reward = torch.zeros(1, 2, 2), agent.net.core.initial(1), torch.tensor([-1]), torch.zeros(1)
    for pull in range(10):
        n = len(weight)
        seen = Seen(torch.ones(n, 1), action, reward, torch.full((n,), pull == 0), pull)
        out, state = agent.net.core.step(encode_seen(agent.spec, seen), state)
        logits, mean = agent.net.policy(out).double(), posterior_mean(counts).double()  # (n, 2) each
        value += (weight[:, None] * logits.softmax(-1) * mean).sum().item()
        levels.append((counts, logits[:, 0] - logits[:, 1], weight))
        children = []
        for arm, paid in product((0, 1), (0, 1)):
            p = weight * logits.softmax(-1)[:, arm] * (mean[:, arm] if paid else 1 - mean[:, arm])
            keep = p > 1e-9  # what is dropped sums to less than 1e-3
            a, r = torch.full((int(keep.sum()),), arm), torch.full((int(keep.sum()),), float(paid))
            children.append((p[keep], count_pull(counts[keep], a, r), state[0][keep], a, r))
        weight, counts, hidden, action, reward = (torch.cat(x) for x in zip(*children))
        state = (hidden,)
    return value, levels


# %%
expert = ml.load("data/checkpoints/rl2-bernoulli_bandit-2x10")[0]  # 5 million pulls
exact = {"RL2, just trained": follow(agent)[0], "RL2, stored": follow(expert)[0]}
exact |= {"greedy": index_policy_value(2, 10, lambda s, f, left: (1 + s) / (2 + s + f)), "Bayes-optimal": best}

# %% [markdown]
# The usual way, for comparison: 20,000 held-out tasks. **Regret** (遗憾) is $\sum_t(\max_i p_i-p_{a_t})$; *over
# Bayes* is the difference from Bayes-optimal play on the same tasks, with its 95% interval.

# %%
tasks = bandit.sample_tasks(20_000, "test", seeded_generator("cpu", 8, 1))
agents = {"RL2, just trained": agent, "RL2, stored": expert}
for name in ("bayes_optimal", "gittins", "greedy", "thompson", "random"):
    agents[name] = ml.make_reference(name, bandit)
lost = {}
for name, player in agents.items():
    acted, _ = collect(player, bandit, tasks, begin(player, bandit, tasks), seeded_generator("cpu", 8, 2))
    lost[name] = expected_regret(tasks.mean, acted.action).flatten().double().numpy()
table = {}
for name, x in lost.items():
    over, low, high = mean_interval(x - lost["bayes_optimal"])
    table[name] = [f"{x.mean():.3f}", f"{over:+.3f} [{low:+.3f}, {high:+.3f}]", f"{exact.get(name, np.nan):.4f}"]

# %% tags=["nbval-ignore-output", "raw"]
print(pd.DataFrame(table, ["regret", "over Bayes", "exact points"]).T.replace("nan", "").to_string())
print("exact points:", {name: round(value, 4) for name, value in exact.items()})

# %%
print(f"Bayes-optimal {best:.4f}, greedy {exact['greedy']:.4f} points per trial (exact)")
verdict("RL2, just trained: exact points per trial", exact["RL2, just trained"], at_least=5.8, at_most=best)
verdict("RL2, stored: exact points per trial", exact["RL2, stored"], at_least=5.98, at_most=best)
verdict("Thompson's regret over Bayes", (lost["thompson"] - lost["bayes_optimal"]).mean(), at_least=0.25)

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
@torch.no_grad()
def histories(split, seed, n=3000):
    """The expert's inputs, (10, n, I), and what is exactly true before each pull, (10, n, 4)."""
    tasks = bandit.sample_tasks(n, split, seeded_generator("cpu", seed, 1))
    acted, _ = collect(expert, bandit, tasks, begin(expert, bandit, tasks), seeded_generator("cpu", seed, 2))
    batch, counts, truth = sequences(expert.spec, acted), torch.zeros(n, 2, 2), []
    for action, reward in zip(batch.action, batch.reward):
        truth.append(torch.cat((posterior_mean(counts), counts.sum(-1)), -1))
        counts = count_pull(counts, action, reward)
    return batch.x, torch.stack(truth)


(x, truth), (new_x, new_truth) = histories("train", 3), histories("test", 4)
fresh = ml.make_learner("rl2", bandit, seed=5)
readers = {"trained": expert, "untrained": fresh}
readers = {
    name: (lambda x, a=a: a.net.core.unroll(x, a.net.core.initial(x.shape[1]))[0]) for name, a in readers.items()
}
readers["last input alone"] = lambda x: x
with torch.no_grad():
    probes = {name: fit_probe(read(x), truth) for name, read in readers.items()}
    scores = {name: r_squared(new_truth, probes[name].read(read(new_x))).tolist() for name, read in readers.items()}

# %%
QUANTITIES = ("posterior mean, A", "posterior mean, B", "pulls of A", "pulls of B")
figure_with_alt(
    probe_bars(scores, QUANTITIES),
    alt="Held-out R squared: near 1 for the trained network, hardly less for an untrained one, low for the last input",
)

# %% tags=["nbval-ignore-output", "raw"]
print(pd.DataFrame(scores, QUANTITIES).T.round(3).to_string())

# %%
means = {name: np.mean(values[:2]) for name, values in scores.items()}
verdict("trained: R squared of the posterior means", means["trained"], at_least=0.98)
verdict("untrained", means["untrained"], at_least=0.85, at_most=0.98)
verdict("last input alone", means["last input alone"], at_most=0.6)

# %% [markdown]
# Read the middle bars before you celebrate: random weights *also* echo the past, for ten pulls, and a probe finds the
# echo. A probe shows that information is there, not that it is used. Sharper: does the *policy* forget the order of
# events, as counts do? Split the variance of its log-odds, over all histories, into between and within equal counts.


# %%
def share_explained_by_counts(agent):
    within = total = 0.0
    for counts, odds, weight in follow(agent)[1][2:]:
        group = torch.unique(counts.flatten(1), dim=0, return_inverse=True)[1]
        mass = torch.zeros(int(group.max()) + 1, dtype=torch.float64).index_add(0, group, weight)
        mean = torch.zeros_like(mass).index_add(0, group, weight * odds) / mass
        within += (weight * (odds - mean[group]).square()).sum().item()
        total += (weight * (odds - (weight * odds).sum() / weight.sum()).square()).sum().item()
    return 1 - within / total


share = {"stored": share_explained_by_counts(expert), "untrained": share_explained_by_counts(fresh)}

# %% tags=["nbval-ignore-output", "raw"]
print({name: round(value, 3) for name, value in share.items()})

# %%
verdict("stored RL2: share of its log-odds that counts explain", share["stored"], at_least=0.95)
verdict("more than for an untrained network, by", share["stored"] - share["untrained"], at_least=0.05)

# %% [markdown]
# Meta-training has made a network that treats histories with equal counts almost alike: a **sufficient statistic**
# (充分统计量), which nobody asked for.
#
# ## 5. Pull the arms yourself
# *Turn last result* asks: what if that pull had gone the other way? **Predict** before each press where the probe's
# markers and RL2's bar will go. Try A paid, then B failed; then the same in the other order: the
# strip differs, the choice does not. RL2 mostly agrees with Bayes; Thompson spreads its pulls, as long as it is unsure.

# %%
indices = {"Gittins": agents["gittins"], "Bayes": agents["bayes_optimal"]}
with torch.no_grad():
    both = fit_probe(readers["trained"](x), truth[..., :2])
game = PullAndWatch(Players(expert, bandit, both, indices), "08 pull and watch")
game.show()

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
reward = torch.tensor([[0.3], [5.0], [5.0], [5.0], [5.0]])  # asked, was told "arm 3", pulled it
nothing, live = torch.zeros_like(reward), torch.ones_like(reward, dtype=torch.bool)
whole = trial_advantages(reward, nothing, live, 1.0, 1.0)[0, 0]
cut = trial_advantages(reward[:1], nothing[:1], live[:1], 1.0, 1.0)[0, 0]
print(f"credit for asking: {whole:.1f} over the trial, {cut:.1f} if cut at the episode's end")

ask, search = solve_informative(11, 5).value, search_value(11, 5)
for name, gain in {"whole trial": ask - search, "cut": 0.55 - (0.1 * 5 + 0.9 * 1)}.items():
    theta = 0.0
    for _ in range(1000):
        s = 1 / (1 + np.exp(-theta))
        theta += 0.1 * s * (1 - s) * gain  # dJ/dtheta of J = s ask + (1 - s) search
    print(f"{name}: asks first with {s:.2f}, gets {s * ask + (1 - s) * search:.2f} of {ask:.2f} points")

# %% [markdown]
# Cut at episode ends, exploration earns nothing, and the agent unlearns it. So GAE must cross the ends of episodes
# and stop at the trial's. **Limit:** here one number is learned; a network must discover *asking* and *understanding
# the answer* together, which takes it some million pulls.
#
# ## 7. Planning from a learner without a plan
# The **two-step task** (两步任务): action $i$ leads to state $i$ commonly (0.8), to the other rarely; one state pays
# 0.9, the other 0.1, and they swap now and then. After a *rare* transition that paid, who repeats what paid stays; who
# knows the task's structure leans towards *switching*. **Predict** which of the two PPO, a model-free (无模型) method,
# has made.

# %%
two_step = ml.make_family("two_step")
planner = ml.load("data/checkpoints/rl2-two_step")[0]  # 4 million choices
tasks = two_step.sample_tasks(400, "test", seeded_generator("cpu", 8, 5))
acted, _ = collect(planner, two_step, tasks, begin(planner, two_step, tasks), seeded_generator("cpu", 8, 6))
stay, play = stay_probabilities(acted), bayes_value(100, two_step.common, two_step.pays, two_step.reversal)
shown = {"RL2": stay.probability, "Bayes-optimal (exact)": play.stay, "repeats what paid": np.array([[0, 0], [1, 1]])}
figure_with_alt(
    stay_bars(shown),
    alt="Chance of the same choice by reward and transition: RL2 and Bayes-optimal play switch after rare rewards",
)

# %% tags=["nbval-ignore-output", "raw"]
print(f"RL2: gaps {stay.gaps.round(2)} (standard errors {stay.error.round(3)}), {acted.returns.mean():.2f} points")

# %%
print(f"exact: Bayes-optimal {play.value:.2f} points of 100, stays after a rare reward {play.stay[1, 0]:.2f}")
verdict("RL2: gap after no reward, rare minus common", stay.gaps[0], at_least=0.2)
verdict("RL2: gap after a reward, common minus rare", stay.gaps[1], at_least=0.2)
verdict("RL2: points per episode", acted.returns.mean(), at_least=69, at_most=play.value + 1)

# %% [markdown]
# The signature of **model-based** (基于模型) behaviour, from a model-free trainer. **Limit:** this pattern proves no
# planning: inferring which state is good explains it as well (Akam, Costa and Dayan 2015), and here *is* the optimum.
#
# > **What the document says, and what is true.** 000 (2.2) has an inner model (内部模型), and an outer model (外部模型)
# > that updates it; by 2.3 the outer model uses *context* (上下文), such as a game's rules, to guide the inner one.
# > In RL2 there is one network. After training nothing outer acts: the weights stand still. And no one gives it
# > the rules: two tasks with the same history are one to it.

# %%
frozen = [p.clone() for p in expert.parameters()]
history = [(-1, 0.0), (0, 1.0), (1, 0.0)]  # A paid, B failed: in a task where A pays 0.9, and in one where it pays 0.2
states = []
for _task in (0.9, 0.2):  # the agent is never shown it
    state = expert.net.core.initial(1)
    for t, (arm, paid) in enumerate(history):
        seen = Seen(torch.ones(1, 1), torch.tensor([arm]), torch.tensor([paid]), torch.tensor([t == 0]), t)
        state = expert.net.core.step(encode_seen(expert.spec, seen), state)[1]
    states.append(state[0])
print("weights unchanged by all these trials:", all(torch.equal(a, b) for a, b in zip(frozen, expert.parameters())))
print("two tasks, one history, one hidden state:", torch.equal(*states))
print(f"best if context were given: {10 * 2 / 3:.3f} points; if it must be found by acting: {best:.3f}")

# %% [markdown]
# The last line is the price of context that has to be *earned*: 0.64 points in ten pulls.
#
# ## Exercises
# **08.1** `step_input`: the vector (one-hot last action, last reward, start) of one step. Action -1: none yet.


# %%
def step_input(action, reward, start, arms): ...


check("08.1", step_input)

# %% [markdown]
# **08.2** `carry`: the state (B, F) with which B trials take their next step, given who starts an episode and who
# starts a trial.


# %%
def carry(hidden, new_episode, new_trial): ...


check("08.2", carry)

# %% [markdown]
# **08.3** `trial_credit`: advantages (K, H) from rewards and values (K, H) of a trial's K episodes, over the *trial*.


# %%
def trial_credit(reward, value, discount, lam): ...


check("08.3", trial_credit)

# %%
hint("08.3")

# %% [markdown]
# **08.4** `probe_score`: fit $y\approx hw+b$ by least squares, return $R^2$ on the new data.


# %%
def probe_score(h, y, new_h, new_y): ...


check("08.4", probe_score)

# %% [markdown]
# Stuck? `hint("08.2")`, then `solution("08.2")`.
#
# ## Break it
# "Episodes are independent", says a colleague, "so train each from a fresh state." Acting still carries the state. Each
# pull is an episode, ten to a trial. It runs, the loss is finite. **Find the bug before you read on.**


# %%
class FreshEpisodes(type(agent)):
    def _score(self, batch):
        log_prob, value, states = super()._score(batch)  # of the network that acted
        return log_prob, value, tuple(torch.zeros_like(s) for s in states)  # every episode trains from zeros


pulls = ml.make_family("bernoulli_bandit", arms=2, horizon=1)
broken = FreshEpisodes(pulls.spec, type(agent).Config(episodes=10, truncate=1, **OPTIONS))
ml.train(broken, pulls, 30, device="cpu")
points = 10 * ml.evaluate(broken, pulls, n_tasks=4000, episodes=10).mean[0]

# %% tags=["nbval-ignore-output", "raw"]
print(f"{points:.2f} points per trial")

# %%
verdict("points per trial (random play: 5)", points, at_most=5.4)

# %%
quiz("08.b")

# %% [markdown]
# Diagnosis: before any update, the probability of an action when training *is* what it was when acting; PPO's ratio
# must be 1. Print it, for a network that has learned something:

# %%
with torch.no_grad():
    core, state, acting = expert.net.core, expert.net.core.initial(x.shape[1]), []
    for x_t in x:  # as when acting: step by step
        out, state = core.step(x_t, state)
        acting.append(expert.net.policy(out).softmax(-1))
    carried = core.unroll(x, core.initial(x.shape[1]))[0]
    zeros = core.step(x.flatten(0, 1), core.initial(x.shape[0] * x.shape[1]))[0].unflatten(0, x.shape[:2])
    gap = {
        k: (expert.net.policy(v).softmax(-1) - torch.stack(acting)).abs().max().item()
        for k, v in {"carried": carried, "zeros": zeros}.items()
    }

# %% tags=["nbval-ignore-output", "raw"]
print(gap)

# %%
verdict("trained as it acted: largest change of a probability", gap["carried"], at_most=1e-4)
verdict("trained from zeros", gap["zeros"], at_least=0.5)

# %% [markdown]
# The update moves a policy that never acted. A public RL2-PPO does so, and cuts advantages at episode ends
# besides. Its cousin, the *lost last transition* (garage's RL2, ProMP's, Meta-World's wrapper), was chapter 02's.
# The mend: start every segment from the *stored* state that acted; `rl2` does, and its tests hold the ratio at 1.
#
# ## Summary
# - RL2: one recurrent network, fed its own actions and rewards; weights learn over trials, the state within them.
# - In ten pulls of two arms it is within a few hundredths of exact Bayes-optimal play.
# - The posterior can be read off its state, but off an untrained one partly too: keep controls.
# - Credit and state cross episodes, never trials. Ratio not 1 before the update? You train on states that never acted.
#
# ## What to read
# - [Duan et al. 2016](https://arxiv.org/abs/1611.02779), *RL²*; [Wang et al. 2016](https://arxiv.org/abs/1611.05763).
# - [Wang et al. 2018](https://doi.org/10.1038/s41593-018-0147-8), *Prefrontal cortex as a meta-RL system*.
# - [Ortega et al. 2019](https://arxiv.org/abs/1905.03030) and [Mikulik et al. 2020](https://arxiv.org/abs/2010.11223):
#   why and how closely memory-based meta-learning becomes Bayesian.
# - [Akam, Costa and Dayan 2015](https://doi.org/10.1371/journal.pcbi.1004648), on the two-step task's signature.
#
# ## What comes next
# Here the belief is somewhere in 64 numbers. Chapter 09 makes it explicit: infer the task, then act on the belief.
