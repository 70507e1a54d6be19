"""Chapter 03, Objectives: what exactly is maximised, over which tasks."""
