"""What analysts get to see of spans: signed postings as events, whose sums equal the boards."""
