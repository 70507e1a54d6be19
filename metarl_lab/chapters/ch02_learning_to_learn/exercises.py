"""Chapter 02, learning to learn: what a memory is, when it changes, what adapting gained, what must reach it."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, close, diagnose, numbers

# (counts, action, reward): arms pulled more than once in a batch; another number of arms, one of them never pulled
PULLED_BATCHES = (
    (
        np.array([[2.0, 1.0], [0.0, 3.0], [0.0, 0.0]]),
        np.array([0, 2, 2, 0, 2]),
        np.array([1.0, 0.0, 1.0, 0.0, 1.0]),
    ),
    (
        np.array([[1.0, 0.0], [4.0, 2.0], [0.0, 1.0], [3.0, 0.0]]),
        np.array([1, 3, 1, 1, 0, 3, 1]),
        np.array([0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0]),
    ),
)


def counted(action: np.ndarray, reward: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Counts (k, 2) of (paid, failed) after these pulls."""
    total = np.array(start)
    for arm, paid in zip(action, reward, strict=True):
        total[arm] += paid, 1 - paid
    return total


def check_absorb_counts(answer):
    for counts, action, reward in PULLED_BATCHES:
        got = numbers(answer(counts, action, reward), counts.shape, "absorb_counts(counts, action, reward)")
        new = counted(action, reward, np.zeros_like(counts))
        pulls = new.sum(1)
        once_per_arm = np.array(counts)
        once_per_arm[action] += np.stack((reward, 1 - reward), 1)  # NumPy keeps one of several pulls of an arm
        mistakes = {
            "You forget what came before the batch: memory lasts the whole trial, so add to `counts`.": new,
            "The columns are swapped: (paid, failed), in this order.": counts + new[:, ::-1],
            "The second column counts pulls: it must count failures, 1 - reward.": counts
            + np.stack((new[:, 0], pulls), 1),
            "The failures are missing: a pull that does not pay counts in the second column.": counts + new * [1, 0],
            "Only the last pull was taken in: all N belong to the batch.": counted(action[-1:], reward[-1:], counts),
            "Only the first pull was taken in: all N belong to the batch.": counted(action[:1], reward[:1], counts),
            "Repeated pulls of one arm are lost: `counts[action] += ...` adds once per arm.": once_per_arm,
            "Nothing was absorbed: the counts are unchanged.": counts,
        }
        if message := diagnose(got, counts + new, mistakes, "Not the counts before plus those of the N pulls."):
            return message
    return None


TRIALS = ((3, 2, 100), (5, 4, 10))  # (batches, episodes of a batch, steps of an episode)


def check_changes(answer):
    for batches, episodes, steps in TRIALS:
        maml, rl2, random = numbers(answer(batches, episodes, steps), (3,), "changes(batches, episodes, steps)")
        all_episodes = batches * episodes
        all_steps = all_episodes * steps
        if random != 0:
            return "Random play looks at nothing and carries nothing: its memory never changes."
        if maml in (all_steps, all_episodes):
            when = "step" if maml == all_steps else "episode"
            return (
                f"MAML's memory does not change at every {when}: it acts on, frozen, until absorb takes in the batch."
            )
        if maml == batches - 1:
            return "MAML absorbs the last batch too: `absorb` is called after each one."
        if rl2 in (batches, all_episodes):
            when = "batch" if rl2 == batches else "episode"
            return f"RL2's memory does not wait: it moves at every step, not once per {when}."
        if rl2 == episodes * steps:
            return "That is one batch of RL2's: its hidden state lasts the whole trial, all the batches."
        if rl2 == steps:
            return "That is one episode of RL2's: its hidden state lasts the whole trial, all the episodes."
        if (maml, rl2) != (batches, all_steps):
            return "Count the calls that change each memory: absorb for MAML, act for RL2."
    return None


# returns (tasks, batches)
ADAPTATIONS = (
    np.array([[-40.0, -14.0, -6.0], [-31.0, -12.0, -9.0], [-22.0, -15.0, -4.0], [-44.0, -9.0, -5.0]]),
    np.array(
        [
            [1.0, 2.0, 2.5, 4.0],
            [0.5, 3.0, 2.0, 2.5],
            [2.0, 1.0, 3.5, 5.5],
            [1.5, 2.5, 2.0, 2.0],
            [0.0, 1.0, 4.0, 3.5],
            [3.0, 2.0, 3.0, 3.5],
        ]
    ),
)


def divides_by_n(answer, per_task: np.ndarray) -> bool:
    """Whether the standard error on plain arrays, as `evaluate` gives them, has n where n - 1 belongs.

    `x.std()` does so on an array and not on a tensor, so an answer that is only tried with tensors could hide it.
    """
    try:
        error = numbers(getattr(answer, "__wrapped__", answer)(per_task.copy()), (2,))[1]
    except Exception:  # written for tensors alone
        return False
    each = per_task[:, -1] - per_task[:, 0]
    return close(error, each.std() / np.sqrt(len(each)))


def check_gain(answer):
    for per_task in ADAPTATIONS:
        if divides_by_n(answer, per_task):
            return "The spread divides by n: with tasks as a sample use ddof=1."
        got = numbers(answer(per_task), (2,), "adaptation_gain(per_task)")
        first, last, n = per_task[:, 0], per_task[:, -1], len(per_task)

        def mean_and_error(differences, n=n):
            return np.array([differences.mean(), differences.std(ddof=1) / np.sqrt(n)])

        each = last - first
        right = mean_and_error(each)
        unpaired = np.sqrt((first.var(ddof=1) + last.var(ddof=1)) / n)
        mistakes = {
            "The sign is reversed: last batch minus first.": right * [-1, 1],
            "You treat the two batches as different tasks; they are the same ones: take the spread of the differences "
            "(paired).": np.array([right[0], unpaired]),
            "That is the standard deviation: divide by the square root of the number of tasks.": np.array(
                [right[0], each.std(ddof=1)]
            ),
            "The spread divides by n: with tasks as a sample use n - 1.": np.array([right[0], each.std() / np.sqrt(n)]),
            "You divide by the number of tasks: the standard error divides by its square root.": np.array(
                [right[0], each.std(ddof=1) / n]
            ),
            "That is the gain of the first absorb only: take the last batch.": mean_and_error(per_task[:, 1] - first),
            "That is the gain of the last absorb only: compare with the first batch.": mean_and_error(
                last - per_task[:, -2]
            ),
        }
        if message := diagnose(got, right, mistakes, "Not the mean and standard error of last batch minus first."):
            return message
    return None


# (action, reward), each (K, H)
ACTED_TRIALS = (
    (
        np.array([[1, 0, 2], [2, 1, 1], [0, 0, 2]]),
        np.array([[0.0, 0.5, 1.0], [1.0, 0.0, 0.25], [0.0, 1.0, 2.0]]),
    ),
    (
        np.array([[3, 1, 0, 2, 2], [0, 4, 1, 3, 1], [2, 2, 0, 1, 0], [1, 0, 3, 3, 4]]),
        np.array([[1.0, 0, 2, 0, 3], [0.5, 1, 0, 0, 1.5], [0, 0, 1, 2, -1], [1, 1, 0, 0, 2]]),
    ),
)


def check_seen(answer):
    for action, reward in ACTED_TRIALS:
        episodes = len(action)
        got = numbers(answer(action, reward), (episodes, 2), "seen_at_starts(action, reward)")
        last = np.stack((action[:, -1], reward[:, -1]), 1)
        first = np.stack((action[:, 0], reward[:, 0]), 1)
        nothing = np.array([[-1.0, 0.0]])
        right = np.concatenate((nothing, last[:-1]))
        mistakes = {
            "Every start is blank: that is the reset bug. Only the trial's first episode starts with nothing.": (
                np.repeat(nothing, episodes, 0)
            ),
            "Row k shows the end of episode k itself, which has not happened yet: shift by one.": last,
            "The first row holds the trial's last transition (np.roll wraps): it would cross trials.": np.roll(
                last, 1, 0
            ),
            "You deliver the first transition of the episode before: take its last.": np.concatenate(
                (nothing, first[:-1])
            ),
            "The last reward is lost: it must arrive with the action.": right * [1, 0],
            "Before a trial there is no last action: the first row is (-1, 0), as arm 0 is an arm.": np.concatenate(
                (0 * nothing, last[:-1])
            ),
            "The columns are swapped: (last action, last reward).": right[:, ::-1],
        }
        if message := diagnose(got, right, mistakes, "Not what was last seen before each episode."):
            return message
    return None


EXERCISES = (
    Exercise(
        id="02.1",
        name="absorb_counts",
        task="""
            Write absorb_counts(counts, action, reward): the memory of the counter after a batch of N pulls.

              counts   (k, 2) for each of k arms, how often it paid and how often it failed so far in this trial
              action   (N,) which arm each pull took, whole numbers from 0 to k - 1
              reward   (N,) what each pull paid, 0 or 1
              returns  (k, 2), new counts; `counts` itself stays as it was
        """,
        check=check_absorb_counts,
        hints=(
            "What must the memory hold after the batch that it did not hold before? And what must it keep?",
            "For each arm i: paid_i grows by its rewards, failed_i by 1 - reward, summed over the pulls of i.",
            "for arm, paid in zip(action, reward): new[arm, 0] += ...",
        ),
        solution="""
            def absorb_counts(counts, action, reward):
                new = np.array(counts)  # a copy: absorb must not change its argument
                np.add.at(new, action, np.stack((reward, 1 - reward), 1))
                return new
        """,
    ),
    Exercise(
        id="02.2",
        name="changes",
        task="""
            Write changes(batches, episodes, steps): how often a memory changes during one trial, for three agents.
            `absorb` is called after each batch. RL2 plays all episodes one after the other.

              batches   how many batches a trial has
              episodes  how many episodes a batch has
              steps     how many steps an episode has
              returns   three whole numbers: for MAML, for RL2, for random play
        """,
        check=check_changes,
        hints=(
            "Find the rows of MAML and RL2 in the table of section 3, and the bars in the widget.",
            "MAML changes once per absorb, RL2 once per step. And what does random play carry?",
            "return [batches, ..., 0]",
        ),
        solution="""
            def changes(batches, episodes, steps):
                return [batches, batches * episodes * steps, 0]
        """,
    ),
    Exercise(
        id="02.3",
        name="adaptation_gain",
        task="""
            Write adaptation_gain(per_task): what adapting gained, and how sure that is.

              per_task  (tasks, batches) return per episode of each task in each batch, as in `curve.per_task`
              returns   two numbers: the mean over tasks of last batch minus first, and its standard error (tasks are
                        the sample: a standard deviation with n - 1)
        """,
        check=check_gain,
        hints=(
            "The first and the last batch of a row are the same task. Use that.",
            "d_i = R_i,last - R_i,first; gain = mean d; standard error = s_d / sqrt(n), with n - 1 in s_d.",
            "each = per_task[:, -1] - ...",
        ),
        solution="""
            def adaptation_gain(per_task):
                each = per_task[:, -1] - per_task[:, 0]
                return each.mean(), each.std(ddof=1) / np.sqrt(len(each))
        """,
    ),
    Exercise(
        id="02.4",
        name="seen_at_starts",
        task="""
            Write seen_at_starts(action, reward): what an agent sees of the past at the first step of each episode.

              action   (K, H) the action of each step, in K episodes of one trial, whole numbers from 0 on
              reward   (K, H) the reward of each step
              returns  (K, 2): last action and last reward before each episode; before the trial (-1, 0)
        """,
        check=check_seen,
        hints=(
            "Which transition came just before the first step of episode k? And for k = 0?",
            "Row 0 is (-1, 0). Row k is the last step of episode k - 1: its action and its reward.",
            "last = np.stack((action[:, -1], reward[:, -1]), 1); which rows of it, and what goes before them?",
        ),
        solution="""
            def seen_at_starts(action, reward):
                last = np.stack((action[:, -1], reward[:, -1]), 1)
                return np.concatenate(([[-1, 0]], last[:-1]))
        """,
    ),
)

QUIZZES = (
    Quiz(
        "02.a",
        "A paper says: *we meta-train on 40 meta-tasks and test on 10 more.* In this book's words, that is",
        (
            Option("40 outer loops and 10 inner ones", "There is one outer loop; it runs over all 40."),
            Option("40 learning goals, one level up", "That is 000's sense, of which there is only one here."),
            Option("40 trials, and 10 test trials", "A trial is one stay in a task; each may be visited many times."),
            Option("40 training tasks and 10 test tasks", "This is document 002's sense of the word.", right=True),
        ),
    ),
    Quiz(
        "02.b",
        "Why does the wrapped agent score like random play at 1 pull per episode, and almost normally at 5 or 10?",
        (
            Option(
                "The last action and reward of each episode never arrive",
                "Of ten transitions it loses ten, five, two or one: the longer the episodes, the better it hides.",
                right=True,
            ),
            Option(
                "Its memory is cleared at the first step of every episode",
                "The wrapper never touches the memory: `begin` is called once per trial.",
            ),
            Option(
                "Short episodes leave an agent too little time to explore",
                "The unwrapped counter has the same ten pulls, and scores the same at every length.",
            ),
            Option(
                "It cannot tell a trial's first episode from the later ones",
                "That is true, but the counter never needed to.",
            ),
        ),
    ),
)
