"""Chapter 00: its exercises and its quizzes."""

from __future__ import annotations

from typing import Any

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Rejected, diagnose, numbers

# 00.1: what never asking earns


def never_asking(pulls: int, machines: int, jackpot: float, other: float) -> float:
    """Expected total of trying one machine after another until the jackpot is found."""
    found = [((n - 1) * other + (pulls - n + 1) * jackpot) / machines for n in range(1, pulls + 1)]
    return sum(found) + (machines - pulls) / machines * pulls * other


def check_never_asking(answer: Any) -> str | None:
    for pulls, machines, jackpot, other in ((4, 9, 4.0, 0.5), (5, 10, 5.0, 1.0), (2, 4, 10.0, 2.0)):
        got = numbers(answer(pulls, machines, jackpot, other), (), "never_asking(pulls, machines, jackpot, other)")
        right = never_asking(pulls, machines, jackpot, other)
        without = right - (machines - pulls) / machines * pulls * other
        mistakes = {
            "The games in which the jackpot is never found are missing: they pay `other` with every pull.": without,
            "Once found, the jackpot is pulled again with all pulls that are left; you count it once.": right
            - sum((pulls - n) * jackpot for n in range(1, pulls + 1)) / machines,
            "The pulls before the jackpot is found pay too: `other` each.": right
            - sum((n - 1) * other for n in range(1, pulls + 1)) / machines,
            "That is pulling at random each time: once found, stay with the jackpot.": pulls
            * (jackpot + (machines - 1) * other)
            / machines,
            "That is asking: here the question mark is never pulled.": (pulls - 1) * jackpot
            + (machines + 1) / 2 / machines,
            "One pull too few is paid by the jackpot once it is found: the pull that finds it counts.": right
            - pulls * jackpot / machines,
        }
        what = "Not the mean over where the jackpot is: found with pull 1, with pull 2, ..., or not at all."
        if message := diagnose(got, right, mistakes, what):
            return message
    return None


# 00.2: regret


def check_regret(answer: Any) -> str | None:
    for means, pulls in (
        (np.array([0.2, 0.9, 0.5]), [0, 0, 2, 2]),
        (np.array([0.7, 0.1, 0.3, 0.65]), [3, 1, 0, 2, 2, 3]),
    ):
        got = numbers(answer(means, pulls), (), "regret(means, pulls)")
        chosen, best = means[pulls], means.max()
        mistakes = {
            "That is the pay to be expected, not what was missed.": chosen.sum(),
            "The sign is turned: regret is what the best machine would have given, less what was had.": (
                chosen - best
            ).sum(),
            "That is regret per pull, an average; regret is the sum over the pulls.": (best - chosen).mean(),
            "You compare with an average machine; compare with the best one.": (means.mean() - chosen).sum(),
            "You count each machine once: add up over the pulls, as often as each was made.": (
                best - means[np.unique(pulls)]
            ).sum(),
        }
        pulled = chosen.max()
        if pulled < best:
            mistakes["You compare with the best machine that was *pulled*; compare with the best of all."] = (
                pulled - chosen
            ).sum()
        what = "Not what was missed: for each pull, compare the machine that was pulled with the best of all."
        if message := diagnose(got, (best - chosen).sum(), mistakes, what):
            return message
    return None


# 00.3: what a look is worth


def check_try_first(answer: Any) -> str | None:
    p = np.array([0.5, 0.2, 0.8, 0.4, 0.6])  # below 1/3, between, above 2/3
    got = numbers([answer(float(x)) for x in p], (5,), "try_first at p = 0.5, 0.2, 0.8, 0.4, 0.6")
    paid, failed = np.maximum(p, 2 / 3), np.maximum(p, 1 / 3)
    right = 0.5 + 0.5 * paid + 0.5 * failed
    mistakes = {
        "You choose once for both outcomes of the first pull; choose after a success (chance 2/3) and after a "
        "failure (1/3), and then take the mean.": 0.5 + np.maximum(p, 0.5),
        "You always stay with the unknown machine; after a look you may go back to the known one.": np.ones(5),
        "You always go back to the known machine; after a success the unknown one may be better.": 0.5 + p,
        "The first pull itself pays 1/2 on average; you count only the second.": right - 0.5,
        "The two outcomes have probability 1/2 each; you add them up without.": 0.5 + paid + failed,
        "After one success the chance is 2/3, not 1; after one failure 1/3, not 0.": 1.0 + 0.5 * p,
    }
    what = "Not what the first pull pays on average, and then the better machine in each of its two outcomes."
    return diagnose(got, right, mistakes, what)


# 00.4: the whole player


def pays(name: str, jackpot: int, count: int) -> float:
    """What a machine pays in the game with `count` numbered machines."""
    if name == "?":
        return round(jackpot / count, 2)
    return 5.0 if int(name) == jackpot else 1.0


def game_of(answer: Any, jackpot: int, count: int, pulls: int) -> tuple[list[str], float]:
    """Names pulled and the total of one game."""
    history: list[tuple[str, float]] = []
    names = {"?", *(str(n) for n in range(1, count + 1))}
    for _ in range(pulls):
        name = answer(list(history), count)
        if str(name) not in names:
            raise Rejected(
                f"next_machine gave {name!r}; give the name of a machine: '?', or a number from '1' to '{count}'."
            )
        history.append((str(name), pays(str(name), jackpot, count)))
    return [name for name, _ in history], sum(paid for _, paid in history)


def check_next_machine(answer: Any) -> str | None:
    for count, pulls in ((10, 5), (6, 4), (7, 6)):
        played = {jackpot: game_of(answer, jackpot, count, pulls) for jackpot in range(1, count + 1)}
        best = {jackpot: pays("?", jackpot, count) + 5 * (pulls - 1) for jackpot in played}
        total, most = (float(np.mean(totals)) for totals in ([t for _, t in played.values()], list(best.values())))
        if total > most + 1e-9:
            return "That earns more than perfect play can: the function must not know the jackpot."
        if abs(total - most) < 1e-9:
            continue
        jackpot = next(jackpot for jackpot, (_, total) in played.items() if abs(total - best[jackpot]) > 1e-9)
        names = played[jackpot][0]
        said = f"With {count} numbered machines, {pulls} pulls and the jackpot at {jackpot}, you pulled"
        game = f"{said} {', '.join(names)}."
        if all("?" not in pulled for pulled, _ in played.values()):
            return f"You never ask: the question mark tells where the jackpot is. {game}"
        if names.count("?") > 1:
            return f"You ask more than once: one answer tells all, and each question pays little. {game}"
        if names[0] != "?":
            return f"You ask late: what the question mark tells serves every pull after it. {game}"
        if abs(int(names[1]) - jackpot) == 1:
            return f"You go to the machine beside the one that was named. {game}"
        if names[1] != str(jackpot):
            return f"After asking you do not go to the machine that was named, in every game. {game}"
        return f"You leave the jackpot after you have found it. {game}"
    return None


EXERCISES = (
    Exercise(
        id="00.1",
        name="never_asking",
        task="""
            Write never_asking(pulls, machines, jackpot, other): the expected total of one who tries one numbered
            machine after another until one is the jackpot, and then stays with it.

              pulls     how many pulls a game has, at most as many as there are machines
              machines  how many numbered machines; each is the jackpot with the same chance
              jackpot   what the jackpot pays, per pull
              other     what every other numbered machine pays, per pull
              returns   a number. never_asking(5, 10, 5, 1) is 11.
        """,
        check=check_never_asking,
        hints=(
            "If the jackpot is the n-th machine that you try, what do you collect in all?",
            "(n - 1) times other, then (pulls - n + 1) times jackpot; and sometimes it is not found at all.",
            "total = 0; for n in range(1, pulls + 1): total += (...) / machines",
        ),
        solution="""
            def never_asking(pulls, machines, jackpot, other):
                total = 0
                for n in range(1, pulls + 1):  # found with the n-th pull
                    total += ((n - 1) * other + (pulls - n + 1) * jackpot) / machines
                not_found = (machines - pulls) / machines
                return total + not_found * pulls * other
        """,
    ),
    Exercise(
        id="00.2",
        name="regret",
        task="""
            Write regret(means, pulls): how much was missed against the best machine.

              means    (A,) probability that each machine pays
              pulls    a list of machine numbers, counted from 0, one for each pull
              returns  a number, in pays; 0 if every pull was the best machine
        """,
        check=check_regret,
        hints=(
            "What would the best machine have given with each of these pulls?",
            "Add up, over the pulls, (largest mean) - (mean of the machine that was pulled).",
            "sum(max(means) - ... for pull in pulls)",
        ),
        solution="""
            def regret(means, pulls):
                return sum(max(means) - means[pull] for pull in pulls)
        """,
    ),
    Exercise(
        id="00.3",
        name="try_first",
        task="""
            Write try_first(p): the expected total of two pulls, the first at an unknown machine, the second at
            whichever machine is then better.

              p        chance that the known machine pays 1
              returns  a number between 0 and 2
        """,
        check=check_try_first,
        hints=(
            "The first pull pays or fails, with chance 1/2 each. What do you do next, in either case?",
            "After a success the unknown machine's chance is 2/3, after a failure 1/3; take the larger of it and p.",
            "0.5 + 0.5 * max(p, ...) + ...",
        ),
        solution="""
            def try_first(p):
                return 0.5 + 0.5 * max(p, 2 / 3) + 0.5 * max(p, 1 / 3)
        """,
    ),
    Exercise(
        id="00.4",
        name="next_machine",
        task="""
            Write next_machine(history, numbers): perfect play for the game with the question mark.

              history  a list of (name, paid), one pair for each pull so far, such as [("?", 0.7), ("7", 5.0)]
              numbers  how many numbered machines there are; the question mark pays (number of the jackpot) / numbers,
                       to two decimals
              returns  the name of the machine to pull next: "?", or a number such as "7"
        """,
        check=check_next_machine,
        hints=(
            "What do you pull when nothing is known, and what when the answer is there?",
            "Ask first. The jackpot's number is what the question mark paid, times `numbers`, rounded.",
            'if not history: return "?"',
        ),
        solution="""
            def next_machine(history, numbers):
                for name, paid in history:
                    if name == "?":
                        return str(round(paid * numbers))
                return "?"
        """,
    ),
)

QUIZZES = (
    Quiz(
        "00.a",
        "In the game with the question mark, what did RL2 learn within one game, and what over a million games?",
        (
            Option(
                "Within a game, what the question mark means; over many games, where the jackpot is",
                "It is the other way round: the jackpot moves from game to game, the meaning stays.",
            ),
            Option(
                "Within a game, where the jackpot is, in its memory; over many games, what the question mark means, in "
                "its weights",
                "The memory is thrown away after each game, so what holds for all games can only be in the weights.",
                right=True,
            ),
            Option(
                "Both over many games: its weights hold the jackpot of every game that it met",
                "The jackpot is dealt anew each time, and nothing in the weights could know it before the first pull.",
            ),
            Option(
                "Nothing within a game, since its weights are frozen",
                "Its weights rest, and its memory changes with every pull. That is learning, too.",
            ),
        ),
    ),
    Quiz(
        "00.b",
        "Why does random play earn 8.32?",
        (
            Option(
                "It was lucky in 20,000 games",
                "The mean of 20,000 games spreads by about 0.02; luck does not lift it by three.",
            ),
            Option(
                "Both generators give the same numbers, so its wishes are the machines' chances",
                "The machine that it wishes for most is always the one that pays best: it plays like one who was told.",
                right=True,
            ),
            Option(
                "Choosing one machine and staying with it is a good rule",
                "Staying with a machine that was chosen at random earns 5, as the mended program shows.",
            ),
        ),
    ),
)
