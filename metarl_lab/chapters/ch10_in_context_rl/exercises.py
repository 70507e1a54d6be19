"""Chapter 10, in-context RL: causal attention in a window, reach, what imitation pulls, targets over a whole trial."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Wrong, diagnose, numbers

RNG = np.random.default_rng(10)
Q, K, V = RNG.normal(size=(3, 6, 4))  # L = 6 steps, width 4
WINDOW = 3


def attention(mask, scale=2.0, late=False, axis=-1, q=Q, k=K, v=V):
    """softmax(q k' / scale) v with a mask (L, L) of what may be read."""
    scores = q @ k.T / scale
    weights = np.exp(scores - scores.max())
    weights = np.where(mask, weights, 0.0) if not late else weights
    weights = weights / weights.sum(axis, keepdims=True)
    return (np.where(mask, weights, 0.0) if late else weights) @ v


AGO = np.arange(6)[:, None] - np.arange(6)  # (L, L): how many steps ago
INSIDE = (AGO >= 0) & (AGO < WINDOW)


def check_attend(answer):
    got = numbers(answer(Q.copy(), K.copy(), V.copy(), WINDOW), (6, 4), "attend(q, k, v, window)")
    mistakes = {
        "Step t reads later steps: there is no causal mask.": attention(np.abs(AGO) < WINDOW),
        "There is no mask at all: every step reads the whole trial, also what has not happened yet.": attention(
            AGO > -9
        ),
        "The window is missing: step t still reads steps that have fallen out of it.": attention(AGO >= 0),
        "Your window is one step too long: it counts the present step.": attention((AGO >= 0) & (AGO <= WINDOW)),
        "You do not divide by the square root of the width.": attention(INSIDE, scale=1.0),
        "You divide by the width, not by its square root.": attention(INSIDE, scale=4.0),
        "You mask after the softmax: the rows no longer sum to 1.": attention(INSIDE, late=True),
        "The softmax runs over the wrong axis: each *row* (one query) sums to 1.": attention(INSIDE, axis=0),
    }
    return diagnose(got, attention(INSIDE), mistakes, "Not the softmax over the last `window` steps, times v.")


def check_reach(answer):
    got = numbers([answer(2, 8), answer(3, 5), answer(1, 4)], (3,), "reach(layers, window)")
    mistakes = {
        "That is one layer's: a second layer reads steps that have themselves read further back.": [7, 4, 3],
        "The present step counts in each window: a layer looks back window - 1 steps.": [16, 15, 4],
        "Reaches add up from layer to layer; they do not multiply.": [49, 64, 3],
        "That counts the steps that are read, the present one included: asked is how many steps *back*.": [15, 13, 4],
    }
    return diagnose(got, [14, 12, 3], mistakes, "Not the number of steps back of the oldest step that can matter.")


POSSIBLE = np.array([True, False, True, True])


def check_imitator(answer):
    got = numbers(answer(POSSIBLE.copy()), (5,), "imitator(possible)")
    mistakes = {
        "The informative arm gets a share: it is never the best arm, so no label ever names it.": [0.25, 0, 0.25]
        + [0.25, 0.25],
        "Arms that were ruled out get a share: condition on the history.": [0.25, 0.25, 0.25, 0.25, 0],
        "That is the exploring agent: an imitator of the best arm never asks.": [0, 0, 0, 0, 1],
        "That is greedy on the posterior: cross-entropy makes the *probabilities* equal to the posterior.": [1]
        + [0, 0, 0, 0],
        "These do not sum to 1: divide by the number of arms still possible.": [1, 0, 1, 1, 0],
    }
    return diagnose(got, np.array([1, 0, 1, 1, 0]) / 3, mistakes, "Not the posterior that each arm is the best one.")


REWARD = np.array([[0.0, 1.0, 0.5], [2.0, 0.0, 1.0]])  # (K, H)
VALUE = np.array([[4.0, 3.0, 2.5], [2.0, 1.5, 1.2]])  # of the state in which each step is taken
FLAT, NEXT = REWARD.ravel(), np.append(VALUE.ravel()[1:], 0.0)


def check_targets(answer):
    got = numbers(answer(REWARD.copy(), VALUE.copy(), 0.9), (2, 3), "targets(reward, value, discount)")
    right = (FLAT + 0.9 * NEXT).reshape(2, 3)
    cut = REWARD + 0.9 * np.append(VALUE[:, 1:], np.zeros((2, 1)), 1)
    wrapped = (FLAT + 0.9 * np.append(VALUE.ravel()[1:], VALUE[0, 0])).reshape(2, 3)
    held = (FLAT + 0.9 * np.append(VALUE.ravel()[1:], VALUE[-1, -1])).reshape(2, 3)
    mistakes = {
        "You stop at the episode's end: then finding the goal for the next episode earns nothing.": cut,
        "The trial's last step has nothing after it: its target is its reward.": held,
        "The last step bootstraps from the trial's first: nothing crosses a trial.": wrapped,
        "That uses the value of the same step: bootstrap from the next one.": REWARD + 0.9 * VALUE,
        "The discount is missing.": (FLAT + NEXT).reshape(2, 3),
        "The reward is missing.": (0.9 * NEXT).reshape(2, 3),
    }
    return diagnose(got, right, mistakes, "Not r_t + discount * v_{t+1} along the whole trial.")


def attend(mask, scale="q.shape[1] ** 0.5", axis="1", late="w"):
    """Source of an attend with the parts given; ago (L, L) is how many steps ago a key is."""
    first = f"np.where({mask}, np.exp(q @ k.T / {scale}), 0)" if late == "w" else f"np.exp(q @ k.T / {scale})"
    return (
        "def attend(q, k, v, window):\n    ago = np.arange(len(q))[:, None] - np.arange(len(q))\n"
        f"    w = {first}\n    w = w / w.sum({axis}, keepdims=True)\n    return {late} @ v"
    )


def reach(expression):
    return f"reach = lambda layers, window: {expression}"


def imitator(expression):
    return f"imitator = lambda possible: {expression}"


def targets(after, discount="discount", reward="reward"):
    """Source of a targets whose value after each step, flat, is `after`."""
    return (
        "def targets(reward, value, discount):\n    flat = value.ravel()\n"
        f"    return {reward} + {discount} * np.asarray({after}).reshape(reward.shape)"
    )


INSIDE_SOURCE = "(ago >= 0) & (ago < window)"
EXERCISES = (
    Exercise(
        id="10.1",
        name="attend",
        task="write attend(q, k, v, window): (L, d), (L, d), (L, d), whole number -> (L, d)",
        check=check_attend,
        hints=(
            "Which keys may step t read? Not later ones, and none that is `window` or more steps old.",
            "w_ti = exp(q_t . k_i / sqrt(d)) for 0 <= t - i < window, else 0; each row divided by its sum; then w v",
            "w = np.where((ago >= 0) & (ago < window), np.exp(q @ k.T / q.shape[1] ** 0.5), 0)",
        ),
        solution=attend(INSIDE_SOURCE),
        wrong=(
            Wrong(attend("abs(ago) < window"), "no causal mask"),
            Wrong(attend("ago > -len(q)"), "no mask at all"),
            Wrong(attend("ago >= 0"), "window is missing"),
            Wrong(attend("(ago >= 0) & (ago <= window)"), "one step too long"),
            Wrong(attend(INSIDE_SOURCE, scale="1"), "do not divide"),
            Wrong(attend(INSIDE_SOURCE, scale="q.shape[1]"), "divide by the width"),
            Wrong(attend("", late=f"np.where({INSIDE_SOURCE}, w, 0)"), "mask after the softmax"),
            Wrong(attend(INSIDE_SOURCE, axis="0"), "wrong axis"),
        ),
    ),
    Exercise(
        id="10.2",
        name="reach",
        task="write reach(layers, window): how many steps back the oldest step lies that can change the output",
        check=check_reach,
        hints=(
            "The oldest key that the last layer reads was made from what the layer below read at that time.",
            "each layer adds window - 1 steps",
            "return layers * (window - 1)",
        ),
        solution=reach("layers * (window - 1)"),
        wrong=(
            Wrong(reach("window - 1"), "one layer's"),
            Wrong(reach("layers * window"), "present step counts"),
            Wrong(reach("(window - 1) ** layers"), "do not multiply"),
            Wrong(reach("layers * (window - 1) + 1"), "steps *back*"),
        ),
    ),
    Exercise(
        id="10.3",
        name="imitator",
        task="write imitator(possible): (m,) bool, which arms may still pay 5 -> (m + 1,) probabilities",
        check=check_imitator,
        hints=(
            "Cross-entropy on the best arm has its minimum at the posterior. Which arms can be the best one?",
            "p_i = possible_i / (number possible), and 0 for the informative arm",
            "return np.append(possible / possible.sum(), 0)",
        ),
        solution=imitator("np.append(possible / possible.sum(), 0)"),
        wrong=(
            Wrong(imitator("np.append(possible, True) / (possible.sum() + 1)"), "never the best arm"),
            Wrong(imitator("np.append(np.ones(len(possible)) / len(possible), 0)"), "ruled out"),
            Wrong(imitator("np.append(np.zeros(len(possible)), 1)"), "exploring agent"),
            Wrong(imitator("np.eye(len(possible) + 1)[possible.argmax()]"), "greedy"),
            Wrong(imitator("np.append(possible * 1.0, 0)"), "sum to 1"),
        ),
    ),
    Exercise(
        id="10.4",
        name="targets",
        task="write targets(reward, value, discount): (K, H), (K, H), number -> (K, H)",
        check=check_targets,
        hints=(
            "The objective is the return of the whole trial. What follows an episode's last step?",
            "y_t = r_t + discount v_{t+1} along the K H steps; y = r at the last of them",
            "after = np.append(value.ravel()[1:], 0); return reward + discount * after.reshape(reward.shape)",
        ),
        solution=targets("np.append(flat[1:], 0)"),
        wrong=(
            Wrong(targets("np.append(value[:, 1:], np.zeros((len(value), 1)), 1)"), "episode's end"),
            Wrong(targets("np.append(flat[1:], flat[-1])"), "nothing after it"),
            Wrong(targets("np.append(flat[1:], flat[0])"), "trial's first"),
            Wrong(targets("flat"), "same step"),
            Wrong(targets("np.append(flat[1:], 0)", discount="1"), "discount is missing"),
            Wrong(targets("np.append(flat[1:], 0)", reward="0 * reward"), "reward is missing"),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "10.a",
        "Cloning an expert who knows the task gave half of the points. Why?",
        (
            Option(
                "Too little data", "More of the same changes nothing: the loss is already close to its least value."
            ),
            Option(
                "In its data the next pull is always the last one again",
                "An expert's own actions give the task away. The network reads them as evidence, also when they "
                "are its own guesses, and repeats whatever it did first.",
                right=True,
            ),
            Option("The expert plays badly", "It plays best of all: it never needs to explore, so it never shows how."),
            Option(
                "The network forgets its first pulls", "Eight steps fit its window. Look at what it does at pull 2."
            ),
        ),
    ),
    Quiz(
        "10.b",
        "Why does the colleague's network predict so well and play so badly?",
        (
            Option("It overfits: it should train for less long", "Then fresh histories would be predicted badly. Try."),
            Option(
                "While training, each step reads later steps, which hold the very action to be predicted",
                "The next token shows the last action. While acting it does not exist yet.",
                right=True,
            ),
            Option("Its positions are wrong", "They are the package's. Ask instead what an output depends on."),
            Option("The histories are too good", "The same histories taught the network of section 4 to play well."),
        ),
    ),
)
