"""What only one chapter uses, a folder each: its exercises, figures, widget, and what its pages need not show."""
