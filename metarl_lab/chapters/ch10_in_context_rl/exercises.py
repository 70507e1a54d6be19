"""Chapter 10, in-context RL: attention in a window, its reach, what imitation pulls, targets, the whole algorithm."""

from collections.abc import Mapping

import numpy as np

from metarl_lab.teach.base import Exercise, Feedback, Option, Quiz, Rejected, as_array, close, diagnose, numbers

# --- 10.1 attention in a window ---------------------------------------------------------------------------------------


def queries_keys_values(steps, width, seed):
    """q, k, v, each (L, d)."""
    return np.random.default_rng(seed).normal(size=(3, steps, width))


TRIALS = (  # (q, k, v), window
    (queries_keys_values(steps=6, width=4, seed=10), 3),
    (queries_keys_values(steps=5, width=9, seed=11), 2),
    (queries_keys_values(steps=3, width=2, seed=12), 8),  # a window longer than the trial
)


def steps_ago(steps):
    """(L, L): row t, column i says how many steps before t step i was; negative for later steps."""
    return np.arange(steps)[:, None] - np.arange(steps)


def weighted(weights, v):
    return weights / weights.sum(1, keepdims=True) @ v


def check_attend(answer):
    for (q, k, v), window in TRIALS:
        steps, width = q.shape
        ago = steps_ago(steps)
        inside = (ago >= 0) & (ago < window)
        open_weights = np.exp(q @ k.T / width**0.5)  # not masked, not yet divided
        right = weighted(open_weights * inside, v)
        got = numbers(answer(q.copy(), k.copy(), v.copy(), window), q.shape, "attend(q, k, v, window)")
        mistakes = {
            "There is no mask at all: every step reads the whole trial, also what has not happened yet.": weighted(
                open_weights, v
            ),
            "You do not divide the scores by the square root of the width.": weighted(np.exp(q @ k.T) * inside, v),
            "You divide by the width, not by its square root.": weighted(np.exp(q @ k.T / width) * inside, v),
            "You mask after the softmax: the rows no longer sum to 1.": (
                open_weights / open_weights.sum(1, keepdims=True) * inside @ v
            ),
            "You set masked scores to 0: exp(0) is 1, so they are still read. Set them to minus infinity.": weighted(
                np.exp(np.where(inside, q @ k.T / width**0.5, 0.0)), v
            ),
            "The softmax runs over the wrong axis: each *row* (one query) sums to 1.": (
                open_weights * inside / (open_weights * inside).sum(0, keepdims=True) @ v
            ),
            "Queries and keys are swapped: row t belongs to the query of step t.": weighted(open_weights.T * inside, v),
            "The mask is turned round: you read the steps from the present one on, none of the past.": weighted(
                open_weights * inside.T, v
            ),
            "That is a plain mean of what may be read: the weights come from q and k.": weighted(1.0 * inside, v),
        }
        if window < steps:
            mistakes |= {
                "Step t reads later steps: there is no causal mask.": weighted(open_weights * (abs(ago) < window), v),
                "The window is missing: step t still reads steps that have fallen out of it.": weighted(
                    open_weights * (ago >= 0), v
                ),
                "Your window is one step too long: it counts the present step.": weighted(
                    open_weights * ((ago >= 0) & (ago <= window)), v
                ),
                "Your window is one step too short: `window` steps are read, the present one among them.": weighted(
                    open_weights * ((ago >= 0) & (ago < window - 1)), v
                ),
            }
        if message := diagnose(got, right, mistakes, "Not the softmax over the last `window` steps, times v."):
            return message
    return None


# --- 10.2 reach -------------------------------------------------------------------------------------------------------


def check_reach(answer):
    for layers, window in ((3, 5), (2, 8), (4, 2), (1, 4), (5, 1)):
        got = numbers(answer(layers, window), (), "reach(layers, window)")
        right = layers * (window - 1)
        mistakes = {
            "That is one layer's: a second layer reads steps that have themselves read further back.": window - 1,
            "The present step counts in each window: a layer looks back window - 1 steps.": layers * window,
            "The present step counts in *each* layer's window, not only in one.": layers * window - 1,
            "Reaches add up from layer to layer; they do not multiply.": (window - 1) ** layers,
            "Each layer adds a whole look back, window - 1 steps, not one step.": window - 1 + layers - 1,
            "That counts the steps that are read, the present one included: asked is how many steps *back*.": right + 1,
        }
        told_apart = {message: value for message, value in mistakes.items() if value != right}
        otherwise = "Not the number of steps back of the oldest step that can matter."
        if message := diagnose(got, right, told_apart, otherwise):
            return message
    return None


# --- 10.3 the ideal imitator ------------------------------------------------------------------------------------------

POSSIBLE = (  # (m,) each
    np.array([True, False, True, True]),
    np.array([False, True, False, False, True, True, True]),
    np.array([False, False, True]),
)


def check_imitator(answer):
    for possible in POSSIBLE:
        m = len(possible)
        right = np.append(possible / possible.sum(), 0.0)
        got = numbers(answer(possible.copy()), (-1,), "imitator(possible)")
        if len(got) == m:
            raise Rejected(
                f"imitator(possible) has {m} probabilities; {m + 1} are needed: the informative arm, the last one, "
                "is an action too."
            )
        got = numbers(got, (m + 1,), "imitator(possible)")
        mistakes = {
            "The informative arm gets a share: it is never the best arm, so no label ever names it.": (
                np.append(possible, True) / (possible.sum() + 1)
            ),
            "Arms that were ruled out get a share: condition on the history.": np.append(np.ones(m) / m, 0),
            "All arms get the same: some are ruled out, and the informative one is never the best.": (
                np.ones(m + 1) / (m + 1)
            ),
            "That is the exploring agent: an imitator of the best arm never asks.": np.append(np.zeros(m), 1),
            "The informative arm is the last one, not the first.": np.append(0, possible / possible.sum()),
            "Those are the arms that are ruled out.": np.append(~possible / (~possible).sum(), 0),
        }
        if possible.sum() > 1:
            mistakes |= {
                "That is greedy on the posterior: cross-entropy makes the *probabilities* equal to the posterior.": (
                    np.eye(m + 1)[possible.argmax()]
                ),
                "These do not sum to 1: divide by the number of arms still possible.": np.append(possible * 1.0, 0),
                "These do not sum to 1: divide by the number of arms still possible, not by the number of arms.": (
                    np.append(possible / m, 0)
                ),
            }
        if message := diagnose(got, right, mistakes, "Not the posterior that each arm is the best one."):
            return message
    return None


# --- 10.4 targets over a whole trial ----------------------------------------------------------------------------------

CRITICS = (  # reward, value (K, H) each, discount
    (np.array([[0.0, 1.0, 0.5], [2.0, 0.0, 1.0]]), np.array([[4.0, 3.0, 2.5], [2.0, 1.5, 1.2]]), 0.9),
    (
        np.array([[1.0, -0.5], [0.3, 2.0], [0.0, 1.5]]),
        np.array([[0.7, 5.0], [3.2, -1.0], [2.4, 0.6]]),
        0.6,
    ),
)


def follow(value, at_the_end):
    """The value of the step after each, along the whole trial; (K, H)."""
    return np.append(value.ravel()[1:], at_the_end).reshape(value.shape)


def to_go(reward, discount):
    """Discounted rewards to the end of the trial, which ask no critic; (K, H)."""
    found, after = [], 0.0
    for r in reward.ravel()[::-1]:
        after = r + discount * after
        found.append(after)
    return np.array(found[::-1]).reshape(reward.shape)


def check_targets(answer):
    for reward, value, discount in CRITICS:
        got = numbers(answer(reward.copy(), value.copy(), discount), reward.shape, "targets(reward, value, discount)")
        right = reward + discount * follow(value, 0.0)
        nothing = np.zeros_like(value[:, :1])
        mistakes = {
            "You stop at the episode's end: then finding the goal for the next episode earns nothing.": (
                reward + discount * np.append(value[:, 1:], nothing, 1)
            ),
            "The trial's last step has nothing after it: its target is its reward.": (
                reward + discount * follow(value, value[-1, -1])
            ),
            "The last step bootstraps from the trial's first: nothing crosses a trial.": (
                reward + discount * follow(value, value[0, 0])
            ),
            "At the end of an episode you bootstrap from its own first step: the next step is in the next row.": (
                reward + discount * np.roll(value, -1, 1)
            ),
            "That uses the value of the same step: bootstrap from the next one.": reward + discount * value,
            "The next step is the next *column*, until the row ends; you step from row to row.": (
                reward + discount * np.append(value[1:], np.zeros_like(value[:1]), 0)
            ),
            "The discount is missing.": reward + follow(value, 0.0),
            "The reward is missing.": discount * follow(value, 0.0),
            "That discounts the reward too: it is paid now.": discount * (reward + follow(value, 0.0)),
            "That sums all rewards to come: asked is one step, then the critic's value.": to_go(reward, discount),
        }
        if message := diagnose(got, right, mistakes, "Not r_t + discount * v_{t+1} along the whole trial."):
            return message
    return None


# --- 10.5 the whole algorithm -----------------------------------------------------------------------------------------


def two_arms(task):
    """A history of four pulls of two arms, (action, reward) each; eight tasks, the better arm is task % 2."""
    better = task % 2
    first, second = task // 2 % 2, task // 4 % 2
    return [(first, int(first == better)), (second, int(second == better)), (better, 1), (1 - better, task // 4)]


def naming_arm(task):
    """Three pulls among four arms, of which one pays 5 and the others 1: arm after arm, until it is found."""
    good = task % 4
    arms = [good if number > good else number for number in range(3)]
    return [(arm, 5 if arm == good else 1) for arm in arms]


FAMILIES = (  # tasks, act_out, best, number of actions
    ([0, 3, 5, 6, 1, 1, 2, 7, 4, 0], two_arms, lambda task: task % 2, 2),
    ([0, 1, 2, 3, 7, 6, 5, 4], naming_arm, lambda task: task % 4, 5),
)


def counted(tasks, act_out, best, n_actions, rows):
    """{key: probabilities} of a table; rows(history, task) gives the (key, label) pairs that a history adds."""
    counts: dict[tuple, np.ndarray] = {}
    for task in tasks:
        for key, label in rows(act_out(task), best(task)):
            counts.setdefault(key, np.zeros(n_actions))[label] += 1
    return {key: count / count.sum() for key, count in counts.items()}


def prefixes(history, label):
    """What is right: at each step, all that was seen before it, and the best action."""
    return [(tuple(history[:t]), label) for t in range(len(history))]


OTHER_TABLES = {  # mistake -> the rows that make it
    "That clones the action that was taken: the label is the best action of the hidden task.": (
        lambda history, label: [(tuple(history[:t]), history[t][0]) for t in range(len(history))]
    ),
    "Your keys hold the step that is to be chosen: at step t only what came *before* it is known, history[:t].": (
        lambda history, label: [(tuple(history[: t + 1]), label) for t in range(len(history))]
    ),
    "The empty history is missing: at the first step the network answers too, knowing nothing.": (
        lambda history, label: prefixes(history, label)[1:]
    ),
    "You label one step of each history only: at *every* step the best action is asked for.": (
        lambda history, label: prefixes(history, label)[-1:]
    ),
    "Your table holds whole histories: after the last step nothing is chosen any more.": (
        lambda history, label: [*prefixes(history, label), (tuple(history), label)]
    ),
    "Your keys hold the last pair only: a transformer reads the whole history.": (
        lambda history, label: [(tuple(history[max(t - 1, 0) : t]), label) for t in range(len(history))]
    ),
    "Your keys hold the actions without their rewards: what was paid is the evidence.": (
        lambda history, label: [(tuple(a for a, _ in history[:t]), label) for t in range(len(history))]
    ),
}


def read_table(table, n_actions):
    """A reader's table as {history: probabilities}, or Rejected."""
    if not isinstance(table, Mapping):
        raise Rejected(f"pretrain(...) is a {type(table).__name__}; a dict is needed: history -> probabilities.")
    for key in table:
        if not isinstance(key, tuple):
            raise Rejected(f"A key of your table is a {type(key).__name__}; a history is a tuple of pairs.")
    return {key: numbers(row, (n_actions,), "a row of your table") for key, row in table.items()}


def same_table(got, want):
    return got.keys() == want.keys() and all(close(got[key], want[key]) for key in want)


def check_pretrain(answer):
    for tasks, act_out, best, n_actions in FAMILIES:
        calls: list[int] = []

        def acted(task, calls=calls, act_out=act_out):
            calls.append(task)
            return act_out(task)

        got = read_table(answer(list(tasks), acted, best, n_actions), n_actions)
        if sorted(calls) != sorted(tasks):
            return f"You act out {len(calls)} trials of {len(tasks)} tasks: one of each task, and use all of it."
        want = counted(tasks, act_out, best, n_actions, prefixes)
        if same_table(got, want):
            continue
        for mistake, rows in OTHER_TABLES.items():
            if same_table(got, counted(tasks, act_out, best, n_actions, rows)):
                return mistake
        return what_is_wrong(got, want, counted([*dict.fromkeys(tasks)], act_out, best, n_actions, prefixes))
    return Feedback(
        True,
        "trained on histories in which arm after arm is tried, its rows are the posterior over the arms that are left, "
        "as in 10.3. Arm 5, which names the good one, has probability 0 in every row.",
    )


def what_is_wrong(got, want, each_once):
    """A message on a table that none of the other ways of building it gives; each_once counts a task but once."""
    if missing := [key for key in want if key not in got]:
        return f"A row is missing: of the history {missing[0]}."
    if extra := [key for key in got if key not in want]:
        return f"A row is too much: nobody ever had to choose after {extra[0]}."
    if same_table(got, each_once):
        return "A task that is drawn twice counts twice: do not drop the second."
    most_likely = {key: np.eye(len(row))[row.argmax()] for key, row in want.items()}
    if same_table(got, most_likely):
        return "That is the most frequent label: cross-entropy makes the *probabilities* equal to the frequencies."
    if any(not close(row.sum(), 1.0) for row in got.values()):
        return "The rows do not sum to 1: divide the counts of a row by their sum."
    key = next(key for key in want if not close(got[key], want[key]))
    return f"After the history {key} the best actions were, in shares, {as_array(want[key]).round(2).tolist()}."


EXERCISES = (
    Exercise(
        id="10.1",
        name="attend",
        task="""
            Write attend(q, k, v, window): what one head reads at each step of a trial, when it may read the present
            step and the window - 1 steps before it, and nothing that comes later.

              q        (L, d) query of each of L steps
              k        (L, d) keys
              v        (L, d) values
              window   how many steps are read at most, the present one among them: a whole number from 1 on
              returns  (L, d) for each step, the mean of v with the weights w of section 1
        """,
        check=check_attend,
        hints=(
            "Which keys may step t read? Not later ones, and none that is `window` or more steps old.",
            "w_ti = exp(q_t . k_i / sqrt(d)) for 0 <= t - i < window, else 0; each row divided by its sum; then w v",
            "ago = np.arange(len(q))[:, None] - np.arange(len(q))  # (L, L): row t, column i is t - i",
        ),
        solution="""
            def attend(q, k, v, window):
                steps, width = q.shape
                ago = np.arange(steps)[:, None] - np.arange(steps)  # t - i
                inside = (ago >= 0) & (ago < window)
                scores = np.where(inside, q @ k.T / width**0.5, -np.inf)
                weights = np.exp(scores - scores.max(1, keepdims=True))
                weights = weights / weights.sum(1, keepdims=True)
                return weights @ v
        """,
    ),
    Exercise(
        id="10.2",
        name="reach",
        task="""
            Write reach(layers, window): how many steps back the oldest step lies whose token can change the output of
            the present one.

              layers   number of layers, from 1 on
              window   steps that each layer reads, the present one among them, from 1 on
              returns  a whole number of steps; 0 where only the present step matters
        """,
        check=check_reach,
        hints=(
            "The oldest key that the last layer reads was made from what the layer below read at that time.",
            "Each layer adds the same number of steps. Which, if its window counts the present step?",
            "one_layer = ...  # steps back of the oldest key; how do several layers add up?",
        ),
        solution="""
            def reach(layers, window):
                one_layer = window - 1  # the present step counts in its window
                return layers * one_layer
        """,
    ),
    Exercise(
        id="10.3",
        name="imitator",
        task="""
            Write imitator(possible): the policy of the least cross-entropy against the best action, in a bandit with m
            arms of which one pays best, and an informative arm, the last, that pays little and names it.

              possible  (m,) true for each arm that may still be the best one, after what was seen; one or more are
              returns   (m + 1,) probability of pulling each of the m arms, then of asking the informative one
        """,
        check=check_imitator,
        hints=(
            "Cross-entropy on the best arm has its minimum at the posterior. Which arms can be the best one?",
            "p_i = possible_i / (number possible), and what is left for the informative arm?",
            "posterior = possible / possible.sum()  # (m,); one probability is missing",
        ),
        solution="""
            def imitator(possible):
                posterior = possible / possible.sum()  # (m,), uniform over what is left
                return np.append(posterior, 0.0)  # no label ever names the last arm
        """,
    ),
    Exercise(
        id="10.4",
        name="targets",
        task="""
            Write targets(reward, value, discount): what a critic of the whole trial should predict at each of its
            K H steps, looking one step ahead.

              reward    (K, H) points of each step of K episodes of H steps, one episode after the other
              value     (K, H) the critic's prediction at each of these steps, in points
              discount  gamma, for one step, a number between 0 and 1
              returns   (K, H) in points
        """,
        check=check_targets,
        hints=(
            "The objective is the return of the whole trial. What follows an episode's last step?",
            "y_t = r_t + discount v_{t+1} along the K H steps; y = r at the last of them",
            "in_order = value.ravel()  # (K H,), the trial as one sequence; what stands one step later?",
        ),
        solution="""
            def targets(reward, value, discount):
                in_order = value.ravel()  # (K H,), one trial
                after = np.append(in_order[1:], 0.0)  # nothing follows its last step
                return reward + discount * after.reshape(reward.shape)
        """,
    ),
    Exercise(
        id="10.5",
        name="pretrain",
        task="""
            Write pretrain(tasks, act_out, best, n_actions): decision pretraining of a table. Act out each task once. At
            every step of its history the network sees what came before the step and is asked for the best action of
            the task. Give the table of the least cross-entropy: for each history that was seen, how often each action
            was the best one, as shares.

              tasks      a list of tasks (here numbers); a task may stand in it more than once
              act_out    a function: act_out(task) gives a history, a list of (action, reward) pairs, one a step
              best       a function: best(task) gives the number of the best action
              n_actions  how many actions there are
              returns    a dict: {what was seen before a step, a tuple of (action, reward) pairs: its (n_actions,)
                         probabilities}; () is the key of the first step
        """,
        check=check_pretrain,
        hints=(
            "Two loops: over tasks, and over the steps of a history. What does the network know at step t?",
            "P(a | h) = (how often h was seen in a task whose best action is a) / (how often h was seen)",
            "seen = tuple(history[:t])  # the key of step t; whose count goes up by one?",
        ),
        solution="""
            def pretrain(tasks, act_out, best, n_actions):
                counts = {}
                for task in tasks:
                    history = act_out(task)
                    for t in range(len(history)):
                        seen = tuple(history[:t])  # before step t
                        row = counts.setdefault(seen, np.zeros(n_actions))
                        row[best(task)] += 1
                return {seen: row / row.sum() for seen, row in counts.items()}
        """,
    ),
)

QUIZZES = (
    Quiz(
        "10.a",
        "Cloning an expert who knows the task earned no more than random play. Why?",
        (
            Option(
                "There are too few trials to learn from: more data would mend it",
                "More of the same changes nothing: the loss is already close to its least value.",
            ),
            Option(
                "The expert itself plays badly in some of the tasks",
                "It plays best of all: it never needs to explore, so it never shows how.",
            ),
            Option(
                "In its data the next pull is always the last one again",
                "An expert's own actions give the task away. The network reads them as evidence, also when they "
                "are its own guesses, and repeats whatever it did first.",
                right=True,
            ),
            Option(
                "The network forgets its first pulls before the last",
                "Eight steps fit its window. Look at what it does at pull 2.",
            ),
        ),
    ),
    Quiz(
        "10.b",
        "Why does the colleague's network predict so well and play so badly?",
        (
            Option(
                "Each step reads later ones, which hold the action to be predicted",
                "The next token shows the last action, and no mask hides it while training. While acting it does not "
                "exist yet.",
                right=True,
            ),
            Option(
                "It overfits the trials that it is trained on: it should stop earlier",
                "Then fresh histories would be predicted badly. They are predicted just as well.",
            ),
            Option(
                "Its rotations are wrong, so it cannot tell the steps apart",
                "They are those of section 1. Ask instead what an output depends on.",
            ),
            Option(
                "The histories are too good, so it never sees how to search",
                "The same histories taught the network of section 4 to play well.",
            ),
        ),
    ),
)
