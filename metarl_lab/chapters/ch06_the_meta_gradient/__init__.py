"""Chapter 06, The meta-gradient done right: bias, variance, DiCE, LVC, E-MAML, ProMP."""
