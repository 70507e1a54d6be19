"""Chapter 02, Learning to learn: tasks, meta-tasks, inner and outer model, context."""
