# %% [markdown]
# # NN TITLE
#
# **Reading time:** 45 min. **Run time:** 5 s.
#
# ## What you will be able to do
#
# - Say, in your own words, what a running mean is, and compute two steps of it on paper.
# - Write the update, and the whole loop around it.
#
# ## The question
#
# This page is a pattern. It teaches one small idea by the ladder that every chapter climbs (DESIGN section 5 says
# why): a scene with numbers, a picture, a prediction, the equation, the algorithm box, the code, one result, and
# its reading. Put your own chapter in its place, rung by rung.

# %%
import numpy as np

from metarl_lab.chapters.chNN_name.figures import step_towards, track
from metarl_lab.chapters.chNN_name.widget import rate_explorer
from metarl_lab.teach import announce, check, hint, quiz, result, solution, speed
from metarl_lab.teach.figures import figure_with_alt

SPEED = speed()  # "peek", "quick" or "full"
announce(SPEED, {"peek": 1, "quick": 2, "full": 2})

# %% [markdown]
# ## A scene with numbers
#
# A machine has just paid you 1. Before, you believed that it pays 0.2 on average. You are not sure of either number,
# so you meet the new one a quarter of the way: the surprise is $1 - 0.2 = 0.8$, a quarter of it is 0.2, and your new
# belief is $0.2 + 0.2 = 0.4$. It pays 1 again. The surprise is now only 0.6, and you move
# to $0.4 + 0.15 = 0.55$.
#
# ## A picture
#
# The picture shows the first of these two steps: what was believed, what was seen, and how far the belief moves.

# %%
figure_with_alt(
    step_towards(0.2, 1.0, 0.25),
    alt="A line from 0 to 1: belief at 0.2, reward at 1, an arrow a quarter of the way",
)

# %% [markdown]
# *Predict.* If the machine pays 1 every time, how many steps does it take until you believe in more than 0.9?
# Write your guess down.
#
# ## The equation
#
# Write $q$ for the belief, $r$ for the reward that was just seen, and $\alpha$ for the share of the way, between
# 0 and 1. Then one step is
#
# $$
# q \leftarrow q + \alpha\,(r - q).
# $$
#
# In simple words: *move a share $\alpha$ of the surprise.* The surprise $r - q$ is the **prediction error** (预测误差).

# %% [markdown] tags=["algorithm"]
# **Algorithm NN.1: a running mean** (Sutton and Barto 2018, section 2.4)
#
# 1. Begin with a belief $q$.
# 2. See a reward $r$.
# 3. Move: $q \leftarrow q + \alpha (r - q)$. Go back to step 2.

# %% [markdown]
# ## The code
#
# The loop below is the box, line by line. It keeps every belief on the way, so that the path can be drawn.


# %%
def running_mean(rewards, start, alpha):
    """Beliefs before and after each reward; rewards (N,), returns (N + 1,)."""
    beliefs = [start]  # 1. begin
    for reward in rewards:  # 2. see a reward
        surprise = reward - beliefs[-1]
        beliefs.append(beliefs[-1] + alpha * surprise)  # 3. move a share of it
    return np.array(beliefs)


# %% [markdown]
# ## One result
#
# The next cell runs it on ten rewards of 1 and asks after how many of them the belief exceeds 0.9.

# %%
beliefs = running_mean(np.ones(10), start=0.2, alpha=0.25)
figure_with_alt(
    track({"belief": beliefs}, {"what is paid": 1.0}),
    alt="The belief against rewards seen: it rises fast at first, then more slowly",
)
first = int(np.argmax(beliefs > 0.9))
result("rewards until the belief exceeds 0.9", first, near=8, within=0.5)

# %% [markdown]
# *Reading it.* The gap to 1 shrinks by the factor $1 - \alpha = 0.75$ at every step, because each step takes away
# a quarter of what is left. It begins at 0.8 and must fall below 0.1, and $0.8 \cdot 0.75^n < 0.1$ first holds
# for $n = 8$. If you guessed fewer, you may have thought of steps of one size: they shrink with the surprise.
#
# *Its limit.* A machine whose pay drifts is followed with a delay, and a larger $\alpha$ follows faster but also
# follows every accident. Move the slider: where is the belief steady, and where is it quick?

# %%
rate_explorer().show()

# %%
quiz("NN.a")

# %% [markdown] tags=["document"]
# **What the document says, and what is true**
#
# Where one of the source documents is wrong, a box like this one says what it says, what is true, and shows it by
# a cell.

# %% [markdown]
# ## Exercises
#
# Write your answer over the `...` and run the cell. Until then it shows the task.
#
# **NN.1** One step of the running mean.


# %%
def step(q, reward, alpha): ...


check("NN.1", step)

# %%
hint("NN.1")

# %% [markdown]
# **NN.2** How much of the first belief is left after $n$ steps?


# %%
def left_of_start(alpha, n): ...


check("NN.2", left_of_start)

# %% [markdown]
# **NN.3** The whole algorithm, from the parts that you wrote.


# %%
def beliefs_of(rewards, start, alpha): ...


check("NN.3", beliefs_of)

# %% [markdown]
# ## Break it
#
# A colleague stores the beliefs in an array made from the first one, which is a whole number: `np.full(3, 0)`
# holds whole numbers only. Nothing is raised, and every belief is cut down to 0. The mended program is below it.

# %%
rewards = np.ones(2)
broken, mended = np.full(3, 0), np.full(3, 0.0)
for beliefs in (broken, mended):
    for n, reward in enumerate(rewards):
        beliefs[n + 1] = beliefs[n] + 0.25 * (reward - beliefs[n])
print("broken:", broken.tolist(), " mended:", mended.tolist())

# %% [markdown]
# ## Summary
#
# - A running mean moves a share of the surprise, so that what is left of the first belief shrinks by a factor.
#
# ## What to read
#
# - [Sutton and Barto 2018](http://incompleteideas.net/book/the-book-2nd.html), section 2.4.
#
# ## What comes next
#
# Say which question this chapter leaves open, and which chapter takes it up.
