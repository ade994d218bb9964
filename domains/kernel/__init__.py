"""What every domain shares: the errors, the window that is classified, and how an outage is waited out."""
