# %% [markdown]
# # 12 Learning the objective: meta policy gradients, learned update rules
#
# **Reading time:** 40 min. **Run time:** 40 s.
#
# ## What you will be able to do
# - Differentiate an agent's future return through its own update, in what the update *aims at*.
# - Watch a discount being learned, and say when that fails.
# - Recognise a short-sighted meta-gradient by its value function.
# - Train an update rule, judge it on families it never saw, and read what it predicts.
#
# ## The question
# Chapters 05 to 07 learned where learning starts. But the update itself was ours: a discount, a lambda, an advantage.
# Can an agent learn what its own updates should aim at? First two numbers of the rule; then all of it.

# %%
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.runs.files import find_folder
from metarl_lab.ops.distributions import Categorical
from metarl_lab.ops.lambda_returns import episode_returns, lambda_returns
from metarl_lab.exact.planning import policy_evaluation
from metarl_lab.ops.probe import fit_probe, r_squared
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.teach.figures import figure_with_alt
from metarl_lab.chapters.ch12_learning_the_objective.figures import echo, hand_set, outcomes, readout, rules
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.teach import announce, check, hint, quiz, show_source, speed, stored_or_run, verdict
from metarl_lab.chapters.ch12_learning_the_objective.widget import Course, discount_explorer

SPEED = speed()
torch.set_num_threads(1)  # the tables are small
announce(SPEED, {"peek": 20, "quick": 40, "full": 600})
lure = ml.make_family("chain", shortest=4, longest=4, horizon=4, bait=0.5)
mdp = ml.make_family("tabular_mdp", states=5, actions=3)

# %% [markdown]
# ## 1. The discount is a choice
# An actor-critic pushes $\log\pi(a_t|s_t)$ by $G_t-v(s_t)$, with the **lambda-return** ($\lambda$-回报)
#
# $$
# G_t=r_t+\gamma\big((1-\lambda)\,v(s_{t+1})+\lambda\,G_{t+1}\big).
# $$
#
# The **discount** (折扣因子) $\gamma$ says how far ahead; $\lambda$, how much to trust the return over the critic.
# Neither is part of the task: we are paid undiscounted. Two families:
#
# - `lure`: a chain of four steps. The wrong first action pays 0.5 at once, and -1 at the end; the right one, +1 at
#   the end.
# - `mdp`: five states, random moves, noisy rewards every step; four episodes a batch.
#
# **Predict:** which wants a large discount, which a small one? By hand for the lure: right looks better when
# $\gamma^3 > 0.5 - \gamma^3$.

# %%
THRESHOLD = (0.5 / 2) ** (1 / 3)
print(f"on the lure, right looks better above a discount of {THRESHOLD:.3f}")
TABLE = {"hidden": (), "lam": 1.0, "learn_lambda": False}  # a table of logits and values for each task
STEPS = {
    "lure": {"inner_step": 5.0, "value_step": 5.0, "episodes": 20, "inner_steps": 20},
    "mdp": {"inner_step": 3.0, "value_step": 3.0, "episodes": 4, "inner_steps": 10},
}
FAMILIES = {"lure": lure, "mdp": mdp}
BY_HAND = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99)


def after_ten(name, discount):
    learner = ml.make_learner("meta_gradient", FAMILIES[name], discount=discount, **TABLE, **STEPS[name])
    return ml.evaluate(learner, FAMILIES[name], n_tasks=100, episodes=STEPS[name]["episodes"], batches=11)


def bounds(family, n=100):  # what random play and the oracle get on the tasks of ml.evaluate
    tasks = family.sample_tasks(n, "test", seeded_generator("cpu", 1, 0))
    played = ml.evaluate(ml.make_reference("random", family), family, tasks=tasks, episodes=20)
    return {"random play": float(played.mean[0]), "oracle": family.oracle(tasks).mean().item()}


# %%
ANCHORS = {name: bounds(family) for name, family in FAMILIES.items()}
scan = {name: [after_ten(name, d) for d in BY_HAND] for name in FAMILIES}
bands = {
    name: tuple(np.array([getattr(c, part)[-1] for c in curves]) for part in ("mean", "low", "high"))
    for name, curves in scan.items()
}
figure_with_alt(
    hand_set({name: (BY_HAND, bands[name], ANCHORS[name]) for name in FAMILIES}),
    alt="Return after ten inner steps against the discount: rising with it on the lure, falling on the MDP",
)

# %% tags=["nbval-ignore-output", "raw"]
print({name: dict(zip(BY_HAND, band[0].round(2).tolist())) for name, band in bands.items()})

# %%
tasks = mdp.sample_tasks(100, "test", seeded_generator("cpu", 1, 0))
greedy = torch.nn.functional.one_hot(tasks.reward.argmax(-1), 3).float().expand(10, -1, -1, -1)
earned = policy_evaluation(*tasks, greedy)[1][0, :, 0].mean()
print(f"exact, on the MDP: greed for the moment earns {earned:.2f}, the optimum {ANCHORS['mdp']['oracle']:.2f}")
worth = {name: band[0][-1] - band[0][1] for name, band in bands.items()}
verdict("lure: return at 0.99 less that at 0.25", worth["lure"], at_least=0.8)
verdict("mdp: return at 0.99 less that at 0.25", worth["mdp"], at_most=-1.5)

# %% [markdown]
# Opposite answers. In random MDPs it hardly matters where you go, so looking far ahead buys little, and with four
# episodes its price, the noise of long returns, is high. **Limit:** one number of steps, of episodes, of states.
#
# ## 2. The gradient of a goal
# Let $\eta=(\gamma,\lambda)$. Act a batch $\tau$; step; act the next batch $\tau'$ with the new agent; ask what
# $\eta$ did:
#
# $$
# \theta'=\theta+f(\theta,\tau;\eta),\qquad
# \eta\leftarrow\eta+\beta\,\nabla_{\theta'}J(\theta',\tau')\,\frac{\partial\theta'}{\partial\eta}.
# $$
#
# $J$ is a policy gradient's objective at a *fixed* outer discount. That is a **meta policy gradient** (元策略梯度): a
# policy gradient taken through a policy-gradient step. MAML's (chapter 05) has $\theta$ in place of $\eta$. Here is
# one without sampling, on the lure: $p=\sigma(\theta)$ is the chance of the right action.

# %%
def step(theta, gamma, alpha=2.0):  # the exact inner policy gradient
    p = torch.sigmoid(theta)
    advantage = gamma**3 - (0.5 - gamma**3)  # of right over wrong, as a discount of gamma sees it
    return theta + alpha * p * (1 - p) * advantage


def true_return(theta):
    p = torch.sigmoid(theta)
    return p * 1.0 + (1 - p) * (0.5 - 1.0)


theta, rows = torch.tensor(0.0, dtype=torch.float64), []
for value in (0.1, 0.3, 0.5, 0.7, 0.9):
    gamma = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(true_return(step(theta, gamma)), gamma)[0].item()
    difference = [true_return(step(theta, gamma + e)).item() for e in (1e-5, -1e-5)]
    rows.append((value, slope, (difference[0] - difference[1]) / 2e-5, step(theta, gamma).item() - theta.item()))
slopes = pd.DataFrame(rows, columns=["gamma", "dJ/dgamma", "by differences", "inner step"])
print(slopes.round(4).to_string(index=False))

# %% [markdown]
# At 0.5 the inner step goes the wrong way, and the meta-gradient already says: look further. But it shrinks as
# $\gamma^2$ (over $L$ steps, as $\gamma^{L-2}$). **Limit:** who sees almost nothing of the end learns almost nothing
# about looking.
#
# ## 3. Watch the discount learn
# The package's `meta_gradient` does this with samples, for twenty agents side by side:

# %%
show_source(type(ml.make_learner("meta_gradient", lure)).outer_objective)

# %% [markdown]
# Six runs: two programs that differ in one option, three initial discounts, 10 meta-iterations of 20 inner steps. A
# colleague wrote the second program; what is wrong with it is for later. About 10 s.

# %%
def course(program, start, iterations=10, seed=0):
    options = {**TABLE, **STEPS["lure"], "outer_lambda": 0.3, "learning_rate": 0.05, "outer_value": PROGRAMS[program]}
    learner = ml.make_learner("meta_gradient", lure, seed=seed, discount=start, **options)
    discounts, returns = [start], []
    for i in range(iterations):
        tasks = lure.sample_tasks(20, "train", seeded_generator("cpu", seed, i, 1))
        metrics = learner.update(lure, tasks, seeded_generator("cpu", seed, i, 2))
        discounts.append(metrics.values["discount"])
        returns.append(metrics.scores.mean(0).numpy())
    return Course(np.array(discounts), np.stack(returns))


PROGRAMS = {"ours": "own", "a colleague's": "inner"}
courses = {(program, start): course(program, start) for program in PROGRAMS for start in (0.2, 0.5, 0.8)}
discount_explorer(courses, THRESHOLD, ANCHORS["lure"]).show()

# %% tags=["nbval-ignore-output", "raw"]
print({key: run.discount[[0, 3, 6, 10]].round(2).tolist() for key, run in courses.items()})

# %%
for start in (0.2, 0.5, 0.8):
    verdict(f"our discount, from {start}", courses["ours", start].discount[-1], at_least=0.8)
quiz("12.a")

# %% [markdown]
# Scrub: early on, agents learn to take the bait; once $\gamma$ passes 0.63 they learn the other thing. Nobody told
# the outer objective which; it saw what happened *after* the step.
#
# ## 4. Ten seeds, beside discounts set by hand
# Stored: a longer chain (six steps, threshold 0.76) and the MDP; return on 200 held-out tasks after ten inner steps.

# %%
stored = pd.read_csv(find_folder("data/results") / "learned_discount.csv")
ENDS = stored.dropna(subset="test_return")


def panel(family, labels):
    rows = ENDS[ENDS.family == family].groupby("label").test_return
    kept = {k: rows.get_group(k).to_numpy() for k in labels}
    lines = {k: float(rows.get_group(k).iloc[0]) for k in ("random", "oracle")}
    return {k: tuple(float(x) for x in mean_interval(v)) for k, v in kept.items()}, lines


SHOWN = [f"discount {d:g}" for d in (0, 0.5, 0.9, 0.99, 1)]
SHOWN += [f"learned from {d:g}" for d in (0.2, 0.5, 0.9)] + ["learned with lambda"]
ten = {"chain of six": panel("chain", SHOWN), "MDP": panel("tabular_mdp", SHOWN)}
ends = ENDS[ENDS.label.str.startswith("learned")].groupby(["family", "label"])[["discount", "lambda"]]
print(ends.mean().round(2).to_string())
from_low = ENDS[(ENDS.family == "chain") & (ENDS.label == "learned from 0.2")].discount
print(f"chain, from 0.2: {(from_low > 0.25**0.2).sum()} of {len(from_low)} seeds pass the threshold")
figure_with_alt(
    outcomes(ten), alt="Returns on held-out tasks for hand-set and learned discounts, with intervals over ten seeds"
)

# %% [markdown]
# - **Chain.** From 0.5 and 0.9 the learned discount ends near 0.99, and its agents do as well as under the best one set
#   by hand. From 0.2 some seeds never get away: section 2's vanishing slope.
# - **MDP.** By hand, 0 and 0.5 are equally good; learned discounts from 0.2 and 0.5 settle near there. From 0.9 it
#   comes down slowly: that returns are *noisy* costs the next batch little, so the meta-gradient hardly sees it.
# - **With lambda too** ($\lambda$ from 0.9): on the MDP $\lambda$ falls, the critic replaces the noise, and a large
#   discount does no harm. The best of all here.
#
# **Limit:** on the chain it only matches the best hand-set one. What it saves is the search; in return, where it ends
# depends on where it starts.
#
# ## 5. The whole rule
# Now leave nothing by hand. In LPG (Oh et al. 2020) an agent holds a policy $\pi(a|s)$ and a **prediction** (预测)
# $y(s)$, $m$ numbers without a given meaning. The **update rule** (更新规则) $U_\eta$ is a recurrent network that
# reads each episode *backwards* and says two targets for every step; the agent moves towards them:
#
# $$
# \Delta\theta\propto\textstyle\sum_t\hat\pi_t\,\nabla\log\pi(a_t|s_t)
# -\nabla\,\mathrm{KL}\big(y(s_t)\,\|\,\hat y_t\big).
# $$
#
# REINFORCE is $\hat\pi_t=G_t-b$. $\eta$ is trained as in section 2: return after the steps, differentiated through
# five of them. The network meets no states and no actions, only $\pi(a_t|s_t)$: one rule serves every family.

# %%
chain = ml.make_family("chain", shortest=3, longest=10, horizon=10)
show_source(type(ml.make_learner("learned_rule", chain).rule).forward)

# %% [markdown]
# Train one, alternating between chains of 3 to 10 steps and the MDP. About 15 s.

# %%
def train_rule(iterations=60, seed=0):
    rule = ml.make_learner("learned_rule", chain, seed=seed)
    lessons = (rule, chain), (rule.on(mdp), mdp)  # one rule, two families
    for i in tqdm(range(iterations)):
        learner, family = lessons[i % 2]
        tasks = family.sample_tasks(rule.config.meta_batch, "train", seeded_generator("cpu", seed, i, 1))
        learner.update(family, tasks, seeded_generator("cpu", seed, i, 2))
    return rule


found = stored_or_run(
    SPEED,
    "12_rule",
    lambda: {k: p.numpy() for k, p in train_rule(600 if SPEED == "full" else 60).state_dict().items()},
)
rule = ml.make_learner("learned_rule", chain)
_ = rule.load_state_dict({k: torch.tensor(p, dtype=torch.float32) for k, p in found.items()})

# %% [markdown]
# Its rivals, written by hand, on the same tables: REINFORCE, and an actor-critic with $\gamma=0.9,\lambda=0.5$.

# %%
class HandWritten:
    shares_memory, noise_size = True, 1

    def __init__(self, family, size, critic=0.0):
        self.spec, self.size, self.critic = family.spec, size, critic  # critic 0: REINFORCE

    def begin(self, n, copies):
        states, actions = self.spec.observation_size, self.spec.action_size
        return torch.zeros(n, states, actions), torch.zeros(n, states, 1)

    def act(self, memory, seen, noise):
        return Categorical(seen.observation @ memory[0]).sample(noise), memory

    def absorb(self, memory, e):  # e: (T, E, 1, H, ...)
        logits, v = (x.unsqueeze(1) for x in memory)
        x, live = e.observation[:, :, 0], e.mask[:, :, 0]
        value = (torch.cat((x, e.final_observation), 2) @ v).squeeze(-1)
        gamma, lam = (0.9, 0.5) if self.critic else (1.0, 1.0)
        target = episode_returns(e, e.reward, value[:, :, None, 1:], gamma, lam)[:, :, 0]
        mean = (target * live).sum(1, keepdim=True) / live.sum(1, keepdim=True).clamp_min(1)
        pi_hat = torch.where(live, target - (value[..., :-1] if self.critic else mean), 0.0)
        score = torch.nn.functional.one_hot(e.action[:, :, 0], logits.shape[-1]) - (x @ logits).softmax(-1)
        push = torch.cat((score * pi_hat[..., None], pi_hat[..., None]), -1) / x.shape[1]  # of logits, and of v
        step = torch.einsum("neho,neha->noa", x, push)
        return memory[0] + self.size * step[..., :-1], memory[1] + self.critic * step[..., -1:]


# %% [markdown]
# Four exams. Two families it was trained on (new tasks); two it never saw: a five-armed bandit, and a 5 x 5 gridworld
# with things to collect and traps. The rivals' step sizes are the best of 1, 3 and 10 *on the exam itself*: a favour
# to them. **Predict** who wins where.

# %%
EXAMS = {
    "chain (trained on)": chain,
    "MDP (trained on)": mdp,
    "bandit (new)": ml.make_family("bernoulli_bandit", arms=5, horizon=1),
    "gridworld (new)": ml.make_family("collecting_gridworld", kind="small"),
}


def exam(agent, family):
    return ml.evaluate(agent, family, n_tasks=64, episodes=8, batches=21)


SIZES = {"REINFORCE": (10.0, 1.0, 10.0, 10.0), "actor-critic": (10.0, 10.0, 10.0, 10.0)}  # exam by exam
marks = {}
for i, (name, family) in enumerate(EXAMS.items()):
    rivals = {k: HandWritten(family, sizes[i], float(k == "actor-critic")) for k, sizes in SIZES.items()}
    marks[name] = {k: exam(agent, family) for k, agent in {"learned rule": rule.on(family), **rivals}.items()}
limits = {name: bounds(family, 64) for name, family in EXAMS.items()}

# %%
curves = {name: {k: (c.mean, c.low, c.high) for k, c in m.items()} for name, m in marks.items()}
figure_with_alt(
    rules({name: (curves[name], limits[name]) for name in EXAMS}),
    alt="Return against agent steps on four families under the learned rule, REINFORCE and an actor-critic",
)

# %% tags=["nbval-ignore-output", "raw"]
print(pd.DataFrame({n: {k: c.mean[[5, 20]].round(2) for k, c in m.items()} for n, m in marks.items()}).T.to_string())

# %%
ended = {name: m["learned rule"].mean for name, m in marks.items()}
verdict("learned rule on chains, after 20 steps", ended["chain (trained on)"][20], at_least=0.9)
verdict("learned rule on the MDP, after 20 steps", ended["MDP (trained on)"][20], at_least=16)
verdict("on the bandit, gain over 20 steps", ended["bandit (new)"][20] - ended["bandit (new)"][0], at_least=0.1)
behind = ended["gridworld (new)"][20] - marks["gridworld (new)"]["REINFORCE"].mean[20]
verdict("on the gridworld, learned rule less REINFORCE", behind, at_most=-0.5)

# %% [markdown]
# On what it practised, the learned rule keeps up with rivals tuned for the exam. On the bandit it learns, slowly; on
# the gridworld hardly at all. A longer schooling, stored: three families in turn, 30 agent steps; the rivals' step
# sizes are now chosen on the same three.

# %%
schooled = pd.read_csv(find_folder("data/results") / "learned_rule.csv")
last = schooled[(schooled.batch == schooled.batch.max()) | schooled.rule.isin(["random", "oracle"])]
last = last.groupby(["met", "family", "rule"])["mean"].mean().unstack()
lead = (last.learned_rule - last[["reinforce", "actor_critic"]].max(axis=1)).droplevel("met")

# %% tags=["nbval-ignore-output", "raw"]
print("learned rules:", schooled[schooled.rule == "learned_rule"].seed.nunique())
print(last[["random", "reinforce", "actor_critic", "learned_rule", "oracle"]].round(2).to_string())

# %%
verdict("lead over the better rival, MDP (met)", lead["tabular_mdp"], at_least=1.5)
verdict("lead on the bandit (unseen)", lead["bernoulli_bandit"], at_least=-0.3)
verdict("lead on the chain (unseen)", lead["chain"], at_most=-0.5)

# %% [markdown]
# It wins by a distance on the MDP that it practised, and holds its own on a bandit that it never met. On the chains,
# which it never met either, it fails completely: in none of its lessons did one early action alone decide a late
# reward. A learned rule is a specialist for the families that taught it. **Limit:** three families, few seeds; the
# published rule met more, and carried over to Atari games.
#
# ## 6. What did it discover?
# Nobody said what $y$ means. Let agents live for 15 steps on the MDP, then fit a linear **probe** (探针, chapter 08)
# from $y(s)$ to the *true* value of $s$ under the agent's own policy, at several discounts; score it on other tasks.
# Controls: the policy's probabilities, and $y$ under an untrained rule.

# %%
DISCOUNTS = (0.0, 0.5, 0.8, 0.9, 0.95)


def life(learner, family, steps, n=300):
    tasks, noise = family.sample_tasks(n, "test", seeded_generator("cpu", 5, 1)), seeded_generator("cpu", 5, 2)
    trial = begin(learner, family, tasks, 8)
    for left in reversed(range(steps)):
        acted, after = collect(learner, family, tasks, trial, noise)
        trial = after._replace(memory=learner.absorb(trial.memory, acted)) if left else trial
    return tasks, trial.memory, acted  # the agents, and what they acted last


def true_values(tasks, pi):  # v = (I - discount P)^-1 r, (T, S, discounts)
    move, pay = torch.einsum("tsa,tsaz->tsz", pi, tasks.transition), (pi * tasks.reward).sum(-1)
    return torch.stack([torch.linalg.solve(torch.eye(5) - d * move, pay) for d in DISCOUNTS], -1)


def share(features, values, half=150):
    probe = fit_probe(features[:half], values[:half])
    return r_squared(values[half:], probe.read(features[half:])).numpy()


# %%
tasks, agents, acted = life(rule.on(mdp), mdp, 15)
pi = agents.policy.softmax(-1)
values = true_values(tasks, pi)
untrained = ml.make_learner("learned_rule", mdp, seed=1)
other_tasks, others, _ = life(untrained, mdp, 15)
shares = {
    "y": share(agents.prediction.softmax(-1), values),
    "the policy": share(pi, values),
    "y, untrained rule": share(others.prediction.softmax(-1), true_values(other_tasks, others.policy.softmax(-1))),
}
figure_with_alt(
    readout(DISCOUNTS, shares), alt="Share of true values read off y for five discounts: high for short ones, falling"
)

# %% [markdown]
# And $\hat\pi$? First on what the MDP's agents acted last: its correlation with returns at several discounts. Then in
# made-up episodes of eight steps with nothing in them but +1 or -1 at the very end: how far back is it felt? A
# hand-written return would fall as $\gamma^n$.

# %%
def says(final, over, steps=8):  # pi_hat of every step; half chances, predictions that say nothing
    reward, terminated = torch.zeros(1, 1, steps), torch.zeros(1, 1, steps, dtype=torch.bool)
    reward[..., -1], terminated[..., -1] = final, over
    flat = torch.full((1, 1, steps, rule.config.categories), 1 / rule.config.categories)
    half, live = torch.full((1, 1, steps), 0.5), torch.ones_like(terminated)
    return rule.rule(reward, terminated, live, half, flat, flat).pi_hat[0, 0].detach().numpy()


felt = {
    name: (says(1.0, over)[::-1] - says(-1.0, over)[::-1]) / 2
    for name, over in {"the episode ends there": True, "it goes on": False}.items()
}
felt = {name: x / x[0] for name, x in felt.items()}
figure_with_alt(
    echo(felt, {"0.9": 0.9, "0.5": 0.5}),
    alt="How far back a last reward is felt, in episodes that end with it and in episodes that go on, beside discounts",
)
pi_hat, zero = rule.on(mdp).targets(acted, agents).pi_hat, torch.zeros_like(acted.reward)
follows = {
    d: np.corrcoef(episode_returns(acted, acted.reward, zero, d, 1.0).flatten(), pi_hat.flatten())[0, 1]
    for d in (0.0, 0.5, 1.0)
}

# %% tags=["nbval-ignore-output", "raw"]
print("R^2:", {k: v.round(2).tolist() for k, v in shares.items()})
print("correlation of pi_hat with the return:", {d: f"{c:.2f}" for d, c in follows.items()})
print("felt, by steps before the reward:", {k: [f"{v:.2f}" for v in x] for k, x in felt.items()})

# %%
verdict("R^2 of y, discount 0", shares["y"][0], at_least=0.25)
verdict("R^2 of y, discount 0 less 0.95", shares["y"][0] - shares["y"][-1], at_least=0.15)
verdict("R^2 of the policy, discount 0", shares["the policy"][0], at_most=0.15)
verdict("correlation of pi_hat with the return, discount 0 less 1", follows[0.0] - follows[1.0], at_least=0.3)
verdict("felt seven steps before the end", felt["the episode ends there"][7], at_least=0.5)

# %% [markdown]
# Nobody trained $y$ to predict rewards; it became a value function nevertheless, a short-sighted one. And $\hat\pi$
# has not one discount but two habits. Where a reward ends the episode, as on chains, it is felt at the first step, and
# *more* there. On the MDP $\hat\pi$ follows the reward of the moment: section 1's opposite answers, found by itself. A
# gridworld, with rewards on the way and rare ends, fits neither. **Limit:** of five rules that we trained, three forget
# within some five steps where the made-up episode goes on, and two do not; those must use $y$ to be short-sighted.
#
# ## 7. What the documents say, and what is true
# > **No reward in the update.** Document 001 (4) has a "policy gradient" (策略梯度) that is the cross-entropy of the
# > policy on labels, and a "meta-policy gradient" (元策略梯度) that is the same function of another network. Where
# > labels are the actions taken, the expected update is $\sum_a\pi(a)\nabla\log\pi(a)=0$, whatever they earned. One
# > word is missing:

# %%
logits = torch.tensor([0.4, -0.3], dtype=torch.float64, requires_grad=True)  # the lure's first step: wrong, right
pay = torch.tensor([-0.5, 1.0], dtype=torch.float64)


def expected_update(weight):  # sum_a pi(a) weight(a) grad log pi(a)
    pi = logits.softmax(0)
    return torch.autograd.grad((pi.detach() * weight * logits.log_softmax(0)).sum(), logits)[0]


print("cross-entropy on its own actions:", expected_update(torch.ones(2)).numpy().round(12) + 0.0)
print("weighted by what they earned:    ", expected_update(pay).numpy().round(4))

# %% [markdown]
# > Nor does its section 3 have two levels: $\nabla_\theta J(\theta)$ of $E_{\pi_\theta}$ is chapter 04's gradient.
# >
# > **A gradient of gradients.** Its training step computes a list of gradients, throws it away, and differentiates a
# > loss that does not depend on it (from `logits` that are not defined there). The two networks never meet: no step
# > of one is differentiated in the other. Section 2's `step` inside `grad` is what was meant. It also feeds
# > probabilities to a loss that wants logits:

# %%
certain = torch.tensor([1.0, 0.0], dtype=torch.float64)
print(f"most that two actions' probabilities, taken as logits, can say: {certain.softmax(0)[0]:.3f}")

# %% [markdown]
# > **Which family?** Document 003 (3) lists meta policy gradients among *value-based* methods. They need no value
# > function: section 2 had none. Value functions serve as critics, and, as you will now see, can spoil them.
#
# ## Exercises
# **12.1** `lambda_return`, of an episode that was *truncated* after H steps.

# %%
def lambda_return(reward, next_value, discount, lam):
    ...


check("12.1", lambda_return)

# %%
hint("12.1")

# %% [markdown]
# **12.2** `discount_slope`: section 2's $dJ/d\gamma$ by hand, in closed form.

# %%
def discount_slope(theta, alpha, gamma):
    ...


check("12.2", discount_slope)

# %%
hint("12.2")

# %% [markdown]
# **12.3** `table_step`: what an agent does with $\hat\pi$. M steps of several episodes, states and actions as
# indices.

# %%
def table_step(logits, states, actions, pi_hat, size, episodes):
    ...


check("12.3", table_step)

# %% [markdown]
# Stuck? `hint("12.3")`, then `solution("12.3")`.
#
# ## Break it
# Back to the colleague. A second value function seemed wasteful: the agent has one already. Go back to section 3's
# widget and choose *a colleague's*, initial discount 0.2. **Diagnose before you read on.** From 0.5 all is well, so
# the tests passed.

# %% tags=["nbval-ignore-output", "raw"]
print({start: courses["a colleague's", start].discount[[0, 3, 6, 10]].round(2).tolist() for start in (0.2, 0.5)})

# %%
verdict("the colleague's discount, from 0.2", courses["a colleague's", 0.2].discount[-1], at_most=0.4)
quiz("12.b")

# %% [markdown]
# The outer returns bootstrap ($\lambda'=0.3$). What is the first action worth to the outer objective? By hand, with
# exact values at the inner discount 0.2 and at the outer one, 0.99:

# %%
def outer_advantage(value_discount, outer_discount=0.99, lam=0.3):  # of right over wrong, first step
    worth = []
    for bait, end in ((0.0, 1.0), (0.5, -1.0)):
        reward = torch.tensor([bait, 0.0, 0.0, end], dtype=torch.float64)
        after = end * value_discount ** torch.tensor([2.0, 1.0, 0.0, 0.0], dtype=torch.float64)  # v(s_{t+1})
        over = torch.tensor([False, False, False, True])
        worth.append(lambda_returns(reward, after, over, over, outer_discount, lam)[0].item())
    return worth[0] - worth[1]


print(f"values at the inner discount: {outer_advantage(0.2):+.3f}, at the outer one: {outer_advantage(0.99):+.3f}")

# %% [markdown]
# With the inner values the outer objective prefers the bait too: both levels are short-sighted, and agree. The mend
# is one more value function, trained at the outer discount (`outer_value="own"`). Where outer returns run to the end
# ($\lambda'=1$, no truncation), a value is only a baseline, and the bug hides.
#
# ## Summary
# - What an update aims at is a choice, and the best one depends on family and data.
# - A meta policy gradient asks the next batch: how would that choice have changed what I am now?
# - It is only as far-sighted as its outer value function, and as strong as the signal that it looks through.
# - A whole rule can be learned. It is excellent at what it practised; elsewhere it is a beginner.
#
# ## What to read
# - [Xu, van Hasselt and Silver 2018](https://arxiv.org/abs/1805.09801): meta-gradients of discount and lambda.
# - [Oh et al. 2020](https://arxiv.org/abs/2007.08794): LPG, a rule that discovers what to predict.
# - [Kirsch, van Steenkiste and Schmidhuber 2020](https://arxiv.org/abs/1910.04098): MetaGenRL, a learned objective.
#
# ## What comes next
# Chapter 13 learns neither policy nor objective, but the world: a model that adapts.
