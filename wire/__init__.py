"""The service's wire formats: requests, answers, refusals. Pure, without I/O. Each format is one value in `formats.WIRES`."""
