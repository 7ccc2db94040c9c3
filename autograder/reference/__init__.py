"""Float64 references of the exercises, one module a part; importing `partN` registers its specs with the verifier."""
