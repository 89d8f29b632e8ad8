"""The training of the demo model: data, networks, stages, judge. `tools/train_demo.py` is the command."""
