"""The kit that every chapter uses: exercises, quizzes, progress, speed, results, and the small public calls for them.

A chapter's set-up cell imports what it needs from here; `figures`, `diagrams` and `widgets` are modules beside it.
"""

from __future__ import annotations

from typing import Any

from .base import Exercise, Feedback, Option, Quiz, Rejected
from .exercises import BLANK, every, find, grade, hint, solution
from .progress import record, table
from .quizzes import display_quiz
from .results import claim, result, show_table
from .source import show_source
from .speed import announce, at_speed, iterations, most_iterations, speed
from .stored import stored_or_run

__all__ = [
    "Exercise", "Feedback", "Option", "Quiz", "Rejected",
    "announce", "at_speed", "check", "claim", "hint", "iterations", "most_iterations", "progress", "quiz", "result",
    "show_source", "show_table", "solution", "speed", "stored_or_run", "yours_or_ours",
]  # fmt: skip


def check(exercise_id: str, answer: Any) -> None:
    """Grade the answer to an exercise, say what is right or wrong with it, and remember a pass.

    Where nothing is written yet it shows the task: what to write, with shapes and units of what goes in and comes out.
    """
    exercise = find(exercise_id)
    feedback = grade(exercise, answer)
    mark = "passed" if feedback.passed else "not yet"
    if feedback.message.startswith(BLANK):
        said = feedback.message.removeprefix(BLANK).lstrip(": ")
        print(f"{exercise_id} {said or BLANK + '.'}\n\n{exercise.task_text}\n")
        print(f'Write your answer above and run the cell again; hint("{exercise_id}") gives a nudge.')
        return
    print(f"{exercise_id} {mark}: {feedback.message}")
    if feedback.passed and (trouble := record(exercise_id)):
        print(trouble)


def yours_or_ours(exercise_id: str, answer: Any, ours: Any) -> Any:
    """Return the reader's answer where it passes its check, else ours: the page goes on with what it gets.

    A chapter that is built part by part calls it after `check`, so that what follows runs with the reader's own parts,
    and runs for a reader who has not written them yet.
    """
    passed = grade(find(exercise_id), answer).passed
    print(f"From here on the page uses {'your' if passed else 'our'} {find(exercise_id).name}.")
    return answer if passed else ours


def progress() -> None:
    """Print which exercises are passed, chapter by chapter."""
    print(table(every("EXERCISES")))


def quiz(quiz_id: str) -> None:
    """Show a multiple-choice question, with an explanation for every option."""
    quizzes = every("QUIZZES")
    if quiz_id not in quizzes:
        raise ValueError(f"no quiz {quiz_id!r}; there are: {', '.join(quizzes) or 'none yet'}")
    display_quiz(quizzes[quiz_id])
