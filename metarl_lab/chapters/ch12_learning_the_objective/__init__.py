"""Chapter 12, Learning the objective: meta policy gradients, learned update rules."""
