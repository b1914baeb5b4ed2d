"""`make mutants`: the code broken in one place after another, and the tests that should see it."""
