"""The styles of durable work beside the plain function, each thin, over the one engine. They know nothing of each other."""
