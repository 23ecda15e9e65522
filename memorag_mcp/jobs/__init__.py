"""Long work: jobs, their records on disk, and the ways in which a client waits for them."""
