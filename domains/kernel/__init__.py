"""What all domains share: errors, the window that is classified, and how an outage is waited out."""
