"""What must outlive this process: the journal of paid jobs, their pictures, and which processes are still alive."""
