"""The `metarl` command: train, resume, evaluate, list, bench."""
