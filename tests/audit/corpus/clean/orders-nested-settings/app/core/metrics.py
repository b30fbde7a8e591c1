from prometheus_client import Counter, Histogram

ORDERS_PLACED = Counter("orders_placed_total", "Orders placed.")
REQUEST_SECONDS = Histogram(
    "http_request_duration_seconds",
    "Time until the answer, by route.",
    ["route"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
