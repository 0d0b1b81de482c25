"""How long a test waits for what must happen: far longer than it takes, so that a busy machine is not a failure."""

PATIENCE = 60.0
