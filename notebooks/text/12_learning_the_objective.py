# %% [markdown]
# # 12 Learning the objective: meta policy gradients, learned update rules
#
# **Reading time:** 90 min, exercises included. **Run time:** 45 s.
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
from metarl_lab.chapters.ch12_learning_the_objective import experiments as lab
from metarl_lab.chapters.ch12_learning_the_objective import figures
from metarl_lab.chapters.ch12_learning_the_objective.widget import discount_explorer
from metarl_lab.exact.planning import policy_evaluation
from metarl_lab.learners.learned_rule import LearnedRule
from metarl_lab.learners.meta_gradient import MetaGradientRL
from metarl_lab.ops.lambda_returns import episode_returns, lambda_returns
from metarl_lab.ops.probe import fit_probe, r_squared
from metarl_lab.rollout import seeded_generator
from metarl_lab.teach import announce, check, claim, hint, iterations, quiz, result
from metarl_lab.teach import show_source, show_table, solution, speed, stored_or_run
from metarl_lab.teach.figures import figure_with_alt

SPEED = speed()  # "peek", "quick" or "full"
torch.set_num_threads(1)  # the tables are small
announce(SPEED, {"peek": 20, "quick": 45, "full": 600})

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
FAMILIES = lab.families()
lure, mdp = FAMILIES.values()
ANCHORS = {name: lab.anchors(family) for name, family in FAMILIES.items()}

THRESHOLD = (0.5 / 2) ** (1 / 3)
print(f"on the lure, right looks better above a discount of {THRESHOLD:.3f}")

# %% [markdown]
# Six discounts, set by hand. A hundred agents learn under each, from ten batches; we look at what the next batch pays
# them.

# %%
BY_HAND = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99)
scan = {name: lab.after_ten_steps(name, BY_HAND) for name in FAMILIES}
figure_with_alt(
    figures.hand_set(BY_HAND, {name: (scan[name], ANCHORS[name]) for name in FAMILIES}),
    alt="Return after ten inner steps against the discount: on the lure below random "
    "play for small discounts and near the oracle for the largest; on the MDP level, "
    "then falling for the largest",
)
returns = pd.DataFrame({name: scan[name][0] for name in FAMILIES}, index=BY_HAND)
low, high = returns.loc[0.25], returns.loc[0.99]
result("lure: return at 0.99 less that at 0.25", high.lure - low.lure, at_least=0.8)
result("mdp: return at 0.99 less that at 0.25", high.mdp - low.mdp, at_most=-1.5)
claim("lure: no return above that of 0.99", returns, "lure <= lure.iloc[-1]")
claim("mdp: no return below that of 0.99", returns, "mdp >= mdp.iloc[-1]")

# %% [markdown]
# Why does nothing speak for a large discount on the MDP? Take, in every state, the action that pays most at this
# moment, and never think of where it leads. What that earns is computed exactly:

# %%
tasks = mdp.sample_tasks(100, "test", seeded_generator("cpu", 1, 0))
best_now = tasks.reward.argmax(-1)  # (T, S): the action that pays most at once
greedy = torch.nn.functional.one_hot(best_now, 3).float()
greedy = greedy.expand(10, -1, -1, -1)  # the same in each of the ten steps
earned = policy_evaluation(*tasks, greedy)[1][0, :, 0].mean()  # from the first state
optimum = ANCHORS["mdp"]["oracle"]
print(f"exact, on the MDP: greed for the moment earns {earned:.2f}")
print(f"                   the optimum                {optimum:.2f}")

# %% [markdown]
# Opposite answers. In random MDPs it hardly matters where you go, so looking far ahead buys little, and with four
# episodes its price, the noise of long returns, is high. **Limit:** we tried ten steps on batches of one size, in one
# family of each kind.
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
def step(theta, gamma, alpha=2.0):
    """One exact inner step: theta' = theta + alpha p (1 - p) A."""
    p = torch.sigmoid(theta)
    # of right over wrong, as a discount of gamma sees it
    advantage = gamma**3 - (0.5 - gamma**3)
    return theta + alpha * p * (1 - p) * advantage


def true_return(theta):
    """J: what the agent is paid, undiscounted."""
    p = torch.sigmoid(theta)
    return p * 1.0 + (1 - p) * (0.5 - 1.0)


theta = torch.tensor(0.0, dtype=torch.float64)  # right and wrong equally likely
rows = []
for value in (0.1, 0.3, 0.5, 0.7, 0.9):
    gamma = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    after = step(theta, gamma)
    slope = torch.autograd.grad(true_return(after), gamma)[0]  # through the step
    rows.append((value, (after - theta).item(), slope.item()))
slopes = pd.DataFrame(rows, columns=["gamma", "inner step", "dJ/dgamma"])
print(slopes.round(4).to_string(index=False))

# %% [markdown]
# At 0.5 the inner step goes the wrong way, and the meta-gradient already says: look further. But it shrinks as
# $\gamma^2$ (over $L$ steps, as $\gamma^{L-2}$). **Limit:** an agent with a very small discount hardly sees the end of
# the chain; then a slightly larger discount changes its step hardly at all, and the meta-gradient, which looks at what
# that change brought, is nearly zero.
#
# ## 3. Watch the discount learn
# The package's `meta_gradient` does this with samples, for twenty agents side by side. `improved` is the inner step
# $f$, and `outer_objective` is $J$:

# %%
show_source(MetaGradientRL.update)

# %% [markdown]
# Six runs: two programs that differ in one option, three initial discounts, 10 meta-iterations of 20 inner steps. A
# colleague wrote the second program; what is wrong with it is for later. About 10 s.

# %%
courses = lab.discount_courses()
discount_explorer(courses, THRESHOLD, ANCHORS["lure"]).show()

# %%
for start in lab.STARTS:
    last = courses["ours", start].discount[-1]
    result(f"our discount, from {start}", last, at_least=0.8)
agents = lab.course_table(courses, "ours", THRESHOLD)  # a row an iteration
agents["random"] = ANCHORS["lure"]["random play"]
claim(
    "our agents end above random play, by where their discount began",
    agents,
    "`return` > random",
    {"below 0.63": "none", "above 0.63": "every"},
    by="began",
)
quiz("12.a")

# %% [markdown]
# Scrub, with *ours*: where $\gamma$ begins an iteration below 0.63, its agents learn to take the bait, and end below
# random play. Where it begins above 0.63 they learn the other thing. Nobody told the outer objective which; it saw
# what happened *after* the step.
#
# ## 4. Ten seeds, beside discounts set by hand
# Stored: a longer chain (six steps, threshold 0.76) and the MDP; return on 200 held-out tasks after ten inner steps.
# The discounts set by hand have $\lambda=1$, and so have the learned ones, but for the last row, where $\lambda$ is
# learned too, from 0.9.

# %%
ends = lab.ten_seeds()
figure_with_alt(
    figures.outcomes(lab.outcome_bands(ends)),
    alt="Returns on held-out tasks for hand-set and learned discounts, with intervals "
    "over ten seeds: on the chain of six, large hand-set and most learned discounts "
    "near the oracle; on the MDP, small hand-set and learned ones ahead",
)

# %%
learned = lab.learned_ends(ends)
groups = learned.groupby("run", sort=False)
table = groups[["discount", "lambda", "return"]].mean()
table["lowest discount"] = groups["discount"].min()
table["highest discount"] = groups["discount"].max()
table["best by hand"] = groups["best_mean"].first()
show_table(table, "Learned discounts at their ends: means over ten seeds")

CHAIN = learned[learned["family"] == "chain of six"].assign(threshold=0.25**0.2)
claim(
    "chain: the discount ends above the threshold",
    CHAIN,
    "discount > threshold",
    {
        "learned from 0.2": "some",
        "learned from 0.5": "every",
        "learned from 0.9": "every",
        "learned with lambda": "every",
    },
    by="label",
)
claim(
    "chain: the return is within 0.05 of the best by hand",
    CHAIN,
    "abs(`return` - best_mean) < 0.05",
    {
        "learned from 0.2": "some",
        "learned from 0.5": "every",
        "learned from 0.9": "every",
        "learned with lambda": "every",
    },
    by="label",
)
MDP = learned[learned["family"] == "MDP"]
claim(
    "MDP: the return is above that of every seed of every discount set by hand",
    MDP,
    "`return` > best_seed",
    {
        "learned from 0.2": "none",
        "learned from 0.5": "none",
        "learned from 0.9": "none",
        "learned with lambda": "every",
    },
    by="label",
)
by_hand = ends[ends["family"] == "MDP"].groupby("label")["return"].mean()
gap = by_hand["discount 0.5"] - by_hand["discount 0"]
result("MDP, by hand: return at 0.5 less that at 0", gap, near=0.14, within=0.1)
behind = by_hand["discount 0.5"] - MDP.groupby("label")["return"].mean()
from_2, from_5, from_9 = (behind[f"learned from {start}"] for start in (0.2, 0.5, 0.9))
result("MDP: 0.5 by hand less learned from 0.2", from_2, at_most=0.3)
result("MDP: 0.5 by hand less learned from 0.5", from_5, at_most=0.3)
result("MDP: 0.5 by hand less learned from 0.9", from_9, at_least=0.4)
claim(
    "MDP: lambda ends below 0.9",
    MDP,
    "`lambda` < 0.9",
    {
        "learned from 0.2": "none",
        "learned from 0.5": "none",
        "learned from 0.9": "none",
        "learned with lambda": "every",
    },
    by="label",
)

# %% [markdown]
# - **Chain.** From 0.5 and 0.9 the learned discount ends near 0.99, and its agents do as well as under the best one set
#   by hand. From 0.2, four seeds of ten never get away: section 2's vanishing slope.
# - **MDP.** By hand, 0 and 0.5 are nearly equally good. Learned discounts from 0.2 and 0.5 end at 0.6 on average,
#   scattered from 0.27 to 0.85, and earn 0.2 less than 0.5 by hand does. From 0.9 the discount comes down slowly, to
#   0.79 on average: that returns are *noisy* costs the next batch little, so the meta-gradient hardly sees it.
# - **With lambda too** ($\lambda$ from 0.9): on the MDP $\lambda$ falls, the critic replaces the noise, and a large
#   discount does no harm. The best row here; but nobody has tried a smaller $\lambda$ by hand.
#
# **Limit:** on the chain it only matches the best hand-set one, and on the MDP the discount alone does not even do
# that. What it saves is the search; in return, where it ends depends on where it starts.
#
# ## 5. The whole rule
# Now leave nothing by hand. In LPG (Oh et al. 2020) an agent holds a policy $\pi(a|s)$ and a **prediction** (预测)
# $y(s)$, $m$ numbers without a given meaning, here probabilities. The **update rule** (更新规则) $U_\eta$ is a
# recurrent network that reads each episode *backwards* and says two targets for every step; the agent moves towards
# them, with step sizes $\alpha$ and $\alpha_y$:
#
# $$
# \Delta\theta=\alpha\textstyle\sum_t\hat\pi_t\,\nabla\log\pi(a_t|s_t)
# -\alpha_y\sum_t\nabla\,\mathrm{KL}\big(y(s_t)\,\|\,\hat y_t\big),
# $$
#
# averaged over the episodes of a batch. REINFORCE is $\hat\pi_t=G_t-b$. $\eta$ is trained as in section 2, by a policy
# gradient that is differentiated through five steps of the agent. What it raises is the return after each of these
# steps, plus a little of the entropies of $\pi$ and of $y$ (so that agents do not settle too early), less a little of
# the squares of $\hat\pi$ and $\hat y$ (so that targets do not grow). The network meets no states and no actions, only
# $\pi(a_t|s_t)$: one rule serves every family.

# %%
EXAMS = lab.exams()
chain = EXAMS["chain (trained on)"]
show_source(type(ml.make_learner("learned_rule", chain).rule).forward)

# %% [markdown]
# And this is what of an agent it trains on, step by step of a window:

# %%
show_source(LearnedRule.meta_objective)

# %% [markdown]
# Train one, alternating between chains of 3 to 10 steps and the MDP. About 15 s.


# %%
def train_rule(updates, seed=0):
    rule = ml.make_learner("learned_rule", chain, seed=seed)
    lessons = (rule, chain), (rule.on(mdp), mdp)  # one rule, two families
    for i in tqdm(range(updates), leave=False):
        learner, family = lessons[i % 2]
        batch = rule.config.meta_batch  # agents that live side by side
        tasks = family.sample_tasks(batch, "train", seeded_generator("cpu", seed, i, 1))
        learner.update(family, tasks, seeded_generator("cpu", seed, i, 2))
    return rule

# %% [markdown]
# The collapsed cell runs it (at the speed *peek* it reads the weights of such a rule instead).

# %% tags=["hide-input"]
def weights_of(rule):
    return {name: weight.numpy() for name, weight in rule.state_dict().items()}


UPDATES = iterations(SPEED, quick=60, full=600)
kept = stored_or_run(SPEED, "12_rule", lambda: weights_of(train_rule(UPDATES)))
rule = ml.make_learner("learned_rule", chain)
weights = {name: torch.tensor(w, dtype=torch.float32) for name, w in kept.items()}
_ = rule.load_state_dict(weights)

# %% [markdown]
# Its rivals, written by hand, on the same tables: REINFORCE, and an actor-critic with $\gamma=0.9,\lambda=0.5$. (Both
# are in `metarl_lab/chapters/ch12_learning_the_objective/rivals.py`; exercise 12.3 is the step that all three take.)
#
# Four exams. Two families it was trained on (new tasks); two it never saw: a five-armed bandit, and a 5 x 5 gridworld
# with things to collect and traps. The rivals' step sizes are the best of 1, 3 and 10 *on the exam itself*: a favour
# to them. **Predict** who wins where.

# %%
marks = lab.exam_results(rule)
figure_with_alt(
    figures.rules(marks),
    alt="Return against agent steps on four families: the learned rule keeps up with "
    "REINFORCE and an actor-critic on the two that it was trained on, is slower on the "
    "bandit and far below them on the gridworld",
)
ended = {name: curves["learned_rule"].mean for name, (curves, _) in marks.items()}
bandit, grid = ended["bandit (new)"], ended["gridworld (new)"]
last = ended["chain (trained on)"][20]
result("learned rule on chains, after 20 steps", last, at_least=0.9)
last = ended["MDP (trained on)"][20]
result("learned rule on the MDP, after 20 steps", last, at_least=16)
result("on the bandit, gain over 20 steps", bandit[20] - bandit[0], at_least=0.1)
behind = grid[20] - marks["gridworld (new)"][0]["REINFORCE"].mean[20]
result("on the gridworld, learned rule less REINFORCE", behind, at_most=-0.5)
shares = lab.exam_table(marks)
claim(
    "from step 5 on, at most 7% of the way to the oracle behind the better rival",
    shares[shares["step"] >= 5],
    "learned_rule > better_rival - 0.07",
    {
        "chain (trained on)": "every",
        "MDP (trained on)": "every",
        "bandit (new)": "none",
        "gridworld (new)": "none",
    },
    by="exam",
)

# %% [markdown]
# On the two families that it practised, the learned rule keeps up from the fifth step on with rivals tuned for the
# exam. On the bandit it learns, slowly; on the gridworld hardly at all. A longer schooling, stored: five rules, each
# taught on three families in turn; 30 agent steps; the rivals' step sizes are now chosen on the same three.

# %%
schooled = lab.longer_schooling()  # a row a family and rule
means = schooled.groupby(["family", "met"], sort=False).mean()
show_table(means, "Return after 30 agent steps, mean of five learned rules")
claim(
    "the learned rule is ahead of both rules written by hand",
    schooled,
    "`learned rule` > REINFORCE & `learned rule` > `actor-critic`",
    {
        "MDP": "every",
        "collecting, small": "none",
        "collecting, sparse": "none",
        "bandit": "every",
        "gridworld": "none",
        "chain": "none",
        "chain with bait": "none",
        "chain with noise": "none",
    },
    by="family",
)
claim(
    "the learned rule ends below random play",
    schooled,
    "`learned rule` < `random play`",
    {
        "MDP": "none",
        "collecting, small": "none",
        "collecting, sparse": "none",
        "bandit": "none",
        "gridworld": "none",
        "chain": "most",
        "chain with bait": "every",
        "chain with noise": "every",
    },
    by="family",
)
better = means[["REINFORCE", "actor-critic"]].max(axis=1)
lead = (means["learned rule"] - better).droplevel("met")
result("lead over the better rival, MDP (met)", lead["MDP"], at_least=1.5)
result("lead on the bandit (unseen)", lead["bandit"], at_least=-0.3)
result("lead on the chain (unseen)", lead["chain"], at_most=-0.5)
result("lead on the gridworld (unseen)", lead["gridworld"], at_most=-5)

# %% [markdown]
# One family of eight is a clear win: the MDP, which it practised. On the bandit, which it never met, all five rules are
# ahead too, by a tenth of a point. On the two collecting gridworlds, which it practised *as well*, both hand-written
# rules beat it, every time. On the gridworld that it never met it earns a third of what they do. On the three kinds of
# chain, which it never met either, it fails completely: in 14 of 15 cases (five rules, three kinds) its agents end
# *below random play*, so it teaches them the wrong thing. In none of its lessons did one early action alone decide a
# late reward. So practice alone does not make a learned rule good, and far from what it practised it can be worse than
# no rule. **Limit:** three families, five seeds; the published rule met more, and carried over to Atari games.
#
# ## 6. What did it discover?
# Nobody said what $y$ means. Let agents live for 15 steps on the MDP, then fit a linear **probe** (探针, chapter 08)
# from $y(s)$ to the *true* value of $s$ under the agent's own policy, at several discounts; score it on other tasks.
# Controls: the policy's probabilities, and $y$ under an untrained rule. The score $R^2$ is 1 where the value can be
# read off exactly, 0 where the reading is no better than the values' mean.

# %%
PROBED = (0.0, 0.5, 0.8, 0.9, 0.95)  # discounts of the true values


def read_off(features, values, half=150):
    """R^2 of a probe that is fitted to half of the tasks, on the other half."""
    probe = fit_probe(features[:half], values[:half])
    return r_squared(values[half:], probe.read(features[half:])).numpy()


def what_agents_hold(learner):
    """R^2 at each discount: of y, and of the policy's probabilities."""
    tasks, agents, _ = lab.lives(learner, mdp, steps=15)
    policy = agents.policy.softmax(-1)  # (T, S, A)
    values = lab.true_values(tasks, policy, PROBED)  # exact: (T, S, discounts)
    return read_off(agents.prediction.softmax(-1), values), read_off(policy, values)


y, policy = what_agents_hold(rule.on(mdp))
untrained = ml.make_learner("learned_rule", mdp, seed=1)
read = {
    "y": y,
    "the policy": policy,
    "y, untrained rule": what_agents_hold(untrained)[0],
}
figure_with_alt(
    figures.readout(PROBED, read),
    alt="Share of true values read off for five discounts: y is high for short ones "
    "and falls; the two controls stay near zero",
)
result("R^2 of y, discount 0", y[0], at_least=0.25)
result("R^2 of y, discount 0 less 0.95", y[0] - y[-1], at_least=0.15)
result("R^2 of the policy, discount 0", policy[0], at_most=0.15)
claim(
    "y reads more off than either control, at each of five discounts",
    pd.DataFrame(read),
    "y > `the policy` & y > `y, untrained rule`",
)

# %% [markdown]
# And $\hat\pi$? First on what the MDP's agents acted last: its correlation with returns at several discounts. Then in
# made-up episodes of eight steps with nothing in them but +1 or -1 at the very end: how far back is it felt? A
# hand-written return would fall as $\gamma^n$.


# %%
def follows(learner, discounts=(0.0, 0.5, 1.0)):
    """Correlation of pi_hat with the return at each discount, over all steps."""
    _, agents, acted = lab.lives(learner, mdp, steps=15)
    pi_hat = learner.targets(acted, agents).pi_hat.flatten()
    nothing = torch.zeros_like(acted.reward)  # no values: returns to the end
    returns = [episode_returns(acted, acted.reward, nothing, d, 1.0) for d in discounts]
    return np.array([np.corrcoef(g.flatten(), pi_hat)[0, 1] for g in returns])


def felt_back(rule, over, steps=8):
    """Change of pi_hat n steps before a last reward, as a share of the last step's.

    over: whether the episode ends there, or goes on.
    """
    m = rule.config.categories
    nothing_said = torch.full((1, 1, steps, m), 1 / m)  # predictions
    half = torch.full((1, 1, steps), 0.5)  # chance of the action taken
    live = torch.ones(1, 1, steps, dtype=torch.bool)
    terminated = torch.zeros_like(live)
    terminated[..., -1] = over
    said = []
    for final in (1.0, -1.0):
        reward = torch.zeros(1, 1, steps)
        reward[..., -1] = final
        # nothing said about s_t, nothing about s_{t+1}
        targets = rule.rule(reward, terminated, live, half, *[nothing_said] * 2)
        said.append(targets.pi_hat[0, 0].detach().numpy())
    change = (said[0] - said[1])[::-1]  # from the last step to the first
    return change / change[0]


ENDINGS = {"the episode ends there": True, "it goes on": False}
felt = {name: felt_back(rule, over) for name, over in ENDINGS.items()}
figure_with_alt(
    figures.echo(felt, {"0.9": 0.9, "0.5": 0.5}),
    alt="How far back a last reward is felt, in episodes that end with it and in "
    "episodes that go on, beside discounts: it grows with the distance where a "
    "discount would fall",
)
follow = follows(rule.on(mdp))
gap = follow[0] - follow[-1]
result("correlation of pi_hat with the return, discount 0 less 1", gap, at_least=0.3)
result("felt 7 steps before the end", felt["the episode ends there"][7], at_least=0.5)

# %% [markdown]
# One rule is one sample. The collapsed cell puts the same questions to five, trained alike from five seeds. Their
# answers are stored; only full speed trains the five again.

# %% tags=["hide-input"]
def habits_of_five():
    """What five rules hold and say: a row a seed in each array."""
    updates = iterations(SPEED, quick=60, full=60)
    found = []
    for seed in range(5):
        one = train_rule(updates, seed)
        y, policy = what_agents_hold(one.on(mdp))
        felt = [felt_back(one, over) for over in ENDINGS.values()]
        found.append((y, policy, follows(one.on(mdp)), *felt))
    names = ("y", "policy", "follows", *ENDINGS)
    return {name: np.stack(arrays) for name, arrays in zip(names, zip(*found))}


five = stored_or_run("full" if SPEED == "full" else "peek", "12_habits", habits_of_five)
habits = pd.DataFrame(
    {
        "y, discount 0": five["y"][:, 0],
        "y, discount 0.95": five["y"][:, -1],
        "policy, best": five["policy"].max(1),
        "follows, discount 0": five["follows"][:, 0],
        "follows, discount 1": five["follows"][:, -1],
        "felt, ends": five["the episode ends there"][:, 7],
        "felt, goes on": five["it goes on"][:, 7],
    }
).rename_axis("seed")

# %%
show_table(
    habits,
    "Five rules: R^2 of y and of the policy; correlation of pi_hat with the return; "
    "a last reward as felt 7 steps before it",
)
claim(
    "y holds short-sighted values, and holds long-sighted ones less well",
    habits,
    "`y, discount 0` > 0.25 & `y, discount 0.95` < `y, discount 0` - 0.15",
)
claim("nothing is read off the policy, at any discount", habits, "`policy, best` < 0.1")
claim(
    "on the MDP pi_hat follows the reward of the moment",
    habits,
    "`follows, discount 0` > `follows, discount 1` + 0.3",
)
claim(
    "where the episode ends, a last reward is felt 7 steps before it more than twofold",
    habits,
    "`felt, ends` > 2",
)
claim(
    "where it goes on, it is felt by less than half of that 7 steps before it",
    habits,
    "`felt, goes on` < 0.5",
    "some",
)

# %% [markdown]
# Nobody trained $y$ to predict rewards; it became a value function nevertheless, a short-sighted one, under each of
# the five rules. And $\hat\pi$ has no one discount. In the made-up episode that ends with its reward, as chains do, the
# reward is felt at the first step too, and *more* there: about three times as much as at the reward itself, where a
# discounted return would be less. On the MDP $\hat\pi$ follows the reward of the moment: section 1's
# opposite answers, found by itself. How a rule tells the two apart differs from rule to rule. Where the made-up episode
# goes on after its reward, two of the five have forgotten it seven steps before; the other three feel it as if the
# episode ended, so they must go by what that episode keeps still, the other rewards, $\pi$ and $y$. A gridworld, with
# rewards on the way and rare ends, is like neither family; perhaps that is why section 5's rule fails there. **Limit:**
# five rules, one way of training, and a single made-up episode.
#
# ## 7. What the documents say, and what is true

# %% [markdown] tags=["document"]
# **What the document says, and what is true: no reward in the update.** Document 001 (4) has a "policy gradient"
# (策略梯度) that is the cross-entropy of the policy on labels, and a "meta-policy gradient" (元策略梯度) that is the
# same function of another network. (The TensorFlow function that it calls,
# `sparse_softmax_cross_entropy_with_logits_v2`, does not exist.) Where labels are the actions taken, the expected
# update is $\sum_a\pi(a)\nabla\log\pi(a)=0$, whatever they earned. One word is missing, the weight:

# %%
# the lure's first step: wrong, right
logits = torch.tensor([0.4, -0.3], dtype=torch.float64, requires_grad=True)
pay = torch.tensor([-0.5, 1.0], dtype=torch.float64)


def expected_update(weight):  # sum_a pi(a) weight(a) grad log pi(a)
    pi = logits.softmax(0).detach()  # who acts is not differentiated
    weighed = (pi * weight * logits.log_softmax(0)).sum()
    return torch.autograd.grad(weighed, logits)[0].numpy()


plain = expected_update(torch.ones(2))
print("cross-entropy on its own actions:", plain.round(12) + 0.0)
print("weighted by what they earned:    ", expected_update(pay).round(4))

# %% [markdown]
# Nor does its section 3 have two levels: $\nabla_\theta J(\theta)$ of $E_{\pi_\theta}$ is chapter 04's gradient.

# %% [markdown] tags=["document"]
# **What the document says, and what is true: a gradient of gradients.** The training step of 001 (4) computes a list of
# gradients, throws it away, and differentiates a loss that does not depend on it (from `logits` that are not defined
# there). The two networks never meet: no step of one is differentiated in the other. Section 2's `step` inside `grad`
# is what was meant. It also feeds probabilities to a loss that wants logits. How sure can such a loss be of an action?

# %%
certain = torch.tensor([1.0, 0.0], dtype=torch.float64)
most = certain.softmax(0)[0]
print(f"most that two actions' probabilities, taken as logits, can say: {most:.3f}")

# %% [markdown] tags=["document"]
# **What the document says, and what is true: which family?** Document 003 (3) lists meta policy gradients among
# *value-based* methods. They need no value function: section 2 had none. Value functions serve as critics, and, as you
# will now see, can spoil them.

# %% [markdown]
# ## Break it
# Back to the colleague. A second value function seemed wasteful: the agent has one already. Go back to section 3's
# widget and choose *a colleague's*, initial discount 0.2. **Diagnose before you read on.** From 0.5 and 0.8 all is
# well, so the tests passed.

# %%
for start in lab.STARTS:
    last = courses["a colleague's", start].discount[-1]
    band = {"at_most": 0.4} if start == 0.2 else {"at_least": 0.8}
    result(f"the colleague's discount, from {start}", last, **band)
quiz("12.b")

# %% [markdown]
# The outer returns bootstrap ($\lambda'=0.3$). What is the first action worth to the outer objective? By hand, with
# exact values at the inner discount 0.2 and at the outer one, 0.99:


# %%
def outer_advantage(value_discount, outer_discount=0.99, lam=0.3):
    """Of right over wrong in the first step, with exact values at a discount."""
    over = torch.tensor([False, False, False, True])
    worth = []
    for bait, end in ((0.0, 1.0), (0.5, -1.0)):  # right, wrong
        reward = torch.tensor([bait, 0.0, 0.0, end], dtype=torch.float64)
        # v(s_{t+1}): the end is two steps off, one, here, past
        next_value = end * value_discount ** torch.tensor([2.0, 1.0, 0.0, 0.0])
        returns = lambda_returns(reward, next_value, over, over, outer_discount, lam)
        worth.append(returns[0].item())
    return worth[0] - worth[1]


print(f"values at the inner discount, 0.2: {outer_advantage(0.2):+.3f}")
print(f"values at the outer one, 0.99:     {outer_advantage(0.99):+.3f}")

# %% [markdown]
# With the inner values the outer objective prefers the bait too: both levels are short-sighted, and agree. Here is the
# objective of section 3. The two programs differ in one word, `outer_value`:

# %%
show_source(MetaGradientRL.outer_objective)

# %% [markdown]
# The mend is one more value function, trained at the outer discount (`outer_value="own"`). Xu et al. met a related
# trouble, values that are always behind because $\eta$ moves, and mend it in another way: they give $\eta$ to policy
# and value function as an input. Where outer returns run to the end ($\lambda'=1$, no truncation), a value is only a
# baseline, and the bug hides.
#
# ## Exercises
# **12.1** `lambda_return` (section 1), of an episode that was *truncated* after H steps.


# %%
def lambda_return(reward, next_value, discount, lam): ...


check("12.1", lambda_return)

# %%
hint("12.1")

# %% [markdown]
# **12.2** `discount_slope`: section 2's $dJ/d\gamma$. Try it by hand, in closed form.


# %%
def discount_slope(theta, alpha, gamma): ...


check("12.2", discount_slope)

# %%
hint("12.2")

# %% [markdown]
# **12.3** `table_step`: what an agent does with $\hat\pi$ (section 5), whoever said it.


# %%
def table_step(logits, states, actions, pi_hat, size, episodes): ...


check("12.3", table_step)

# %%
hint("12.3")

# %% [markdown]
# **12.4** `learn_discount`: the whole algorithm of section 2, online, with your 12.2 for its gradient.


# %%
def learn_discount(theta, logit, alpha, beta, iterations): ...


check("12.4", learn_discount)

# %% [markdown]
# Stuck? `hint("12.4")`, then `solution("12.4")`.
#
# ## Summary
# - What an update aims at is a choice, and the best one depends on family and data.
# - A meta policy gradient asks the next batch: how would that choice have changed what I am now?
# - It is only as far-sighted as its outer value function, and as strong as the signal that it looks through.
# - A whole rule can be learned. On one family it beat rules written by hand by far; on two others that it practised it
#   did not, and on chains, which it never met, its agents end below random play.
#
# ## What to read
# - [Xu, van Hasselt and Silver 2018](https://arxiv.org/abs/1805.09801): meta-gradients of discount and lambda.
# - [Oh et al. 2020](https://arxiv.org/abs/2007.08794): LPG, a rule that discovers what to predict.
# - [Kirsch, van Steenkiste and Schmidhuber 2020](https://arxiv.org/abs/1910.04098): MetaGenRL, a learned objective.
#
# ## What comes next
# Chapter 13 learns neither policy nor objective, but the world: a model that adapts.
