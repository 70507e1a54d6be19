"""Chapter 14, Choosing tasks: a model of how well the inner model will do."""
