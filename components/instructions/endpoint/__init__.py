"""Provider `openai`: an OpenAI-compatible endpoint, many requests in flight."""
