"""Chapter 05, MAML: an initialisation that learns in one step."""
