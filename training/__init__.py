"""The training of the demo model: data, networks, stages, judge. `training/train.py` is the command."""
