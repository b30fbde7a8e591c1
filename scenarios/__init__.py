"""Load scenarios (Locust, in processes of their own) and the incident library."""
