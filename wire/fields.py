"""Fields that several wire formats write in the same way."""

from __future__ import annotations


def comma_weights(weights: tuple[float, ...]) -> str:
    """Return the weights as text, such as "0.5,0.7": at most six decimals, no exponent, and never 0 for a weight above 0."""
    return ",".join(f"{max(w, 1e-6):.6f}".rstrip("0").rstrip(".") for w in weights)


def whole(number: float) -> float:
    """Return the number as the documents show it: 10, not 10.0."""
    return int(number) if float(number).is_integer() else number
