"""The sandbox's HTTP face, on aiohttp: routes, negotiation, bodies and streams. What a request means is the engine's business."""
