"""The service's wire formats, without input or output: requests, answers, refusals. A format is a value in one list."""
