"""One learner per file; `metarl_lab.catalog` finds them by scanning this folder."""
