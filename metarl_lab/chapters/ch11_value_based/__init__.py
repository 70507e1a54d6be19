"""Chapter 11, Value-based meta-RL: meta-Q-learning."""
