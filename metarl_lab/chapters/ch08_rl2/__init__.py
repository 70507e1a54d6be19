"""Chapter 08, RL2: the recurrent network is the learning algorithm."""
