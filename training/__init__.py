"""Train the demo model: data, networks, stages and judge. The command is `training/train.py`."""
