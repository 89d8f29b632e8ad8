"""The paid service: a recipe becomes jobs, jobs become bytes on disk, and no job is ever paid twice or lost unsaid."""
