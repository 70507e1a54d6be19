"""Chapter 10, In-context RL with transformers."""
