# %% [markdown]
# # 05 MAML: an initialisation that learns in one step
#
# **Reading time:** 280 min, exercises included, in six lessons of about 45 minutes. **Run time:** 40 s.
#
# ## What you will be able to do
#
# - Explain, with two tasks and a pencil, what MAML maximises, and why pre-training maximises something else.
# - Derive the meta-gradient, and say what each of its two factors does.
# - Write the whole sampled MAML loop, from parts that you wrote yourself.
# - Judge fairly what MAML gains over plain pre-training, and say what exactly was learned.
# - Set its three knobs: the meta-batch, the inner rate, the number of inner steps.
#
# ## The question
#
# Some tasks come in families: walk to this place or to that one, with this load or another. Whoever has met many of a
# family should need little time for the next. Learning from many tasks what makes the next one quick to learn is
# called **meta-learning** (元学习), and this chapter is about the simplest thing that can be learned so: *where to
# begin*.
#
# You are about to be dropped into a task that you do not know. There you may try things for a little while, and then
# you may learn, but only once: one single step of gradient ascent. You cannot choose the task, and you cannot make
# the step longer. What you can choose, beforehand, is the place where the step starts. **From which parameters does
# one step go furthest, whatever the task turns out to be?**
#
# The next cell prepares the page. `lab` holds what this chapter runs and need not show, such as the acting of
# episodes.

# %%
import numpy as np
import torch
from torch.func import functional_call, grad, vmap
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.chapters.ch05_maml import experiments as lab
from metarl_lab.chapters.ch05_maml import figures, widget
from metarl_lab.teach import announce, at_speed, check, claim, hint, iterations
from metarl_lab.teach import most_iterations, quiz, result, show_table, solution
from metarl_lab.teach import speed, stored_or_run, yours_or_ours
from metarl_lab.teach.figures import figure_with_alt

SPEED = speed()  # "peek", "quick" or "full"
torch.set_num_threads(1)  # the batches of this page are small
announce(SPEED, {"peek": 25, "quick": 40, "full": 600})

# %% [markdown]
# # Lesson 1. MAML by hand
#
# ## 1. Two tasks and a dial
#
# A machine has a single dial. We call its position $\theta$. How well the machine does depends on the dial, and on
# which of two tasks it is given:
#
# - in **task A** the best position is 0, and the return falls off gently to both sides:
#   $J_A(\theta)=-\tfrac12\theta^2$;
# - in **task B** the best position is 1, and the return falls off three times as steeply:
#   $J_B(\theta)=-\tfrac32(\theta-1)^2$.
#
# The best possible return is 0 in either task. Tomorrow you will be given one of the two, with equal chance, and you
# will then be allowed one step of gradient ascent: the dial moves by 0.25 times the slope of the return at the place
# where it stands. The number 0.25 is the **inner rate** $\alpha$. Tonight you choose where the dial stands.
#
# Take a pencil and try the middle, $\theta=0.5$.

# %% [markdown] tags=["worked-example"]
# **One step from 0.5, by hand**
#
# - *Task A.* The slope of $J_A$ at $\theta$ is $-\theta$, here $-0.5$. The step ends at $0.5+0.25\cdot(-0.5)=0.375$.
#   There the return is $-\tfrac12\cdot0.375^2=-0.070$.
# - *Task B.* The slope of $J_B$ at $\theta$ is $-3(\theta-1)$, here $+1.5$. The step ends at
#   $0.5+0.25\cdot1.5=0.875$. There the return is $-\tfrac32\cdot(0.875-1)^2=-0.023$.
# - *Both.* Before the step the mean return was $\tfrac12(-0.125-0.375)=-0.250$. After it the mean is
#   $\tfrac12(-0.070-0.023)=-0.047$.

# %%
figure_with_alt(
    figures.by_hand(start=0.5, alpha=0.25),
    "Returns of tasks A and B against the dial; B's step from 0.5 is three times A's",
)

# %% [markdown]
# Discs mark the place before the step, stars the place after it. Both tasks started halfway between the two optima,
# and yet the step did much more for B. Its slope is three times as steep, so its step is three times as long: it took
# away three quarters of the distance to B's optimum, while A's step took away one quarter of the distance to A's.
# *Predict.* Is there a better place for the dial tonight? If there were no step tomorrow, the answer would be 0.75.
# That is the mean of the two optima with B counted three times, $(1\cdot0+3\cdot1)/4$, because B punishes distance
# three times as hard. **With the step, should the dial stand nearer to A's optimum or to B's?** Write down a number
# before you read on.
#
# ## 2. What MAML maximises
#
# Everything in this chapter hangs on one picture, so look at it for a moment.

# %%
figure_with_alt(
    figures.mechanism(),
    "One start is copied into every task; each copy takes a step and acts again; the "
    "mean return after the steps is climbed by changing the start",
)

# %% [markdown]
# The start, on the left, is the only thing that is kept. It is copied into every task. Inside a task the copy acts,
# takes its step, and acts again. (For the dial, to act is to read off the slope, and then the return.) Then the copy
# is thrown away. This whole stay in one task is called a **trial**. What remains of it is one number, how well it did
# *after* its step, and the mean of these numbers over tasks tells how good the start was. This is **MAML**,
# model-agnostic meta-learning ([Finn, Abbeel and Levine 2017](https://arxiv.org/abs/1703.03400)). "Model-agnostic"
# means that it asks nothing of the model but that it can be differentiated. As a formula, for $T$ tasks:
#
# $$
# J^\text{meta}(\theta)=\frac1T\sum_{i=1}^{T} J_i(\theta_i'),
# \qquad
# \theta_i'=\theta+\alpha\,\nabla J_i(\theta).
# $$
#
# $\theta$ is the start, one for all tasks. $\nabla J_i(\theta)$ is the slope of task $i$'s return at the start.
# $\theta_i'$ is where task $i$'s own step ends: the **adapted** parameters. $J_i(\theta_i')$ is the return of task
# $i$ there. In simple words: *judge a start by where one step leads from it*. A good mnemonic is **learn where
# learning starts**.
#
# The step inside a task is called the **inner step**, and the change of the start the **outer step**. (The Chinese
# documents that this book mirrors call the copy that learns in a task the inner model, 内部模型, and what makes it
# learn well the outer model, 外部模型. In MAML the outer model is nothing but the start.) **Pre-training**, the
# obvious alternative, maximises $\tfrac1T\sum_i J_i(\theta)$ instead: the mean return *before* the step. It does not
# know that a step will come.
#
# ### The dial, answered
#
# For the dial we can work out $J^\text{meta}$ on paper. A step of rate 0.25 shrinks the distance to A's optimum by
# the factor $1-0.25\cdot1=0.75$, and the distance to B's by $1-0.25\cdot3=0.25$. So
#
# $$
# J^\text{meta}(\theta)=\tfrac12\Big[-\tfrac12(0.75\,\theta)^2-\tfrac32\big(0.25\,(\theta-1)\big)^2\Big]
# =-0.1406\,\theta^2-0.0469\,(\theta-1)^2 .
# $$
#
# After the step, a wrong position costs three times as much in *A* as in *B*: the step repairs B so well that B
# hardly minds where it started. The best start is therefore the mean of the optima 0 and 1 with weights 3 to 1, which
# is **0.25**. Pre-training's 0.75 lies on the other side of the middle. If you predicted "nearer to B, because B is
# steeper", you described the world without the step.
#
# ### How to climb it: the meta-gradient
#
# With more than one dial nobody can solve this on paper, so we climb. For that we need the slope of $J^\text{meta}$:
# the **meta-gradient** (元梯度). Write $s_i(x)$ for the slope of task $i$'s return when the dial stands at $x$, and
# $b_i(x)$ for the slope of the slope there, its second derivative. Now ask: how does the return after the step,
# $J_i(\theta_i')$, change when the *start* $\theta$ moves a little?
#
# 1. The start acts on that return only through the place where the step ends, because nothing else of the start is
#    left by then. So the chain rule gives two factors: how the return changes with $\theta_i'$, times how $\theta_i'$
#    changes with $\theta$.
# 2. The first factor is the slope of the return at the adapted place, $s_i(\theta_i')$.
# 3. The second factor comes from differentiating the step itself, $\theta_i'=\theta+\alpha\thinspace s_i(\theta)$.
#    The first term gives 1, because the copy begins at the start. The second gives $\alpha\thinspace b_i(\theta)$,
#    because the slope changes too when its place does.
#
# $$
# \frac{d}{d\theta}J_i(\theta_i')=\big(1+\alpha\,b_i(\theta)\big)\;s_i(\theta_i').
# $$
#
# In simple words: *what would help the adapted dial, times how much of a push at the start arrives there.* Here are
# the two factors at $\theta=0.5$. For our parabolas the second derivative is the same everywhere: $b_A=-1$ and
# $b_B=-3$.

# %% [markdown] tags=["worked-example"]
# **The meta-gradient at 0.5, by hand**
#
# | | task A | task B |
# |---|---|---|
# | the step ends at | 0.375 | 0.875 |
# | slope of the return there | -0.375 | +0.375 |
# | how much of a push arrives there, $1+0.25\thinspace b_i$ | 0.75 | 0.25 |
# | product | -0.281 | +0.094 |
#
# The mean of the products is $-0.094$. The slope is negative: turn the dial down, towards 0.25.

# %% [markdown]
# Look at the slopes alone: the two tasks pull equally hard, in opposite directions. Who leaves out the factor below
# them gets a mean of exactly 0, and concludes that 0.5 is the best start. That shortcut is called **first-order
# MAML**. It spares itself the second derivative, and it forgets that a push at the start arrives at A's dial to three
# quarters, and at B's only to one quarter.
#
# With many parameters, the slope becomes the gradient $\nabla J_i$ and the second derivative becomes the matrix of
# all second derivatives, the Hessian $\nabla^2 J_i$. Nothing else changes:
#
# $$
# \nabla J^\text{meta}(\theta)=\frac1T\sum_i\big(I+\alpha\,\nabla^2J_i(\theta)\big)\,\nabla J_i(\theta_i').
# $$
#
# $I$ is the identity matrix, the many-dimensional 1. A network of a thousand parameters has a Hessian of a million
# entries, but we never write it down: PyTorch differentiates through the step, which multiplies by the left factor on
# the way.

# %% [markdown]
# *This is a good place to stop. Lesson 2 makes a program of it.*
#
# # Lesson 2. MAML as a program
#
# ## 3. The dial, climbed

# %% [markdown] tags=["algorithm"]
# **Algorithm 5.1: MAML, with known returns** (Finn, Abbeel and Levine 2017, algorithm 1)
#
# 1. Begin with some start $\theta$.
# 2. Copy it into every task, and let each copy take its inner step: $\theta_i'=\theta+\alpha\nabla J_i(\theta)$.
# 3. Take the mean return after the steps: $J^\text{meta}(\theta)=\tfrac1T\sum_i J_i(\theta_i')$.
# 4. Move the start up its gradient, which passes back through step 2:
#    $\theta\leftarrow\theta+\beta\nabla J^\text{meta}(\theta)$.
# 5. Go back to step 2.

# %% [markdown]
# $\beta$ is the **outer rate**. Here is the box as a program for the dial. `grad(f)` is PyTorch's gradient of the
# function `f` by its first argument. It is a function itself, and can be differentiated again. (If the first argument
# is a dictionary of tensors, so is the gradient: that will serve us later.)

# %%
steepness = torch.tensor([1.0, 3.0])  # of tasks A and B
optimum = torch.tensor([0.0, 1.0])


def returns(own):
    """J_A and J_B, each at its own dial; (2,) -> (2,)."""
    return -0.5 * steepness * (own - optimum) ** 2


def dial_step(own, alpha):
    """Step 2: every copy moves up its own slope; (2,) -> (2,)."""
    # a return depends on its own dial alone: the gradient of the sum is both slopes
    slope = grad(lambda dial: returns(dial).sum())(own)
    return own + alpha * slope


def meta_return(start, alpha):
    """Step 3: the mean return after the inner step; one number in, one out."""
    own = start.expand(2)  # a copy of the start for each task
    return returns(dial_step(own, alpha)).mean()


def climb(objective, start=0.5, beta=0.5, iterations=200):
    """Steps 4 and 5: follow the gradient of the objective."""
    start = torch.tensor(start)
    for _ in range(iterations):
        start = start + beta * grad(objective)(start)
    return start


# %%
meta_gradient_at_half = grad(meta_return)(torch.tensor(0.5), 0.25)
print(f"the meta-gradient at 0.5: {meta_gradient_at_half:.4f}")
print(f"MAML's start: {climb(lambda start: meta_return(start, 0.25)):.3f}")

# %% [markdown]
# Both numbers are those of the pencil. The program differentiated through `dial_step` without being told the factor
# 0.75 or 0.25. Now the two rivals: pre-training, which has no step in its objective, and first-order MAML, whose step
# is a constant to the gradient (`detach`). We let each climb to its own start and then give each the same inner step.


# %%
def pre_training(start):
    return returns(start.expand(2)).mean()


def first_order(start, alpha=0.25):
    step = dial_step(start.expand(2), alpha) - start
    return returns(start.expand(2) + step.detach()).mean()


print("start  return before the step  return after it")
for name, objective in (
    ("pre-training", pre_training),
    ("first-order MAML", first_order),
    ("MAML", lambda start: meta_return(start, 0.25)),
):
    start = climb(objective)
    before, after = pre_training(start), meta_return(start, 0.25)
    print(f"{start:.3f}  {before:22.3f}  {after:15.3f}   {name}")

# %% [markdown]
# *Reading it*, row by row. Pre-training is the best of the three *before* the step (-0.188), since that is what it
# maximises, and the worst after it (-0.082). MAML is the worst before the step (-0.437) and the best after it
# (-0.035). First-order MAML rests in the middle, where its two pulls cancel, and comes second in both columns. So a
# good start for learning can look like a bad policy. You will meet this again with a real network: before its step a
# MAML policy seems to have learned nothing.
#
# Now move the sliders. **Put the inner rate to 0.33: where does MAML go, and why? What becomes of first order beyond
# 0.40?**

# %%
widget.two_task_explorer().show()

# %% [markdown]
# At $\alpha=\tfrac13$ the step brings B exactly to its optimum from anywhere, because $1-\tfrac13\cdot3=0$. B has no
# wish left about the start, so MAML gives all of it to A and rests at 0. Beyond that rate B's step jumps *over* its
# optimum. The factor $1-3\alpha$ turns negative, and MAML still counts it rightly, since it enters as a square. First
# order has it without the square, and pulls the start the wrong way for B. Its two pulls together have the strength
# $(1-\alpha)+3(1-3\alpha)=4-10\alpha$. From $\alpha=0.4$ on that is negative, and the start runs away.

# %%
quiz("05.a")

# %% [markdown]
# *The limit of this lesson.* We knew the returns as formulas. In a real task nobody hands you $J_i$; you can only
# act, and see what is paid. From lesson 3 on every slope is an estimate from episodes.
#
# ### Exercises of lessons 1 and 2
#
# Write your answer over the `...` and run the cell; until then it shows you the task. `hint("05.1")` helps in three
# steps.
#
# **05.1 Several inner steps.** One step is the rule of the game tomorrow, but nothing forbids three.


# %%
def adapt(theta, gradient, alpha, steps): ...


check("05.1", adapt)

# %%
hint("05.1")

# %% [markdown]
# **05.2 The meta-gradient by formula**, for any number of tasks with one dial. Compare your result for tasks A and B
# with the worked example.


# %%
def meta_gradient(theta, alpha, k, c): ...


check("05.2", meta_gradient)

# %% [markdown]
# *This is a good place to stop. Lesson 3 starts from here.*
#
# # Lesson 3. From the dial to a walking policy
#
# ## 4. A task that pays by the step
#
# A point stands at the origin of a plane. Somewhere within half a unit of it, along each axis, lies a goal that it
# cannot see. An episode has 20 moves of at most 0.1 along each axis, and after every move the point is paid minus the
# distance that is left. A task is one goal.
#
# With numbers: the goal lies 0.5 to the right. Who walks straight to it is left with 0.4, 0.3, 0.2, 0.1 and 0 after
# five moves, and has paid 1.0 in all; there the episode ends, as it does wherever the point comes within 0.01 of the
# goal on both axes. Who stands still pays $20\cdot0.5=10$. Over the 40 test goals of the MAML paper, one who knows
# the goal (the **oracle**) earns -0.5 on average, one who stands still -8.0, and one who moves at random -9.0.
#
# You may act 20 episodes with a goal, and then you take one inner step. The dial becomes a **policy**: a network with
# two hidden layers of 32 units that looks at the point's place and gives the mean of the next move along each axis.
# The move is drawn from a normal distribution around it, whose spread is learned too, one number for each axis. That
# makes 1,220 parameters $\theta$. And the slope of the return becomes an estimate, the **policy gradient** of chapter
# 04. From $M$ moves acted in a task,
#
# $$
# \nabla J(\theta)\;\approx\;\frac1M\sum_{t=1}^{M}\hat A_t\,\nabla\log\pi_\theta(a_t\mid s_t).
# $$
#
# $\pi_\theta(a_t\mid s_t)$ is the probability (density) that the policy gave to the move $a_t$ at the place $s_t$.
# The **advantage** $\hat A_t$ says how much better the rest of the episode went than was to be expected at that place
# and time; what was to be expected is read off the other episodes of the same task. In simple words: *make what went
# better than expected more likely, and what went worse less likely.*
#
# ### What the inner rate multiplies
#
# The formula hides two conventions, and without them the number $\alpha$ means nothing. The dial shows both.

# %% [markdown] tags=["worked-example"]
# **Two conventions, with the numbers of the dial**
#
# - *A mean over moves, not a sum.* An episode's return is a sum over 20 moves, and its gradient has 20 terms. The
#   code divides by the number of moves. Had the dial's slopes of $-0.5$ and $1.5$ been such sums, the code would step
#   by $-0.025$ and $0.075$ times $\alpha$, and only a rate 20 times as large would move the dial as before.
# - *Advantages without a unit.* The code divides each task's advantages by their standard deviation. Task B is three
#   times as steep, so its advantages spread three times as wide, and dividing by the spread makes B's slope 0.5 where
#   it was 1.5. Now both tasks step equally far from 0.5: A to 0.375, B to 0.625.
#
# The second convention changes what MAML can learn. With B's step cut to a third, a push at the start arrives in B by
# the factor $1-0.25\cdot3/3=0.75$, just as in A. Nothing favours A any more, and MAML's best start is 0.75: that of
# pre-training.

# %% [markdown]
# Why do it, then? Because the rate then fits tasks with small and with large rewards alike: a step goes about equally
# far in all of them. And is anything left for MAML to learn? On the dial nothing, because a parabola bends everywhere
# alike. A network does not: MAML can choose a start around which a step of just this length changes the behaviour by
# the right amount. Section 8 shows that it does.

# The price of both conventions is that $\alpha=0.5$ on this page is no rate on the return. On the gradient of an
# episode's return it amounts to $0.5$ divided by the moves of an episode and by the spread. The next cell measures
# both for five goals, near and far.

# %%
places = [(0.1, 0.1), (0.3, 0.0), (-0.2, 0.4), (0.5, 0.5), (-0.5, -0.1)]
rates = lab.step_lengths(lab.fresh(0), lab.tasks_at(places), alpha=0.5)
show_table(rates, "The inner rate 0.5, on the gradient of an episode's return", 3)
claim("the rate is between 0.01 and 0.02", rates, "0.01 < rate < 0.02")
ratio = rates.rate.max() / rates.rate.min()
result("largest rate over smallest", ratio, at_least=1.2, at_most=2)

# %% [markdown]
# (A line that ends in "expected every: yes" is a claim of this book, counted over all rows of the table above it.) So
# the inner rate of 0.5 is some 0.012 to 0.017 on the return that we report, and it is not the same for every goal:
# smallest where the goal is far and the advantages spread widely, largest where the goal is close.
#
# *Predict.* Take a fresh network, which does not know how to walk anywhere. It acts 20 episodes with a goal, takes
# one such step, and then another two, each after 20 new episodes. Every later step is half as long as the first, as
# in the paper. Where between -8 (standing still) and -0.5 (knowing the goal) does it end?

# %%
unprepared = lab.after_steps(lab.fresh(0)).mean(0)
print("return of a fresh network over the 40 goals")
result("before any step", unprepared[0], at_most=-8)
result("after one, two and three steps", unprepared[1:], at_least=-12, at_most=-6)

# %% [markdown]
# Three steps from 60 episodes, and it is hardly better than standing still. One could blame the step and take a
# longer one; section 7 tries seven rates, from 0.03 to 2, and none helps this network much. The step is not at fault.
# Where it starts is.
#
# *This is a good place to stop. Lesson 4 starts from here.*
#
# # Lesson 4. The loop, built by you
#
# ## 5. Three parts, which you write
#
# MAML on this task needs three small functions. You write them; the page then puts them together. Each is a line or
# three, and each has its counterpart in the dial's program of section 3.
#
# **05.3 Part one: a surrogate.** We need a function *whose gradient is the policy gradient*, so that `grad` can take
# it, and take it again. A scene with numbers: three moves were made, with log-probabilities $-1.0,-0.5,-2.0$ and
# advantages $0.5,-1.0,2.0$. The surrogate is the mean of the products, $\tfrac13(-0.5+0.5-4.0)=-1.33$. That value
# means nothing at all. What counts is its gradient: the advantages are numbers, so only the log-probabilities are
# differentiated, each weighed by its advantage, and that is the formula of section 4. Some episodes end early, at the
# goal. The steps after that are in the arrays with advantage 0; they must not be counted, so the mean divides by the
# number of `live` steps.


# %%
def surrogate(log_prob, advantage, live): ...


check("05.3", surrogate)

# %% [markdown]
# **05.4 Part two: the inner step.** The dial's `dial_step`, for parameters that come as a dictionary
# `{name: tensor}`, because a network has several weight matrices. Use `grad` and return a new dictionary: an
# optimiser would change the start in place, and the meta-gradient could not find its way back to it.


# %%
def inner_step(theta, objective, batch, alpha): ...


check("05.4", inner_step)

# %% [markdown]
# **05.5 Part three: one task's share of the meta-return.** Two batches belong to a task: `before`, acted with the
# start, from which the step is made, and `after`, acted with the adapted parameters, by which the step is judged.
# Never mix them up: a step that is judged by the data it was made from is judged by its own excuses.


# %%
def after_adapting(theta, before, after, objective, alpha): ...


check("05.5", after_adapting)

# %% [markdown]
# Our version of the three parts is in the collapsed cell below: open it when you have tried. The page uses yours as
# soon as it passes its check.

# %% tags=["hide-input"]
def our_surrogate(log_prob, advantage, live):
    return (log_prob * advantage).sum() / live


def our_inner_step(theta, objective, batch, alpha):
    gradient = grad(objective)(theta, batch)
    return {name: p + alpha * gradient[name] for name, p in theta.items()}


def our_after_adapting(theta, before, after, objective, alpha):
    adapted = our_inner_step(theta, objective, before, alpha)
    return objective(adapted, after)


surrogate = yours_or_ours("05.3", surrogate, our_surrogate)
inner_step = yours_or_ours("05.4", inner_step, our_inner_step)
after_adapting = yours_or_ours("05.5", after_adapting, our_after_adapting)

# %% [markdown]
# ## 6. The loop
#
# Put together, with sampled data in place of known returns, this is MAML for reinforcement learning.

# %% [markdown] tags=["algorithm"]
# **Algorithm 5.2: MAML for reinforcement learning** (Finn, Abbeel and Levine 2017, algorithm 3)
#
# 1. Draw a **meta-batch**: some tasks to train on.
# 2. In each task, act some episodes with the start $\theta$.
# 3. Let each task take its inner step on what it acted: $\theta_i'=\theta+\alpha\nabla L_i(\theta)$, where $L_i$ is
#    the surrogate of task $i$'s episodes (part one).
# 4. In each task, act new episodes with its own $\theta_i'$.
# 5. Judge each task by the surrogate of its *new* episodes, evaluated at $\theta_i'$. The mean over tasks depends on
#    $\theta$, because step 3 made every $\theta_i'$ from it. Move $\theta$ up the gradient of that mean.
# 6. Throw all $\theta_i'$ away, and go back to step 1.

# %% [markdown]
# Two helpers do the plumbing. `lab.act(own, tasks, seed, episodes)` acts episodes in all tasks at once, `own` holding
# a set of parameters for each, and returns the batch and the mean return of each task. `lab.copies(theta, n)` is $n$
# copies of the start.

# Two new words are needed. `functional_call(net, theta, inputs)` runs the network `net` with the parameters `theta`.
# `vmap` turns a function of one task into a function of all tasks at once; its second argument says which inputs have
# a task axis: `None` for the start, which is shared, and 0 for what each task has of its own.

# You will see the inner step taken twice. Once (3) it is really taken, so that new episodes can be acted with its
# result. And once more inside `meta_objective` (5), where the gradient can follow it back to the start.
#
# The outer step is Adam's rather than plain ascent: it rescales the gradient parameter by parameter, which spares us
# a search for $\beta$.


# %%
def objective(theta, batch):
    """The surrogate of a batch as a function of the policy's parameters."""
    policy = functional_call(lab.network, theta, (batch.observation,))
    return surrogate(policy.log_prob(batch.action), batch.advantage, batch.live)


def meta_objective(theta, before, after, alpha):
    """Step 5: the mean over tasks; theta is shared, the two batches are not."""
    def one_task(theta, before, after):
        return after_adapting(theta, before, after, objective, alpha)

    return vmap(one_task, (None, 0, 0))(theta, before, after).mean()


def meta_train(theta, iterations=100, alpha=0.5, seed=0, meta_objective=meta_objective):
    """Box 5.2; returns the trained start, and the returns before and after the step."""
    theta = {name: p.clone().requires_grad_() for name, p in theta.items()}
    ascent = torch.optim.Adam(theta.values(), lr=0.01, maximize=True)
    history = []
    for i in tqdm(range(iterations)):
        tasks = lab.new_goals(10, seed, i)  # 1. a meta-batch of ten goals
        own = lab.copies(theta, 10)
        before, return_before = lab.act(own, tasks, 2 * i, 10)  # 2. act with the start

        def step(own, batch):
            return inner_step(own, objective, batch, alpha)

        own = vmap(step)(own, before)  # 3. each task's own step
        after, return_after = lab.act(own, tasks, 2 * i + 1, 10)  # 4. act again
        # 5. the outer step, up the gradient of what the new episodes say
        gradient = grad(meta_objective)(theta, before, after, alpha)
        for name, p in theta.items():
            p.grad = gradient[name].detach()
        ascent.step()
        history.append([return_before.mean().item(), return_after.mean().item()])
    return {name: p.detach() for name, p in theta.items()}, np.array(history)


# %% [markdown]
# That is all of MAML. *Predict.* While it trains, will the return *before* the inner step rise? And the return after
# it?

# %%
theta, history = meta_train(lab.fresh(0))
anchors = lab.anchors()
figure_with_alt(
    figures.training(history, anchors),
    "Return against meta-iteration: before the inner step it stays near standing "
    "still, after it rises steeply",
)
mine = lab.after_steps(theta).mean(0)
last = history[-20:].mean(0)
result("last 20 iterations, before the step", last[0], at_least=-9.5, at_most=-6.5)
result("last 20 iterations, after the step", last[1], at_least=-4.5)
gain = mine[0] - anchors["standing still"]
print("on the 40 test goals")
result("before the step, minus standing still", gain, at_least=-2, at_most=0.5)
result("after one step", mine[1], at_least=-5)

# %% [markdown]
# *Reading it.* The return after the step, the upper curve, climbs from -8 to about -4 within twenty iterations, and
# then slowly on. On the 40 test goals, which training never saw, it is about -3: better than in training, because
# there a step is made from 10 episodes, and here from 20. The return before the step, the lower curve, stays where
# standing still is. That is no failure. Before the step the policy cannot know the goal, so no walk is better than
# staying put, and MAML was never asked for a good policy. It was asked for a start from which one step makes a good
# policy. It is the dial again: worst before, best after.
#
# *Its limit.* The episodes in `before` were acted with $\theta$, so which episodes they are depends on $\theta$ too.
# Our gradient treats them as given. The second derivative of the surrogate is therefore not the Hessian of the
# return, even with endless data. Chapter 06 asks what that costs, and how to repair it.
#
# ### Exercises of lesson 4
#
# **05.6 The whole algorithm, from memory.** Close box 5.2 and write it for any tasks, any way of acting, any
# objective. The check runs it on hills whose answers are known exactly, and tells you which step went wrong. (It
# keeps to one meta-batch: you need not draw tasks.)


# %%
def maml(theta, tasks, act, objective, alpha, beta, iterations): ...


check("05.6", maml)

# %% [markdown]
# **05.7 Every task its own layer.** What `vmap` does here, the package does as one batched product for each layer of
# the network, with a task axis in front of the weights. Write such a layer.


# %%
def per_task(x, weight, bias): ...


check("05.7", per_task)

# %% [markdown]
# *This is a good place to stop. Lesson 5 starts from here.*
#
# # Lesson 5. What was it worth?
#
# ## 7. Is it better than plain pre-training?
#
# A start from which one step gives -3, where a fresh network stays near -8: is that MAML's doing? Perhaps *any*
# training on walking tasks would have helped. The rival that counts is called **fine-tuning** in this book: the same
# network, trained for the mean return of one shared policy, without a step in its objective. It acts as many moves in
# training as MAML does, uses the same outer optimiser, and then takes the same inner steps.
#
# From here on both are those of this book's package, `metarl_lab`, which has the loop of section 6 with more choices.
# Its default outer step is TRPO (trust region policy optimisation, 信赖域策略优化), which needs no rate to be
# searched for: the step is made as long as it may be while the *policy* changes, on average over the places it
# visits, by no more than a given amount. The amount is measured by the Kullback-Leibler divergence between the old
# and the new distribution of moves, here at most 0.03. Each learner is trained from three seeds.
#
# A rate that suits MAML need not suit its rival. So each start is tried at seven inner rates. *Predict.* Each at its
# own best rate: by how much does MAML win?

# %%
def train():
    rounds = iterations(SPEED, quick=45, full=100)
    return lab.train_both(at_speed(SPEED, quick=3, full=5), rounds)


learners = lab.learners_of(stored_or_run(SPEED, "05_agents", train))
scan = lab.scan(learners, rates=(0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0))

# %%
figure_with_alt(
    figures.rate_scan(scan, anchors, floor=-20),
    "Return after one step against inner rate: MAML peaks at its own rate, "
    "fine-tuning at a smaller one",
)
by_rate = scan.pivot_table(index="learner", columns="rate", values="after")
show_table(by_rate, "Return after one step on the 40 goals, by rate", 1)
best = by_rate.max(axis=1)
result("MAML at its own rate 0.5", by_rate.loc["maml", 0.5], at_least=-4)
at_half = scan[scan.rate == 0.5]
at_half = at_half.pivot(index="seed", columns="learner", values="after")
claim("at 0.5 MAML leads fine-tuning by over 3", at_half, "maml - finetune > 3")
lead = best.maml - best.finetune
result("MAML minus fine-tuning, each at its best", lead, at_least=-0.5, at_most=3)
at_best = lab.at_best_rates(scan)
claim("each at its best rate, MAML leads", at_best, "maml > finetune", "most")
result("a fresh network at its best rate", best.scratch, at_most=-6)

# %% [markdown]
# Bands are 95% intervals over the three seeds. *Reading it*, curve by curve. *MAML* rises towards its own rate, 0.5,
# where it earns -3, and falls off beyond it. *Fine-tuning* is best at 0.12, with about -4 and a wide band, since its
# seeds differ; at 0.5 one step throws it far past the goals, and it ends below random play. *From scratch* no rate
# lifts it much above standing still.
#
# Comparing all at MAML's rate, as one often sees it done, is unfair: MAML leads by some ten points there, and by
# about one when each has its best rate. It is ahead in each of the three seeds, though fine-tuning's band contains
# MAML's mean. That answers the prediction: much less than the first comparison suggests. What do MAML and fine-tuning
# share, then, that a fresh network lacks? It is not that they walk: before the step both stay where they are, since
# neither knows the goal. Section 8 looks at what surrounds them.
#
# *Its limit.* Every rate was chosen on the goals that score it, for all three learners alike. Exercise 05.8 asks what
# an honest report would do.
#
# ## 8. What was learned
#
# The policy has 1,220 parameters, and a goal has two coordinates. *Predict.* In how many directions of parameter
# space do the inner steps of different goals point?
#
# To find out, take goals all around a circle. Weigh their gradients by the cosine of the goal's angle, and you have
# the direction in parameter space that means "further right". Weigh them by the sine, and you have "further up". The
# two directions span a plane in parameter space. How much of an inner step, in squared length, lies in that plane?

# %%
starts = {
    "MAML": lab.start_of(learners["maml 0"]),
    "fine-tuning": lab.start_of(learners["finetune 0"]),
    "a fresh network": lab.start_of(learners["scratch 0"]),
}
planes = {name: lab.plane_at(start) for name, start in starts.items()}
shares = [lab.share_in_plane(start, planes[name]) for name, start in starts.items()]
result("share of a step in the plane: MAML, fine-tuning, fresh", shares, at_least=0.5)

# %% [markdown]
# Nearly all of a step lies in two directions, for all three starts. So one can *look* at it. The map on the right
# shows a goal's return on that plane, with the start in the middle, marked X. Its unit is a step of rate 1 along the
# average gradient, so a step of rate 0.5 goes about half a unit. The white path is what the steps do there, and on
# the left the same steps are walks. **Choose fine-tuning, then a fresh network: what is different about the hill?**

# %%
explored = {name: lab.explore(start, planes[name]) for name, start in starts.items()}
widget.step_explorer(
    explored, lab.ANGLES, lab.DISTANCE, lab.RATES_SHOWN, lab.SIDE, floor=-16
).show()

# %% [markdown]
# The plane itself is no achievement. A move has two coordinates, and near the origin a network hardly bends, so even
# a fresh network's steps lie in it. What differs is the *landscape* on the plane. To compare it for all eight goals,
# each at distance 0.5, the next cell notes the `height` of each goal's hill (its highest return), how far away its
# `top` lies, how far a step of rate 0.5 `travels`, and which rate would have been best.

# %%
hills = lab.hills(explored)
means = hills.groupby("start", sort=False).mean()
show_table(means, "Mean over the eight goals")
height = hills.height.unstack("start")
claim("MAML's hill is the highest, goal by goal", height, "MAML > `fine-tuning`")
claim("a fresh network's hill stays below -5.5", height, "`a fresh network` < -5.5")
how_often = {"MAML": "every", "fine-tuning": "none", "a fresh network": "some"}
claim("a step of 0.5 is too short", hills, "travels < top", how_often, by="start")
best_rate = hills.best_rate.unstack("start")
claim("MAML's best rate is above fine-tuning's", best_rate, "MAML > `fine-tuning`")

# %% [markdown]
# *Reading it*, row by row. **A fresh network** has hills too, and they lie about as far away as MAML's, but they are
# low: their tops stay near -7, hardly above standing still. No step of any length helps, because there is nothing to
# climb to. **Fine-tuning** has hills of some -4. Training on many goals has brought it to a place from which a small
# change of the parameters makes a directed walk. But the hills are narrow and their tops close by, so a step of rate
# 0.5 goes past all of them. **MAML** has the highest hills, up to about -2, and its step of 0.5 travels three
# quarters of the way to their tops. For these goals a somewhat longer step, of 0.6 to 0.9, would have done better
# still; they all lie 0.5 away, and the average goal of training only 0.38.
#
# So this is what MAML learned: a start around which every goal has a high, broad hill, in the direction of its own
# gradient, at the distance that the promised step goes.
#
# *Its limit.* Two directions out of 1,220, in a family whose tasks have just two numbers.
#
# *This is a good place to stop. Lesson 6 starts from here.*
#
# # Lesson 6. At full size, and with other settings
#
# ## 9. At the published size
#
# The paper's setting is larger: 100 moves an episode, a network of 100 x 100, 40 episodes for a step, 100 iterations.
# The results of our runs at that size are stored (three seeds). Standing still now earns -40 and random play -62. The
# number behind a name is the rate of the first inner step; later steps are half as long. In brackets stands the 95%
# interval over seeds. `published` are the authors' own figures on the same 40 goals.

# %%
table, lines = lab.full_size()
print(lab.as_text(table))

# %%
figure_with_alt(
    figures.full_size(table, lines),
    "Return after one, two and three inner steps at full size: MAML at 0.5 leads after "
    "one step, fine-tuning at its own rates catches up by the third",
)
one, three = lab.full_size_by_seed(step=1), lab.full_size_by_seed(step=3)
ahead = "`maml_0.5` > `finetune_0.15`"
claim("after one step, MAML at 0.5 above fine-tuning at 0.15", one, ahead)
ahead = "`maml_0.3` > `finetune_0.1`"
claim("after three, MAML at 0.3 above fine-tuning at 0.1", three, ahead, "some")

# %% [markdown]
# *Reading it*, setting by setting. *MAML at 0.5* goes from -40 to -11 in one step and to -5 in two, and the third
# adds nothing; the authors' MAML does better than ours after two and three steps (-3.3 and -3.2). *MAML at 0.3* is
# slower at first and ends better, at -3.4. *Fine-tuning at 0.5*, MAML's rate, falls to -117 after one step, and
# recovers only to -27. *At 0.15* it reaches -12 after one step, behind MAML in every seed, though the intervals
# overlap. *At 0.1* it reaches -2.8 after three, ahead of MAML's best in two seeds of three. *From scratch* goes from
# -77 to -60 in three steps, still worse than standing still. So on this family MAML is ahead after the first step,
# narrowly, and not after three.

# %% [markdown] tags=["document"]
# **What the paper shows, and what is true**
#
# Beside MAML's -11.7 after one step, the authors' data hold -19.7, then -11.7 and -8.5, for what we take to be
# pre-training (the raw file does not name it). [Their
# test](https://github.com/cbfinn/maml_rl/blob/725c80025d416fd71af419359cb14aa624fbeb47/maml_examples/test_maml_point.py)
# gives both learners MAML's rate, 0.5. At a rate of its own, our pre-training does much better than that, as the
# table shows. Its limit: three seeds, rates chosen on the test goals, and our pre-training bears the rate 0.5 far
# worse than theirs did.

# %% [markdown]
# The stored agent behind the first row can be loaded and run. At full speed this cell trains it anew, which takes six
# minutes on a core.

# %%
agent, walk, card = ml.load("data/checkpoints/maml-point_navigation")
if SPEED == "full":
    agent = ml.make_learner("maml", walk, seed=0, hidden=(100, 100), activation="relu")
    ml.train(agent, walk, iterations(SPEED, quick=100, full=100))
run = ml.evaluate(agent, walk, tasks=walk.published_tasks(), episodes=20, batches=2)
result("the stored agent, run now, after one step", run.mean[1], at_least=-15)

# %% [markdown]
# ## 10. Three knobs
#
# What do the meta-batch, the inner rate and the number of inner steps do? (MAML can look through several inner steps:
# its objective is then the return after the last of them, and the gradient passes back through all.) Here are small
# runs with section 6's outer step, from five seeds each, and all with the *same number of env steps*: a larger
# meta-batch means fewer iterations. Each is tested at the rate that it was trained with. *Predict.* Which knob can be
# set wrongly by a factor of four without harm?

# %%
def compute():
    return lab.sweep(most_iterations())


source = "full" if SPEED == "full" else "peek"  # stored, except at full speed
swept = lab.knob_table(stored_or_run(source, "05_knobs", compute))
figure_with_alt(
    figures.knobs(swept, anchors, floor=-10),
    "Return after one and three steps against meta-batch, inner rate and inner steps",
)
print(lab.knob_means(swept))

# %% [markdown]
# *Reading it*, panel by panel. **Meta-batch:** from 5 to 20 tasks nothing changes that five seeds could show. Two
# tasks are noisier and a little worse after one step (-3.7), and forty leave too few iterations (-3.8, and still -3.0
# after three). **Inner rate:** from 0.1 to 1 it hardly matters *in training*, because MAML fits the start to the step
# that it was promised; 2 is slightly worse, and 4 clearly (-5.1). At *test* time the rate matters much, as section 6
# showed: keep the rate that you trained with. **Steps looked through:** each costs one more batch an iteration. For
# the same env steps, two are as good as one, and three are a little worse, even when three are taken. So the answer
# to the prediction is: the inner rate, and the meta-batch nearly so.
#
# *Its limit.* One easy family and one outer rate. Where one step cannot suffice, more steps may pay.
#
# ## 11. What the documents say
#
# This book mirrors five Chinese articles on meta-reinforcement learning, numbered 000 to 004 (see the README). Two of
# them describe this algorithm. Where they differ from the box above, we can run what they say.

# %% [markdown] tags=["document"]
# **Signs, levels and data**
#
# - Document 000 (3.1) updates the inner and the outer model by gradient *descent* (梯度下降) in order to *maximise*
#   reward. Its 4.2 has a single $\theta$ and no inner step: with the sign put right, that is pre-training.
# - Document 004 (3) trains a policy on each task, records the data of that training, and fits the meta-policy
#   (元策略) to them. Then the outer objective reads what was acted *before* the step, and nothing asks whether the
#   step was good.
# - Document 000 (3.1, step 3) lets the outer model adjust the inner one from context (上下文) on a new task. In MAML
#   the outer model is done by then: a plain policy gradient adapts, and the context is the batch just acted.
# - Document 004's meta-test (元测试), start and then fine-tune, is right.

# %% [markdown]
# The next cell trains all five ways for 40 iterations from one fresh network.


# %%
def reads_inner_data(theta, before, after, alpha):
    return meta_objective(theta, before, before, alpha)  # 004: never acts again


def descends(theta, before, after, alpha):
    return -meta_objective(theta, before, after, alpha)


ways = {
    "ascend, ascend (MAML)": (meta_objective, 0.5),
    "inner descends": (meta_objective, -0.5),
    "outer descends": (descends, 0.5),
    "both descend (000, 3.1)": (descends, -0.5),
    "outer reads inner data (004, 3)": (reads_inner_data, 0.5),
}
for way, (goal, alpha) in ways.items():
    trained, _ = meta_train(lab.fresh(1), 40, alpha, meta_objective=goal)
    after_one = lab.after_steps(trained, alpha, steps=1).mean(0)[1]
    bounds = {"at_least": -5} if way.endswith("(MAML)") else {"at_most": -7}
    result(f"{way}, after one step", after_one, **bounds)

# %% [markdown]
# MAML alone does better than standing still (-8) after its step. The other four end between -9 and -30: whichever
# sign is wrong, or if the outer objective never acts again, nothing useful is learned.
#
# ### Exercise of lesson 6
#
# **05.8 An honest score.** Section 7 chose every learner's inner rate on the goals that scored it. Write what may be
# reported.


# %%
def fair_score(on_training, on_test): ...


check("05.8", fair_score)

# %% [markdown]
# ## Break it
#
# A colleague finds functions of `theta` ugly, and gives each iteration its own network by `copy.deepcopy`. The
# program runs without an error, and its loss goes up and down as losses do. **Find the bug before you read on.**

# %%
import copy


def half_step(own, batch):
    return inner_step(own, objective, batch, 0.5)


def meta_train_modules(policy, taken, iterations=20):
    """The colleague's loop; `taken(policy)` is the network that steps start from."""
    optimizer, losses = torch.optim.Adam(policy.parameters(), lr=0.01), []
    for i in range(iterations):
        tasks = lab.new_goals(10, 0, i)
        own = dict(taken(policy).named_parameters())
        before, _ = lab.act(lab.copies(own, 10), tasks, 2 * i, 10)
        adapted = vmap(half_step)(lab.copies(own, 10), before)
        after, _ = lab.act(adapted, tasks, 2 * i + 1, 10)
        loss = -meta_objective(own, before, after, 0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


policy = lab.new_policy(seed=0)
beginning = [p.clone() for p in policy.parameters()]
losses = meta_train_modules(policy, taken=copy.deepcopy)
result("spread of the losses, which looks like learning", np.std(losses), at_least=1e-5)

# %%
quiz("05.b")

# %% [markdown]
# The diagnosis asks two things: how far did the parameters move, and who holds the gradient?

# %%
changes = [(p - q).abs().max() for p, q in zip(policy.parameters(), beginning)]
print("largest change of a parameter:", max(changes).item())
holders = sum(p.grad is not None for p in policy.parameters())
print("parameters of `policy` with a gradient:", holders)

# %% [markdown]
# The loss goes to a copy, and the optimiser holds the original. The mended program makes no copy: it hands the
# parameters themselves to the functions. Here are twenty iterations of it, beside the broken ones.

# %%
repaired = lab.new_policy(seed=0)
meta_train_modules(repaired, taken=lambda policy: policy)  # no copy
good, bad = (lab.after_steps(lab.parameters_of(p))[:, 1] for p in (repaired, policy))
result("after one step, mended minus broken", (good - bad).mean(), at_least=1)

# %% [markdown]
# This is a real bug. [garage's
# MAML](https://github.com/rlworkgroup/garage/blob/b5f72593cdf05254c438def8333849e8a55d73eb/src/garage/torch/algos/maml.py)
# sends its value function's loss to a deep copy, so the baseline in use never trains, and nothing raises an error.
# After the first iteration of anything, print how far each parameter moved.
#
# ## Summary
#
# - MAML learns where learning starts: it maximises the return *after* an inner step, and its gradient passes back
#   through that step.
# - The meta-gradient has two factors: what would help the adapted parameters, and how much of a push at the start
#   arrives there. First order forgets the second.
# - Before the step nothing improves; after it, -8 became -3. On the map, every goal has a high and broad hill one
#   step away.
# - An inner rate means nothing without its conventions: here a mean over moves, and advantages without a unit.
# - The honest rival is pre-training *at its own rate*. MAML's lead there is about one point, not ten, and at full
#   size it is gone after three steps.
#
# ## What to read
#
# - [Finn, Abbeel and Levine 2017](https://arxiv.org/abs/1703.03400), sections 2, 3 and 5.3: the paper; its algorithms
#   1 and 3 are our boxes.
# - [Antoniou et al. 2019](https://arxiv.org/abs/1810.09502): what makes MAML hard to train.
# - [Raghu et al. 2020](https://arxiv.org/abs/1909.09157): rapid learning or feature reuse? Chapter 07 takes this up.
#
# ## What comes next
#
# Our gradient took the batch before the step as given, although the start decides what is in it. [Chapter
# 06](06_the_meta_gradient.ipynb) asks what that costs, and how to repair it.
