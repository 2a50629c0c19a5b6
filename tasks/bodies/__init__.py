"""What the bodies of several stages have in common. It decides their outputs, as they do."""
