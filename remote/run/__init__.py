"""One run of the remote engine: from a recipe to paid jobs, and from each job to its pictures."""
