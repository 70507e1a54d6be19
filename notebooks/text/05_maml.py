# %% [markdown]
# # 05 MAML: an initialisation that learns in one step
#
# **Reading time:** 360 min, exercises included, in six lessons of about an hour. **Run time:** 60 s.
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
announce(SPEED, {"peek": 35, "quick": 60, "full": 600})

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
# For parabolas one can solve this on paper, for a network's return nobody can. So we climb. For that we need the
# slope of $J^\text{meta}$: the **meta-gradient** (元梯度). Write $s_i(x)$ for the slope of task $i$'s return when the
# dial stands at $x$, and $b_i(x)$ for the slope of the slope there, its second derivative. Now ask: how does the
# return after the step, $J_i(\theta_i')$, change when the *start* $\theta$ moves a little?
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
# (The paper's box differs in three small things. It descends losses, and we climb returns. It draws new tasks in each
# iteration, and we take all there are, since there are two. It adds over tasks, and we take the mean, so that $\beta$
# does not depend on how many there are.)
#
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
# $(1-\alpha)+3(1-3\alpha)=4-10\alpha$. At $\alpha=0.4$ that is 0: what is left is a constant push, and it drives the
# start on and on. Beyond 0.4 it is negative, and the further the start has gone, the faster it runs away.

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
# \nabla J(\theta)\;\propto\;\frac1M\sum_{t=1}^{M}\hat A_t\,\nabla\log\pi_\theta(a_t\mid s_t).
# $$
#
# $\pi_\theta(a_t\mid s_t)$ is the probability (density) that the policy gave to the move $a_t$ at the place $s_t$.
# The **advantage** $\hat A_t$ says how much better the rest of the episode went than was to be expected at that place
# and time; what was to be expected is read off the other episodes of the same task. The sign $\propto$ says
# "proportional to, but for noise": the sum points along the gradient, and its length depends on conventions, to which
# we come now. In simple words: *make what went better than expected more likely, and what went worse less likely.*
# (The advantages count a reward that comes $n$ moves later only $0.99^n$ times. This usual discount hardly changes 20
# moves, where $0.99^{20}=0.82$; the returns that we report are not discounted.)
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
# - *Advantages without a unit.* The code divides each task's advantages by their standard deviation. The dial has no
#   moves and no advantages; suppose that its slopes were estimated from random moves. Task B is three times as steep,
#   so its advantages would spread three times as wide, and dividing by the spread makes B's slope 0.5 where it was
#   1.5. Now both tasks step equally far from 0.5: A to 0.375, B to 0.625.
#
# The second convention changes what MAML can learn, and in two ways. *Inside:* with B's step cut to a third, a push
# at the start arrives in B by the factor $1-0.25\cdot3/3=0.75$, just as in A. *Outside:* the pull of a task on the
# start will be estimated from episodes, too (those acted *after* the step, section 6), and the code divides their
# advantages in the same way, so B's pull on the start is also cut to a third. Then nothing tells the two tasks apart
# any more, and MAML rests in the middle, at 0.5. Pre-training treated so rests there as well. (To keep it short we
# took the spread as fixed, 1 for A and 3 for B. In the code it changes with the start, but the gradient treats it as
# given.)
#
# So a loop with this convention does not climb the mean return $J^\text{meta}$ of section 2. It climbs a mean in
# which each task counts one over the spread of its advantages. On the dial that took away all that was special about
# MAML.

# %% [markdown]
# Why do it, then? Because the rate then fits tasks with small and with large rewards alike: a step goes about equally
# far in all of them. And is anything left for MAML to learn? On the dial nothing, because a parabola bends everywhere
# alike. A network does not: MAML can choose a start around which a step of just this length changes the behaviour by
# the right amount. Section 8 shows that it does. And the tasks that follow differ only in where the goal lies: for a
# fresh network, as the next cell shows, none of five weighs twice as much as another.

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
# one such step, and then another two, each after 20 new episodes. Every later step has half the rate of the first, as
# in the paper. Where between -8 (standing still) and -0.5 (knowing the goal) does it end?

# %%
unprepared = lab.after_steps(lab.fresh(0)).mean(0)
print("return of a fresh network over the 40 goals")
result("before any step", unprepared[0], at_least=-10.5, at_most=-8.5)
steps = unprepared[1:]
result("after one, two and three steps", steps, at_least=-9, at_most=-6.5)

# %% [markdown]
# It began at -9.5, which is worse than standing still, because it moves at random. Three steps from 60 episodes take
# it to about -7, still closer to standing still than to the goal. One could blame the rate; section 7 tries eleven
# for the first step, from 0.03 to 2, and none helps this network much. The rate is not at fault. Where the step
# starts is.
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
# soon as it passes its check. (It runs them for all tasks at once. Should yours be right, but not able to do that,
# the cell says so and the page goes on with ours.)

# %% tags=["hide-input"]
def our_surrogate(log_prob, advantage, live):
    return (log_prob * advantage).sum() / live


def our_inner_step(theta, objective, batch, alpha):
    gradient = grad(objective)(theta, batch)
    return {name: p + alpha * gradient[name] for name, p in theta.items()}


def our_after_adapting(theta, before, after, objective, alpha):
    adapted = our_inner_step(theta, objective, before, alpha)
    return objective(adapted, after)


yours = {
    "surrogate": yours_or_ours("05.3", surrogate, our_surrogate),
    "inner_step": yours_or_ours("05.4", inner_step, our_inner_step),
    "after_adapting": yours_or_ours("05.5", after_adapting, our_after_adapting),
}
ours = {
    "surrogate": our_surrogate,
    "inner_step": our_inner_step,
    "after_adapting": our_after_adapting,
}
# yours, unless it is right for one task and cannot run for all of them at once
surrogate, inner_step, after_adapting = lab.for_all_tasks(yours, ours)

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
# What does "judge by the surrogate" mean, when its value means nothing? Only its gradient counts, and that is section
# 2's formula, with surrogates in the place of returns, $L_i$ of the episodes before and $L_i^{\text{new}}$ of those
# after the step:
#
# $$
# \frac1T\sum_i\bigl(I+\alpha\nabla^2L_i(\theta)\bigr)\,\nabla L_i^{\text{new}}(\theta_i').
# $$
#
# (The paper writes losses, to be descended, and a sum over tasks; we write returns and means, as before. And since
# the advantages of both batches are divided by their spread, the mean of step 5 is the weighted one of section 4.)
#
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
before = history[:, 0] - lab.standing_still(seed=0, iterations=len(history))
print("before the step, minus standing still on the same goals")
result("first 10 iterations", before[:10].mean(), at_least=-2, at_most=-0.7)
result("last 20 iterations", before[-20:].mean(), at_least=-0.5, at_most=0.2)
print("after the step")
early, *later = history[:, 1].reshape(5, 20).mean(1)
result("iterations 0 to 19", early, at_least=-6.5, at_most=-4.8)
result("iterations 20 to 39", later[0], at_least=-4.7, at_most=-3.4)
result("each 20 from 40 on", later[1:], at_least=-4.3, at_most=-3.2)

# %%
mine = lab.after_steps(theta).mean(0)
gap = mine[0] - anchors["standing still"]
print("on the 40 test goals")
result("before the step, minus standing still", gap, at_least=-0.6, at_most=0.2)
result("after one step", mine[1], at_least=-3.6, at_most=-2.5)
from_ten = lab.after_steps(theta, steps=1, episodes=10).mean(0)[1]
result("after a step from 10 episodes", from_ten, at_least=-4.2, at_most=-3)
result("what the other 10 were worth", mine[1] - from_ten, at_least=0.1)

# %% [markdown]
# *Reading it.* The return after the step, the upper curve, climbs to about -4 within twenty iterations and to -3.6 by
# the fortieth. From there on it is level. The return before the step, the lower curve, rises too, but only from
# random play to standing still: in the first ten iterations it lies a point below what standing still earns on the
# same goals, in the last twenty 0.2 below it. (Where it goes up and down from one iteration to the next, near and far
# goals were drawn.) On the 40 test goals, which training never saw, it is the same: 0.2 below standing still before
# the step, and -3 after it. That is better than in training. A third of the difference is that a step is made from 20
# episodes here, and from 10 there; the rest we did not trace.
#
# That the lower curve stops at standing still is no failure. Before the step the policy cannot know the goal, so no
# walk is better than staying put, and MAML was never asked for a good policy. It was asked for a start from which one
# step makes a good policy. As with the dial, the return before the step does not show what a start is worth.
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
# and the new distribution of moves, here at most 0.03. Each learner is trained for 45 iterations, from three seeds.
#
# A rate that suits MAML need not suit its rival. So each start is tried at eleven inner rates, which lie closest
# where either learner is best. And who chooses a rate on the goals that score it flatters the learner, because the
# best of eleven tries is partly luck. So each learner's rate is *chosen* on 40 goals drawn as in training, one rate
# for all its seeds, and *scored* on the 40 test goals. *Predict.* Each at its own rate: by how much does MAML win?

# %%
def train():
    rounds = iterations(SPEED, quick=45, full=100)
    return lab.train_both(at_speed(SPEED, quick=3, full=5), rounds)


learners = lab.learners_of(stored_or_run(SPEED, "05_agents", train))
rates = (0.03, 0.06, 0.12, 0.15, 0.18, 0.25, 0.35, 0.5, 0.7, 1.0, 2.0)
scan = lab.scan(learners, rates)

# %%
figure_with_alt(
    figures.rate_scan(scan, anchors, floor=-20),
    "Return after one step against inner rate: MAML peaks at its own rate, "
    "fine-tuning at a smaller one",
)
by_rate = scan.pivot_table(index="learner", columns="rate", values="after")
show_table(by_rate, "Return after one step on the 40 test goals, by rate", 1)
at_half = scan[scan.rate == 0.5]
at_half = at_half.pivot(index="seed", columns="learner", values="after")
result("MAML at its own rate 0.5, by seed", at_half.maml, at_least=-4, at_most=-2)
claim("at 0.5 MAML leads fine-tuning by over 5", at_half, "maml - finetune > 5")
claim("at 0.5 fine-tuning ends below random play", at_half, "finetune < -9")

# %%
rate = lab.chosen_rates(scan)
result("MAML's chosen rate", rate.maml, at_least=0.35, at_most=0.7)
result("fine-tuning's chosen rate", rate.finetune, at_least=0.1, at_most=0.25)
chosen = lab.at_chosen_rates(scan)
show_table(chosen, "Return after one step, each at its chosen rate")
claim("MAML leads", chosen, "maml > finetune", "most")
leads, (lead, low, high) = lab.lead(chosen.maml, chosen.finetune)
result("MAML's mean lead", lead, at_least=0, at_most=3, interval=(low, high))
shrunk = {"own": leads, "half": at_half.maml - at_half.finetune}
claim("the lead is less than half of that at 0.5", shrunk, "own < half / 2")
fresh_ones = chosen.scratch
result("a fresh network, by seed", fresh_ones, at_least=-8.5, at_most=-6.5)

# %% [markdown]
# Bands in the figure are 95% intervals (Student's, over three seeds). *Reading it*, curve by curve. *MAML* rises
# towards its own rate, 0.5, where it earns -3, and falls off on both sides. *Fine-tuning* is best at 0.15, with about
# -4 and a wide band, since its seeds differ; at 0.5 one step throws it far past the goals, and it ends below random
# play. *From scratch* no rate lifts it by more than about a point above standing still (-8).
#
# Comparing all at MAML's rate, as one often sees it done, is unfair: MAML leads by some ten points there. With rates
# that were chosen on other goals it is ahead in all three seeds here, by 0.2, 2.3 and 0.5, one point in the mean. How
# sure is that? The two learners of a seed begin with the same numbers, so the lead is taken seed by seed, and the
# interval in brackets is that of these three differences. It reaches from about -2 to 4: three seeds cannot tell the
# mean lead from none. (Another machine rounds otherwise. MAML's training hardly minds. Fine-tuning's ends elsewhere,
# as from another seed: the nets that we stored from an earlier run give leads of 0.9, 1.1 and 0.7. Those three alone
# would exclude a mean lead of zero: from three seeds even the interval is a matter of luck.) So the answer to the
# prediction is: much less than the first comparison suggests, probably more than nothing.
#
# What do MAML and fine-tuning share, then, that a fresh network lacks? It is not that they walk: before the step both
# stay where they are, since neither knows the goal. Section 8 looks at what surrounds them.
#
# *Its limit.* Three seeds of each, one family, and a rate found on 40 goals.
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
result("share of a step in the plane: MAML, fine-tuning, fresh", shares, at_least=0.9)

# %% [markdown]
# Nine tenths of a step and more lie in two directions, for all three starts. So one can *look* at it. The map on the
# right shows a goal's return on that plane, with the start in the middle, marked X. Its unit is a step of rate 1
# along a gradient of average length, so a step of rate 0.5 goes about half a unit, for one goal a little more and for
# another a little less. The white path is what the steps do there, and on the left the same steps are walks. **Choose
# fine-tuning, then a fresh network: what is different about the hill?** (The map is made for the eye: its points lie
# 0.15 apart, so a hill that is no larger than that looks lower than it is. We measure on finer points below.)

# %%
explored = {name: lab.explore(start, planes[name]) for name, start in starts.items()}
widget.step_explorer(
    explored, lab.ANGLES, lab.DISTANCE, lab.RATES_SHOWN, lab.SIDE, floor=-16
).show()

# %% [markdown]
# The plane itself is no achievement. A move has two coordinates, and near the origin a network hardly bends, so even
# a fresh network's steps lie in it. What differs is the *landscape* on the plane. We measure it for eight goals
# around a circle, each at distance 0.5, and for all seeds: along 24 directions from the start, at 30 distances from
# 0.02 to 1.5, each 16 per cent further out than the one before. So a hill close by is seen as finely as one far away.
# For each start the table tells, over its eight goals:
#
# - `height`: the highest return on the plane, in the mean over goals;
# - `off`: the angle, in degrees, between a goal's own gradient and the direction of that top, in the mean;
# - `top`: going straight along the goal's gradient, how far off the highest return lies, in the mean. The unit is the
#   rate: a step of rate 0.5 goes 0.5;
# - `uneven`: the farthest of the eight tops over the nearest;
# - `broad`: along the gradient the return is above -6 from some distance on, up to another one. This is the far one
#   over the near one, the median over goals;
# - `opens`, `closes`: the shortest and the longest step that bring *all eight* goals above -6. Where `opens` is the
#   larger of the two, no step does.

# %%
hills = lab.hills(learners)
summary = lab.over_goals(hills)
show_table(summary, "The hills of eight goals around each start")
column = {name: summary[name].unstack("learner") for name in summary}
height = column["height"]
result("mean height: MAML", height.maml.mean(), at_least=-2.6, at_most=-1.6)
result("mean height: fine-tuning", height.finetune.mean(), at_least=-3, at_most=-1.6)
claim(
    "as high as each other, to within a point",
    height,
    lambda row: (row.maml - row.finetune).abs() < 1,
    "most",
)
lower = "scratch + 3 < finetune and scratch + 3 < maml"
claim("a fresh network's are over 3 points lower", height, lower)
fresh_height = height.scratch
result("mean height: fresh", fresh_height, at_least=-7.5, at_most=-6)

# %%
off, top, uneven = column["off"], column["top"], column["uneven"]
result("MAML's top off its gradient, degrees", off.maml, at_most=12)
result("MAML's top along the gradient", top.maml, at_least=0.5, at_most=0.8)
claim("fine-tuning's lies closer", top, "finetune < maml", "most")
result("MAML's farthest top over its nearest", uneven.maml, at_most=1.8)
claim("fine-tuning's tops are less even", uneven, "finetune > maml", "most")
broad = column["broad"]
result("breadth: MAML", broad.maml, at_least=2, at_most=4.5)
result("breadth: fine-tuning", broad.finetune, at_least=2, at_most=4.5)
how_often = {"maml": "every", "finetune": "none", "scratch": "none"}
lifted = "opens < 0.5 and 0.5 < closes"
claim("a step of 0.5 lifts all goals", summary, lifted, how_often, by="learner")

# %% [markdown]
# *Reading it*, column by column.
#
# (Where the table says `nan`, the return never rises above -6 along the gradient.)
#
# **Height.** A fresh network has hills too, but low ones: their tops are at about -6.6, some 3 points above standing
# still (which earns -10 on these goals) and far below the -2 of the others. Nowhere on its plane is a policy that
# walks to the goal. Around MAML and around fine-tuning there is one for every goal, and *equally good ones*: the mean
# heights are within a point of each other in every seed, and nearly equal in two of the three. So it is not that MAML
# brings the network near better policies. Pre-training, which never thought of a step, brings it just as near.
#
# **Place.** What differs is where the hills stand. MAML's tops lie straight ahead: a goal's own gradient points at
# its top to within a few degrees, in all three seeds (and in two of fine-tuning's). They lie at one distance for all
# goals, the farthest at most 1.4 times as far as the nearest. And this distance, 0.6 to 0.7, fits the step that was
# promised: a step of 0.5 goes three quarters of the way and more. (For these goals, all at 0.5, a step of 0.6 to 0.7
# would be better still; the goals of training lie 0.38 away on average.) Fine-tuning's tops stand where they happen
# to. Around seeds 0 and 2 they are straight ahead and nearly even as well, but a quarter and a third as far away as
# MAML's, so a step of 0.5 goes far past them. Around seed 1 they are off the gradient, and not alike: the farthest is
# ten times as far away as the nearest.
#
# **Breadth.** On the map MAML's hill looks much broader, and in that unit it is. But nobody must take large steps;
# around fine-tuning's start one takes a smaller rate. What counts for the choice of a rate is by what *factor* it may
# be wrong, and this is about 3 for MAML and for fine-tuning alike. Fine-tuning's hill of seed 0 is MAML's hill, drawn
# four times smaller.
#
# **All goals at once.** You must choose the rate before you know the goal. From each of MAML's starts steps from 0.4
# to 0.7 lift all goals, and 0.5 is among them. For fine-tuning's seeds 0 and 2 there is such a rate too, closer by.
# For its seed 1 there is none: what is long enough for one goal is too long for another. That is the seed that fell
# behind by 2.3 points in section 7.
#
# So this is what MAML learned: not better places to go to, but *a start from which they all lie straight ahead, at
# the distance of the promised step*. That is what its objective asks for, and pre-training's does not.
#
# *Its limit.* Two directions out of 1,220, goals at one distance in a family whose tasks have just two numbers, and
# three seeds (on another machine fine-tuning's rows come out otherwise, as section 7 said; what the lines below the
# table claim holds there too). A height is the highest of many noisy means: with four times as many points the mean
# heights rise by 0.1 to 0.3, so differences of 0.3 mean nothing.
#
# *This is a good place to stop. Lesson 6 starts from here.*
#
# # Lesson 6. At full size, and with other settings
#
# ## 9. At the published size
#
# The paper's setting is larger: 100 moves an episode, a network of 100 x 100, 40 episodes for a step, 100 iterations.
# The results of our runs at that size are stored (three seeds). Standing still now earns -40 and random play -62. The
# number behind a name is the rate of the first inner step; later steps have half that rate. In brackets stands the
# 95% interval (Student's t over three seeds: where the seeds differ much it is so wide that it reaches returns that
# no one can earn). `published` are the authors' own figures on the same 40 goals. MAML was trained here for *one*
# inner step: the second and the third lie outside its objective.

# %%
table, lines = lab.full_size()
print(lab.as_text(table))

# %%
figure_with_alt(
    figures.full_size(table, lines),
    "Return after one, two and three inner steps at full size: MAML at 0.5 leads after "
    "one step, fine-tuning at its own rates catches up by the third",
)
one, two, three = (lab.full_size_by_seed(step=n) for n in (1, 2, 3))
claim("after one step, MAML at 0.5 leads", one, "`maml_0.5` > `finetune_0.15`")
ahead, (mean, low, high) = lab.lead(one["maml_0.5"], one["finetune_0.15"])
result("its mean lead", mean, at_least=0.5, at_most=3, interval=(low, high))
claim("after two, it leads", two, "`maml_0.5` > `finetune_0.15`", "some")
claim("after three, MAML at 0.3 leads", three, "`maml_0.3` > `finetune_0.1`", "some")
ahead, (mean, low, high) = lab.lead(three["maml_0.3"], three["finetune_0.1"])
result("its mean lead", mean, at_least=-2, at_most=1, interval=(low, high))
claim("after three, MAML at 0.3 above MAML at 0.5", three, "`maml_0.3` > `maml_0.5`")
third = three["maml_0.5"] - two["maml_0.5"]
result("what the third step adds to MAML at 0.5", third, near=0, within=0.5)
claim("after one step, fine-tuning at 0.5 below -80", one, "`finetune_0.5` < -80")
claim("after three, a fresh network below -40", three, "`scratch_0.5` < -40")

# %% [markdown]
# *Reading it*, setting by setting. *MAML at 0.5* goes from -40 to -11 in one step and to -5 in two, and the third
# adds nothing; the authors' MAML does better than ours after two and three steps (-3.3 and -3.2). *MAML at 0.3* is
# slower at first and ends better, at -3.4. *Fine-tuning at 0.5*, MAML's rate, falls to -117 after one step, and
# recovers only to -27. *At 0.15* it reaches -12 after one step. *At 0.1* it is slower and reaches -2.8 after three.
# *From scratch* goes from -77 to -60 in three steps, still worse than standing still.
#
# Who is ahead, each at its best rate? Again we compare seed by seed. *After one step*, for which MAML was trained, it
# leads in all three seeds, by 1.6 points, and the interval of that, 0.8 to 2.5, is above 0. *After two* it leads in
# one seed and trails a little in two: undecided. *After three* MAML at 0.3 leads fine-tuning at 0.1 in one seed and
# trails in two, and the interval, -3.2 to 2.1, holds 0: undecided too. So MAML keeps what it was asked for, the best
# first step, and nothing says that this start is the better one for longer learning. One can train for three steps,
# too; section 10 shows that in our small family it did not pay.

# %% [markdown] tags=["document"]
# **What the paper shows, and what is true**
#
# Beside MAML's -11.7 after one step, the authors' data hold -19.7, then -11.7 and -8.5, for what we take to be
# pre-training (the raw file does not name it). [Their
# test](https://github.com/cbfinn/maml_rl/blob/725c80025d416fd71af419359cb14aa624fbeb47/maml_examples/test_maml_point.py)
# gives both learners MAML's rate, 0.5. At a rate of its own, our pre-training does much better than that, as the
# table shows. Its limit: three seeds, rates of ours chosen on the test goals (section 7 was stricter), and our
# pre-training bears the rate 0.5 far worse than theirs did.

# %% [markdown]
# The stored agent behind the first row can be loaded and run. At full speed this cell trains it anew, which takes six
# minutes on a core.

# %%
agent, walk, card = ml.load("data/checkpoints/maml-point_navigation")
if SPEED == "full":
    agent = ml.make_learner("maml", walk, seed=0, hidden=(100, 100), activation="relu")
    ml.train(agent, walk, iterations(SPEED, quick=100, full=100))
run = ml.evaluate(agent, walk, tasks=walk.published_tasks(), episodes=20, batches=2)
result("the stored agent, after one step", run.mean[1], at_least=-13, at_most=-9)

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
# Seeds differ as much as settings do, and seed 0 begins with the same network in every setting. So we compare seed by
# seed with the usual setting, ten tasks, rate 0.5 and one inner step: the mean difference over five seeds, and half
# the width of its 95% interval. A difference counts as seen when its interval leaves out 0.

# %%
against = lab.knob_differences(swept)
print("against the usual setting (10 tasks, rate 0.5, 1 step)")
print(lab.differences_as_text(against))
worse = dict.fromkeys(against.index.get_level_values("setting"), "none")
for rate in (1, 2, 4):
    worse[f"inner rate: {rate}"] = "every"
worse["tasks in a meta-batch: 40"] = "every"
worse["inner steps looked through: 3"] = "some"
claim("seen to be worse, after one and three", against, "high < 0", worse, by="setting")

# %% [markdown]
# *Reading it*, panel by panel. **Meta-batch:** five tasks do as well as ten. Two are noisier, and their mean after
# one step is lower by 0.4, but their seeds differ so much that this may be chance. Twenty are on the edge: no worse
# after one step, and 0.14 lower after three, which is just what the interval allows. Forty leave too few iterations:
# they are 0.4 lower after one step and 0.9 after three. **Inner rate:** *downwards* it does no harm. A fifth of the
# usual rate is as good after one step and a little better after three, because MAML fits the start to the step that
# it was promised. *Upwards* it does: twice the rate costs 0.1 after one step and 0.2 after three, four times 0.4 and
# 0.6, eight times 1.8 and 3.3. **Steps looked through:** each costs one more batch an iteration. For the same env
# steps, two are as good as one, and three are worse after one step, and no better even when three are taken. So the
# answer to the prediction is: the inner rate, but only downwards. The meta-batch can be halved; four times too large,
# it harms.
#
# Training and test rate changed together here. With a start once trained, the rate at *test* time matters much
# (section 7), and which one is best depends on what is asked. For one step and goals like those of training it is the
# rate that MAML was trained with. For goals further away it is somewhat larger (section 8), and for three steps at
# full size it was smaller (section 9).
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
#   (元策略) to them. Which of them judge the meta-policy, it does not say: read literally, the outer objective may
#   read what was acted *before* the step, and then nothing asks whether the step was good. Its formula (4.2) is
#   right: the meta-policy is judged by trajectories of the policy that it generates, and that is MAML's own
#   objective.
# - Document 000 (3.1, step 3) lets the outer model adjust the inner one from context (上下文) on a new task. In MAML
#   the outer model is done by then: a plain policy gradient adapts, and the context is the batch just acted.
# - Document 004's meta-test (元测试), start and then fine-tune, is right.

# %% [markdown]
# First the signs: each wrong way is trained for 15 iterations from a fresh network.


# %%
def descends(theta, before, after, alpha):
    return -meta_objective(theta, before, after, alpha)


signs = {
    "inner descends": (meta_objective, -0.5),
    "outer descends": (descends, 0.5),
    "both descend (000, 3.1)": (descends, -0.5),
}
for way, (goal, alpha) in signs.items():
    trained, _ = meta_train(lab.fresh(1), 15, alpha, meta_objective=goal)
    after_one = lab.after_steps(trained, alpha, steps=1).mean(0)[1]
    result(f"{way}, after one step", after_one, at_most=-9)

# %% [markdown]
# Standing still earns -8. With a wrong sign the trained start ends below that after its step, from -10 down to -30.
#
# Now document 004's section 3, read literally: the outer objective judges by the batch from before the step.
# *Predict.* Does it learn anything? It is trained from three fresh networks for 40 iterations, and MAML beside it.


# %%
import pandas as pd


def reads_inner_data(theta, before, after, alpha):
    return meta_objective(theta, before, before, alpha)  # never looks at `after`


course = {}
for way, goal in (("maml", meta_objective), ("inner_data", reads_inner_data)):
    for seed in (1, 2, 3):
        _, history = meta_train(lab.fresh(seed), 40, meta_objective=goal)
        course[way, seed] = history[:, 1].reshape(4, 10).mean(1)  # after the step
tens = ["0 to 9", "10 to 19", "20 to 29", "30 to 39"]
course = pd.DataFrame(course, tens).T.rename_axis(["outer reads", "seed"])
show_table(course, "Return after the step in training, by iterations", 1)
second, last = (course[ten].unstack(0) for ten in ("10 to 19", "30 to 39"))
apart = "-0.8 < maml - inner_data and maml - inner_data < 0.8"
claim("10 to 19: alike, to within 0.8", second, apart)
claim("30 to 39: MAML is over 3 ahead", last, "maml > inner_data + 3")
lost = course.rename(columns={"10 to 19": "second", "30 to 39": "last"})
how_often = {"maml": "none", "inner_data": "every"}
claim("lost over 2", lost, "second - last > 2", how_often, by="outer reads")

# %% [markdown]
# *Reading it*, row by row. MAML rises from -7 to -3.7. The literal reading keeps up for twenty iterations, in all
# three seeds, and then loses everything again: by iterations 30 to 39 it is down to -8 and -9, at standing still or
# below. The likely reason: a batch describes policies near the one that acted it. As long as a step changes the
# policy little, judging the adapted policy by the old batch is not far wrong. The better the start learns to turn one
# step into a large change, the less the old batch says about where the step ends, and nobody looks. Had we stopped at
# iteration 20, we would have called this reading right. So who reads section 3 of document 004 should read its
# formula too.
#
# ### Exercise of lesson 6
#
# **05.8 An honest score.** Section 7 chose each learner's inner rate on some goals and scored it on others. Write
# that rule.


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
spread = np.std(losses)
result("spread of the losses, which looks like learning", spread, at_least=0.01)

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
# - Before the step MAML's return rises from random play to standing still, and no further; after it, -8 became -3.
# - What it learned is a start from which good policies for all goals lie straight ahead, at the distance of the
#   promised step. Pre-training's start has equally good ones near it, at distances that happened to come out.
# - An inner rate means nothing without its conventions: here a mean over moves, and advantages without a unit. The
#   second also weighs tasks, so this loop does not climb the plain mean of the returns.
# - The honest rival is pre-training *at its own rate*. MAML's lead there is about one point, not ten: ahead in all
#   three seeds, by 0.2 to 2.3, which cannot tell the mean lead from none. At full size it is clear after one step
#   (0.8 to 2.5) and undecided after two and three, for which this MAML was not trained.
# - In training the inner rate may be too small without harm, not too large.
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
