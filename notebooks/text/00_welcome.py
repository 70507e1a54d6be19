# %% [markdown]
# # 00 Welcome: you against the agent
#
# **Reading time:** 150 min, games and exercises included. **Run time:** 10 s.
#
# ## What you will be able to do
#
# - Say what meta-reinforcement learning is for, by a game in which the classic rules visibly lose.
# - Tell apart what learns within one game (a memory) and what learns over many games (the weights).
# - Work out by hand what perfect play is worth, and read how near a trained network comes.
# - Read an interval, and tell a result from luck.
# - Use this workbook: its speeds, results, exercises and hints.
#
# ## The question
#
# Somebody hands you a phone of a make that you have never held. Within a minute you can use it: you swipe, you look
# for a gear wheel, you hold a finger down. Nobody taught you this way of finding out. Many phones did. **Can a
# machine get its way of learning from experience, too?**
#
# This page starts with a game, and you play first. To run a cell, click on it and press Shift and Enter. The
# collapsed cell below loads what the page needs; run it, and go on.

# %% tags=["hide-input"]
import numpy as np

import metarl_lab as ml
from metarl_lab.chapters.ch00_welcome import figures, games, widget
from metarl_lab.teach import announce, at_speed, check, claim, hint, progress, quiz
from metarl_lab.teach import result, show_table, solution, speed
from metarl_lab.teach.figures import display_name, figure_with_alt

SPEED = speed()  # "peek", "quick" or "full"; section 5 says what that means
MANY = at_speed(SPEED, peek=5_000, quick=20_000, full=100_000)  # games in a tournament
announce(SPEED, {"peek": 5, "quick": 10, "full": 40})

# %% [markdown]
# ## 1. A game with a question mark
#
# Eleven machines stand before you. Ten carry a number, from 1 to 10. One of the ten is the jackpot and pays 5
# whenever you pull it; the other nine pay 1. The eleventh machine carries a question mark, and it never pays more
# than any of them. You have five pulls. Collect as much as you can.
#
# In the next game the jackpot is dealt anew, so it will mostly be another machine. The rules stay the same. Two
# rivals play the same machines, and you see what they did when your own five pulls are over.
#
# *Predict.* What total will you get in your first game, and what in your fifth? Write down two numbers. Then run the
# next cell and play **five games at least**, by mouse, or by Tab and Enter. (Do not look at the picture that stands
# below it until you run it: it is an old game, and shows what the rivals did.) Keep an eye on the running score, and
# do not read on before you have played: the next paragraph gives a secret away.

# %%
jackpots = games.jackpot_rules()
rl2, _, card = ml.load("data/checkpoints/rl2-informative_bandit")  # a trained network
perfect = ml.make_reference("bayes_optimal", jackpots.family)  # computed, not trained
random = ml.make_reference("random", jackpots.family)

widget.ArmGame(
    jackpots,
    rivals={"RL2": rl2, "perfect play": perfect},
    stand_in=("random play", random),
    name="00 jackpot game",
).show()

# %% [markdown]
# Did you find out what the question mark is for? It pays a tenth of the jackpot's number: 0.3 when the jackpot is
# machine 3, and 0.8 when it is machine 8. Since it pays least, it is natural to leave it alone at first. Once you
# have seen what its pay means, you pull it first and know everything. (If you did not notice: play two more games
# now, and look at what the rivals pull first.)
#
# Now look at your two numbers. In the first game nobody can tell the jackpot: about 11 is to be expected of a careful
# player, and section 2 shows why. If by the fifth game you asked, you collected 20 and a little more. What happened
# to you in between is the subject of this whole book.
#
# - *Within* a game you learned where the jackpot is. That took one pull, and it was worth nothing in the next game.
# - *Over* several games you learned what a pull of the question mark means. That took longer, and it served you in
#   every game after.
#
# The second kind of learning made the first kind fast. Learning how to learn is called **meta-learning** (元学习).
# When the learning inside is done by acting and being paid, as it was here, it is **meta-reinforcement learning**
# (元强化学习).
#
# ## 2. What the question mark is worth
#
# How much did the discovery earn you? Both ways of playing can be worked out on paper.

# %% [markdown] tags=["worked-example"]
# **Never asking, and asking, by hand**
#
# *Never asking.* Try one numbered machine after another until one pays 5, and stay with it. With chance 1 in 10 the
# first is the jackpot, and you collect 5 five times, 25. With the same chance it is the second: 1 and four times 5,
# 21. Then 17, 13 and 9. In the other 5 cases of 10 you do not find it within five pulls, and collect five times 1.
#
# $$
# \frac{25+21+17+13+9}{10}+\frac{5}{10}\cdot5=8.5+2.5=11.0
# $$
#
# *Asking.* The question mark pays $0.1$ to $1.0$, on average $0.55$. Then four pulls pay 5 each.
#
# $$
# 0.55+4\cdot5=20.55
# $$
#
# *Is it best to ask at once?* Try one numbered machine first and ask afterwards: with chance 1 in 10 it was the
# jackpot, and you collect 25. Otherwise it paid 1, the question 0.55, and three pulls are left for the jackpot.
#
# $$
# 0.1\cdot25+0.9\cdot(1+0.55+3\cdot5)\approx17.4
# $$
#
# An exact solver that weighs every way of playing agrees: nothing beats asking first. What you give up for it is
# small: a blind pull of a numbered machine pays $0.1\cdot5+0.9\cdot1=1.4$ on average, and the question 0.55, so
# **asking costs 0.85**.

# %% [markdown]
# Nearly twice as much. Asking first is **perfect play** here: nobody who is not told the jackpot can earn more on
# average (figures call it Bayes-optimal, for reasons that chapter 02 gives). And there are rules for playing such
# machines, studied for a century. The best-known ones judge each machine by what *that machine* has paid, and two of
# them play below. **Greedy** pulls the machine that has paid the most so far (an untried one counts one half).
# **UCB1** tries each machine once, and then adds a bonus for those that were seldom tried. To any such rule the
# question mark is simply the worst machine of eleven, and since it says nothing about the others, the most that the
# rule could earn, however it is tuned, is that of never asking: **11.0**.
#
# Now your rival. **RL2** is a recurrent network: a list of 64 numbers, its memory, is rewritten after every pull, and
# from the list the next machine is chosen. Nobody told it what the question mark means, nor that there is a jackpot.
# It was trained by playing a million games like yours, in each of which the jackpot was somewhere. Since then its
# weights have not changed.
#
# *Predict.* Pulling at random earns $5\cdot(5+9\cdot1+0.55)/11=6.6$, never asking 11.0, perfect play 20.55, and one
# who is told the jackpot 25. Where does RL2 land, in freshly dealt games, without being told the jackpot? (There are
# only ten different games here, and in a million it met each of them. What it does in games that it never met is a
# question for chapter 16.)
#
# A line that ends in `(expected ...: yes)` shows a number beside what this page claims of it. In the picture, the
# short black line at the end of a bar is the interval in which the true mean lies (section 4 says how sure that is).

# %%
players = {"random": random, **games.classic_rules(jackpots), "RL2": rl2}
players["bayes_optimal"] = perfect
jackpot_games = games.tournament(players, jackpots, MANY)
reference_lines = {"never asking": games.never_asking(), "told the jackpot": 25.0}
figure_with_alt(
    figures.totals(jackpot_games.table, reference_lines, "total of five pulls"),
    "Mean total of five pulls: random play, greedy and UCB1 far below never asking, "
    "RL2 and perfect play are far above it and nearly equal",
)
total = jackpot_games.table.total
result("random play", total["random"], near=6.61, within=0.1)
result("greedy and UCB1", total[["greedy", "ucb1"]], at_least=6.3, at_most=7.2)
result("perfect play", total["bayes_optimal"], near=20.55, within=0.02)
result("RL2", total["RL2"], at_least=20.3, at_most=20.53)
by_seed = [seed[0] for seed in card["score"]["by_seed"]]
result("RL2, three trainings", by_seed, at_least=20.3, at_most=20.53)
print(f"never asking, exactly: {games.never_asking():.2f}")

# %% [markdown]
# *Reading it*, bar by bar. *Random play* is where anyone starts. *Greedy* and *UCB1*, made for other games, are no
# better here: greedy stays with the first machine that pays 1, and UCB1 is still trying machines when the game is
# over. The line at 11 is as far as anybody comes who treats the machines one by one. *RL2* stands beyond that line by
# more than nine, and about a tenth of a unit below *perfect play*, which is the best that anybody can do who is not
# told the jackpot. That was no lucky network: three were trained, from different seeds, and the last line shows all
# three, on 50,000 games each. If you predicted that it would land near 11, you expected it to find a good rule of the
# known kind. It found the one that fits *these* games.
#
# The picture pull by pull shows how.

# %%
figure_with_alt(
    figures.by_pull(jackpot_games.by_pull, {"nine of ten pay 1": 1.0}, "mean pay"),
    "Mean pay by pull: RL2 and perfect play get about half a unit with the first pull "
    "and five with all later ones; random play, greedy and UCB1 stay near 1.3",
)
by_pull = jackpot_games.by_pull.set_index(["learner", "x"])["mean"].unstack("x")
result("RL2, first pull", by_pull.loc["RL2", 1], near=0.55, within=0.02)
result("RL2, second pull", by_pull.loc["RL2", 2], at_least=4.8)
result("RL2, third to fifth pull", by_pull.loc["RL2", [3, 4, 5]], at_least=4.95)

# %% [markdown]
# With the first pull RL2 takes *less* than anybody else: 0.55, where a blind pull of a numbered machine would have
# paid 1.4. So it gives up 0.85 to know where the jackpot is. From the second pull on it collects 5, except in some
# two games of a hundred. RL2 does not simply take the machine that it likes best; it *draws* one, by probabilities
# that its network gives, and a little of the probability still falls on the neighbours of the machine that was named.
# That is the tenth of a unit it lacks. A rule that minds only the next pay would never do what it does with its first
# pull.
#
# ## 3. How a network comes to do that
#
# There are two loops, one inside the other. In the **inner loop**, the agent plays one game, and its memory changes
# with every pull. In the **outer loop**, after many games, its weights are changed. The dashed arrow is there in
# training only.

# %%
figure_with_alt(
    figures.two_loops(),
    "Two loops: within a trial, agent and task exchange pulls and pay, and the memory "
    "learns; over many trials, the weights learn how to remember and choose",
)

# %% [markdown]
# What a game hides is a **task** (任务): here, which machine is the jackpot. All games that could be dealt, and how
# often each is dealt, are the **task distribution**, written $p(\text{task})$. One game is a **trial**. What the
# agent carries from pull to pull is its **memory**; it starts empty and is thrown away when the trial ends. What the
# agent carries from trial to trial are the network's **weights**, and they decide two things: what is put into the
# memory, and which machine is chosen from it. (The Chinese words are those of five articles on meta-RL that this book
# follows. It calls them **the documents**.)
#
# What were the weights trained for? For one number, the mean total of a trial:
#
# $$
# J(\theta)=\mathbb{E}_{\text{task}\sim p(\text{task})}\;\mathbb{E}\Bigl[\,\sum_{h=1}^{5} r_h\Bigr].
# $$
#
# $\theta$ are the weights; they decide the choices, and so what is paid. $r_h$ is what the $h$-th pull of the trial
# pays. The inner $\mathbb{E}$ is the mean over chance within a game, in the agent's choices and in what the machines
# pay, and the outer one is the mean over games dealt from the distribution. In simple words: *do well in a whole
# game, whichever game it is*. Nothing in it says "explore" or "ask". But 5 pulls count together, so a first pull that
# pays 0.55 and makes four pulls worth 5 scores better than a first pull that pays 1.4 and tells little.
#
# That makes asking *best*. It does not make it easy to *find*. To a network that does not know yet what the answer
# means, asking costs 0.85 and brings nothing; so it soon stops asking, and then it never learns what the answer
# means. Here is what became of the very same training, when it climbed $J$ and nothing else:

# %%
alone = games.without_variety()
show_table(alone, "RL2 that climbed J alone: three trainings, 50,000 games each", 3)
claim("it has stopped asking", alone, "asks < 0.001")

# %% [markdown]
# All three gave up asking, and became the careful player of section 2, who earns 11.0 (the luck of 50,000 games moves
# such a mean by some hundredths, to either side). The network that you played against was paid for one thing more in
# the first half of its training: a bonus for choices that vary (an **entropy bonus**, which ordinary policy gradients
# use as well; chapter 08 has the formula). So it kept asking now and then, until it had learned what the answer is
# good for. In the second half the bonus fades out, and $J$ alone remains. Looking around had to be paid for once,
# over many games, so that it could be learned for every game.
#
# If you know reinforcement learning, you have met nearly all parts of this. Call the whole trial one episode, and the
# network a policy $\pi_\theta(\text{machine}\mid\text{memory})$; then $J$ is the ordinary expected return, and
# climbing it is an ordinary policy gradient. New is that *every episode hides another task*, so that the policy needs
# a memory, and must find out by what it does which task it is in.
#
# That is why perfect play is a fair measure of RL2: among all ways of turning what was seen into the next pull, the
# one with the largest $J$ *is* perfect play.

# %% [markdown] tags=["algorithm"]
# **Algorithm 0.1: learning to learn with a memory** (RL2: Duan et al. 2016; Wang et al. 2016)
#
# *Inner loop, the weights rest:*
#
# 1. Deal a game from the distribution. Start with an empty memory.
# 2. Choose a machine from the memory, pull it, and take what it paid into the memory. Repeat until the game is over.
# 3. Throw the memory away.
#
# *Outer loop, the weights change:*
#
# 4. Repeat 1 to 3 for many games. Then change the weights a little, so that choices in games of high total become
#    likelier: one step up $J(\theta)$, and at first also towards choices that vary.
# 5. Go back to step 1. When games no longer get better, freeze the weights. From then on, step 2 alone learns.

# %% [markdown]
# The name RL2 means that reinforcement learning is in it twice, once in step 2 and once in step 4. Step 4 is, in one
# line of the policy gradient that you know: raise the weights along the gradient of *(total of the game) times (the
# sum of the log-probabilities of its five choices)*, averaged over the games; the gradient runs back through the
# memory, from pull to pull. Chapter 08 builds it. Step 2 you can watch now, in one game, by ten lines of code. `act`
# turns the memory, the last pull and the number of the pull into a machine and a new memory; nothing else passes from
# pull to pull.


# %%
def play(player, game, pulls=5):
    """Step 2 of the box: one game, from an empty memory to the last pull."""
    memory, machine, paid, total = player.begin(), None, 0.0, 0.0
    for pull in range(pulls):
        machine, memory = player.act(memory, machine, paid, pull)
        paid = game.pull(machine)
        total += paid
        print(f"pull {pull + 1}: machine {machine:>2} pays {paid:g}")
    return total


print("total", play(games.Player(rl2, jackpots), games.jackpot_game(7)))
print("numbers in its memory:", len(games.as_numbers(rl2.begin(1, 1))))

# %% [markdown]
# The question mark said 0.7, and the network went to machine 7. Where did it keep "seven"? In 64 numbers to which
# nobody gave a meaning. The perfect player's memory, too, is a handful of numbers, but we made them: which machines
# can still be the jackpot. That is the one difference to keep in mind. RL2's *way of remembering* was learned as
# well.
#
# ### Its limit
#
# RL2 learned these games, and no others. Let us change one thing: the question mark now names the machine *after* the
# jackpot, so that 0.7 means machine 6 (and after machine 10 comes machine 1). Any person would notice within a game
# or two. *Predict.* What does RL2 earn?

# %%
changed = games.changed_world(rl2)
mean = changed.total.mean()
result("RL2 where the question mark names another", mean, at_least=6.1, at_most=7)

# %% [markdown]
# About as little as random play, and far less than the 11 of one who never asks. The table has a row for each
# jackpot: which machine the question mark now names, and what RL2 does about it. "Goes there" is the share of games
# in which it asks and then pulls the machine that was named; "again", in which it pulls the same machine once more,
# although it paid 1; "finds it", in which it meets the jackpot within the five pulls.
#
# In the table, one row is unlike all others. Which, and what may have happened there?

# %%
show_table(changed, "RL2 in the changed world, by jackpot", 2)
claim("it goes where it was told", changed, "`goes there` > 0.9")
claim("misses the jackpot in every third game or more", changed, "`finds it` < 0.67", 9)

# %% [markdown]
# It asks, it goes where it is told, and is paid 1. Then it has no plan (row 4 is the exception). For some jackpots it
# pulls the same machine again and again, as if it could not believe it; for others it steps on, to the next number,
# or back. With jackpot 4 it happens to step back, and finds it; nobody taught it to. Over all jackpots it meets the
# jackpot in one game of five. Within a game it has no way to doubt what a million games have taught it, and over
# games it learns nothing any more, because its weights are frozen.
#
# Do not take more from this than it shows. There are only ten answers, and ten machines that they name. RL2 may have
# learned the ten pairs by heart, and here we asked whether it notices that they have changed. What it would do with a
# machine that it never met in training is another question, and a harder one; that is generalisation, and a chapter
# of its own (16, planned). But this much is plain: what an agent has learned to learn is as good as the tasks it
# learned from.

# %% [markdown]
# Choose an answer by a click; each comes with its reason.

# %%
quiz("00.a")

# %% [markdown]
# ## 4. A game in which a simple rule is nearly perfect
#
# It would be easy to stop here and declare victory. So now the other side: a game made of nothing but luck, for which
# good rules are known.
#
# Five machines, A to E. A pull pays 1 or 0. Each machine pays with a probability of its own, hidden from you, and
# drawn at the start of the game: any value between 0 and 1 is equally likely. You have ten pulls. Three rivals play:
#
# - **RL2**, again a network with a memory, trained on games of *this* kind;
# - **Thompson sampling**, a classic from 1933: draw a probability for each machine at random from what may be
#   believed of it (a Beta distribution with one more than its successes and one more than its failures), and pull the
#   machine with the highest draw;
# - **perfect play**, computed exactly.
#
# All share their luck: if the second pull of machine C pays you, then the second pull of machine C pays anyone. Play
# a few games.

# %%
coins = games.coin_rules()
coin_rl2, _, coin_card = ml.load("data/checkpoints/rl2-bernoulli_bandit-5x10")
names = ("random", "greedy", "thompson", "ucb1", "bayes_optimal")
classic = {name: ml.make_reference(name, coins.family) for name in names}

widget.ArmGame(
    coins,
    rivals={
        "RL2": coin_rl2,
        "Thompson": classic["thompson"],
        "perfect play": classic["bayes_optimal"],
    },
    stand_in=("greedy", classic["greedy"]),
    name="00 coin game",
).show()

# %% [markdown]
# A few games say next to nothing about who is better, because so much of it is luck. So we let the players meet in
# thousands of games. Greedy and UCB1 join. Greedy now credits each machine with one success and one failure
# beforehand (an untried one so counts one half); UCB1 comes twice, with its usual bonus, and with a fifth of it.
#
# *Predict* the order of the seven: random play, greedy, Thompson sampling, both UCB1, RL2 and perfect play.
#
# In the table that the cell prints, `total` is the mean over games, with a 95% interval from `low` to `high`.
# `spread` is the standard deviation of one game's total, and `regret` is what was missed against the best machine;
# both are explained below. Two **anchors** stand under the table, numbers worked out beforehand that every result
# must respect, and they are easily worked out. A blind pull pays $\tfrac12$, so ten pay 5. The largest of five
# numbers between 0 and 1 is on average $\tfrac56$, so one who is told the best machine earns $10\cdot\tfrac56=8.33$.

# %%
SMALL = "UCB1, a fifth of the bonus"
small = ml.make_reference("ucb1", coins.family, c=0.2, pseudo_counts=1.0)
coin_games = games.tournament({**classic, SMALL: small, "RL2": coin_rl2}, coins, MANY)
show_table(coin_games.table, "Ten pulls: mean total, 95% interval, spread, regret", 3)
best = classic["bayes_optimal"].value
exact = games.exact_totals()
print(f"blind {5:.2f}, perfect play {best:.2f}, told the best machine {50 / 6:.2f}")
print(", ".join(f"{name} exactly {value:.3f}" for name, value in exact.items()))

total = coin_games.table.total
result("RL2", total["RL2"], at_least=6.57, at_most=6.7)
explorers = total[["thompson", "ucb1"]]
result("Thompson sampling and UCB1", explorers, at_least=5.5, at_most=6)
for rival in ("greedy", SMALL, "bayes_optimal"):
    difference, *interval = games.paired(coin_games.totals, "RL2", rival)
    name = f"RL2 minus {display_name(rival)}, paired"
    result(name, difference, interval=interval, near=0, within=0.08)
claim("nobody beats perfect play", coin_games.table, f"low <= {best}")

# %% [markdown]
# *Reading it*, row by row. *Random* play earns 5, as it must. *Greedy* earns almost as much as *perfect play*: 6.626
# against 6.660, exactly. With ten pulls it hardly pays to look around. *Thompson sampling* (5.84) and *UCB1* (5.68)
# are far behind, because they look around much more than ten pulls can repay. UCB1's usual bonus is made to be safe
# in any game, however long; with *a fifth of the bonus* it stands between greedy and perfect play. So a classic rule
# may need tuning, as a network does, and a comparison with an untuned one is worth nothing.
#
# And *RL2*? All players had the same games and the same luck, so we may compare them game by game. The interval of
# such a **paired** difference is narrower than those of the two rows, because the luck of the deal cancels. RL2 is
# level with greedy and with the tuned UCB1: both intervals hold zero. From perfect play it is a few hundredths away.
# It has found again, from games alone, what a simple rule knew already. (It was trained to count each pull one
# percent less than the one before; over ten pulls that hardly matters.) And no row exceeds perfect play by more than
# its interval; whoever does has a bug, as you will see below.
#
# Was this network a lucky one? It is the first of three. Here is what each of the three earned on 50,000 other games,
# give or take 0.02, to be held against greedy's 6.626.

# %%
by_seed = [seed[0] for seed in coin_card["score"]["by_seed"]]
result("RL2, three trainings", by_seed, at_least=6.58, at_most=6.66)

# %% [markdown]
# Two cannot be told from greedy; the third is a little below it.
#
# ### What meta-learning is for
#
# Put the two games side by side. In the coin game everything worth knowing is known: the machines have nothing to do
# with each other, and each is a coin. Somebody who knew that has written a rule down, which leaves 0.03 to be gained;
# a learned rule can at best gain that. In the game with the question mark the tasks share a *structure* that rules
# for single machines do not contain: one machine tells of the others. Whoever is told that structure can compute
# perfect play, as we did. RL2 was told nothing; it was given games, and earns nearly twice what a rule without the
# structure can earn.
#
# So that is the answer to the question at the top. *A classic rule contains what its author knew. A learned rule
# contains what the tasks have in common, whether or not anybody has noticed it.* Its price: it needs many tasks to
# learn from (a million games here, six minutes of one processor; with robots, a million trials are not to be had), it
# may miss what is there unless it is made to look around, and it is only as good as the tasks are like those to come.
# So do *not* reach for it where a simple rule is nearly perfect, where tasks are few, or where tomorrow's tasks will
# be of another kind. Robots that meet new loads, doses for new patients, prices in a new market: wherever tasks come
# in families and nobody can write the family down, meta-reinforcement learning is worth the price. The rest of the
# book is about how it is done.
#
# ### How to read an interval
#
# Every row of the table has a **95% interval**, from `low` to `high`. For $n$ games whose totals spread by $s$, it
# reaches $1.96 s/\sqrt n$ to either side of the mean. If the whole tournament were repeated with new games again and
# again, about 95 of 100 such intervals would hold the true mean. An example by hand: the totals of one player spread
# by about 2.2. For 20,000 games that gives $1.96\cdot2.2/\sqrt{20000}=0.03$, and for ten games
# $1.96\cdot2.2/\sqrt{10}=1.4$ (with so few games the spread itself is uncertain, and 1.6 is nearer the truth). So the
# running score of ten games may just tell a good player from random play, and cannot tell you from RL2.
#
# The last column is another way to take luck out. The **regret** (遗憾) of a pull is how much less likely to pay the
# pulled machine was than the best one. It does not depend on how the coin then fell, although the choice of the
# machine still depends on how earlier coins fell. Add it up over the pulls, and 0 means the best machine every time.
# Some regret cannot be avoided, because to find out you must try. That is the dilemma of **exploration and
# exploitation** (探索与利用).
#
# *The limit of all this:* two small games, in which a task is learned within ten pulls. Chapter 01 shows, on tasks
# that take thousands of steps, what ordinary reinforcement learning cannot do.
#
# ## 5. How to use this workbook
#
# **Each idea climbs the same ladder.** A scene with numbers that you can check; a picture; a question to predict; the
# equation; the algorithm box; the code, which is the box line by line; one result; its reading, and its limit. Do
# predict, in writing: it is what makes the answer stick. A green box works something out by hand, a blue one holds an
# algorithm, a yellow one tells where the documents are mistaken, with a cell that shows it.
#
# **Lines that end in `(expected ...: yes)`.** Training gives a slightly different number on each machine. So a number
# stands beside what this book claims of it, and every change to the book is tested against all these claims.
#
# **Three speeds.** `peek` shows stored results where something takes long, `quick` trains a small version (a chapter
# takes at most a minute), `full` trains everything, best on a GPU. Write `SPEED = speed("full")`, or set the
# environment variable `METARL_SPEED`.
#
# **This copy is yours.** `make lab` opens your own copies of the chapters. Change what you like. When the book gets a
# new edition, your changed chapters stay, and the new ones lie beside them; `make fresh ARGS=00` starts a chapter
# over and keeps the old one.
#
# **Is my GPU seen?**

# %% tags=["nbval-ignore-output", "machine"]
import torch

from metarl_lab.train import choose_device

device = choose_device()
print(f"full speed trains on: {device}")
print(f"torch {torch.__version__}, CUDA {torch.version.cuda}")
print(f"GPUs: {torch.cuda.device_count()}")

# %% [markdown]
# If it says `cpu` and you have a GPU: `METARL_DEVICE` may be set to `cpu`, or torch may lack CUDA (`CUDA None`).
# Chapters 00 to 07 need none.
#
# ## Exercises
#
# Write your answer over the `...`, run the cell, and read what `check` says. As long as nothing is written it shows
# you the task. In a cell of your own, `hint("00.1")` gives a nudge, then the idea, then a first line, and
# `solution("00.1")` gives it away. Errors never harm anything. Answers may be plain Python, NumPy or PyTorch.
#
# **00.1 Never asking, for any such game.** Section 2 worked out 11.0 by hand, for five pulls and ten machines. Write
# it for any numbers.


# %%
def never_asking(pulls, machines, jackpot, other): ...


check("00.1", never_asking)

# %% [markdown]
# **00.2 Regret of a sequence of pulls.** For machines that pay with probabilities 0.2 and 0.9, and pulls 0, 1, 1, it
# is 0.7: the first pull missed 0.7, the others nothing.


# %%
def regret(means, pulls): ...


check("00.2", regret)

# %% [markdown]
# **00.3 What is a look worth?** The smallest case in which it pays to try the unknown. A known machine pays 1 with
# probability $p$. Another has never been pulled, and any probability is equally likely for it; then after one success
# its chance of paying is $\tfrac23$, and after one failure $\tfrac13$. You have two pulls. The first goes to the
# unknown machine, the second to whichever is then better. What total do you expect? Afterwards compare
# `try_first(0.55)` with $2\cdot0.55$: the machine that looks worse is the better first pull.
#
# (Why two thirds? If all chances are equally likely, think of the machine's chance and of the two pulls as three
# points thrown at random on the line from 0 to 1, where a pull pays if its point lies left of the chance. All orders
# of three points are equally likely, and in two of the six the chance lies to the right of both pulls: two successes
# have probability $\tfrac13$. One has $\tfrac12$. So a second success, given the first, has
# $\tfrac13/\tfrac12=\tfrac23$.)


# %%
def try_first(p): ...


check("00.3", try_first)

# %% [markdown]
# **00.4 The whole player.** Write perfect play for the game with the question mark, as a function of what was seen so
# far. The check lets it play every jackpot, in games with other numbers of machines, too (six at least: with only
# three it would be better not to ask). There the question mark pays the jackpot's number divided by how many there
# are.


# %%
def next_machine(history, numbers): ...


check("00.4", next_machine)

# %% [markdown]
# Which exercises you have passed is kept on your machine, for all chapters; the index page shows it too.

# %% tags=["nbval-ignore-output", "machine"]
progress()

# %% [markdown]
# ## Break it
#
# A colleague wants to know what random play earns in the coin game, where five machines' probabilities are drawn at
# random. She knows that results should be reproducible, and gives every generator the seed 0. **Predict** what random
# play earns, run the cell, and find the bug.


# %%
def random_play(seed_of_world, seed_of_player, count=20_000):
    """Mean total of ten pulls of one machine that is chosen at random."""
    world = np.random.default_rng(seed_of_world)
    player = np.random.default_rng(seed_of_player)
    chances = world.random((count, 5))  # how likely each machine is to pay
    wishes = player.random((count, 5))  # the player pulls what it wishes for most
    chosen = wishes.argmax(axis=1)
    return 10 * chances[np.arange(count), chosen].mean()


print(f"random play earns {random_play(0, 0):.2f}; perfect play earns {best:.2f}")

# %%
quiz("00.b")

# %% [markdown]
# Two generators with one seed are one stream of numbers. The player's "random" wishes are the machines' hidden
# probabilities, digit for digit, so it always pulls the best machine: 8.32 is, but for the luck of the deal, the
# $10\cdot\tfrac56=8.33$ of one who was told. Nothing raised an error. What gave the bug away was an **anchor**:
# random play cannot beat perfect play. Beside every result of this book stand such anchors, and this is what they are
# for. The mended program gives each part a stream of its own:

# %%
seed_of_world, seed_of_player = np.random.SeedSequence(0).spawn(2)
print(f"mended: random play earns {random_play(seed_of_world, seed_of_player):.2f}")

# %% [markdown]
# NumPy's documentation explains how to spawn separate streams, under [parallel random number
# generation](https://numpy.org/doc/stable/reference/random/parallel.html). The bug happens wherever environments and
# agents are seeded by the same habit.
#
# ## Summary
#
# - A task is drawn. Within a trial an agent learns it by memory; over many trials its weights learn *how* to learn.
# - In a game whose tasks share a hidden structure, the learned rule earned 20.4 to 20.5, and the best rule without
#   that structure can earn 11.0. In a game without structure it came level with a simple classic.
# - Perfect play is the maximum of the mean total of a whole trial, and a fair measure of whoever is trained for that
#   number. To be the best is not to be easy to find: without a bonus for varied choices the network gave up asking.
# - What was learned holds for tasks like those it was learned from. Change the meaning of the question mark, and it
#   earns about what random play earns.
# - A mean without an interval and without anchors is not a result.
#
# ## What to read
#
# - Duan et al. (2016), *RL2: Fast Reinforcement Learning via Slow Reinforcement Learning*, [arXiv
#   1611.02779](https://arxiv.org/abs/1611.02779): the coin game is their table 1. They climb $J$ by TRPO; Wang et al.
#   do by an actor-critic, and we by PPO (chapter 08).
# - Wang et al. (2016), *Learning to reinforcement learn*, [arXiv 1611.05763](https://arxiv.org/abs/1611.05763): the
#   game with the question mark is in section 3.1.3.
# - Sutton and Barto (2018), *Reinforcement Learning*, chapter 2: bandits and the classic rules.
#
# ## What comes next
#
# | part | chapters | about |
# |---|---|---|
# | Foundations | 00 to 04 | what ordinary RL cannot do; tasks, memories, objectives |
# | Algorithms | 05 to 15 | MAML, RL2, PEARL, transformers, Q-learning, models, task choice |
# | Judging and understanding | 16 to 18, planned | generalisation, drift, looking inside |
# | Applications | 19 to 25, planned | robots, games, driving, recommendation, medicine, finance, cities |
# | Reference | 26, 27, planned | tools; glossary in English and Chinese |
#
# In a hurry, with RL behind you? Read 02, 05 and 08. Otherwise go on with [chapter
# 01](01_what_ordinary_rl_cannot_do.ipynb).
