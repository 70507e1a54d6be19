"""Multiple-choice questions: buttons with a kernel, a readable list with the answers folded away without one."""

from __future__ import annotations

import html
from typing import Any

from .base import Quiz, fix_ids, paragraph, show


def as_html(quiz: Quiz) -> str:
    """Return the question, its options, and the answer behind a fold that works without a kernel."""
    options = "".join(f"<li>{paragraph(option.text)}</li>" for option in quiz.options)
    reasons = "".join(
        f"<li>{'<b>Right.</b> ' if option.right else ''}{paragraph(option.why)}</li>" for option in quiz.options
    )
    return (
        f"<p><b>{html.escape(quiz.id)}</b> {paragraph(quiz.question)}</p><ol>{options}</ol>"
        f"<details><summary>The answer, option by option</summary><ol>{reasons}</ol></details>"
    )


def as_text(quiz: Quiz) -> str:
    """Return the question and its options in plain text."""
    return "\n".join([f"{quiz.id} {quiz.question}", *(f"  {n}. {o.text}" for n, o in enumerate(quiz.options, 1))])


def reply(quiz: Quiz, number: int) -> str:
    """Return what the reader is told after choosing option `number`, counted from 1."""
    if not 1 <= number <= len(quiz.options):
        raise ValueError(f"quiz {quiz.id}: option {number!r}; give 1 to {len(quiz.options)}")
    option = quiz.options[number - 1]
    return f"{'Right.' if option.right else 'Not this one.'} {option.why}"


def build(quiz: Quiz) -> Any:
    """Return the quiz as a widget: `.choice` (radio buttons), `.answer` (the reply), driven by `choice.index`."""
    import ipywidgets as widgets

    choice = widgets.RadioButtons(
        options=[f"{n}. {option.text}" for n, option in enumerate(quiz.options, 1)],
        index=None,
        layout=widgets.Layout(width="auto"),
    )
    answer = widgets.HTML("")

    def on_choice(change: Any) -> None:
        text = "" if change["new"] is None else paragraph(reply(quiz, change["new"] + 1))
        answer.value = f'<p role="status">{text}</p>'

    choice.observe(on_choice, "index")
    question = widgets.HTML(f"<p><b>{html.escape(quiz.id)}</b> {paragraph(quiz.question)}</p>")
    box = widgets.VBox([question, choice, answer])
    box.choice, box.answer = choice, answer
    fix_ids(box, f"quiz {quiz.id}")
    return box


def display_quiz(quiz: Quiz) -> None:
    """Show the quiz: the widget, and the list for readers without a kernel."""
    show(build(quiz), as_html(quiz), as_text(quiz))
