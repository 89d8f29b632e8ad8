"""What must survive: the journal of paid jobs, the pictures that they gave, and which processes still live."""
