"""Chapter 01, What ordinary RL cannot do."""
