"""Chapter 08, RL2: what a step sees, what is carried where, credit over a trial, the whole update, an honest probe."""

from functools import partial

import numpy as np
import torch

from metarl_lab.teach.base import Exercise, Option, Quiz, Rejected, close, diagnose, numbers

# 08.1: what the network sees at a step


def seen_as(action, reward, start, arms):
    one_hot = np.zeros(arms)
    if action >= 0:
        one_hot[action] = 1
    return np.array([*one_hot, reward, float(start)])


def check_step_input(answer):
    for arms, steps in (
        # (last action, last reward, start): the trial's first step, one inside an episode, a later episode's first
        (3, ((-1, 0.0, True), (2, 1.0, False), (0, 0.5, True))),
        (2, ((1, -0.25, False), (-1, 0.0, True), (0, 1.0, True), (1, 2.0, True))),
    ):
        got = np.stack([numbers(answer(*step, arms), (arms + 2,), "step_input(...)") for step in steps])
        right = np.stack([seen_as(*step, arms) for step in steps])
        wrapped, silent, unmarked, always = right.copy(), right.copy(), right.copy(), right.copy()
        wrapped[[action < 0 for action, _, _ in steps], arms - 1] = 1
        silent[:, arms] = 0
        unmarked[:, arms + 1] = 0
        always[:, arms + 1] = 1
        blank = np.stack(
            [seen_as(-1, 0.0, start, arms) if start else seen_as(a, r, start, arms) for a, r, start in steps]
        )
        forgotten = np.stack([seen_as(a, 0.0 if start else r, start, arms) for a, r, start in steps])
        indexed = np.stack([[*[float(a)] * arms, r, float(start)] for a, r, start in steps])
        mistakes = {
            "Action -1 has become the last arm (index -1 wraps): before the first step all zeros.": wrapped,
            "The reward is lost: without it nothing can be learned from a pull.": silent,
            "The reset bug: at the start of a later episode the last action and reward must still arrive.": blank,
            "The last reward of an episode is lost: it arrives at the next episode's first step.": forgotten,
            "Reward and start are swapped: the order is action, reward, start.": right[
                :, [*range(arms), arms + 1, arms]
            ],
            "Start comes last: the order is action, reward, start.": right[:, [arms + 1, *range(arms + 1)]],
            "The start is not marked: the network could not tell where an episode begins.": unmarked,
            "Every step is marked as a start.": always,
            "The action is not one-hot: one place for each arm, 1 at the arm that was pulled.": indexed,
        }
        if message := diagnose(got, right, mistakes, "Not (one-hot action, reward, start)."):
            return message
    return None


# 08.2: which states are carried on


def check_carry(answer):
    rng = np.random.default_rng(2)
    for new_episode, new_trial, features in (
        # as many trials as features: here a mask along the wrong axis goes unnoticed by the shapes
        (np.array([False, True, True]), np.array([False, False, True]), 3),
        (np.array([True, False, True, True, False]), np.array([True, False, False, True, False]), 2),
    ):
        hidden = rng.normal(size=(len(new_trial), features))
        got = numbers(answer(hidden, new_episode, new_trial), hidden.shape, "carry(hidden, new_episode, new_trial)")
        mistakes = {
            "The reset bug: you forget at every episode. The state lasts the whole trial.": np.where(
                new_episode[:, None], 0, hidden
            ),
            "Nothing is ever forgotten: what was learned in one task crosses into the next trial.": hidden,
            "One new trial wipes all of them: each row has its own.": np.zeros_like(hidden),
            "Turned round: you keep where a trial begins, and forget elsewhere.": np.where(
                new_trial[:, None], hidden, 0
            ),
            "You forget where an episode begins inside a trial: that is where the state must be kept.": np.where(
                (new_episode & ~new_trial)[:, None], 0, hidden
            ),
        }
        if features == len(new_trial):
            mistakes["The mask runs along the features: give it an axis, so that each row is one trial."] = np.where(
                new_trial, 0, hidden
            )
        right = np.where(new_trial[:, None], 0, hidden)
        if message := diagnose(got, right, mistakes, "Not zeros where a trial begins, else `hidden`."):
            return message
    return None


# 08.3: credit over the trial

TRIALS = (  # (reward, value), each (K, H): K episodes of H steps
    (np.array([[0.3, 1.0], [5.0, 0.0], [2.0, 4.0]]), np.array([[1.0, 2.0], [3.0, 1.5], [2.5, 3.5]])),
    (np.array([[1.0, 0.0, -0.5, 2.0], [0.5, 3.0, 1.0, -1.0]]), np.array([[0.2, 1.0, 2.0, 1.5], [2.5, 0.5, 1.2, 0.8]])),
)


def credit(reward, value, discount, lam, per_episode=False, after=0.0, ends=()):
    """Generalised advantages (K, H), over the trial or over each episode.

    `after`: the value that follows the last step. `ends`: steps (counted over the trial) after which no value follows,
    although credit goes on.
    """
    shape = reward.shape if per_episode else (reward.size,)
    r, v = reward.reshape(shape), value.reshape(shape)
    advantage, carried, following = np.zeros(shape), np.zeros(shape[:-1]), np.full(shape[:-1], after)
    for t in reversed(range(shape[-1])):
        next_value = 0.0 if t in ends else following
        carried = r[..., t] + discount * next_value - v[..., t] + discount * lam * carried
        advantage[..., t], following = carried, v[..., t]
    return advantage.reshape(reward.shape)


def check_trial_credit(answer):
    for (reward, value), discount, lam in zip(TRIALS, (0.9, 0.8), (0.5, 0.7), strict=True):
        got = numbers(answer(reward, value, discount, lam), reward.shape, "trial_credit(...)")
        right = credit(reward, value, discount, lam)
        last_steps = range(reward.shape[1] - 1, reward.size, reward.shape[1])
        mistakes = {
            "Cut at the episodes' ends: what an episode found out earns nothing later. Lay them end to end.": credit(
                reward, value, discount, lam, per_episode=True
            ),
            "No value follows an episode's last step in yours: it is the next episode's first one.": credit(
                reward, value, discount, lam, ends=last_steps
            ),
            "After the trial's last step comes nothing: you bootstrap from its first value (np.roll wraps).": credit(
                reward, value, discount, lam, after=value[0, 0]
            ),
            "After the trial's last step comes nothing: you bootstrap from its own value.": credit(
                reward, value, discount, lam, after=value[-1, -1]
            ),
            "Those are the deltas only (lambda 0): sum them, each weighted by discount * lam.": credit(
                reward, value, discount, 0.0
            ),
            "lam is missing: the sum weighs deltas by discount * lam.": credit(reward, value, discount, 1.0),
            "The discount is missing.": credit(reward, value, 1.0, lam),
            "Those are targets for the critic: take the value off again.": right + value,
            "You laid the steps in the wrong order: all of the first episode, then all of the second.": credit(
                reward.T, value.T, discount, lam
            ).T,
        }
        what = "Not the sum of (discount lam)^l delta over the steps left in the trial."
        if message := diagnose(got, right, mistakes, what):
            return message
    return None


# 08.4: what a probe is worth


def fitted(h, y, on, bias=True):
    """What the map fitted to (h, y) by least squares reads off `on`."""
    design, new = (np.c_[x, np.ones(len(x))] if bias else x for x in (h, on))
    return new @ np.linalg.lstsq(design, y, rcond=None)[0]


def r_squared(y, reading, around=None):
    return 1 - np.square(y - reading).sum() / np.square(y - (y.mean() if around is None else around)).sum()


def check_probe_score(answer):
    rng = np.random.default_rng(8)
    for many, new, weights in ((40, 30, [1.0, -2.0, 0.5]), (25, 60, [0.7, 1.5])):
        h, new_h = (rng.normal(size=(n, len(weights))) + 1 for n in (many, new))
        y, new_y = (x @ weights + 3 + rng.normal(size=len(x)) for x in (h, new_h))
        got = numbers(answer(h, y, new_h, new_y), (), "probe_score(h, y, new_h, new_y)")
        reading = fitted(h, y, new_h)
        right = r_squared(new_y, reading)
        mistakes = {
            "Scored on the data it was fitted to: with many units that is always good.": r_squared(y, fitted(h, y, h)),
            "Fitted on the new data as well: that scores memory, not the hidden state.": r_squared(
                new_y, fitted(new_h, new_y, new_h)
            ),
            "The bias is missing: append a column of ones.": r_squared(new_y, fitted(h, y, new_h, bias=False)),
            "That is the squared correlation: it forgives a wrong scale and offset.": np.corrcoef(new_y, reading)[0, 1]
            ** 2,
            "That is the share left unexplained: R squared is 1 minus it.": 1 - right,
            "That is the mean squared error: divide by the spread of new_y, and take it from 1.": np.square(
                new_y - reading
            ).mean(),
            "The spread is taken around zero: take the mean of new_y off first.": r_squared(new_y, reading, around=0.0),
        }
        # a ridge as small as the text's moves the score in the fourth digit: right as well
        what = "Not the R squared of the fitted map on the new data."
        if message := diagnose(got, right, mistakes, what, tolerance=5e-4):
            return message
    return None


# 08.5: the whole update


def ppo_on_a_trial(log_prob, acted, value, reward, discount, lam, clip, mistake=""):
    """RL2's loss of one trial; `mistake` makes one of its typical mistakes. Tensors (K, H)."""
    known = value.detach()
    as_arrays = reward.numpy(), known.numpy(), discount, lam
    advantage = torch.from_numpy(credit(*as_arrays, per_episode=mistake == "cut"))
    target = advantage + known
    if mistake == "moving target":  # the advantage's own value carries a gradient
        advantage = advantage + known - value
    ratio = (log_prob - acted).exp()
    if mistake == "difference":
        ratio = 1 + log_prob - acted
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    if mistake == "no clip":
        gain = ratio * advantage
    if mistake == "clipped only":
        gain = ratio.clamp(1 - clip, 1 + clip) * advantage
    if mistake == "maximum":
        gain = torch.maximum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    sign = 1 if mistake == "sign" else -1
    error = (value - (reward if mistake == "reward" else target)) ** 2
    weight = {"no critic": 0.0, "whole error": 1.0}.get(mistake, 0.5)
    loss = sign * gain + weight * error
    return loss.sum() if mistake == "sum" else loss.mean()


def check_rl2_loss(answer):
    rng = np.random.default_rng(5)
    for (reward, value), discount, lam, clip in zip(TRIALS, (0.9, 0.8), (0.5, 0.7), (0.2, 0.1), strict=True):
        acted = torch.from_numpy(rng.uniform(-2.0, -0.5, reward.shape))
        # some probabilities have left the clip's range on either side, others have not
        now = acted + torch.from_numpy(rng.uniform(-2.0, 2.0, reward.shape)) * clip
        numbers_given = torch.from_numpy(reward), discount, lam, clip

        def gradients(loss, now=now, acted=acted, value=value, numbers_given=numbers_given):
            """The loss, and its gradient by both of the network's outputs: one vector."""
            log_prob, v = now.clone().requires_grad_(), torch.tensor(value, requires_grad=True)
            found = loss(log_prob, acted, v, *numbers_given)
            if not isinstance(found, torch.Tensor) or found.numel() != 1:
                raise Rejected("rl2_loss(...) must be one number, and stay a tensor: its gradient trains the network.")
            if not found.requires_grad:
                raise Rejected("No gradient passes through rl2_loss(...): something was detached, or made anew.")
            by_both = torch.autograd.grad(found.sum(), (log_prob, v), allow_unused=True)
            parts = [torch.zeros_like(now) if part is None else part for part in by_both]
            return np.concatenate([found.detach().numpy().reshape(1), *(part.numpy().ravel() for part in parts)])

        def made(mistake="", gradients=gradients):
            return gradients(partial(ppo_on_a_trial, mistake=mistake))

        got, right = gradients(answer), made()
        mistakes = {
            "Credit is cut at the episodes' ends: use the advantages of the whole trial.": made("cut"),
            "The sign is wrong: a loss is descended, so the gain enters with a minus.": made("sign"),
            "The clip is missing: nothing may be gained by leaving the range 1 - clip to 1 + clip.": made("no clip"),
            "You take the clipped gain alone: the smaller of both counts, so that what got worse is put right.": made(
                "clipped only"
            ),
            "The larger of both gains counts in yours: take the smaller one.": made("maximum"),
            "The ratio is that of probabilities: exp of the difference of log-probabilities.": made("difference"),
            "The gradient passes through the advantage: it judges the action, so detach the values in it.": made(
                "moving target"
            ),
            "The critic is fitted to the step's reward: its target is advantage + value, detached.": made("reward"),
            "The critic's error is missing.": made("no critic"),
            "The critic's error counts half.": made("whole error"),
            "That is the sum over steps: take the mean.": made("sum"),
        }
        what = "Not PPO's loss over the trial: minus the mean of the smaller gain, plus half the mean squared error."
        if message := diagnose(got, right, mistakes, what):
            if close(got[1:], right[1:]):
                return "Its gradient is right, its value is not: the loss itself is asked for."
            return message
    return None


EXERCISES = (
    Exercise(
        id="08.1",
        name="step_input",
        task="""
            Write step_input(action, reward, start, arms): the vector x_t that the network sees at one step.

              action   the last arm pulled, 0 to arms - 1; -1 at the first step of a trial, when there is none yet
              reward   what that pull paid, a number
              start    whether an episode starts at this step, True or False
              arms     how many arms there are, a whole number
              returns  (arms + 2,) one-hot action (all zeros for -1), then the reward, then 1 for a start, else 0
        """,
        check=check_step_input,
        hints=(
            "What does the network know before its first pull? And at the start of the second episode?",
            "x = (1[a = 0], ..., 1[a = arms - 1], r, start): the same three parts at every step, start or not",
            "one_hot = [float(i == action) for i in range(arms)]; what comes behind it?",
        ),
        solution="""
            def step_input(action, reward, start, arms):
                one_hot = [float(i == action) for i in range(arms)]
                return [*one_hot, reward, float(start)]
        """,
    ),
    Exercise(
        id="08.2",
        name="carry",
        task="""
            Write carry(hidden, new_episode, new_trial): the states with which B trials take their next step.

              hidden       (B, F) the state of each trial after its last step
              new_episode  (B,) True where the next step is the first one of an episode
              new_trial    (B,) True where it is the first one of a trial (then it also begins an episode)
              returns      (B, F) the states, zeros where the network may know nothing yet
        """,
        check=check_carry,
        hints=(
            "What may be known from the episode before? And from the trial before?",
            "h_b = 0 if trial b begins here, else h_b; the mask needs an axis for the features",
            "np.where(..., 0, hidden), with [:, None] behind the mask",
        ),
        solution="""
            def carry(hidden, new_episode, new_trial):
                return np.where(new_trial[:, None], 0, hidden)
        """,
    ),
    Exercise(
        id="08.3",
        name="trial_credit",
        task="""
            Write trial_credit(reward, value, discount, lam): the advantage A_t of every step, over the whole trial.

              reward    (K, H) what each step paid, K episodes of H steps
              value     (K, H) the critic's V_t, of the state in which each step is taken
              discount  gamma, a number
              lam       lambda, a number
              returns   (K, H) the advantages; after the trial's last step nothing follows
        """,
        check=check_trial_credit,
        hints=(
            "Lay the episodes end to end. What follows the last step of an episode, and of the trial?",
            "A_t = delta_t + discount lam A_(t+1), delta_t = r_t + discount V_(t+1) - V_t; zeros after the trial",
            "r, v = reward.reshape(-1), value.reshape(-1), then from the last step to the first: carried = ...",
        ),
        solution="""
            def trial_credit(reward, value, discount, lam):
                r, v = reward.reshape(-1), value.reshape(-1)
                advantage = np.zeros(len(r))
                carried = next_value = 0.0
                for t in reversed(range(len(r))):
                    delta = r[t] + discount * next_value - v[t]
                    carried = delta + discount * lam * carried
                    advantage[t], next_value = carried, v[t]
                return advantage.reshape(reward.shape)
        """,
    ),
    Exercise(
        id="08.4",
        name="probe_score",
        task="""
            Write probe_score(h, y, new_h, new_y): fit y = h w + b by least squares, and score the fit on new data.

              h        (N, F) hidden states, to fit on
              y        (N,) what is to be read off them
              new_h    (M, F) hidden states of other tasks
              new_y    (M,) what is true there
              returns  a number: R squared on the new data, 1 - sum (new_y - reading)^2 / sum (new_y - mean)^2
        """,
        check=check_probe_score,
        hints=(
            "Which data may choose w and b? Which data may judge them?",
            "R^2 = 1 - sum (y - y_hat)^2 / sum (y - mean y)^2, over the new data",
            "w = np.linalg.lstsq(np.c_[h, np.ones(len(h))], y, rcond=None)[0]",
        ),
        solution="""
            def probe_score(h, y, new_h, new_y):
                w = np.linalg.lstsq(np.c_[h, np.ones(len(h))], y, rcond=None)[0]
                reading = np.c_[new_h, np.ones(len(new_h))] @ w
                return 1 - ((new_y - reading) ** 2).sum() / ((new_y - new_y.mean()) ** 2).sum()
        """,
    ),
    Exercise(
        id="08.5",
        name="rl2_loss",
        task="""
            Write rl2_loss(log_prob, acted, value, reward, discount, lam, clip): the loss of one trial, which Adam
            then descends. All tensors are (K, H): K episodes of H steps.

              log_prob  log-probability of each action by the network as it is now; carries the gradient
              acted     the same by the network that acted the trial; plain numbers
              value     the critic's V_t by the network as it is now; carries the gradient
              reward    what each step paid
              discount  gamma, a number
              lam       lambda, a number
              clip      how far the ratio may leave 1, a number
              returns   one number (a tensor that carries the gradient): minus the mean of the smaller gain, plus half
                        the mean squared error of value against its target, advantage + value; the advantages and the
                        target are plain numbers, from 08.3 with the present values detached
        """,
        check=check_rl2_loss,
        hints=(
            "Three parts: credit (your 08.3), the ratio and its clipped gain, the critic's error. What is detached?",
            "-mean min(ratio A, clip(ratio, 1 - clip, 1 + clip) A) + 1/2 mean (V - target)^2",
            "ratio = (log_prob - acted).exp(); gain = torch.minimum(ratio * advantage, ...)",
        ),
        solution="""
            def rl2_loss(log_prob, acted, value, reward, discount, lam, clip):
                r, v = reward.reshape(-1), value.detach().reshape(-1)
                advantage = torch.zeros_like(v)
                carried = next_value = 0.0
                for t in reversed(range(len(r))):
                    carried = r[t] + discount * next_value - v[t] + discount * lam * carried
                    advantage[t], next_value = carried, v[t]
                advantage = advantage.reshape(reward.shape)
                target = advantage + value.detach()
                ratio = (log_prob - acted).exp()
                gain = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
                return -gain.mean() + 0.5 * ((value - target) ** 2).mean()
        """,
    ),
)

QUIZZES = (
    Quiz(
        "08.a",
        "A stored RL2 agent is put into a new task and improves from pull to pull. What has changed inside it?",
        (
            Option(
                "Its weights, by a step of PPO after each pull",
                "PPO is over: no gradient is computed in a trial. Section 7 compares the weights before and after one.",
            ),
            Option(
                "Its last layer, which has adapted to this task",
                "That would be ANIL (chapter 07). Here no weight moves in a trial.",
            ),
            Option(
                "Its hidden state, and nothing else",
                "The weights say how results change the state, and how the state chooses: a learning algorithm.",
                right=True,
            ),
            Option(
                "Nothing: it remembers from training which arm is best",
                "No arm is best in every task: each trial deals other ones.",
            ),
        ),
    ),
    Quiz(
        "08.b",
        "Why do the colleague's agents stay at random play?",
        (
            Option(
                "They train on hidden states that never acted",
                "From zeros, every episode is read as if nothing had been learned before it. What the update makes "
                "likelier there is not what the agent does when it acts with a carried state.",
                right=True,
            ),
            Option(
                "Thirty updates are far too few for this",
                "The mended program below gets well beyond 5 with as many.",
            ),
            Option(
                "Credit stops where the episode ends",
                "It does not: the advantages still span the trial. Only the states were changed.",
            ),
            Option(
                "The last reward of an episode does not arrive",
                "It does: the inputs are untouched. Losing it is the other reset bug.",
            ),
        ),
    ),
)
