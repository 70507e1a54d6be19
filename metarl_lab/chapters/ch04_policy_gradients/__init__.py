"""Chapter 04, Policy gradients and value functions, from scratch."""
