"""What keeps a run whole: the loop, its folder, checkpoints, interrupts, files that are whole or absent."""
