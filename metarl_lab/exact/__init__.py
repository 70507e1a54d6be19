"""What can be computed exactly: posteriors, dynamic programmes, Bayes-optimal play."""
