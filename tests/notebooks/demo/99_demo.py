# %% [markdown]
# # 99 A demonstration
#
# **Reading time:** 1 min. **Run time:** 5 s.
#
# ## What you will be able to do
# See that the tools work.
#
# ## The question
# Do they?

# %%
import numpy as np

from metarl_lab.teach import announce, progress, result, show_source, speed
from metarl_lab.teach.base import Option, Quiz
from metarl_lab.teach.figures import figure_with_alt, look, new_figure
from metarl_lab.teach.quizzes import display_quiz
from metarl_lab.teach.widgets import Explorer, slider

SPEED = speed()
announce(SPEED, {"peek": 0.1, "quick": 2, "full": 600})

# %%
show_source(result)

# %%
x = np.linspace(0, 1, 50)


def wave(alpha):
    figure, ax = new_figure()
    ax.plot(x, np.sin(10 * alpha * x), **look(0))
    ax.set_xlabel("time (s)")
    ax.set_ylabel("height (m)")
    return ax


figure_with_alt(wave(0.5), "A sine wave over one second of time")

# %%
result("a normal draw", np.random.default_rng(0).normal(), at_least=-10, at_most=10)

# %% tags=["nbval-ignore-output", "machine"]
progress()

# %%
controls = {"alpha": slider("frequency", 0.1, 1.0, 0.1, value=0.5)}
explorer = Explorer("99 wave", wave, controls, alt="A sine wave over one second")
explorer.show()

# %%
options = (Option("Yes", "It is.", right=True), Option("No", "Count again."))
display_quiz(Quiz("99.a", "Is $1 + 1$ two?", options))

# %% [markdown]
# ## Exercises
#
# ## Break it

# %% tags=["raises-exception"]
np.ones(2) + np.ones(3)

# %% [markdown]
# ## Summary
#
# ## What to read
#
# ## What comes next
