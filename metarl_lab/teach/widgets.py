"""The pattern of every interactive figure: controls -> render(values) -> picture, with a stored picture for no kernel.

    explorer = Explorer("step size", draw, {"alpha": slider("step size", 0.0, 1.0, 0.1, value=0.3)}, alt=describe)
    explorer.show()

`render` looks up or draws; it never trains. Compute what it shows before, in a cell with its own time and progress bar.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.teach.base import fix_ids, show
from metarl_lab.teach.figures import encode_png, image_tag

WIDE = {"description_width": "11em"}
MOST_PICTURES = 500  # kept per explorer: at 20 kB each, 10 MB


def slider(label: str, low: float, high: float, step: float, value: float) -> Any:
    """Return a slider; whole numbers if all of low, high, step and value are. Arrow keys move it by one step.

    It reports when it is let go, not on the way: a drag over a hundred values would queue a hundred pictures.
    """
    kind = widgets.IntSlider if all(isinstance(v, int) for v in (low, high, step, value)) else widgets.FloatSlider
    layout = widgets.Layout(width="30em")
    return kind(
        min=low, max=high, step=step, value=value, description=label, style=WIDE, layout=layout, continuous_update=False
    )


def choice(label: str, options: Sequence[Any], value: Any = None) -> Any:
    """Return a drop-down list of `options` (values, or (text, value) pairs)."""
    chosen = {} if value is None else {"value": value}
    return widgets.Dropdown(
        options=list(options), description=label, style=WIDE, layout=widgets.Layout(width="30em"), **chosen
    )


class Explorer:
    """A picture that follows its controls.

    Parameters
    ----------
    name : unique in the book, such as "02 memory stepper"; the ids of the widget and its parts come from it.
    render : called as `render(**values)`; returns a Figure, an Axes or an HTML string. It looks up precomputed results
        and draws: at most 200 ms, no training.
    controls : {keyword of render: widget with a `.value`}, in the order shown.
    alt : alt text of the picture, or a function `alt(**values)` that returns it: what is plotted and what one sees.
        The text for the stored values is what nbval compares, so it holds no number that differs between machines.
    end : {keyword: value} of the controls in the picture that is stored for readers without a kernel, where that is not
        the picture of the first values: what has a beginning and an end (training, a trial) is stored at its end.

    Attributes
    ----------
    controls : the controls; set `explorer.controls["alpha"].value = 0.3` to drive it from a test.
    picture : HTML of the picture now on show. `alt_text`, `values`: what it shows. `widget`: the whole widget.
    """

    def __init__(
        self,
        name: str,
        render: Callable[..., Figure | Axes | str],
        controls: Mapping[str, Any],
        alt: str | Callable[..., str],
        end: Mapping[str, Any] | None = None,
    ) -> None:
        if not controls:
            raise ValueError(f"explorer {name!r} has no controls; show a plain figure with figure_with_alt instead")
        if unknown := set(end or {}) - set(controls):
            raise ValueError(f"explorer {name!r}: end names {sorted(unknown)}; its controls are {sorted(controls)}")
        self._end = dict(end or {})
        self.name, self.controls = name, dict(controls)
        self._render, self._alt = render, alt
        self._pictures: dict[tuple[Any, ...], tuple[str, bytes | None]] = {}
        self._view = widgets.HTML(layout=widgets.Layout(width="100%"))
        self._status = widgets.HTML(layout=widgets.Layout(min_height="1.6em"))
        self.widget: Any = widgets.VBox([*self.controls.values(), self._status, self._view])
        for control in self.controls.values():
            control.observe(self._on_change, "value")
        self._view.value = self._draw(self.values)[0]
        fix_ids(self.widget, name)

    @property
    def values(self) -> dict[str, Any]:
        """The controls' values by keyword."""
        return {key: control.value for key, control in self.controls.items()}

    @property
    def alt_text(self) -> str:
        """Alt text of the picture for the present values."""
        return self._alt_of(self.values)

    def _alt_of(self, values: Mapping[str, Any]) -> str:
        return self._alt(**values) if callable(self._alt) else self._alt

    @property
    def picture(self) -> str:
        """HTML of the picture now on show."""
        return str(self._view.value)

    def _draw(self, values: Mapping[str, Any]) -> tuple[str, bytes | None]:
        """Return (html, png or None) for these values, drawn once per combination of values."""
        key = tuple(map(repr, values.values()))
        if key not in self._pictures:
            if len(self._pictures) >= MOST_PICTURES:
                self._pictures.pop(next(iter(self._pictures)))
            self._pictures[key] = as_picture(self._render(**values), self._alt_of(values))
        return self._pictures[key]

    def _on_change(self, change: Any) -> None:
        """Redraw. The status line says so meanwhile; a failing render says what failed and keeps the last picture."""
        self._status.value = '<span role="status">drawing ...</span>'
        try:
            self._view.value = self._draw(self.values)[0]
            self._status.value = ""
        except Exception as error:  # ipywidgets would print this where no reader looks
            reason = html.escape(f"{type(error).__name__}: {error}")
            self._status.value = f'<span role="alert">Could not draw this: {reason}. Move the control back.</span>'

    def close(self) -> None:
        """Take the widget out of the notebook."""
        self.widget.close()

    def show(self) -> None:
        """Display the explorer: live with a kernel; without one, the picture of its end, else of its values now."""
        values = self.values | self._end
        page, png = self._draw(values)
        shown = ", ".join(f"{c.description or key} = {values[key]}" for key, c in self.controls.items())
        note = f"<p><em>Shown: {html.escape(shown)}. To move the controls, run this notebook in JupyterLab.</em></p>"
        show(self.widget, page + note, f"[interactive figure: {shown}] {self._alt_of(values)}", png)

    def _ipython_display_(self) -> None:
        self.show()


def as_picture(drawn: Figure | Axes | str, alt: str) -> tuple[str, bytes | None]:
    """Return (html, png or None) of what a render function returned."""
    if isinstance(drawn, str):
        return drawn, None
    figure = drawn.get_figure(root=True) if isinstance(drawn, Axes) else drawn
    if not isinstance(figure, Figure):
        raise ValueError(
            f"render returned {type(drawn).__name__}; return a matplotlib Figure or Axes, or an HTML string"
        )
    png = encode_png(figure)
    return image_tag(png, alt, round(figure.get_size_inches()[0] * 100)), png
