"""Exercises, quizzes, progress and the small public calls that every chapter uses.

from metarl_lab.teach import announce, check, hint, progress, quiz, show_source, solution, speed, stored_or_run, verdict
"""

from __future__ import annotations

from typing import Any

from .base import Exercise, Feedback, Option, Quiz, Rejected, Wrong
from .exercises import every, find, grade, hint, solution
from .progress import record, table
from .quizzes import display_quiz
from .source import show_source
from .speed import announce, speed
from .stored import stored_or_run
from .verdict import verdict

__all__ = [
    "Exercise", "Feedback", "Option", "Quiz", "Rejected", "Wrong",
    "announce", "check", "hint", "progress", "quiz", "show_source", "solution", "speed", "stored_or_run",
    "verdict",
]  # fmt: skip


def check(exercise_id: str, answer: Any) -> None:
    """Grade the answer to an exercise, say what is right or wrong with it, and remember a pass."""
    feedback = grade(find(exercise_id), answer)
    mark = "passed" if feedback.passed else "not yet"
    if feedback.message.startswith("not yet answered"):
        print(f'{exercise_id} {feedback.message.rstrip(".")}. Write your answer, or ask hint("{exercise_id}").')
        return
    print(f"{exercise_id} {mark}: {feedback.message}")
    if feedback.passed and (trouble := record(exercise_id)):
        print(trouble)


def progress() -> None:
    """Print which exercises are passed, chapter by chapter."""
    print(table(every("EXERCISES")))


def quiz(quiz_id: str) -> None:
    """Show a multiple-choice question, with an explanation for every option."""
    quizzes = every("QUIZZES")
    if quiz_id not in quizzes:
        raise ValueError(f"no quiz {quiz_id!r}; there are: {', '.join(quizzes) or 'none yet'}")
    display_quiz(quizzes[quiz_id])
