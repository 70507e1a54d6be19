"""Chapter 02, learning to learn: what a memory is, when it changes, what adapting gained, what must reach it."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Wrong, diagnose, numbers

COUNTS = np.array([[2.0, 1.0], [0.0, 3.0], [0.0, 0.0]])  # (paid, failed) of three arms, (k, 2)
ACTION, REWARD = np.array([0, 2, 2, 0, 2]), np.array([1.0, 0.0, 1.0, 0.0, 1.0])


def counted(action, reward, start):
    total = np.array(start)
    for a, r in zip(action, reward, strict=True):
        total[a] += r, 1 - r
    return total


def check_absorb_counts(answer):
    got = numbers(answer(COUNTS, ACTION, REWARD), (3, 2), "absorb_counts(counts, action, reward)")
    new = counted(ACTION, REWARD, 0 * COUNTS)
    indexed = np.array(COUNTS)  # numpy's counts[action] += ... keeps one of several pulls of the same arm
    indexed[ACTION] += np.stack((REWARD, 1 - REWARD), 1)
    mistakes = {
        "You forget what came before the batch: memory lasts the whole trial, so add to `counts`.": new,
        "The columns are swapped: (paid, failed), in this order.": COUNTS + new[:, ::-1],
        "The second column counts pulls: it must count failures, 1 - reward.": COUNTS
        + np.stack((new[:, 0], new.sum(1)), 1),
        "Only the last pull was taken in: all N belong to the batch.": counted(ACTION[-1:], REWARD[-1:], COUNTS),
        "Repeated pulls of one arm are lost: `counts[action] += ...` adds once per arm.": indexed,
        "Nothing was absorbed: the counts are unchanged.": COUNTS,
    }
    return diagnose(got, COUNTS + new, mistakes, "Not the counts before plus those of the five pulls.")


BATCHES, EPISODES, STEPS = 3, 2, 100


def check_changes(answer):
    got = numbers(answer, (3,), "changes")
    per_step, per_episode = BATCHES * EPISODES * STEPS, BATCHES * EPISODES
    if got[2] != 0:
        return "Random play looks at nothing and carries nothing: its memory never changes."
    if got[0] in (per_step, per_episode):
        when = "step" if got[0] == per_step else "episode"
        return f"MAML's memory does not change at every {when}: it acts on, frozen, until absorb takes in the batch."
    if got[1] in (BATCHES, per_episode):
        when = "batch" if got[1] == BATCHES else "episode"
        return f"RL2's memory does not wait: it moves at every step, not once per {when}."
    if got[1] == EPISODES * STEPS:
        return "That is one batch of RL2's: its hidden state lasts the whole trial, all three batches."
    if got[1] == STEPS:
        return "That is one episode of RL2's: its hidden state lasts the whole trial, all six episodes."
    right = got[0] == BATCHES and got[1] == per_step
    return None if right else "Count the calls that change each memory: absorb for MAML, act for RL2."


RETURNS = np.array([[-40.0, -14.0, -6.0], [-31.0, -12.0, -9.0], [-22.0, -15.0, -4.0], [-44.0, -9.0, -5.0]])


def check_gain(answer):
    got = numbers(answer(RETURNS), (2,), "adaptation_gain(per_task)")
    first, last, n = RETURNS[:, 0], RETURNS[:, -1], len(RETURNS)
    each = last - first
    right = np.array([each.mean(), each.std(ddof=1) / np.sqrt(n)])
    apart = np.sqrt((first.var(ddof=1) + last.var(ddof=1)) / n)
    mistakes = {
        "The sign is reversed: last batch minus first.": right * [-1, 1],
        "You treat the two batches as different tasks; they are the same ones: take the spread of the differences "
        "(paired).": [right[0], apart],
        "That is the standard deviation: divide by the square root of the number of tasks.": [
            right[0],
            each.std(ddof=1),
        ],
        "The spread divides by n: with tasks as a sample use ddof=1.": [right[0], each.std() / np.sqrt(n)],
        "That is the gain of the first absorb only: take the last batch.": [
            (RETURNS[:, 1] - first).mean(),
            (RETURNS[:, 1] - first).std(ddof=1) / np.sqrt(n),
        ],
    }
    return diagnose(got, right, mistakes, "Not the mean and standard error of last batch minus first.")


ACTED = np.array([[1, 0, 2], [2, 1, 1], [0, 0, 2]])  # (K, H)
PAID = np.array([[0.0, 0.5, 1.0], [1.0, 0.0, 0.25], [0.0, 1.0, 2.0]])


def check_seen(answer):
    got = numbers(answer(ACTED, PAID), (3, 2), "seen_at_starts(action, reward)")
    last = np.stack((ACTED[:, -1], PAID[:, -1]), 1)
    first = np.stack((ACTED[:, 0], PAID[:, 0]), 1)
    nothing = np.array([[-1.0, 0.0]])
    mistakes = {
        "Every start is blank: that is the reset bug. Only the trial's first episode starts with nothing.": np.repeat(
            nothing, 3, 0
        ),
        "Row k shows the end of episode k itself, which has not happened yet: shift by one.": last,
        "The first row holds the trial's last transition (np.roll wraps): it would cross trials.": np.roll(last, 1, 0),
        "You deliver the first transition of the episode before: take its last.": np.concatenate((nothing, first[:-1])),
        "The last reward is lost: it must arrive with the action.": np.concatenate((nothing, last[:-1] * [1, 0])),
    }
    return diagnose(got, np.concatenate((nothing, last[:-1])), mistakes, "Not what was last seen before each episode.")


TAKE_IN = "def absorb_counts(c, a, r):\n    new = {}\n    {}\n    return new"
ADD = "np.add.at(new, a, np.stack(({}), 1))"
GAIN = "def adaptation_gain(x):\n    a = x[:, 0]\n    d = {}\n    return d.mean(), {}"
SEEN = "seen_at_starts = lambda a, r: {}"

EXERCISES = (
    Exercise(
        id="02.1",
        name="absorb_counts",
        task="write absorb_counts(counts, action, reward): (k, 2), (N,), (N,) -> new counts (k, 2)",
        check=check_absorb_counts,
        hints=(
            "What must the memory hold after the batch that it did not hold before? And what must it keep?",
            "paid_i += sum_n r_n [a_n = i],  failed_i += sum_n (1 - r_n) [a_n = i]",
            "new = np.array(counts); np.add.at(new, action, np.stack((reward, 1 - reward), 1))",
        ),
        solution="""
            def absorb_counts(counts, action, reward):
                new = np.array(counts)  # a copy: absorb must not change its argument
                np.add.at(new, action, np.stack((reward, 1 - reward), 1))
                return new
        """,
        wrong=(
            Wrong(TAKE_IN.format("np.zeros_like(c)", ADD.format("r, 1 - r")), "forget what came before"),
            Wrong(TAKE_IN.format("np.array(c)", ADD.format("1 - r, r")), "columns are swapped"),
            Wrong(TAKE_IN.format("np.array(c)", ADD.format("r, 0 * r + 1")), "counts pulls"),
            Wrong(TAKE_IN.format("np.array(c)", "new[a[-1]] += [r[-1], 1 - r[-1]]"), "Only the last pull"),
            Wrong(TAKE_IN.format("np.array(c)", "new[a] += np.stack((r, 1 - r), 1)"), "Repeated pulls of one arm"),
            Wrong("absorb_counts = lambda c, a, r: c", "Nothing was absorbed"),
        ),
    ),
    Exercise(
        id="02.2",
        name="changes",
        task="give changes = [maml, rl2, random]: how often each memory changes in the trial",
        check=check_changes,
        hints=(
            "Find the rows of MAML and RL2 in the table of section 3, and the bars in the widget.",
            "MAML: once per absorb. RL2: batches x episodes x steps.",
            "changes = [3, ..., 0]",
        ),
        solution="changes = [3, 3 * 2 * 100, 0]",
        wrong=(
            Wrong("changes = [600, 600, 0]", "not change at every step"),
            Wrong("changes = [6, 600, 0]", "not change at every episode"),
            Wrong("changes = [3, 3, 0]", "not once per batch"),
            Wrong("changes = [3, 6, 0]", "not once per episode"),
            Wrong("changes = [3, 200, 0]", "one batch of RL2's"),
            Wrong("changes = [3, 600, 600]", "carries nothing"),
            Wrong("changes = [3, 100, 0]", "one episode of RL2's"),
        ),
    ),
    Exercise(
        id="02.3",
        name="adaptation_gain",
        task="write adaptation_gain(per_task): (tasks, batches) -> (mean gain, its standard error)",
        check=check_gain,
        hints=(
            "The first and the last batch of a row are the same task. Use that.",
            "d_i = R_i,last - R_i,first;  gain = mean d;  standard error = s_d / sqrt(n), s_d with n - 1",
            "each = per_task[:, -1] - per_task[:, 0]",
        ),
        solution="""
            def adaptation_gain(per_task):
                each = per_task[:, -1] - per_task[:, 0]
                return each.mean(), each.std(ddof=1) / np.sqrt(len(each))
        """,
        wrong=(
            Wrong(GAIN.format("x[:, 0] - x[:, -1]", "d.std(ddof=1) / 2"), "sign is reversed"),
            Wrong(GAIN.format("x[:, -1] - a", "np.sqrt((a.var(ddof=1) + x[:, -1].var(ddof=1)) / 4)"), "the same ones"),
            Wrong(GAIN.format("x[:, -1] - a", "d.std(ddof=1)"), "standard deviation"),
            Wrong(GAIN.format("x[:, -1] - a", "d.std() / 2"), "ddof=1"),
            Wrong(GAIN.format("x[:, 1] - a", "d.std(ddof=1) / 2"), "first absorb only"),
        ),
    ),
    Exercise(
        id="02.4",
        name="seen_at_starts",
        task="write seen_at_starts(action, reward): (K, H), (K, H) -> (K, 2), last action and reward at each start",
        check=check_seen,
        hints=(
            "Which transition came just before the first step of episode k? And for k = 0?",
            "row 0 = (-1, 0);  row k = (a[k-1, H-1], r[k-1, H-1])",
            "last = np.stack((action[:, -1], reward[:, -1]), 1)",
        ),
        solution="""
            def seen_at_starts(action, reward):
                last = np.stack((action[:, -1], reward[:, -1]), 1)
                return np.concatenate(([[-1, 0]], last[:-1]))
        """,
        wrong=(
            Wrong(SEEN.format("np.tile([-1.0, 0.0], (len(a), 1))"), "the reset bug"),
            Wrong(SEEN.format("np.stack((a[:, -1], r[:, -1]), 1)"), "not happened yet"),
            Wrong(SEEN.format("np.roll(np.stack((a[:, -1], r[:, -1]), 1), 1, 0)"), "cross trials"),
            Wrong(SEEN.format("np.concatenate(([[-1, 0]], np.stack((a[:, 0], r[:, 0]), 1)[:-1]))"), "take its last"),
            Wrong(SEEN.format("np.stack((np.r_[-1, a[:-1, -1]], np.zeros(len(a))), 1)"), "last reward is lost"),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "02.a",
        "A paper says: *we meta-train on 40 meta-tasks and test on 10 more.* In this book's words, that is",
        (
            Option("40 outer loops", "There is one outer loop; it runs over all 40."),
            Option("40 training tasks and 10 test tasks", "Document 002's sense of the word.", right=True),
            Option("40 learning goals, one level up", "That is 000's sense, of which there is only one here."),
            Option("40 trials", "A trial is one stay in a task; each task may be visited in many trials."),
        ),
    ),
    Quiz(
        "02.b",
        "Why does the wrapped agent score like random play at 1 pull per episode, and almost normally at 5 or 10?",
        (
            Option(
                "Its memory is cleared at every episode start",
                "The wrapper never touches the memory: `begin` is called once per trial.",
            ),
            Option(
                "The last action and reward of each episode never arrive",
                "Of ten transitions it loses ten, five, two or one: the longer the episodes, the better it hides.",
                right=True,
            ),
            Option("Short episodes leave too little time to explore", "The unwrapped counter has the same ten pulls."),
            Option("It cannot tell the first episode from later ones", "True, but the counter never needed to."),
        ),
    ),
)
