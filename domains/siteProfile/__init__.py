"""What a site says of itself: which sites may be looked at, the evidence of their pages, and what follows from it."""
