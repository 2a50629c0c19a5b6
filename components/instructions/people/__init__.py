"""Provider `people`: what is handed out to be written by people, and what comes back."""
