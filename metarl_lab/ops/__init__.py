"""Formulas as pure functions over tensors: name, equation, source, shapes."""
