"""Categories and the patterns by which the Spring server's administrators recognise them."""
