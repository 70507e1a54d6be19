"""Chapter 09, Inferring the task: PEARL and VariBAD."""
