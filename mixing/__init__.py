"""The domain of image mixing: ingredients, weights, recipes, and the mathematics of mixing them."""
