"""Tables in, matplotlib Axes out; nothing is computed here."""
