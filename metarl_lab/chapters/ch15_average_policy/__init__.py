"""Chapter 15, The average policy: contrast, KL and distillation across meta-tasks."""
