"""What is kept of a user: handing it out, and erasing it."""
