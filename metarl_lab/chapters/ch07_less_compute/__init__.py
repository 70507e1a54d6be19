"""Chapter 07, Less compute, less data: first order, Reptile, ANIL, Meta-SGD, CAVIA."""
