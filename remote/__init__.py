"""The paid service as a client: recipes become jobs, jobs become bytes on disk, and no job is paid twice or lost."""
