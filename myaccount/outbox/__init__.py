"""Events: what was committed and is not delivered yet (promise 7)."""
