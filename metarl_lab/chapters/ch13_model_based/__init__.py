"""Chapter 13, Model-based: adapt the dynamics, MB-MPO and GrBAL."""
