"""Before the term: does all of it work here? The doctor, a run of every solution, the graders against each other."""
